// The sampler on this host's kernel: every tick is accounted for, losses travel as data, cut stacks say
// why. What its samples say is proven end to end in test/e2e/sampling.test.ts. Needs root.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, describe, expect, test } from 'vitest';
import { createLogger } from '../lib/logger.ts';
import { type ProfilesData, ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { buildProgram, runProgram } from '../test/programs/programs.ts';
import { counter } from './bpf/layout.gen.ts';
import { startPerfEvents } from './bpf/perf-events.ts';
import { samplingPeriodNanos } from './bpf/period.ts';
import { openRing } from './bpf/ring.ts';
import { loadSampler, type Sampler } from './bpf/sampler.ts';
import { Collector } from './collector.ts';
import type { CutReason } from './frames.ts';
import { Kernel } from './kernel.ts';
import { Losses } from './losses.ts';
import { MappedFiles } from './mapped-files.ts';
import { Processes } from './processes.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('tests of the sampler are skipped: they need root\n');
const folder = isRoot ? mkdtempSync(join(tmpdir(), 'flamelake-sampler-')) : '';
afterAll(() => isRoot && rmSync(folder, { recursive: true }));

const rateHz = 499;
const periodNanos = samplingPeriodNanos(rateHz);
/** The verifier takes a million; the sampler must leave room for the table unwinder. */
const verifiedInstructionsMax = 100_000;

interface Sampled {
  readonly messages: readonly ProfilesData[];
  readonly counters: readonly number[];
  readonly losses: Losses;
  readonly collector: Collector;
}

interface SamplingOptions {
  readonly ringBytes?: number;
  readonly seenStacks?: number;
  /** 0 = only at the end. */
  readonly drainMillis?: number;
}

/** Samples the host for as long as the work takes. */
async function sample(work: () => Promise<unknown>, options: SamplingOptions = {}, onLoaded: (sampler: Sampler) => void = () => {}): Promise<Sampled> {
  const sampler = loadSampler({ ringBytes: options.ringBytes ?? 1 << 22, seenStacks: options.seenStacks ?? 4096 });
  onLoaded(sampler);
  const ring = openRing(sampler.ringFd, sampler.ringBytes);
  const losses = new Losses();
  const messages: ProfilesData[] = [];
  const collector = new Collector({
    sampler,
    ring,
    losses,
    sources: {
      kernel: new Kernel(createLogger({ name: 'test', level: 'error', format: 'text', write: () => {} })),
      files: new MappedFiles(),
      processes: new Processes(),
    },
    hostAttributes: new Map([['host.name', 'test']]),
    agentVersion: '0',
    periodNanos,
    onBatch: ({ bytes }) => messages.push(fromBinary(ProfilesDataSchema, bytes)),
  });
  const events = await startPerfEvents(sampler.programFd, periodNanos);
  const timer = options.drainMillis === 0 ? undefined : setInterval(() => collector.drain(), options.drainMillis ?? 50);
  try {
    await work();
  } finally {
    clearInterval(timer);
    events.close();
  }
  // The last run of the sampler on the other CPU may still be under way when its event is closed.
  await new Promise((resolve) => setTimeout(resolve, 50));
  collector.finish();
  const counters = sampler.readCounters();
  ring.close();
  sampler.close();
  return { messages, counters, losses, collector };
}

function eventsOf(messages: readonly ProfilesData[], sampleType: string): number {
  let events = 0;
  for (const { resourceProfiles, dictionary } of messages)
    for (const { scopeProfiles } of resourceProfiles)
      for (const profile of scopeProfiles.flatMap(({ profiles }) => profiles)) {
        if (dictionary!.stringTable[profile.sampleType!.typeStrindex] !== sampleType) continue;
        for (const { values, timestampsUnixNano } of profile.samples)
          events += values.length > 0 ? Number(values.reduce((sum, value) => sum + value, 0n)) : timestampsUnixNano.length;
      }
  return events;
}

/** Samples of a process: how deep, and why they end. */
function stacksOf(messages: readonly ProfilesData[], pid: number): { frames: number; cut: string | null; events: number }[] {
  return messages.flatMap(({ resourceProfiles, dictionary }) => {
    const { stackTable, locationTable, attributeTable, stringTable } = dictionary!;
    const cutOf = (location: number) => {
      const attribute = locationTable[location]!.attributeIndices.map((at) => attributeTable[at]!).find(
        (at) => stringTable[at.keyStrindex] === 'flamelake.stack.cut',
      );
      return attribute === undefined ? null : String(attribute.value!.value.value);
    };
    return resourceProfiles
      .filter(({ resource }) => resource!.attributes.some(({ key, value }) => key === 'process.pid' && value!.value.value === BigInt(pid)))
      .flatMap(({ scopeProfiles }) => scopeProfiles.flatMap(({ profiles }) => profiles.flatMap(({ samples }) => samples)))
      .map(({ stackIndex, timestampsUnixNano }) => {
        const { locationIndices } = stackTable[stackIndex]!;
        const cut = locationIndices.length === 0 ? null : cutOf(locationIndices.at(-1)!);
        return { frames: locationIndices.length - (cut === null ? 0 : 1), cut, events: timestampsUnixNano.length };
      });
  });
}

const work = (depth: number, seconds: number, framePointers = true) => {
  const run = runProgram(buildProgram('deep', folder, framePointers ? 'deep' : 'deep-without', { framePointers }), [String(depth), String(seconds)]);
  return { pid: run.pid, ended: run.result };
};

describe.skipIf(!isRoot)('the sampler', () => {
  test('is small to the verifier', async () => {
    const { counters } = await sample(
      async () => {},
      {},
      ({ verifiedInstructions }) => {
        process.stderr.write(`on_cpu_sample: ${verifiedInstructions} instructions verified\n`);
        expect(verifiedInstructions).toBeLessThan(verifiedInstructionsMax);
      },
    );
    expect(counters).toHaveLength(counter.counters);
  });

  test('takes every tick: each is a sample, and each sample is in a message once', async () => {
    const { messages, counters, losses, collector } = await sample(() => work(3, 1).ended);
    const ticks = counters[counter.counterTicks]! - counters[counter.counterIdle]!;
    expect(ticks).toBeGreaterThan(0.9 * (1e9 / periodNanos));
    expect(counters[counter.counterSamples]).toBe(ticks);
    expect([...losses.total]).toEqual([]);
    expect(collector.samples).toBe(ticks);
    expect(eventsOf(messages, 'samples')).toBe(ticks);
  });

  test.each([
    ['a stack', 4096],
    ['stacks and samples', 16_384],
  ])('a ring too small for %s: what it did not take is counted, and in the data', async (_, ringBytes) => {
    const { messages, counters, losses } = await sample(() => work(100, 1).ended, { ringBytes, drainMillis: 0 });
    const ticks = counters[counter.counterTicks]! - counters[counter.counterIdle]!;
    const lost = counters[counter.lossRingFull]!;
    expect(lost).toBeGreaterThan(100);
    expect(counters[counter.counterSamples]! + lost).toBe(ticks);
    expect([...losses.total]).toEqual([['ring_full', lost]]);
    expect(eventsOf(messages, 'samples')).toBe(counters[counter.counterSamples]);
    expect(eventsOf(messages, 'lost')).toBe(lost);
  });

  test('a memory of sent stacks too small for them repeats stacks and loses nothing', async () => {
    const { messages, counters, losses } = await sample(() => work(3, 1).ended, { seenStacks: 1 });
    expect([...losses.total]).toEqual([]);
    expect(eventsOf(messages, 'samples')).toBe(counters[counter.counterSamples]);
  });

  const cutsOf = (messages: readonly ProfilesData[], pid: number) => {
    const stacks = stacksOf(messages, pid);
    const events = stacks.reduce((sum, stack) => sum + stack.events, 0);
    expect(events).toBeGreaterThan(0.5 * (1e9 / periodNanos) * 0.5);
    const share = (holds: (stack: { frames: number; cut: string | null }) => boolean) =>
      stacks.filter(holds).reduce((sum, stack) => sum + stack.events, 0) / events;
    return { stacks, share };
  };

  test('deeper than the kernel looks: cut at 127 frames, and said so', async () => {
    const run = work(200, 2);
    const { messages, collector } = await sample(() => run.ended);
    const reason: CutReason = 'user_stack_too_deep';
    expect(cutsOf(messages, run.pid).share(({ frames, cut }) => frames >= 127 && cut === reason)).toBeGreaterThan(0.9);
    expect(collector.cut.get(reason)).toBeGreaterThan(0);
  });

  test('with frame pointers each call is there, without them the stack says that it is cut', async () => {
    const [deep, without] = [work(30, 2), work(30, 2, false)];
    const { messages } = await sample(() => Promise.all([deep.ended, without.ended]));
    // bottom, 30 times descend, main; now and then a system call's worth of kernel frames above.
    expect(cutsOf(messages, deep.pid).share(({ frames }) => frames >= 32)).toBeGreaterThan(0.9);
    expect(cutsOf(messages, without.pid).share(({ cut }) => cut !== null)).toBeGreaterThan(0.99);
  });
});

/** What agent/rights.ts asks for in place of root. */
const capabilities = ['bpf', 'perfmon', 'sys_ptrace', 'dac_read_search', 'syslog', 'checkpoint_restore'].map((name) => `+${name}`).join(',');
const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', `--inh-caps=${capabilities}`, `--ambient-caps=${capabilities}`];
const hasSetpriv = isRoot && spawnSync('setpriv', [...nobody, 'true']).status === 0;

test.skipIf(!hasSetpriv)('an ordinary user with six capabilities samples the whole host', () => {
  const modules = { sampler: './bpf/sampler.ts', events: './bpf/perf-events.ts', kernel: './kernel.ts', rights: './rights.ts' };
  const script = `
    const [sampler, events, kernel, rights] = await Promise.all(${JSON.stringify(Object.values(modules).map((name) => new URL(name, import.meta.url).href))}.map((url) => import(url)));
    const loaded = sampler.loadSampler({ ringBytes: 1 << 20, seenStacks: 4096 });
    const started = await events.startPerfEvents(loaded.programFd, 1_000_003);
    for (const end = performance.now() + 200; performance.now() < end; );
    started.close();
    process.stdout.write(JSON.stringify({
      uid: process.getuid(),
      rights: rights.checkRights(),
      hasNames: new kernel.Kernel({ warn() {} }).hasNames,
      ticks: loaded.readCounters()[${counter.counterTicks}],
    }));`;
  const run = spawnSync('setpriv', [...nobody, process.execPath, '--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(run.stderr).toBe('');
  const { ticks, ...said } = JSON.parse(run.stdout) as { ticks: number };
  expect(said).toEqual({ uid: 65_534, rights: { ok: true, missing: [], limited: [] }, hasNames: true });
  expect(ticks).toBeGreaterThan(20);
});

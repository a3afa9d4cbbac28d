// Every kind of executable that Linux runs, sampled by our agent on this host: each sample is of the very
// file that ran, at an address inside the function that worked; never of a file that only has its name,
// its place or its pid. Needs root.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readBuildIds } from '../../lib/elf/build-id.ts';
import { readElf } from '../../lib/elf/elf.ts';
import { openFileSource } from '../../lib/elf/file.ts';
import { findSymbol, readFunctionSymbols, symbolName } from '../../lib/elf/symbols.ts';
import { ProfilesDataSchema } from '../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { isRoot, killStarted, temporaryFolder } from '../e2e/flamelake.ts';
import { profcheck } from '../profcheck/profcheck.ts';
import { type BuildOptions, buildProgram } from '../programs/programs.ts';
import { type RunningAgent, startAgent } from './running-agent.ts';
import { eventsOf, gnuBuildId, goBuildId, htlHash, isKernelFrame, type SeenFrame, type SeenSample, samplesOf, userLeaf } from './seen.ts';

const rateHz = 199;
const seconds = '0.8';
/** What a process that had a CPU for so long must at least have been seen, whatever else runs here. */
const eventsMin = 0.5 * rateHz * Number(seconds);

const folder = temporaryFolder('binaries');
afterAll(async () => {
  await killStarted();
  folder.remove();
});

interface Told {
  readonly pid: number;
  readonly start: bigint;
  readonly end: bigint;
  readonly place?: bigint;
}

interface Run {
  readonly told: readonly Told[];
  readonly pid: number;
}

/** Runs a program to its end; what it told by lines of JSON. */
function run(path: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env, whileItRuns: () => void = () => {}): Promise<Run> {
  const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.once('spawn', whileItRuns);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code !== 0) return reject(new Error(`${path} ended with ${code ?? signal}`));
      // Times are beyond what a double holds.
      const read = (line: string): Told => {
        const field = (name: string) => BigInt(new RegExp(`"${name}": (\\d+)`).exec(line)?.[1] ?? 0);
        return { pid: Number(field('pid')), start: field('start'), end: field('end'), place: field('place') };
      };
      resolve({ pid: child.pid!, told: Buffer.concat(chunks).toString().trim().split('\n').map(read) });
    });
  });
}

const build = (source: string, name: string, ...flags: string[]) => {
  const options: BuildOptions = { flags };
  return buildProgram(source, folder.path, name, options).path;
};

/** Read while the file is there. */
interface KnownFile {
  readonly path: string;
  readonly gnu: string | null;
  readonly go: string | null;
  readonly htlhash: string;
  functionAt(address: bigint): string | null;
}

function knownFile(path: string): KnownFile {
  const source = openFileSource(path);
  try {
    const elf = readElf(source);
    const symbols = readFunctionSymbols(elf);
    return {
      path,
      ...readBuildIds(elf),
      functionAt(address) {
        const index = findSymbol(symbols, Number(address));
        return index < 0 ? null : symbolName(symbols, index);
      },
    };
  } finally {
    source.close();
  }
}

const isOf = (file: KnownFile) => (frame: SeenFrame | undefined) =>
  frame !== undefined && (frame.attributes.get(htlHash) === file.htlhash || (file.gnu !== null && frame.attributes.get(gnuBuildId) === file.gnu));

let agent: RunningAgent;
let messages: readonly Uint8Array[] = [];

/** Samples of a process while it worked by its own word. */
const samplesIn = (pid: number, { start, end }: Pick<Told, 'start' | 'end'>): SeenSample[] =>
  samplesOf(messages, pid)
    .map((sample) => ({ ...sample, timesNanos: sample.timesNanos.filter((time) => time > start && time < end) }))
    .filter(({ timesNanos }) => timesNanos.length > 0);

const share = (samples: readonly SeenSample[], holds: (sample: SeenSample) => boolean): number => eventsOf(samples.filter(holds)) / eventsOf(samples);

/** For the message of a failure. */
function whereOf(sample: SeenSample): string {
  const leaf = userLeaf(sample);
  const user = leaf === undefined ? 'no user frame' : `${leaf.path}+0x${leaf.address.toString(16)}`;
  return sample.cut === null ? user : `${user}, cut: ${sample.cut}`;
}

/** That many events of this process, nearly all in this function of this file, and none in a function of another file that has its name. */
function expectWorkIn(file: KnownFile, name: string, pid: number, told: Told): SeenSample[] {
  const samples = samplesIn(pid, told);
  expect(eventsOf(samples), file.path).toBeGreaterThan(eventsMin);
  const isWork = (sample: SeenSample) => {
    const leaf = userLeaf(sample);
    return leaf !== undefined && isOf(file)(leaf) && leaf.path === file.path && file.functionAt(leaf.address) === name;
  };
  // The rest are reads of the clock, and interrupts.
  const elsewhere = samples.filter((sample) => !isWork(sample)).map((sample) => `${eventsOf([sample])} in ${whereOf(sample)}`);
  expect(share(samples, isWork), `${file.path}: ${elsewhere.join(', ')}`).toBeGreaterThan(0.9);
  for (const sample of samples)
    for (const frame of sample.frames)
      if (frame.path === file.path) expect(isOf(file)(frame), `${file.path}: ${String(frame.attributes.get(htlHash))}`).toBe(true);
  return samples;
}

const kinds: readonly { readonly kind: string; readonly flags: readonly string[] }[] = [
  { kind: 'pie', flags: ['-pie', '-fPIE'] },
  { kind: 'no-pie', flags: ['-no-pie', '-fno-PIE'] },
  { kind: 'static', flags: ['-static'] },
  { kind: 'static-pie', flags: ['-static-pie', '-fPIE'] },
  { kind: 'no-build-id', flags: ['-Wl,--build-id=none'] },
  { kind: 'static-no-build-id', flags: ['-static', '-Wl,--build-id=none'] },
  { kind: 'short-build-id', flags: ['-Wl,--build-id=0x01020300'] },
  { kind: 'eight-byte-build-id', flags: ['-Wl,--build-id=0x0102030405060700'] },
];

const containerId = createHash('sha256').update(folder.path).digest('hex');
const cgroups = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/pids']
  .filter((path) => existsSync(join(path, 'cgroup.procs')))
  .map((path) => join(path, `docker-${containerId}.scope`));

function makeCgroup(): string | null {
  for (const path of cgroups) {
    try {
      mkdirSync(path);
      return path;
    } catch {
      // Not for us to make here; the next hierarchy.
    }
  }
  return null;
}

function buildGo(): string | null {
  const path = join(folder.path, 'spin-go');
  try {
    const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', GO111MODULE: 'off' };
    execFileSync('go', ['build', '-ldflags=-B=none', '-o', path, join(import.meta.dirname, '../programs/spin.go')], { env, stdio: 'pipe' });
    return path;
  } catch {
    return null;
  }
}

describe.skipIf(!isRoot)('sampled on this host', () => {
  const files = new Map<string, KnownFile>();
  const runs = new Map<string, Run>();
  const go = isRoot ? buildGo() : null;
  const cgroup = isRoot ? makeCgroup() : null;

  beforeAll(async () => {
    for (const { kind, flags } of kinds) files.set(kind, knownFile(build('spin', kind, ...flags)));
    for (const name of ['deleted', 'replaced', 'replacement']) files.set(name, knownFile(build('spin', name, `-DSPIN=spin_${name}`)));
    // The same name and, since nothing is random in it, the same addresses; only the file is another.
    for (const which of ['first', 'second']) {
      mkdirSync(join(folder.path, which));
      const built = build('spin', `exec-${which}`, '-static', '-Wl,--build-id=none', `-DSPIN=spin_${which}`);
      renameSync(built, join(folder.path, which, 'same'));
      files.set(which, knownFile(join(folder.path, which, 'same')));
    }
    for (const name of ['library-a', 'library-b']) {
      files.set(name, knownFile(build('spin_library', name, '-shared', '-fPIC', '-Wl,--build-id=none', `-DSPIN=spin_${name.replace('-', '_')}`)));
    }
    const load = build('load', 'load');
    if (go !== null) files.set('go', knownFile(go));
    agent = await startAgent(['--rate', String(rateHz)], { FLAMELAKE_SECRET: 'agent-secret-4711' });

    const start = async (name: string, path: string, args: readonly string[], env?: NodeJS.ProcessEnv, whileItRuns?: () => void) =>
      void runs.set(name, await run(path, args, env, whileItRuns));
    const pathOf = (name: string) => files.get(name)!.path;
    const all: (() => Promise<void>)[] = kinds.map(
      ({ kind }) =>
        () =>
          start(kind, pathOf(kind), [seconds]),
    );
    all.push(
      () => start('deleted', pathOf('deleted'), [seconds], undefined, () => unlinkSync(pathOf('deleted'))),
      () =>
        start('replaced', pathOf('replaced'), [seconds], undefined, () => {
          copyFileSync(pathOf('replacement'), `${pathOf('replaced')}.new`);
          renameSync(`${pathOf('replaced')}.new`, pathOf('replaced'));
        }),
      () => start('exec', pathOf('first'), [seconds, 'exec', pathOf('second'), seconds]),
      () => start('fork', pathOf('pie'), [seconds, 'fork']),
      // Longer than an old mapping is trusted, after which nothing is guessed.
      () => start('load', load, ['2.5', pathOf('library-a'), pathOf('library-b')]),
      () =>
        start('named', pathOf('pie'), [seconds], {
          OTEL_SERVICE_NAME: 'binaries shop',
          OTEL_RESOURCE_ATTRIBUTES: 'service.namespace=a%20b,deployment.environment.name=test',
          SECRET_OF_A_CHILD: 'child-secret-0815',
        }),
    );
    // Starting is what true does most; tail keeps a line of 60 MB, and giving that back takes it some milliseconds at its end.
    const churn =
      'i=0; while [ $i -lt 1500 ]; do /bin/true; i=$((i+1)); done; i=0; while [ $i -lt 60 ]; do head -c 60000000 /dev/zero | tail >/dev/null; i=$((i+1)); done';
    all.push(() => start('churn', 'sh', ['-c', `${churn}; echo '{"pid": 0}'`]));
    if (go !== null) all.push(() => start('go', go, [seconds]));
    if (cgroup !== null) {
      all.push(() => start('contained', 'sh', ['-c', `echo $$ >${join(cgroup, 'cgroup.procs')}; exec ${pathOf('pie')} ${seconds}`]));
    }
    // Two at a time, so that each has a CPU.
    await Promise.all(
      [0, 1].map(async () => {
        for (let next = all.shift(); next !== undefined; next = all.shift()) await next();
      }),
    );
    await agent.settle();
    await agent.stop();
    messages = agent.messages();
    if (cgroup !== null) rmdirSync(cgroup);
  });

  test.each(kinds)('$kind: build id, path, and an address inside the function', ({ kind }) => {
    const file = files.get(kind)!;
    const { pid, told } = runs.get(kind)!;
    const samples = expectWorkIn(file, 'spin_here', pid, told[0]!);
    for (const { resource } of samples) expect(resource.get('process.executable.path')).toBe(file.path);
    const leaf = samples.map(userLeaf).find(isOf(file))!;
    expect(leaf.attributes.get(gnuBuildId) ?? null).toBe(file.gnu);
    expect(leaf.attributes.get(htlHash)).toBe(file.htlhash);
    expect(leaf.attributes.get('profile.frame.type')).toBe('native');
    // main called it.
    expect(share(samples, ({ frames }) => frames.some((frame) => isOf(file)(frame) && file.functionAt(frame.address) === 'main'))).toBeGreaterThan(0.8);
  });

  test('an executable that was deleted while it ran', () => {
    const { pid, told } = runs.get('deleted')!;
    expectWorkIn(files.get('deleted')!, 'spin_deleted', pid, told[0]!);
  });

  test('an executable that was replaced while it ran is never taken for the new one', () => {
    const { pid, told } = runs.get('replaced')!;
    const samples = expectWorkIn(files.get('replaced')!, 'spin_replaced', pid, told[0]!);
    const other = isOf(files.get('replacement')!);
    expect(samples.filter(({ frames }) => frames.some(other))).toEqual([]);
  });

  test('an execve of another program of the same name at the same addresses, in the same process', () => {
    const { pid, told } = runs.get('exec')!;
    expect(told.map((each) => each.pid)).toEqual([pid, pid]);
    for (const [index, which] of (['first', 'second'] as const).entries()) {
      const file = files.get(which)!;
      const samples = expectWorkIn(file, `spin_${which}`, pid, told[index]!);
      const other = isOf(files.get(which === 'first' ? 'second' : 'first')!);
      expect(samples.filter(({ frames }) => frames.some(other))).toEqual([]);
      for (const { resource } of samples) expect(resource.get('process.executable.path')).toBe(file.path);
    }
  });

  test('a fork: both go on, each under its own pid', () => {
    const { told } = runs.get('fork')!;
    expect(new Set(told.map(({ pid }) => pid)).size).toBe(2);
    for (const each of told.slice(1)) expectWorkIn(files.get('pie')!, 'spin_here', each.pid, each);
  });

  test('a library in the place of another: no sample is of the one that was unloaded', () => {
    const { pid, told } = runs.get('load')!;
    const [a, b] = told as [Told, Told];
    expectWorkIn(files.get('library-a')!, 'spin_library_a', pid, a);
    // Where the loader puts it elsewhere there is nothing to mix up, and the rest holds all the same.
    if (a.place !== b.place) process.stderr.write('the second library was not loaded in the place of the first\n');
    // A mapping is trusted for a second after it was last seen.
    const late = { ...b, start: b.start + 1_300_000_000n };
    const samples = samplesIn(pid, late);
    const [isA, isB] = [isOf(files.get('library-a')!), isOf(files.get('library-b')!)];
    expect(samples.filter(({ frames }) => frames.some(isA))).toEqual([]);
    expect(
      share(samples, (sample) => isB(userLeaf(sample)) && files.get('library-b')!.functionAt(userLeaf(sample)!.address) === 'spin_library_b'),
    ).toBeGreaterThan(0.8);
  });

  test.skipIf(go === null)('a Go program without a gnu build id, by that of Go', () => {
    const file = files.get('go')!;
    const { pid, told } = runs.get('go')!;
    expect(file.gnu).toBeNull();
    const samples = expectWorkIn(file, 'main.spinHere', pid, told[0]!);
    expect(samples.map(userLeaf).find(isOf(file))!.attributes.get(goBuildId)).toBe(file.go);
  });

  test('service and attributes of a process are its own words; nothing else of any environment leaves the host', () => {
    const { pid, told } = runs.get('named')!;
    const samples = samplesIn(pid, told[0]!);
    expect(eventsOf(samples)).toBeGreaterThan(eventsMin);
    for (const { resource } of samples) {
      expect(Object.fromEntries(resource)).toMatchObject({
        'service.name': 'binaries shop',
        'service.namespace': 'a b',
        'deployment.environment.name': 'test',
        'process.executable.name': 'pie',
      });
    }
    for (const message of messages) {
      const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
      for (const secret of ['child-secret-0815', 'SECRET_OF_A_CHILD', 'agent-secret-4711', 'FLAMELAKE_SECRET']) expect(bytes.includes(secret)).toBe(false);
    }
  });

  test.skipIf(cgroup === null)('the container that a cgroup names', () => {
    const { pid, told } = runs.get('contained')!;
    const samples = samplesIn(pid, told[0]!);
    expect(eventsOf(samples)).toBeGreaterThan(eventsMin);
    for (const { resource } of samples) expect(resource.get('container.id')).toBe(containerId);
    expect(samplesOf(messages, runs.get('pie')!.pid).filter(({ resource }) => resource.has('container.id'))).toEqual([]);
  });

  test('programs that come and go: in an execve and at its end a process has kernel frames alone, and says why', () => {
    const samples = samplesOf(messages, null);
    for (const reason of ['process_in_exec', 'process_ending']) {
      const cut = samples.filter((sample) => sample.cut === reason);
      expect(eventsOf(cut), reason).toBeGreaterThan(3);
      expect(cut.filter((sample) => userLeaf(sample) !== undefined)).toEqual([]);
    }
  });

  test('every message keeps the rules, and kernel frames lie above the others', () => {
    expect(messages.length).toBeGreaterThan(1);
    for (const message of messages) expect(profcheck(fromBinary(ProfilesDataSchema, message))).toEqual([]);
    for (const { frames } of samplesOf(messages, null)) {
      const user = frames.findIndex((frame) => !isKernelFrame(frame));
      if (user >= 0) expect(frames.slice(user).some(isKernelFrame)).toBe(false);
    }
  });
});

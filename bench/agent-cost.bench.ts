// What `flamelake agent` costs the host that it samples: CPU time of its process, time in its BPF
// programs, memory, bytes sent; over 60 s on an otherwise idle host and under load. Needs root:
// `node bench/agent-cost.bench.ts [--small] [--launcher PATH]` (a launcher of an installed package:
// the agent in production is the compiled one).
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { fromBinary } from '@bufbuild/protobuf';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { launcher as clonedLauncher, isRoot, startCommand } from '../test/e2e/flamelake.ts';
import { cpuSeconds, residentBytes } from '../test/e2e/processes.ts';
import { httpSink, type Received } from '../test/e2e/sink.ts';
import { Hopeless, until } from '../test/e2e/until.ts';
import { buildProgram } from '../test/programs/programs.ts';
import { type Bench, type Figure, figure, main, type Size } from './measure.ts';

const seconds: Readonly<Record<Size, number>> = { small: 6, large: 60 };
const startMillis = 20_000;
const statsSwitch = '/proc/sys/kernel/bpf_stats_enabled';

interface Load {
  readonly name: string;
  start(folder: string): ChildProcess[];
}

/** Both kinds of work that profilers meet: long-lived processes, and shells that start others all the time. */
const busy: Load = {
  name: 'busy',
  start: (folder) => {
    const shares = buildProgram('shares', folder);
    const shell = 'while :; do ls / | sed s/a/b/ | awk "{print}" >/dev/null; done';
    const node = 'let sum = 0; for (;;) { sum += JSON.parse(JSON.stringify({ list: Array.from({ length: 50 }, (_, i) => i) })).list.length; }';
    return [
      spawn(shares.path, ['100000'], { stdio: 'ignore' }),
      spawn(process.execPath, ['-e', node], { stdio: 'ignore' }),
      // In a group of its own: what it starts ends with it.
      spawn('sh', ['-c', shell], { stdio: 'ignore', detached: true }),
    ];
  },
};
const idle: Load = { name: 'idle', start: () => [] };

export const bench: Bench = async (size) => {
  if (!isRoot) return { input: '0 seconds: needs root', resultHash: null, figures: [figure('nothing was measured', '', [1])] };
  const statsBefore = readFileSync(statsSwitch, 'utf8').trim();
  writeFileSync(statsSwitch, '1');
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
  try {
    const figures: Figure[] = [];
    const notes: string[] = [];
    for (const load of size === 'small' ? [busy] : [idle, busy]) {
      const measured = await measure(load, folder, seconds[size]);
      figures.push(...measured.figures);
      notes.push(measured.note);
    }
    return { input: `${seconds[size]} s at 20 samples a second on each of ${cpus().length} CPUs`, resultHash: null, figures, notes };
  } finally {
    writeFileSync(statsSwitch, statsBefore);
    rmSync(folder, { recursive: true });
  }
};

async function measure(load: Load, folder: string, duration: number): Promise<{ figures: Figure[]; note: string }> {
  const children = load.start(folder);
  const sink = await httpSink();
  const at = process.argv.indexOf('--launcher');
  const launcher = at < 0 ? clonedLauncher : process.argv[at + 1]!;
  const started = performance.now();
  const agent = startCommand(launcher, ['agent', '--endpoint', sink.url, '--protocol', 'http/protobuf', '--compression', 'none']);
  try {
    await until('the first message', startMillis, () => {
      if (agent.exited()) throw new Hopeless(`the agent ended: ${agent.output()}`);
      return sink.received.length > 0;
    });
    const pid = agent.child.pid!;
    const startCost = cpuSeconds(pid)!;
    const startWall = (performance.now() - started) / 1000;
    const messagesBefore = sink.received.length;
    const [cpuBefore, bpfBefore] = [cpuSeconds(pid)!, bpfRuns(pid)];
    await new Promise((resolve) => setTimeout(resolve, duration * 1000));
    const [cpuAfter, bpfAfter] = [cpuSeconds(pid)!, bpfRuns(pid)];
    const memory = residentBytes(pid)!;
    const [user, system] = [cpuAfter.user - cpuBefore.user, cpuAfter.system - cpuBefore.system];
    const bpfMillis = (bpfAfter.nanos - bpfBefore.nanos) / 1e6;
    const sent = sink.received.slice(messagesBefore);
    const events = sent.reduce((sum, { body }) => sum + eventsOf(body), 0);
    const share = (100 * (user + system + bpfMillis / 1000)) / (duration * cpus().length);
    const of = (name: string, unit: string, value: number) => figure(`${load.name}: ${name}`, unit, [value]);
    return {
      figures: [
        of('all CPU time, BPF included', '% of the machine', Math.max(share, Number.MIN_VALUE)),
        of('process, user', 's', Math.max(user, 0.001)),
        of('process, system', 's', Math.max(system, 0.001)),
        of('BPF programs', 'ms', bpfMillis),
        of(
          'BPF for a run of the sampler',
          'us',
          (bpfAfter.samplerNanos - bpfBefore.samplerNanos) / 1000 / Math.max(1, bpfAfter.samplerRuns - bpfBefore.samplerRuns),
        ),
        of('resident memory', 'MB', memory.now / 1e6),
        of('resident memory, highest', 'MB', memory.peak / 1e6),
        of('BPF maps', 'MB', bpfAfter.mapBytes / 1e6),
        of('CPU time until the first message', 's', startCost.user + startCost.system),
      ],
      note: `  ${load.name}: ${events} events in ${sent.length} messages, ${bytesLine(sent, events)}; first message after ${startWall.toFixed(1)} s`,
    };
  } finally {
    agent.child.kill('SIGTERM');
    await until('the end of the agent', startMillis, agent.exited);
    await sink.close();
    for (const child of children) {
      try {
        process.kill(child.spawnfile === 'sh' ? -child.pid! : child.pid!, 'SIGKILL');
      } catch {
        // It ended before.
      }
    }
  }
}

/** From the kernel's own book: programs that this process holds, and memory of its maps. */
function bpfRuns(pid: number): { nanos: number; samplerNanos: number; samplerRuns: number; mapBytes: number } {
  const programs = new Map<string, { nanos: number; runs: number }>();
  const maps = new Map<string, number>();
  for (const name of readdirSync(`/proc/${pid}/fdinfo`)) {
    let text = '';
    try {
      text = readFileSync(`/proc/${pid}/fdinfo/${name}`, 'utf8');
    } catch {
      continue;
    }
    const field = (key: string) => new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(text)?.[1];
    const [program, map] = [field('prog_id'), field('map_id')];
    // A link's entry names its program too, but without a count of runs.
    if (program !== undefined && field('run_cnt') !== undefined) programs.set(program, { nanos: Number(field('run_time_ns')), runs: Number(field('run_cnt')) });
    if (map !== undefined) maps.set(map, Number(field('memlock') ?? 0));
  }
  const all = [...programs.values()];
  // The sampler is the one that runs most of the time.
  const sampler = all.toSorted((left, right) => right.nanos - left.nanos)[0] ?? { nanos: 0, runs: 0 };
  const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
  return { nanos: sum(all.map(({ nanos }) => nanos)), samplerNanos: sampler.nanos, samplerRuns: sampler.runs, mapBytes: sum(maps.values()) };
}

function eventsOf(body: Uint8Array): number {
  const profiles = fromBinary(ProfilesDataSchema, body).resourceProfiles.flatMap(({ scopeProfiles }) => scopeProfiles.flatMap((scope) => scope.profiles));
  return profiles.flatMap((profile) => profile.samples).reduce((sum, sample) => sum + sample.timestampsUnixNano.length, 0);
}

function bytesLine(sent: readonly Received[], events: number): string {
  const sizes = [sent.reduce((sum, { body }) => sum + body.length, 0), sent.reduce((sum, { body }) => sum + gzipSync(body).length, 0)];
  const [plain, zipped] = sizes.map((size) => (size / Math.max(1, events)).toFixed(0));
  return `${plain} B an event, ${zipped} B with gzip`;
}

await main(import.meta, 'agent-cost', bench);

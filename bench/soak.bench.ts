// Memory of each process of `flamelake up` under a steady load, for long: 24 hosts that send every five
// seconds, a page that asks every ten. `node bench/soak.bench.ts --minutes 30` (the default).
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts, killStarted, startUp, temporaryFolder, type Up } from '../test/e2e/flamelake.ts';
import { commandLine, descendants } from '../test/e2e/processes.ts';
import { until } from '../test/e2e/until.ts';
import { generateLoad, type LoadMessage, loads } from './load.ts';
import { type Bench, type Figure, figure, main } from './measure.ts';

const MiB = 2 ** 20;
const hosts = loads['24-hosts'].hosts;
const windowMillis = 5_000;
const askMillis = 10_000;
/** The past in which the load begins, so that none of its times lie ahead. */
const leadMillis = 10_000;
const visibleMillis = 120_000;

interface Sample {
  readonly millis: number;
  readonly bytes: ReadonlyMap<string, number>;
}

export const bench: Bench = async (size) => {
  const minutes = Number(process.argv[process.argv.indexOf('--minutes') + 1] || 30);
  const seconds = size === 'small' ? 3 : 60 * (process.argv.includes('--minutes') ? minutes : 30);
  const folder = temporaryFolder('soak');
  const up = startUp({ dataDir: folder.path, flags: ['--no-agent', '--log-level', 'error'] }, await freePorts());
  try {
    await up.waitReady();
    const { samples, events } = await run(up, seconds * 1000, size === 'small' ? 500 : 5_000);
    await until(`${events} events in the lake`, visibleMillis, async () => (await eventsIn(up)) === events);
    await up.stop();
    return {
      input: `${events} events of ${hosts} hosts in ${seconds} s, all in the lake at the end`,
      resultHash: null,
      figures: figuresOf(samples),
      notes: ['  slope of the second half, MiB an hour:', ...slopes(samples)],
    };
  } finally {
    await killStarted();
    folder.remove();
  }
};

async function run(up: Up, forMillis: number, everyMillis: number): Promise<{ samples: Sample[]; events: number }> {
  const startMillis = Date.now() - leadMillis;
  const load = generateLoad({ ...loads['24-hosts'], seed: 1, startMillis });
  const samples: Sample[] = [];
  const begun = performance.now();
  const look = () => samples.push({ millis: performance.now() - begun, bytes: residentBytes(up.pid) });
  look();
  // By its own clock: sending and asking may take long on a busy host.
  const looking = setInterval(look, everyMillis);
  let events = 0;
  let [asked, windows] = [0, 0];
  for (let now = 0; now < forMillis; now = performance.now() - begun) {
    for (; windows * windowMillis <= now; windows++) for (let host = 0; host < hosts; host++) events += await send(up, load.next().value as LoadMessage);
    if (now - asked >= askMillis) {
      await (await fetch(`${up.http}/api/v1/overview?from=-15m`)).arrayBuffer();
      asked = now;
    }
    await sleep(100);
  }
  clearInterval(looking);
  return { samples, events };
}

async function eventsIn(up: Up): Promise<number> {
  const answer = await fetch(`${up.http}/api/v1/sql?q=${encodeURIComponent('SELECT sum(count)::BIGINT FROM samples')}`);
  return Number(((await answer.json()) as { rows: [[number]] }).rows[0][0]);
}

async function send(up: Up, { body, events }: LoadMessage): Promise<number> {
  const answer = await fetch(`${up.otlpHttp}/v1development/profiles`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-protobuf' },
    body: body as Uint8Array<ArrayBuffer>,
  });
  await answer.arrayBuffer();
  if (answer.status !== 200) throw new Error(`answer ${answer.status}, expected 200: the load is meant to be one that is kept up with`);
  return events;
}

/** By stage; `up` is the command itself, `all` the sum. */
function residentBytes(pid: number): Map<string, number> {
  const bytes = new Map<string, number>();
  let all = 0;
  for (const process of [pid, ...descendants(pid)]) {
    const own = rss(process);
    const name = process === pid ? 'up' : (/stage-process\.[jt]s (\w+)/.exec(commandLine(process))?.[1] ?? 'other');
    bytes.set(name, (bytes.get(name) ?? 0) + own);
    all += own;
  }
  return bytes.set('all', all);
}

function rss(pid: number): number {
  try {
    return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const namesIn = (samples: readonly Sample[]) => [...new Set(samples.flatMap(({ bytes }) => [...bytes.keys()]))];

function figuresOf(samples: readonly Sample[]): Figure[] {
  return namesIn(samples).map((name) =>
    figure(
      `resident, ${name}`,
      'MiB',
      samples.flatMap(({ bytes }) => (bytes.has(name) ? [bytes.get(name)! / MiB] : [])),
    ),
  );
}

/** Least squares, over the second half: the first is caches that fill. */
function slopes(samples: readonly Sample[]): string[] {
  const half = samples.slice(Math.floor(samples.length / 2));
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const hours = half.map(({ millis }) => millis / 3_600_000);
  const middle = mean(hours);
  return namesIn(half).map((name) => {
    const sizes = half.map(({ bytes }) => (bytes.get(name) ?? 0) / MiB);
    const level = mean(sizes);
    const across = hours.reduce((sum, hour, index) => sum + (hour - middle) * (sizes[index]! - level), 0);
    const along = hours.reduce((sum, hour) => sum + (hour - middle) ** 2, 0);
    return `    ${name.padEnd(12)} ${(along === 0 ? 0 : across / along).toFixed(1)}`;
  });
}

await main(import.meta, 'soak', bench);

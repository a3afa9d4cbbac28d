// Microseconds of CPU for a sample, stage by stage, on three named inputs (load.ts) that never repeat:
// `node bench/stages.bench.ts [--small] [NAME …]`. A pipeline that runs already (a publication before) takes
// a publication's quarter of an hour. Steps run one after the other in this process; sums of all its threads.
//
// What a new stack costs is the difference to the same input with more of them, by the stacks between.
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Chain, type SourceMessage, samplesPerBatch, startMillis, type Timed } from './chain.ts';
import { generateLoad, type LoadName, type LoadShape, loads } from './load.ts';
import { type Bench, type Figure, figure, main, type Size } from './measure.ts';

/** Every host sends one message in a window of five seconds (load.ts). */
const windowMillis = 5_000;
const windows = { small: { before: 1, counted: 2 }, large: { before: 60, counted: 180 } } as const;
const rounds = { small: 1, large: 3 } as const;
/** Share of samples whose stacks are new, beyond the input's own. */
const moreNewStacks = 0.2;

export const bench: Bench = async (size) => {
  const wanted = process.argv.slice(2).filter((name): name is LoadName => name in loads);
  const inputs: string[] = [];
  const figures: Figure[] = [];
  const notes: string[] = [];
  const hash = createHash('sha256');
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
  const file = join(folder, 'messages');
  for (const name of wanted.length > 0 ? wanted : (Object.keys(loads) as LoadName[])) {
    const shape = shapeOf(name, size);
    const runs: Run[] = [];
    const input = makeInput(file, shape, size);
    for (let round = 0; round < rounds[size]; round++) runs.push(await runOnce(folder, input));
    const [first] = runs as [Run];
    const more = await runOnce(folder, makeInput(file, { ...shape, newStacks: shape.newStacks + moreNewStacks }, size));
    const totals = runs.map((run) => sum(run.steps) / run.samples);
    // Noise may be larger than what a few stacks cost.
    const perStack = Math.max(0.001, (sum(more.steps) - sum(first.steps)) / (more.newStacks - first.newStacks));
    for (const step of first.steps.keys()) {
      figures.push(
        figure(
          `${name}: ${step}`,
          'us CPU a sample',
          runs.map((run) => run.steps.get(step)! / run.samples),
        ),
      );
    }
    figures.push(figure(`${name}: all steps`, 'us CPU a sample', totals), figure(`${name}: of which a new stack`, 'us CPU', [perStack]));
    notes.push(`  ${name}: ${Math.round(1e6 / figures.at(-2)!.median).toLocaleString('en')} samples a core and second`);
    inputs.push(`${name}: ${describe(first)}`);
    hash.update(first.resultHash);
  }
  rmSync(folder, { recursive: true });
  return { input: inputs.join('; '), resultHash: hash.digest('hex').slice(0, 16), figures, notes };
};

function shapeOf(name: LoadName, size: Size): LoadShape {
  if (size === 'large') return loads[name];
  return { ...loads[name], processesPerHost: 5, services: 4, stacksPerProcess: 20, eventsPerMessage: 100 };
}

interface Place {
  /** Bytes of the file. */
  readonly start: number;
  readonly end: number;
  readonly events: number;
  readonly appendTimeMillis: number;
}

/** Messages lie in a file: half a gigabyte of them in memory would have the garbage collector at work all the time. */
interface Input {
  readonly file: string;
  readonly before: readonly Place[];
  readonly counted: readonly Place[];
}

function makeInput(file: string, shape: LoadShape, size: Size): Input {
  const load = generateLoad({ ...shape, seed: 1, startMillis });
  const written = openSync(file, 'w');
  let [sent, end] = [0, 0];
  const take = (count: number): Place[] =>
    Array.from({ length: count * shape.hosts }, () => {
      const { body, events } = load.next().value!;
      const start = end;
      end += writeSync(written, body);
      return { start, end, events, appendTimeMillis: startMillis + (Math.floor(sent++ / shape.hosts) + 1) * windowMillis };
    });
  const input = { file, before: take(windows[size].before), counted: take(windows[size].counted) };
  closeSync(written);
  return input;
}

function readMessages(file: number, places: readonly Place[]): SourceMessage[] {
  const start = places[0]!.start;
  const bytes = Buffer.allocUnsafeSlow(places.at(-1)!.end - start);
  readSync(file, bytes, 0, bytes.length, start);
  return places.map((place) => ({ body: bytes.subarray(place.start - start, place.end - start), appendTimeMillis: place.appendTimeMillis }));
}

interface Run {
  /** Microseconds. */
  readonly steps: ReadonlyMap<string, number>;
  readonly samples: number;
  readonly messages: number;
  readonly bytes: number;
  readonly newStacks: number;
  readonly resultHash: string;
}

async function runOnce(folder: string, { file, before, counted }: Input): Promise<Run> {
  const work = mkdtempSync(join(folder, 'run-'));
  const messages = openSync(file, 'r');
  const chain = await Chain.open(work);
  try {
    await publishAll(chain, messages, before, untimed);
    const stacksBefore = chain.newStacks;
    const steps = new Map<string, number>();
    const files = await publishAll(chain, messages, counted, timedInto(steps));
    const hash = createHash('sha256');
    for (const { key, rows, sha256 } of files) hash.update(`${key} ${rows} ${sha256}\n`);
    return {
      steps,
      samples: counted.reduce((events, place) => events + place.events, 0),
      messages: counted.length,
      bytes: counted.at(-1)!.end - counted[0]!.start,
      newStacks: chain.newStacks - stacksBefore,
      resultHash: hash.digest('hex'),
    };
  } finally {
    await chain.close();
    closeSync(messages);
    rmSync(work, { recursive: true });
  }
}

async function publishAll(chain: Chain, file: number, places: readonly Place[], timed: Timed) {
  for (let at = 0; at < places.length; ) {
    const from = at;
    for (let samples = 0; samples < samplesPerBatch && at < places.length; at++) samples += places[at]!.events;
    await chain.run(readMessages(file, places.slice(from, at)), timed);
  }
  return chain.publish(timed);
}

const untimed: Timed = async (_step, work) => await work();

const timedInto =
  (steps: Map<string, number>): Timed =>
  async (step, work) => {
    const before = process.cpuUsage();
    const result = await work();
    const { user, system } = process.cpuUsage(before);
    steps.set(step, (steps.get(step) ?? 0) + user + system);
    return result;
  };

const sum = (steps: ReadonlyMap<string, number>): number => [...steps.values()].reduce((total, micros) => total + micros, 0);

function describe({ samples, messages, bytes, newStacks }: Run): string {
  const [many, stacks] = [samples.toLocaleString('en'), newStacks.toLocaleString('en')];
  return `${many} samples in ${messages} messages, ${(bytes / 1e6).toFixed(1)} MB of OTLP (${(bytes / samples).toFixed(0)} B a sample), ${stacks} new stacks`;
}

await main(import.meta, 'stages', bench);

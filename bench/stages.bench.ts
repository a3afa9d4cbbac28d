// Microseconds of CPU for a sample, stage by stage, on three named inputs (load.ts) that never repeat:
// `node bench/stages.bench.ts [--small] [NAME …]`. A pipeline that runs already (a publication before) takes
// a publication's quarter of an hour. Steps run one after the other in this process; sums of all its threads.
//
// What a new stack costs is the difference to the same input with more of them, by the stacks between.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Chain, type SourceMessage, startMillis, type Timed } from './chain.ts';
import { generateLoad, type LoadName, type LoadShape, loads } from './load.ts';
import { type Bench, type Figure, figure, main, type Size } from './measure.ts';

/** Every host sends one message in a window of five seconds (load.ts). */
const windowMillis = 5_000;
const windows = { small: { before: 1, counted: 2 }, large: { before: 60, counted: 180 } } as const;
const rounds = { small: 1, large: 3 } as const;
/** What comes in at once: messages of two windows of a large host, of a second of 24 hosts. */
const messagesAtOnce = 8;
/** Share of samples whose stacks are new, beyond the input's own. */
const moreNewStacks = 0.2;

export const bench: Bench = async (size) => {
  const wanted = process.argv.slice(2).filter((name): name is LoadName => name in loads);
  const inputs: string[] = [];
  const figures: Figure[] = [];
  const notes: string[] = [];
  const hash = createHash('sha256');
  for (const name of wanted.length > 0 ? wanted : (Object.keys(loads) as LoadName[])) {
    const input = makeInput(shapeOf(name, size), size);
    const runs: Run[] = [];
    for (let round = 0; round < rounds[size]; round++) runs.push(await runOnce(input));
    const [first] = runs as [Run];
    const more = await runOnce(makeInput({ ...shapeOf(name, size), newStacks: loads[name].newStacks + moreNewStacks }, size));
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
  return { input: inputs.join('; '), resultHash: hash.digest('hex').slice(0, 16), figures, notes };
};

function shapeOf(name: LoadName, size: Size): LoadShape {
  if (size === 'large') return loads[name];
  return { ...loads[name], processesPerHost: 5, services: 4, stacksPerProcess: 20, eventsPerMessage: 100 };
}

interface Input {
  readonly before: readonly SourceMessage[];
  readonly counted: readonly SourceMessage[];
  /** Of `counted`. */
  readonly samples: number;
}

function makeInput(shape: LoadShape, size: Size): Input {
  const load = generateLoad({ ...shape, seed: 1, startMillis });
  let [sent, samples] = [0, 0];
  const take = (count: number): SourceMessage[] =>
    Array.from({ length: count * shape.hosts }, () => {
      const { body, events } = load.next().value!;
      samples += events;
      return { body, appendTimeMillis: startMillis + (Math.floor(sent++ / shape.hosts) + 1) * windowMillis };
    });
  const before = take(windows[size].before);
  samples = 0;
  return { before, counted: take(windows[size].counted), samples };
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

async function runOnce({ before, counted, samples }: Input): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
  const chain = await Chain.open(folder);
  try {
    await publishAll(chain, before, untimed);
    const stacksBefore = chain.newStacks;
    const steps = new Map<string, number>();
    const files = await publishAll(chain, counted, timedInto(steps));
    const hash = createHash('sha256');
    for (const { key, rows, sha256 } of files) hash.update(`${key} ${rows} ${sha256}\n`);
    return {
      steps,
      samples,
      messages: counted.length,
      bytes: counted.reduce((bytes, { body }) => bytes + body.length, 0),
      newStacks: chain.newStacks - stacksBefore,
      resultHash: hash.digest('hex'),
    };
  } finally {
    await chain.close();
    rmSync(folder, { recursive: true });
  }
}

async function publishAll(chain: Chain, messages: readonly SourceMessage[], timed: Timed) {
  for (let at = 0; at < messages.length; at += messagesAtOnce) await chain.run(messages.slice(at, at + messagesAtOnce), timed);
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

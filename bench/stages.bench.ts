// Microseconds of CPU for a sample, stage by stage, on three named inputs (load.ts) that never repeat:
// `node bench/stages.bench.ts [--small] [NAME …]`. Each step runs alone in this process, with what the
// step before it made; sums of all its threads. What a new stack costs is the difference to the same
// messages when all their stacks are known.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openLog } from '../lib/log/open.ts';
import { KnownStacks } from '../processor/known-stacks.ts';
import { readProfiles } from '../processor/otlp-reader.ts';
import { prepareProfiles } from '../processor/prepared-message.ts';
import { admit } from '../receiver/admit.ts';
import { profilesTopic } from '../schemas/topics.ts';
import { buildRows, encodeBuilders, knownStacksMax, openExporter, startMillis } from './chain.ts';
import { describeMessages, generateLoad, type LoadMessage, type LoadName, type LoadShape, loads, takeEvents } from './load.ts';
import { type Bench, type Figure, figure, main, type Size } from './measure.ts';

const events = { small: 200, large: 40_000 } as const;
/** The large form's first round warms up and is not counted. */
const rounds = { small: { warm: 0, counted: 1 }, large: { warm: 1, counted: 3 } } as const;

/** Microseconds by step. */
type Steps = Map<string, number>;

export const bench: Bench = async (size) => {
  const wanted = process.argv.slice(2).filter((name): name is LoadName => name in loads);
  const names = wanted.length > 0 ? wanted : (Object.keys(loads) as LoadName[]);
  const inputs: string[] = [];
  const figures: Figure[] = [];
  const notes: string[] = [];
  const hash = createHash('sha256');
  for (const name of names) {
    const messages = takeEvents(generateLoad({ ...shapeOf(name, size), seed: 1, startMillis }), events[size]);
    const measured = await measureRounds(messages, size);
    inputs.push(`${name}: ${describeMessages(messages)}, ${measured.newStacks.toLocaleString('en')} new stacks`);
    figures.push(...measured.figures.map((one) => ({ ...one, name: `${name}: ${one.name}` })));
    const micros = measured.figures.slice(0, -1).reduce((sum, { median }) => sum + median, 0);
    notes.push(`  ${name}: all steps ${micros.toFixed(2)} us CPU a sample, ${Math.round(1e6 / micros).toLocaleString('en')} samples a core and second`);
    hash.update(measured.resultHash);
  }
  return { input: inputs.join('; '), resultHash: hash.digest('hex').slice(0, 16), figures, notes };
};

function shapeOf(name: LoadName, size: Size): LoadShape {
  if (size === 'large') return loads[name];
  return { ...loads[name], processesPerHost: 5, services: 4, stacksPerProcess: 20, eventsPerMessage: 100 };
}

async function measureRounds(messages: readonly LoadMessage[], size: Size): Promise<{ figures: Figure[]; newStacks: number; resultHash: string }> {
  const samples = messages.reduce((sum, message) => sum + message.events, 0);
  const steps = new Map<string, number[]>();
  const perStack: number[] = [];
  let [newStacks, resultHash] = [0, ''];
  for (let round = -rounds[size].warm; round < rounds[size].counted; round++) {
    const all = await runOnce(messages);
    if (round < 0) continue;
    ({ newStacks, resultHash } = all);
    for (const [name, micros] of all.steps) steps.set(name, [...(steps.get(name) ?? []), micros / samples]);
    perStack.push(all.newStackMicros / newStacks);
  }
  const figures = [...steps].map(([name, values]) => figure(name, 'us CPU a sample', values));
  return { figures: [...figures, figure('a new stack', 'us CPU', perStack)], newStacks, resultHash };
}

interface Run {
  readonly steps: Steps;
  readonly newStacks: number;
  readonly newStackMicros: number;
  readonly resultHash: string;
}

async function runOnce(messages: readonly LoadMessage[]): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
  try {
    const steps: Steps = new Map();
    await timed(steps, 'validate', () => {
      for (const { body } of messages) admit(body);
    });
    await timed(steps, 'log', () => appendAll(join(folder, 'log'), messages));
    const known = new KnownStacks(knownStacksMax);
    const first = await processAndExport(join(folder, 'first'), messages, known, steps);
    const again: Steps = new Map();
    await processAndExport(join(folder, 'again'), messages, known, again);
    const sum = (values: Steps) => [...values].reduce((total, [name, micros]) => (afterLog.has(name) ? total + micros : total), 0);
    // Noise may be larger than what a few stacks cost.
    return { steps, newStacks: first.newStacks, newStackMicros: Math.max(0.001, sum(steps) - sum(again)), resultHash: first.resultHash };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const afterLog: ReadonlySet<string> = new Set(['decode', 'hash', 'rows', 'exporter append', 'hot write', 'publish']);

async function timed<T>(steps: Steps, name: string, work: () => T | Promise<T>): Promise<T> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  steps.set(name, (steps.get(name) ?? 0) + user + system);
  return result;
}

/** As many at once as requests are in flight at a busy receiver: one fsync answers all of them. */
const appendsInFlight = 8;

async function appendAll(directory: string, messages: readonly LoadMessage[]): Promise<void> {
  const log = await openLog(pathToFileURL(directory).href);
  await log.ensureTopic({ name: profilesTopic, partitions: 1 });
  for (let at = 0; at < messages.length; at += appendsInFlight) {
    await Promise.all(messages.slice(at, at + appendsInFlight).map(({ body }) => log.append(profilesTopic, 0, { value: body })));
  }
  await log.close();
}

async function processAndExport(folder: string, messages: readonly LoadMessage[], known: KnownStacks, steps: Steps) {
  const decoded = await timed(steps, 'decode', () => messages.map(({ body }) => readProfiles(body)));
  const prepared = await timed(steps, 'hash', () => decoded.map(prepareProfiles));
  const { rows, newStacks } = await timed(steps, 'rows', () => {
    const builders = buildRows(prepared, known);
    return { newStacks: builders.reduce((sum, builder) => sum + builder.stacks, 0), rows: encodeBuilders(builders) };
  });
  return { newStacks, resultHash: await exportRows(folder, rows, steps) };
}

async function exportRows(folder: string, rows: readonly Uint8Array[], steps: Steps): Promise<string> {
  const exporting = await openExporter(folder);
  const hash = createHash('sha256');
  for (const [offset, value] of rows.entries()) {
    await timed(steps, 'exporter append', () => exporting.append(offset, value));
    // One row message holds what a busy host sends between two hot objects.
    const hot = await timed(steps, 'hot write', () => exporting.builder.takeHot());
    for (const { from, to } of hot) hash.update(`hot ${from} ${to}\n`);
  }
  const { files } = await timed(steps, 'publish', () => exporting.publish());
  for (const { key, rows: count, sha256 } of files) hash.update(`${key} ${count} ${sha256}\n`);
  await exporting.close();
  return hash.digest('hex').slice(0, 16);
}

await main(import.meta, 'stages', bench);

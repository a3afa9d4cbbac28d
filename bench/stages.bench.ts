// Microseconds of CPU for a sample, stage by stage, on input as hosts send it and that never repeats:
// `node bench/stages.bench.ts [--small]`. Each step runs alone in this process, with what the step
// before it made; sums of all its threads.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openLog } from '../lib/log/open.ts';
import { readProfiles } from '../processor/otlp-reader.ts';
import { prepareMessage } from '../processor/prepared-message.ts';
import { admit } from '../receiver/admit.ts';
import { profilesTopic } from '../schemas/topics.ts';
import { buildRows, encodeBuilders, openExporter, startMillis } from './chain.ts';
import { describeMessages, generateLoad, type LoadMessage, steadyServer, takeEvents } from './load.ts';
import { type Bench, figure, main } from './measure.ts';

const events = { small: 1_000, large: 60_000 } as const;
const shapes = { small: { ...steadyServer, processesPerHost: 5, stacksPerProcess: 20, eventsPerMessage: 250 }, large: steadyServer } as const;
/** The large form's first round warms up and is not counted. */
const rounds = { small: { warm: 0, counted: 1 }, large: { warm: 1, counted: 3 } } as const;

type Timer = <T>(name: string, work: () => T | Promise<T>) => Promise<T>;

export const bench: Bench = async (size) => {
  const messages = takeEvents(generateLoad({ ...shapes[size], seed: 1, startMillis }), events[size]);
  const samples = messages.reduce((sum, message) => sum + message.events, 0);
  const steps = new Map<string, number[]>();
  const { warm, counted } = rounds[size];
  let resultHash = '';
  for (let round = 0; round < warm + counted; round++) {
    const sums = new Map<string, number>();
    const timer: Timer = async (name, work) => {
      const before = process.cpuUsage();
      const result = await work();
      const { user, system } = process.cpuUsage(before);
      sums.set(name, (sums.get(name) ?? 0) + user + system);
      return result;
    };
    resultHash = await runOnce(messages, timer);
    if (round < warm) continue;
    for (const [name, micros] of sums) steps.set(name, [...(steps.get(name) ?? []), micros / samples]);
  }
  const figures = [...steps].map(([name, values]) => figure(name, 'us CPU a sample', values));
  const whole = figures.filter(({ name }) => name !== decodeAlone).reduce((sum, { median }) => sum + median, 0);
  return { input: describeMessages(messages), resultHash, figures, notes: [`  all steps together: ${whole.toFixed(2)} us CPU a sample`] };
};

/** Part of the next step too: shown, but not counted twice. */
const decodeAlone = 'processor: decode alone';

async function runOnce(messages: readonly LoadMessage[], timer: Timer): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
  try {
    await timer('receiver: walk', () => {
      for (const { body } of messages) admit(body);
    });
    await timer('log: append, durable', () => appendAll(join(folder, 'log'), messages));
    await timer(decodeAlone, () => {
      for (const { body } of messages) readProfiles(body);
    });
    const prepared = await timer('processor: decode and digests', () => messages.map(({ body }) => prepareMessage(body)));
    const builders = await timer('processor: rows and stack ids', () => buildRows(prepared));
    const rows = await timer('processor: encode row messages', () => encodeBuilders(builders));
    return await exportRows(folder, rows, timer);
  } finally {
    rmSync(folder, { recursive: true });
  }
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

async function exportRows(folder: string, rows: readonly Uint8Array[], timer: Timer): Promise<string> {
  const exporting = await openExporter(folder);
  const hash = createHash('sha256');
  for (const [offset, value] of rows.entries()) {
    await timer('exporter: append', () => exporting.append(offset, value));
    // One row message holds what a busy host sends between two hot objects.
    const hot = await timer('exporter: hot objects', () => exporting.builder.takeHot());
    for (const { table, from, to } of hot) hash.update(`${table} ${from} ${to}\n`);
  }
  const { files } = await timer('exporter: publish', () => exporting.publish());
  for (const { key, rows: count, sha256 } of files) hash.update(`${key} ${count} ${sha256}\n`);
  await exporting.close();
  return hash.digest('hex').slice(0, 16);
}

await main(import.meta, 'stages', bench);

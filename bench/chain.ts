// The pipeline's cores one after the other, in this process and without timers: OTLP -> log -> row
// messages -> log -> hot objects and public files in a folder. What runs is timed by step. Batches are those
// of a core that has all that it can do: what comes in while the batch before is worked on.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Log } from '../lib/log/log.ts';
import { openLog } from '../lib/log/open.ts';
import { KnownStacks } from '../processor/known-stacks.ts';
import { readProfiles } from '../processor/otlp-reader.ts';
import { type PreparedMessage, prepareProfiles } from '../processor/prepared-message.ts';
import { appendRows, noCounts, type ShardOutput } from '../processor/rows-from-profiles.ts';
import { admit } from '../receiver/admit.ts';
import type { RecordFile } from '../schemas/lake/record.ts';
import { RowsBuilder } from '../schemas/rows/builder.ts';
import { encodeRows } from '../schemas/rows/codec.ts';
import { profilesTopic, rowsTopic } from '../schemas/topics.ts';
import { type BenchLake, makeLake } from './lake.ts';

/** Noon, so that no load passes midnight and starts a second date. */
export const startMillis = Date.UTC(2026, 0, 15, 12);
/** Every so many batches, which is once a second and every three: 100,000 samples a second in batches of 15,000. */
const batchesPerTrim = 7;
const batchesPerHot = 20;
/** Samples of a batch: what comes in the 150 ms that all steps of a batch take at that rate. */
export const samplesPerBatch = 15_000;
/** As many at once as requests are in flight at a busy receiver: one fsync answers all of them. */
const appendsInFlight = 8;
export const knownStacksMax = 262_144;

export interface SourceMessage {
  readonly body: Uint8Array;
  readonly appendTimeMillis: number;
}

/** Runs a step and notes what it takes. */
export type Timed = <T>(step: string, work: () => T | Promise<T>) => Promise<T>;

export class Chain {
  readonly #log: Log;
  readonly #lake: BenchLake;
  readonly #known = new KnownStacks(knownStacksMax);
  #newStacks = 0;
  #batches = 0;

  private constructor(log: Log, lake: BenchLake) {
    this.#log = log;
    this.#lake = lake;
  }

  static async open(folder: string): Promise<Chain> {
    const log = await openLog(pathToFileURL(join(folder, 'log')).href);
    for (const name of [profilesTopic, rowsTopic]) await log.ensureTopic({ name, partitions: 1 });
    return new Chain(log, await makeLake(folder, startMillis));
  }

  get newStacks(): number {
    return this.#newStacks;
  }

  /** All steps but publishing, for messages that came in while those before were worked on. */
  async run(messages: readonly SourceMessage[], timed: Timed): Promise<void> {
    await timed('validate', () => {
      for (const { body } of messages) admit(body);
    });
    const { values, from } = await timed('log', () => this.#throughLog(profilesTopic, bodies(messages)));
    const decoded = await timed('decode', () => values.map((value) => readProfiles(value)));
    const prepared = await timed('hash', () => decoded.map(prepareProfiles));
    const rows = await timed('rows', () => this.#rows(prepared, messages, from));
    const { values: rowValues } = await timed('log', () => this.#throughLog(rowsTopic, rows));
    const { appendTimeMillis } = messages.at(-1)!;
    await timed('exporter append', async () => {
      for (const value of rowValues) await this.#lake.append(value, appendTimeMillis);
    });
    this.#batches++;
    if (this.#batches % batchesPerTrim === 0) await timed('log', () => this.#trim());
    if (this.#batches % batchesPerHot === 0) await timed('hot write', () => this.#lake.writeHot());
  }

  async publish(timed: Timed): Promise<readonly RecordFile[]> {
    await timed('hot write', () => this.#lake.writeHot());
    return timed('publish', () => this.#lake.publish());
  }

  async close(): Promise<void> {
    await this.#log.close();
    await this.#lake.close();
  }

  async #trim(): Promise<void> {
    for (const topic of [profilesTopic, rowsTopic]) await this.#log.trim(topic, 0, (await this.#log.range(topic, 0)).end);
  }

  async #throughLog(topic: string, values: readonly Uint8Array[]): Promise<{ values: Uint8Array[]; from: number }> {
    const { end: from } = await this.#log.range(topic, 0);
    for (let at = 0; at < values.length; at += appendsInFlight) {
      await Promise.all(values.slice(at, at + appendsInFlight).map((value) => this.#log.append(topic, 0, { value })));
    }
    const read: Uint8Array[] = [];
    for (let next = from; next < from + values.length; ) {
      const result = await this.#log.read(topic, 0, next, { bytesMax: 8 * 2 ** 20, waitMillis: 0 });
      for (const { value } of result.records) read.push(value);
      next = result.next;
    }
    return { values: read, from };
  }

  /** One row message, as a processor makes it of what one read gave. */
  #rows(prepared: readonly PreparedMessage[], messages: readonly SourceMessage[], from: number): Uint8Array[] {
    const builder = new RowsBuilder({ logId: 'bench', topic: profilesTopic, partition: 0, shard: 0, routing: 1 });
    const output: ShardOutput = { shard: 0, builder, added: new Set(), sent: [] };
    const target = { shards: 1, output: () => output, known: this.#known, nameOf: () => null };
    for (const [index, message] of prepared.entries()) {
      appendRows(message, { offset: from + index, appendTimeMillis: messages[index]!.appendTimeMillis }, target, noCounts());
    }
    for (const { words, date } of output.sent) this.#known.add(words, date, 0);
    this.#newStacks += builder.stacks;
    return [encodeRows(builder.build(from - 1, from + prepared.length - 1))];
  }
}

const bodies = (messages: readonly SourceMessage[]): Uint8Array[] => messages.map(({ body }) => body);

// A small world for tests of the protocol: a log and a store in memory that several exporters share,
// each through a view of its own that can fail, lie, freeze or die at any call; and a reader that knows
// nothing but the names in the lake, as engines that are not ours do.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { parquetReadObjects } from 'hyparquet';
import { PipelineError } from '../lib/errors.ts';
import type { Log, LogRecord, PartitionPosition, TopicInfo } from '../lib/log/log.ts';
import type { Logger } from '../lib/logger.ts';
import type { PutOutcome, Store, StoreBody, StoreEntry } from '../lib/store/store.ts';
import { parseLakeFileKey } from '../schemas/lake/paths.ts';
import type { LakeSettings } from '../schemas/lake/settings.ts';
import { rowsTopic } from '../schemas/topics.ts';
import type { Clock } from './clock.ts';
import { prepareDrafts } from './local-files.ts';
import { createMetrics } from './metrics.ts';
import { Shard } from './shard.ts';
import { ShardBuilder } from './shard-builder.ts';

export const settings: LakeSettings = { version: 1, lakeId: '0'.repeat(32), createdMillis: 0, shards: 1, routing: 1, identity: 1 };

/** Thrown at the call at which a simulated process dies, and at every later one. */
export class Crash extends Error {}

export class MemoryLog implements Log {
  logId = 'rows-1';
  readonly #records = new Map<string, LogRecord[]>();
  readonly #starts = new Map<string, number>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The topic is deleted and made anew. */
  recreate(logId: string): void {
    this.logId = logId;
    this.#records.clear();
    this.#starts.clear();
  }

  /** Retention takes everything below an offset. */
  retain(topic: string, partition: number, start: number): void {
    this.#starts.set(`${topic}/${partition}`, start);
  }

  ensureTopic = ({ name, partitions }: { name: string; partitions: number }) => this.topic(name).then((info) => ({ ...info, partitions }));
  topic = async (name: string): Promise<TopicInfo> => ({ name, logId: this.logId, partitions: 1 });

  async append(
    topic: string,
    partition: number | null,
    message: { value: Uint8Array; headers?: Readonly<Record<string, string>> },
  ): Promise<{ partition: number; offset: number }> {
    const records = this.#of(topic, partition ?? 0);
    const offset = records.length;
    records.push({ offset, appendTimeMillis: this.#clock.wallMillis(), key: null, value: message.value, headers: message.headers ?? {} });
    return { partition: partition ?? 0, offset };
  }

  async read(topic: string, partition: number, from: number, { bytesMax }: { bytesMax: number }) {
    const range = await this.range(topic, partition);
    if (from < range.start || from > range.end) throw new PipelineError('offset_out_of_range', `${topic}/${partition}: ${from}`, { context: { range } });
    const records: LogRecord[] = [];
    for (let bytes = 0; from + records.length < range.end; ) {
      const record = this.#of(topic, partition)[from + records.length]!;
      bytes += record.value.length;
      if (records.length > 0 && bytes > bytesMax) break;
      records.push(record);
    }
    return { records, next: from + records.length, range };
  }

  range = async (topic: string, partition: number) => ({ start: this.#starts.get(`${topic}/${partition}`) ?? 0, end: this.#of(topic, partition).length });
  join = async () => ({ assigned: () => [0], generation: () => 0, leave: async () => {} });
  position = async (): Promise<PartitionPosition | null> => null;
  remember = async () => {};

  async trim(topic: string, partition: number, offset: number): Promise<void> {
    const { start } = await this.range(topic, partition);
    this.#starts.set(`${topic}/${partition}`, Math.max(start, offset));
  }

  usage = async () => null;
  close = async () => {};

  #of(topic: string, partition: number): LogRecord[] {
    const records = this.#records.get(`${topic}/${partition}`) ?? [];
    this.#records.set(`${topic}/${partition}`, records);
    return records;
  }
}

export class MemoryStore implements Store {
  readonly url = 'memory:';
  readonly objects = new Map<string, { bytes: Uint8Array; modifiedMillis: number }>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async putIfAbsent(key: string, body: StoreBody): Promise<PutOutcome> {
    if (this.objects.has(key)) return 'exists';
    await this.put(key, body);
    return 'created';
  }

  async put(key: string, body: StoreBody): Promise<void> {
    this.objects.set(key, { bytes: body instanceof Uint8Array ? body : readFileSync(body.file), modifiedMillis: this.#clock.wallMillis() });
  }

  async replace(): Promise<'exists'> {
    throw new Error('exporters replace nothing');
  }

  async publish(from: string, to: string): Promise<PutOutcome> {
    const staged = this.objects.get(from);
    if (staged === undefined) throw new PipelineError('store_missing', from);
    if (this.objects.has(to)) return 'exists';
    this.objects.set(to, staged);
    return 'created';
  }

  async get(key: string, range?: { start: number; end: number }): Promise<Uint8Array | null> {
    const bytes = this.objects.get(key)?.bytes ?? null;
    return range === undefined || bytes === null ? bytes : bytes.subarray(range.start, range.end);
  }

  async head(key: string): Promise<{ bytes: number; tag: string } | null> {
    const bytes = this.objects.get(key)?.bytes;
    return bytes === undefined ? null : { bytes: bytes.length, tag: '' };
  }

  async list(prefix: string, { after = '', limit = 1000 }: { after?: string; limit?: number } = {}): Promise<StoreEntry[]> {
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    return keys.slice(0, limit).map((key) => ({ key, bytes: this.objects.get(key)!.bytes.length, modifiedMillis: this.objects.get(key)!.modifiedMillis }));
  }

  async delete(key: string): Promise<void> {
    this.objects.delete(key);
  }

  locate = (key: string) => key;
  close = async () => {};
}

/** Time that only moves when somebody sleeps or a test says so. */
export class TestClock implements Clock {
  now: number;

  constructor(now: number) {
    this.now = now;
  }

  wallMillis = () => this.now;
  monotonicMillis = () => this.now;

  async sleep(millis: number): Promise<void> {
    this.now += Math.min(millis, 20);
    await new Promise(setImmediate);
  }
}

export interface Faults {
  /** Asked at every call of an exporter; what it answers happens. */
  next(call: string): 'none' | 'crash_before' | 'crash_after' | 'error_before' | 'error_after' | 'says_exists' | 'freeze';
  /** A frozen call goes on when this resolves. */
  thaw(): Promise<void>;
}

export const noFaults: Faults = { next: () => 'none', thaw: async () => {} };

const faultyMethods = new Set(['putIfAbsent', 'put', 'publish', 'get', 'head', 'list', 'delete', 'read', 'range', 'topic', 'remember', 'trim', 'append']);

/** A view of a store or log through which one exporter sees it. */
function faulty<Target extends object>(target: Target, faults: Faults, afterCall: (method: string, key: unknown) => Promise<void>): Target {
  let dead = false;
  const die = () => {
    dead = true;
    throw new Crash('the process is dead');
  };
  return new Proxy(target, {
    get(object, name) {
      const value = Reflect.get(object, name) as unknown;
      if (typeof value !== 'function' || !faultyMethods.has(String(name))) return value;
      return async (...parameters: unknown[]) => {
        if (dead) die();
        const fault = faults.next(String(name));
        if (fault === 'freeze') await faults.thaw();
        if (fault === 'crash_before') die();
        if (fault === 'error_before') throw new PipelineError('store_unavailable', `${String(name)}: not reached`);
        const result = await (value as (...all: unknown[]) => Promise<unknown>).apply(object, parameters);
        await afterCall(String(name), name === 'publish' ? parameters[1] : parameters[0]);
        if (fault === 'crash_after') die();
        if (fault === 'error_after') throw new PipelineError('store_unavailable', `${String(name)}: the answer was lost`);
        return fault === 'says_exists' && (name === 'putIfAbsent' || name === 'publish') ? 'exists' : result;
      };
    },
  });
}

export interface Exporter {
  readonly shard: Shard;
  readonly builder: ShardBuilder;
  readonly name: string;
}

export class World {
  readonly clock = new TestClock(Date.UTC(2026, 10, 24, 12, 0, 1));
  readonly store = new MemoryStore(this.clock);
  readonly log = new MemoryLog(this.clock);
  readonly reader = new LakeReader(this.store);
  readonly #directory = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'exporter-world-'));
  readonly messages: string[] = [];
  limits = { publishIntervalMillis: 2000, publishBytes: 1e9, publishRowsMax: 1e6, hotIntervalMillis: 300 };

  /** `indexDir` as after a restart of the same exporter, or of another one. */
  start(name: string, faults: Faults = noFaults): Exporter {
    const indexDir = path.join(this.#directory, name);
    const drafts = prepareDrafts(indexDir);
    const afterCall = async (method: string, key: unknown) => {
      if ((method === 'publish' || method === 'delete') && String(key).startsWith('lake/')) await this.reader.check();
    };
    const store = faulty<Store>(this.store, faults, afterCall);
    const log = faulty<Log>(this.log, faults, async () => {});
    const builder = new ShardBuilder({ store, settings, shard: 0, indexDir });
    const logger = quietLogger((line) => this.messages.push(`${name}: ${line}`));
    const { clock, limits } = this;
    const shard = new Shard({ store, log, builder, settings, limits, clock, logger, drafts, shard: 0, writer: name, metrics: createMetrics(noMeter) });
    return { shard, builder, name };
  }

  /** Steps of a healthy exporter until the log is read, visible and published. */
  async settle(exporter: Exporter): Promise<void> {
    const { end } = await this.log.range(rowsTopic, 0);
    for (let turn = 0; turn < 200; turn++) {
      await exporter.shard.step();
      await exporter.shard.published();
      if ((await this.reader.position()) >= end) return;
      this.clock.now += 500;
    }
    throw new Error(`not published after 200 turns: ${exporter.shard.text}\n${this.messages.slice(-10).join('\n')}`);
  }

  close(): void {
    rmSync(this.#directory, { recursive: true });
  }
}

export interface SeenRow {
  readonly date: string;
  readonly value: bigint;
  readonly type: string;
  readonly stackId: string;
}

/** Sees only names under lake/, and what is in those files. */
export class LakeReader {
  readonly #store: MemoryStore;
  readonly #files = new Map<string, Record<string, unknown>[]>();
  #seen = new Set<string>();
  #checking: Promise<void> = Promise.resolve();

  constructor(store: MemoryStore) {
    this.#store = store;
  }

  /** What must hold at every moment: no row twice, no row gone, no id twice a date, no row without its stack. */
  check(): Promise<void> {
    // One after the other: each must see what the one before has seen.
    this.#checking = this.#checking.then(() => this.#check());
    return this.#checking;
  }

  async #check(): Promise<void> {
    const keys = [...this.#store.objects.keys()].filter((key) => key.startsWith('lake/'));
    const rows = await this.#rows(keys);
    const stacks = await this.#stacks(keys);
    const names = rows.map((row) => `${row.type} ${row.value}`);
    const unique = new Set(names);
    if (unique.size !== names.length) throw new Error(`rows twice: ${names.filter((name, index) => names.indexOf(name) !== index).slice(0, 5)}`);
    for (const name of this.#seen) if (!unique.has(name)) throw new Error(`row vanished: ${name}`);
    this.#seen = unique;
    if (new Set(stacks).size !== stacks.length)
      throw new Error(`stack ids twice: ${stacks.filter((name, index) => stacks.indexOf(name) !== index).slice(0, 5)}`);
    const known = new Set(stacks);
    for (const row of rows) if (!known.has(`${row.date} ${row.stackId}`)) throw new Error(`dangling: ${row.date} ${row.stackId} of ${row.value}`);
  }

  async rows(): Promise<SeenRow[]> {
    return this.#rows([...this.#store.objects.keys()]);
  }

  async stackRows(): Promise<Record<string, unknown>[]> {
    const files = [...this.#store.objects.keys()].filter((key) => parseLakeFileKey(key)?.table === 'stacks');
    return (await Promise.all(files.map(async (key) => (await this.#read(key)).map((row) => ({ date: parseLakeFileKey(key)!.date, ...row }))))).flat();
  }

  /** Position of the head record, by its name alone. */
  async position(): Promise<number> {
    const [entry] = await this.#store.list('commits/000/', { limit: 1 });
    if (entry === undefined) return 0;
    return (JSON.parse(new TextDecoder().decode(this.#store.objects.get(entry.key)!.bytes)) as { position: number }).position;
  }

  async #rows(keys: readonly string[]): Promise<SeenRow[]> {
    const files = keys.map((key) => ({ key, name: parseLakeFileKey(key) })).filter(({ name }) => name?.table === 'samples');
    const perFile = files.map(async ({ key, name }) =>
      (await this.#read(key)).map((row) => ({ date: name!.date, value: row.value as bigint, type: String(row.sample_type), stackId: String(row.stack_id) })),
    );
    return (await Promise.all(perFile)).flat();
  }

  async #stacks(keys: readonly string[]): Promise<string[]> {
    const files = keys.map((key) => ({ key, name: parseLakeFileKey(key) })).filter(({ name }) => name?.table === 'stacks');
    return (await Promise.all(files.map(async ({ key, name }) => (await this.#read(key)).map((row) => `${name!.date} ${String(row.stack_id)}`)))).flat();
  }

  async #read(key: string): Promise<Record<string, unknown>[]> {
    const known = this.#files.get(key);
    if (known !== undefined) return known;
    const rows = await readParquet(this.#store.objects.get(key)!.bytes);
    this.#files.set(key, rows);
    return rows;
  }
}

export async function readParquet(bytes: Uint8Array): Promise<Record<string, unknown>[]> {
  return parquetReadObjects({
    file: new Uint8Array(bytes).buffer,
    compressors: { ZSTD: (input) => zstdDecompressSync(input) },
    parsers: { timestampFromMicroseconds: (micros: bigint) => micros },
  });
}

export function quietLogger(write: (line: string) => void): Logger {
  const at = (level: string) => (message: string, fields?: unknown) => write(`${level} ${message} ${fields === undefined ? '' : JSON.stringify(fields)}`);
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug'), named: () => quietLogger(write) };
}

const noInstrument = { add: () => {}, record: () => {}, addCallback: () => {} };
// biome-ignore lint/suspicious/noExplicitAny: the part of the OpenTelemetry Meter that the exporter asks for
export const noMeter: any = { createCounter: () => noInstrument, createHistogram: () => noInstrument, createObservableGauge: () => noInstrument };

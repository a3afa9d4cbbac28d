// A real lake on a temporary directory for tests: Parquet made by DuckDB to the public schema, records
// as an exporter writes them. It can stop at any step of a publication, as a crash would.
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { openStore } from '../lib/store/open.ts';
import type { Store } from '../lib/store/store.ts';
import { encodeHot, type HotMessage } from '../schemas/hot/codec.ts';
import { type Column, hotColumns, hotStackDateColumn, sampleColumns, schemaVersion, schemaVersionKey, stackColumns } from '../schemas/lake/columns.ts';
import { carryKey, dateDays, hotFileKey, type LakeTable, lakeFileKey, recordKey, settingsKey, stagingKey } from '../schemas/lake/paths.ts';
import { type CommitRecord, encodeRecord, type RecordFile, recordVersion } from '../schemas/lake/record.ts';
import { type FrameRow as MessageFrame, RowsBuilder } from '../schemas/rows/builder.ts';
import { encodeRows } from '../schemas/rows/codec.ts';
import { resourceStringColumns } from '../schemas/rows/message.ts';
import { sqlString } from './sql-text.ts';
import { sqlType } from './views.ts';

export type Row = Readonly<Record<string, unknown>>;

export interface FrameRow {
  readonly function?: string | null;
  readonly file?: string | null;
  readonly mapping?: string | null;
  readonly type?: string | null;
  readonly address?: string | null;
  readonly inlined?: boolean;
}

/** A sample of 50 ms CPU time. */
export function sampleRow(time: string, stackId: string, more: Row = {}): Row {
  return { time, sample_type: 'cpu', sample_unit: 'nanoseconds', value: 50_000_000, count: 1, weight: 1, stack_id: stackId, service_name: 'checkout', ...more };
}

/** Frames leaf first; a text is a native function of that name. */
export function stackRow(stackId: string, frames: readonly (string | FrameRow)[], more: Row = {}): Row {
  const whole = frames.map((frame) =>
    typeof frame === 'string'
      ? { function: frame, mapping: '/usr/bin/app', type: 'native', inlined: false, address: '0x10' }
      : { inlined: false, function: null, file: null, mapping: null, type: 'native', address: null, ...frame },
  );
  return {
    stack_id: stackId,
    frames: whole,
    leaf_function: whole[0]?.function ?? null,
    root_function: whole.at(-1)?.function ?? null,
    depth: whole.length,
    unresolved: whole.filter((frame) => !frame.function).length,
    ...more,
  };
}

export const stackId = (number: number): string => number.toString(16).padStart(32, '0');

/** How far a publication got: record written; stacks linked; all linked; staging swept too. */
export type Progress = 'recorded' | 'stacks' | 'finished' | 'swept';

export interface Publication {
  readonly seq: number;
  readonly position: number;
  readonly shard?: number;
  readonly samples?: readonly Row[];
  /** With `date` (YYYY-MM-DD); default that of the first sample. */
  readonly stacks?: readonly Row[];
  readonly carrySamples?: readonly Row[];
  readonly carryStacks?: readonly Row[];
  readonly progress?: Progress;
}

export class FixtureLake {
  readonly directory: string;
  readonly url: string;
  readonly store: Store;
  readonly #connection: DuckDBConnection;
  readonly #instance: DuckDBInstance;

  private constructor(directory: string, store: Store, instance: DuckDBInstance, connection: DuckDBConnection) {
    this.directory = directory;
    this.url = pathToFileURL(directory).href;
    this.store = store;
    this.#instance = instance;
    this.#connection = connection;
  }

  static async make(options: { shards?: number; settings?: boolean; parent?: string } = {}): Promise<FixtureLake> {
    const directory = await mkdtemp(path.join(options.parent ?? tmpdir(), 'flamelake-test-'));
    const store = await openStore(pathToFileURL(directory).href);
    const instance = await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: '256MB' });
    const connection = await instance.connect();
    await connection.run("SET TimeZone = 'UTC'");
    const lake = new FixtureLake(directory, store, instance, connection);
    if (options.settings !== false) {
      const settings = { version: 1, lakeId: 'f'.repeat(32), createdMillis: 0, shards: options.shards ?? 1, routing: 1, identity: 1 };
      await store.putIfAbsent(settingsKey, new TextEncoder().encode(JSON.stringify(settings)));
    }
    return lake;
  }

  async remove(): Promise<void> {
    this.#connection.closeSync();
    this.#instance.closeSync();
    await this.store.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  path(key: string): string {
    return path.join(this.directory, key);
  }

  /** Writes one Parquet object under a key, as a finished put would leave it. */
  async parquet(key: string, columns: readonly Column[], rows: readonly Row[], version: string = String(schemaVersion)): Promise<void> {
    const file = this.path(key);
    await mkdir(path.dirname(file), { recursive: true });
    const json = path.join(this.directory, 'tmp', `${randomUUID()}.json`);
    await mkdir(path.dirname(json), { recursive: true });
    await writeFile(json, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const types = columns.map((column) => `${sqlString(column.name)}: ${sqlString(sqlType(column.type))}`);
    const from = rows.length > 0 ? `read_json(${sqlString(json)}, format = 'newline_delimited', columns = {${types.join(', ')}})` : emptyRelation(columns);
    await this.#connection.run(
      `COPY (SELECT * FROM ${from}) TO ${sqlString(file)} (FORMAT parquet, COMPRESSION zstd, KV_METADATA {${sqlString(schemaVersionKey)}: ${sqlString(version)}})`,
    );
    await rm(json);
  }

  /** A hot object of messages [from, to), one for each offset that has rows or stacks. */
  async hot(
    from: number,
    to: number,
    samples: readonly (readonly [number, Row])[],
    stacks: readonly (readonly [number, Row])[] = [],
    shard = 0,
  ): Promise<string> {
    const offsets = [...new Set([...samples, ...stacks].map(([offset]) => offset))].sort((a, b) => a - b);
    const of = (rows: readonly (readonly [number, Row])[], offset: number) => rows.filter(([own]) => own === offset).map(([, row]) => row);
    const messages = offsets.map((offset) => hotMessage(offset, of(samples, offset), of(stacks, offset), shard));
    const key = hotFileKey(shard, from, to, 'log', randomUUID());
    await this.store.put(key, encodeHot(messages));
    return key;
  }

  async publish(publication: Publication): Promise<CommitRecord> {
    const shard = publication.shard ?? 0;
    const staged = [
      ...(await this.#stage('stacks', shard, publication.seq, publication.stacks ?? [], publication.samples ?? [])),
      ...(await this.#stage('samples', shard, publication.seq, publication.samples ?? [], [])),
    ];
    const carry = await this.#carry(publication, shard);
    const record = recordOf(publication, shard, staged, carry);
    await this.store.putIfAbsent(recordKey(shard, publication.seq), encodeRecord(record));
    await this.finish(record, publication.progress ?? 'finished');
    return record;
  }

  async finish(record: CommitRecord, progress: Progress): Promise<void> {
    for (const file of record.files) {
      if (progress === 'recorded' || (progress === 'stacks' && file.table === 'samples')) continue;
      await this.store.publish(file.staging, file.key);
      if (progress === 'swept') await this.store.delete(file.staging);
    }
  }

  async #stage(table: LakeTable, shard: number, seq: number, rows: readonly Row[], samples: readonly Row[]): Promise<RecordFile[]> {
    const groups = new Map<string, Row[]>();
    for (const row of rows) {
      const time = String(row.time ?? `${row.date ?? String(samples[0]?.time ?? '2026-11-24').slice(0, 10)}T00`);
      const group = time.slice(0, 13);
      const { date: _, ...columns } = row;
      groups.set(group, [...(groups.get(group) ?? []), columns]);
    }
    const files: RecordFile[] = [];
    for (const [group, members] of groups) {
      const key = lakeFileKey(table, group.slice(0, 10), shard, Number(group.slice(11)), seq, 0);
      const staging = stagingKey(randomUUID(), `${table}.parquet`);
      await this.parquet(staging, table === 'samples' ? sampleColumns : stackColumns, members);
      const bytes = await readFile(this.path(staging));
      files.push({
        table,
        staging,
        key,
        rows: members.length,
        bytes: (await stat(this.path(staging))).size,
        sha256: createHash('sha256').update(bytes).digest('hex'),
      });
    }
    return files;
  }

  async #carry(publication: Publication, shard: number): Promise<CommitRecord['carry']> {
    const samples = publication.carrySamples ?? [];
    const stacks = publication.carryStacks ?? [];
    if (samples.length + stacks.length === 0) return null;
    const keys: Record<LakeTable, string[]> = { samples: [], stacks: [] };
    for (const [table, rows] of [['samples', samples] as const, ['stacks', stacks] as const]) {
      if (rows.length === 0) continue;
      const key = carryKey(table, shard, publication.seq, randomUUID());
      await this.parquet(
        key,
        hotSchema(table),
        rows.map((row) => ({ ...row, _shard: shard, _offset: 0 })),
      );
      keys[table].push(key);
    }
    const dates = [...new Set(samples.map((row) => String(row.time).slice(0, 10)))];
    return { ...keys, messages: [], rows: samples.length, dates, sinceMillis: 0 };
  }
}

function hotSchema(table: LakeTable): readonly Column[] {
  return table === 'samples' ? [...sampleColumns, ...hotColumns] : [...stackColumns, ...hotColumns, hotStackDateColumn];
}

const emptyRelation = (columns: readonly Column[]) =>
  `(SELECT ${columns.map((column) => `CAST(NULL AS ${sqlType(column.type)}) AS "${column.name}"`).join(', ')} WHERE false)`;

function recordOf(publication: Publication, shard: number, files: readonly RecordFile[], carry: CommitRecord['carry']): CommitRecord {
  return {
    version: recordVersion,
    shard,
    seq: publication.seq,
    attempt: randomUUID(),
    writer: 'test',
    createdMillis: 1_790_000_000_000 + publication.seq,
    firstMillis: 1_790_000_000_001,
    logId: 'log',
    position: publication.position,
    clockMillis: 1_790_000_000_000,
    leaderEpoch: 0,
    highWaters: [],
    files,
    carry,
    digests: null,
    samples: publication.samples?.length ?? 0,
    stacks: publication.stacks?.length ?? 0,
    duplicates: 0,
    losses: {},
  };
}

/** Rows as a processor would have sent them. */
function hotMessage(offset: number, samples: readonly Row[], stacks: readonly Row[], shard: number): HotMessage {
  const builder = new RowsBuilder({ logId: 'log', topic: 'otlp_profiles', partition: 0, shard, routing: 1 });
  builder.beginSegment(0, 0);
  for (const stack of stacks) {
    const { stack_id: id, _date: date = '2026-11-24', service_name: serviceName, cut } = stack as Record<string, string>;
    builder.addStack(
      { id: id!, date: dateDays(date), ...(serviceName ? { serviceName } : {}), ...(cut ? { cut } : {}) },
      (stack.frames as FrameRow[]).map((frame) => messageFrame(frame)),
    );
  }
  builder.beginProfile('0'.repeat(32));
  for (const sample of samples) addHotSample(builder, sample);
  builder.endProfile();
  builder.endSegment();
  return { offset, value: encodeRows(builder.build(-1, 0)), rows: [{ start: 0, end: samples.length }] };
}

function addHotSample(builder: RowsBuilder, row: Row): void {
  const texts = row as Record<string, string | undefined>;
  const numbers = row as Record<string, number | undefined>;
  const map = (name: string) => builder.map(Object.entries((row[name] ?? {}) as Record<string, string>));
  const strings = Object.fromEntries(resourceStringColumns.map((name) => [name, texts[name] ?? '']));
  builder.addSample({
    time: BigInt(Date.parse(texts.time!.replace(/(?<=:\d\d)$/, 'Z'))) * 1000n,
    value: BigInt(numbers.value!),
    count: BigInt(numbers.count ?? 1),
    weight: numbers.weight ?? 1,
    type: builder.type(texts.sample_type!, texts.sample_unit!),
    stack: builder.stackId(texts.stack_id!),
    resource: builder.addResource({
      strings,
      processPid: numbers.process_pid === undefined ? null : BigInt(numbers.process_pid),
      attributes: map('resource_attributes'),
    }),
    threadName: builder.string(texts.thread_name ?? ''),
    attributes: map('attributes'),
    ...(numbers.thread_id === undefined ? {} : { threadId: BigInt(numbers.thread_id) }),
    ...(numbers.duration_ns === undefined ? {} : { durationNanos: BigInt(numbers.duration_ns) }),
  });
}

function messageFrame({ inlined, address, ...texts }: FrameRow): MessageFrame {
  const given = Object.fromEntries(Object.entries(texts).filter(([, text]) => text != null)) as Pick<MessageFrame, 'function' | 'file' | 'mapping' | 'type'>;
  return { ...given, inlined: inlined ?? false, ...(address == null ? {} : { address: BigInt(address) }) };
}

// Our own view of the lake after every change: what planSnapshot makes of the names, with the rows of hot
// objects, of the head's staged files and of the carry. No row may be there twice, vanish once it was
// there, or lack its stack.

import { allTime, type HeadFile, planSnapshot, type ShardHead, type TablePlan } from '../../query/snapshot.ts';
import { decodeHot } from '../../schemas/hot/codec.ts';
import { dateName, floorKey, hotLog, type LakeTable, parseHotFileKey, parseLakeFileKey, parseStagingKey, recordPrefix } from '../../schemas/lake/paths.ts';
import { type CommitRecord, parseRecord } from '../../schemas/lake/record.ts';
import { decodeRows } from '../../schemas/rows/codec.ts';
import type { MemoryStore } from './memory-store.ts';
import { readParquet } from './read-parquet.ts';

/** What one object holds: a name and an offset (-1 in public files) of each row. */
interface Content {
  readonly names: readonly string[];
  readonly stacks: readonly string[];
  readonly offsets: readonly number[];
}

const microsPerDay = 86_400_000_000n;

export class SnapshotReader {
  readonly #store: MemoryStore;
  readonly #shards: number;
  /** By the bytes themselves: a staged file and its public one are the same object. */
  readonly #contents = new WeakMap<Uint8Array, Content>();
  readonly #records = new WeakMap<Uint8Array, CommitRecord>();
  /** Rows of the last check, with their dates. */
  #seen: ReadonlyMap<string, string> = new Map();
  readonly #excused = new Set<string>();
  /** In files of a record whose date retention took before they had their public names. */
  readonly #recorded = new Set<string>();
  /** Rows of staged files under such dates. */
  readonly #leaving = new Map<string, readonly string[]>();
  /** Whether a row's stack may be missing for now: its message was destroyed, and the publication will say so. */
  mayDangle = false;

  constructor(store: MemoryStore, shards: number) {
    this.#store = store;
    this.#shards = shards;
  }

  /** What is only hot may go away, since its message did, and come again from one that was sent twice. */
  excuse(values: readonly bigint[]): void {
    for (const value of values) this.#excused.add(String(value));
  }

  /** Whether every file that a head names has its public name, or retention has taken it. */
  get isFinished(): boolean {
    return this.#heads().every((head) => head.files.every((file) => file.place === 'public' || file.date < this.floor));
  }

  /** Whether the last check saw the row of this value. */
  has(value: bigint): boolean {
    return this.#seen.has(String(value));
  }

  /** Whether a head carries rows of a date that retention has taken: they are told with the next publication. */
  get carriesBelowFloor(): boolean {
    return this.#headRecords().some(({ carry }) => carry?.dates.some((date) => date < this.floor) ?? false);
  }

  get floor(): string {
    const object = this.#store.objects.get(floorKey);
    return object === undefined ? '' : (JSON.parse(new TextDecoder().decode(object.bytes)) as { date: string }).date;
  }

  /** Number of the newest record of each shard. */
  get seqs(): number[] {
    return this.#headRecords().map(({ seq }) => seq);
  }

  hasRecord(shard: number): boolean {
    return this.#store.keys(recordPrefix(shard)).length > 0;
  }

  /** Of a shard: all messages of this log below it are in the lake. */
  position(shard: number, logId: string): number {
    const [key] = this.#store.keys(recordPrefix(shard));
    const record = key === undefined ? null : this.#record(key);
    return record?.logId === logId ? record.position : 0;
  }

  async check(): Promise<void> {
    const plan = planSnapshot({ hot: this.#named('hot/', parseHotFileKey), heads: this.#heads(), lake: this.#named('lake/', parseLakeFileKey) }, allTime);
    const stacks = new Set(await this.#read('stacks', plan.stacks, (content, row) => content.stacks[row]!));
    const rows = new Map<string, string>();
    const floor = this.floor;
    await this.#read('samples', plan.samples, (content, row) => {
      const name = content.names[row]!;
      const date = content.stacks[row]!.slice(0, 'YYYY-MM-DD'.length);
      if (date < floor) return; // leaving or gone, with its stack or after it
      if (rows.has(name) && !this.#excused.has(name)) throw new Error(`snapshot: row twice: ${name}`);
      if (name !== '') rows.set(name, date);
      if (!this.mayDangle && !stacks.has(content.stacks[row]!)) throw new Error(`snapshot: dangling stack id ${content.stacks[row]} of ${name}`);
    });
    for (const [name, date] of this.#seen) {
      if (date >= floor && !rows.has(name) && !this.#excused.has(name)) throw new Error(`snapshot: row vanished: ${name}`);
    }
    this.#seen = rows;
    await this.#rememberRecorded(floor);
  }

  async #rememberRecorded(floor: string): Promise<void> {
    for (const { key, table, date } of floor === '' ? [] : this.#named('staging/', parseStagingKey)) {
      if (table === 'samples' && date < floor) this.#leaving.set(key, (await this.#content('samples', key)).names);
    }
    for (const { files } of this.#heads()) {
      for (const { staging } of files) for (const name of this.#leaving.get(staging) ?? []) this.#recorded.add(name);
    }
  }

  /** Whether the row of this value is in a record whose files retention took before they were public. */
  isRecorded(value: bigint): boolean {
    return this.#recorded.has(String(value));
  }

  async #read<T>(table: LakeTable, plan: TablePlan, take: (content: Content, row: number) => T): Promise<T[]> {
    const taken: T[] = [];
    const whole = [...plan.published, ...plan.staged.map((file) => file.key), ...plan.carry].map((key) => ({ key, from: -1, to: Number.POSITIVE_INFINITY }));
    for (const { key, from, to } of [...whole, ...plan.hot]) {
      const content = await this.#content(table, key);
      for (let row = 0; row < content.names.length; row++) {
        if (content.offsets[row]! >= from && content.offsets[row]! < to) taken.push(take(content, row));
      }
    }
    return taken;
  }

  async #content(table: LakeTable, key: string): Promise<Content> {
    const bytes = this.#store.objects.get(key)?.bytes;
    if (bytes === undefined) throw new Error(`snapshot: ${key} is planned and gone`);
    const known = this.#contents.get(bytes);
    if (known !== undefined) return known;
    if (key.startsWith('hot/')) return hotContent(table, bytes, key);
    const isPrivate = !/^(lake|staging)\//.test(key);
    const ownDate = isPrivate ? null : /date=(\d{4}-\d\d-\d\d)/.exec(key)![1]!;
    const columns = table === 'samples' ? ['time', 'value', 'sample_type', 'stack_id'] : ['stack_id', ...(isPrivate ? ['_date'] : [])];
    const rows = await readParquet(bytes, [...columns, ...(isPrivate ? ['_offset'] : [])]);
    const content = {
      // Losses of one size are told apart by nothing: no name.
      names: rows.map((row) => (row.sample_type === 'lost' ? '' : String(row.value))),
      stacks: rows.map((row) => `${ownDate ?? dateOf(row)} ${row.stack_id}`),
      offsets: rows.map((row) => (isPrivate ? Number(row._offset) : -1)),
    };
    this.#contents.set(bytes, content);
    return content;
  }

  #heads(): ShardHead[] {
    const heads: ShardHead[] = [];
    for (const { shard, seq, position, logId, files, carry } of this.#headRecords()) {
      const place = (file: { key: string; staging: string }): HeadFile['place'] =>
        this.#store.objects.has(file.key) ? 'public' : this.#store.objects.has(file.staging) ? 'staging' : 'gone';
      heads.push({
        shard,
        seq,
        position,
        log: hotLog(logId),
        files: files.map(({ key: name, staging }) => ({ ...parseLakeFileKey(name)!, key: name, staging, place: place({ key: name, staging }) })),
        carry: { samples: carry?.samples ?? [], stacks: carry?.stacks ?? [] },
      });
    }
    return heads;
  }

  #headRecords(): CommitRecord[] {
    return Array.from({ length: this.#shards }, (_unused, shard) => this.#store.keys(recordPrefix(shard))[0])
      .filter((key) => key !== undefined)
      .map((key) => this.#record(key));
  }

  #record(key: string): CommitRecord {
    const { bytes } = this.#store.objects.get(key)!;
    const known = this.#records.get(bytes) ?? parseRecord(bytes, key);
    this.#records.set(bytes, known);
    return known;
  }

  #named<Name>(prefix: string, parse: (key: string) => Name | null): (Name & { key: string })[] {
    return this.#store.keys(prefix).flatMap((key) => {
      const name = parse(key);
      return name === null ? [] : [{ ...name, key }];
    });
  }
}

/** One object has both tables, so it is not kept by its bytes. */
function hotContent(table: LakeTable, bytes: Uint8Array, key: string): Content {
  const content: { names: string[]; stacks: string[]; offsets: number[] } = { names: [], stacks: [], offsets: [] };
  for (const { offset, value, rows } of decodeHot(bytes, key)) {
    const { samples, stacks, stackIds, strings, types } = decodeRows(value);
    if (table === 'stacks') for (let row = 0; row < stacks.length; row++) add(offset, '', stacks.date[row]!, stackIds[stacks.id[row]!]!);
    else for (const { start, end } of rows) for (let row = start; row < end; row++) addSample(offset, row);
    function addSample(at: number, row: number): void {
      const isLost = strings[types[samples.type[row]!]![0]] === 'lost';
      add(at, isLost ? '' : String(samples.value[row]), Number(samples.time[row]! / microsPerDay), stackIds[samples.stack[row]!]!);
    }
  }
  return content;
  function add(offset: number, name: string, date: number, id: string): void {
    content.offsets.push(offset);
    content.names.push(name);
    content.stacks.push(`${dateName(date)} ${id}`);
  }
}

function dateOf(row: Record<string, unknown>): string {
  if (typeof row._date === 'string') return row._date;
  if (row._date instanceof Date) return row._date.toISOString().slice(0, 10);
  return row._date === undefined ? dateName(Number((row.time as bigint) / microsPerDay)) : dateName(Number(row._date));
}

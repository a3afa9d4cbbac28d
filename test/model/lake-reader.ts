// A reader that is not ours: it lists names under lake/ and reads those files, nothing else. What it must
// find at every moment is checked file by file as they come and go.
import { readFloor } from '../../schemas/lake/floor.ts';
import { dateName, parseLakeFileKey } from '../../schemas/lake/paths.ts';
import { shardOf } from '../../schemas/lake/shard.ts';
import type { MemoryStore } from './memory-store.ts';
import { readParquet } from './read-parquet.ts';

export interface SeenRow {
  readonly date: string;
  readonly value: bigint;
  readonly type: string;
  readonly stackId: string;
}

export interface SeenStack {
  readonly date: string;
  readonly stackId: string;
  readonly leaf: string | null;
  readonly cut: string | null;
}

export interface SeenLoss {
  readonly value: bigint;
  readonly attributes: Readonly<Record<string, string>>;
  readonly shard: number;
}

interface SeenFile {
  readonly rows: readonly SeenRow[];
  readonly stacks: readonly SeenStack[];
}

const microsPerDay = 86_400_000_000n;

export class LakeReader {
  readonly #store: MemoryStore;
  readonly #shards: number;
  readonly #files = new Map<string, SeenFile>();
  /** By type and value: values are unique in these tests; losses of equal size are told apart by nothing. */
  readonly #rows = new Set<string>();
  readonly #stacks = new Set<string>();
  readonly #byValue = new Map<bigint, SeenRow>();
  readonly #everSeen = new Set<bigint>();
  readonly #losses: SeenLoss[] = [];
  #checking: Promise<void> = Promise.resolve();

  constructor(store: MemoryStore, shards: number) {
    this.#store = store;
    this.#shards = shards;
  }

  /** No row twice, gone, under another date or shard, or without its stack; no stack id twice under a date. */
  check(): Promise<void> {
    // One after the other: each must see what the one before has seen.
    this.#checking = this.#checking.then(() => this.#check());
    return this.#checking;
  }

  rows(): SeenRow[] {
    return [...this.#files.values()].flatMap((file) => file.rows);
  }

  /** The one row of a value. */
  row(value: bigint): SeenRow | undefined {
    return this.#byValue.get(value);
  }

  stacks(): SeenStack[] {
    return [...this.#files.values()].flatMap((file) => file.stacks);
  }

  /** Whether the row of this value was ever there, also if retention has taken it since. */
  hasSeen(value: bigint): boolean {
    return this.#everSeen.has(value);
  }

  /** Rows of type lost that were ever there. */
  get losses(): readonly SeenLoss[] {
    return this.#losses;
  }

  async #check(): Promise<void> {
    const listed = new Set(this.#store.keys('lake/'));
    // Names of samples sort before those of stacks, the order in which they go.
    const gone = [...this.#files.keys()].filter((key) => !listed.has(key)).sort();
    for (const key of gone) await this.#drop(key);
    for (const key of listed) if (!this.#files.has(key)) await this.#add(key);
  }

  /** Only retention may delete, below its floor, and a stack only when no sample has it any more. */
  async #drop(key: string): Promise<void> {
    const { date } = parseLakeFileKey(key)!;
    if (date >= ((await readFloor(this.#store))?.date ?? '')) throw new Error(`rows vanished: ${key} is gone`);
    const file = this.#files.get(key)!;
    this.#files.delete(key);
    for (const row of file.rows) this.#rows.delete(`${row.type} ${row.value}`);
    for (const row of file.rows) if (this.#byValue.get(row.value)?.date === date) this.#byValue.delete(row.value);
    for (const { stackId } of file.stacks) {
      if (this.rows().some((row) => row.date === date && row.stackId === stackId))
        throw new Error(`dangling stack id: ${date} ${stackId} after ${key} is gone`);
      this.#stacks.delete(`${date} ${stackId}`);
    }
  }

  async #add(key: string): Promise<void> {
    const name = parseLakeFileKey(key);
    if (name === null) throw new Error(`stray file: ${key}`);
    const bytes = this.#store.objects.get(key)!.bytes;
    const isSamples = name.table === 'samples';
    const rows = await readParquet(bytes, isSamples ? ['time', 'value', 'sample_type', 'stack_id'] : ['stack_id', 'leaf_function', 'cut']);
    for (const row of rows) {
      const id = String(row.stack_id);
      if (shardOf(id, this.#shards) !== name.shard) throw new Error(`wrong shard: ${id} in ${key}`);
      if (isSamples) this.#addSample(row, name.date, key);
      else if (this.#stacks.has(`${name.date} ${id}`)) throw new Error(`stack id twice: ${name.date} ${id} in ${key}`);
      else this.#stacks.add(`${name.date} ${id}`);
    }
    const { date } = name;
    const seen = isSamples ? rows.map((row) => ({ date, value: row.value as bigint, type: String(row.sample_type), stackId: String(row.stack_id) })) : [];
    for (const row of seen) {
      if (row.type === 'lost') continue;
      this.#byValue.set(row.value, row);
      this.#everSeen.add(row.value);
    }
    if (seen.some((row) => row.type === 'lost')) await this.#addLosses(bytes, name.shard);
    this.#files.set(key, {
      rows: seen,
      stacks: isSamples
        ? []
        : rows.map((row) => ({ date, stackId: String(row.stack_id), leaf: row.leaf_function as string | null, cut: row.cut as string | null })),
    });
  }

  async #addLosses(bytes: Uint8Array, shard: number): Promise<void> {
    for (const row of await readParquet(bytes, ['sample_type', 'value', 'attributes'])) {
      if (row.sample_type === 'lost') this.#losses.push({ value: row.value as bigint, attributes: row.attributes as Record<string, string>, shard });
    }
  }

  #addSample(row: Record<string, unknown>, date: string, key: string): void {
    const name = `${row.sample_type} ${row.value}`;
    if (row.sample_type !== 'lost' && this.#rows.has(name)) throw new Error(`row twice: ${name} in ${key}`);
    this.#rows.add(name);
    if (dateName(Number((row.time as bigint) / microsPerDay)) !== date) throw new Error(`wrong date: ${name} in ${key}`);
    if (!this.#stacks.has(`${date} ${row.stack_id}`)) throw new Error(`dangling stack id: ${date} ${row.stack_id} of ${name} in ${key}`);
  }
}

// Which stack ids are in the lake (or carried) as of the head record: the index on disk, kept in step
// with the records. A date is read from the lake's own files when it is first asked for.
import path from 'node:path';
import type { Store } from '../lib/store/store.ts';
import { dateDays, parseLakeFileKey, shardName } from '../schemas/lake/paths.ts';
import type { CommitRecord } from '../schemas/lake/record.ts';
import { decodeRows } from '../schemas/rows/codec.ts';
import type { Batch } from './batch.ts';
import { readStackIds, stacksFilesOf } from './committed-stacks.ts';
import { indexCatchUpRecordsMax, indexStepIds } from './limits.ts';
import { readRecord } from './records.ts';
import { StackIndex } from './stack-index.ts';

export class KnownStacks {
  readonly #store: Store;
  readonly #shard: number;
  readonly #index: StackIndex;
  #head: CommitRecord | null = null;
  /** Reading a date and committing a record must not overlap: each would miss what the other adds. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: Store, lakeId: string, shard: number, directory: string) {
    this.#store = store;
    this.#shard = shard;
    this.#index = new StackIndex(path.join(directory, `stacks-${shardName(shard)}.sqlite`), `${lakeId}/${shard}`);
  }

  has(date: number, id: string): boolean {
    return this.#index.has(date, id);
  }

  /** Moves to the head that was read from the store. */
  sync(head: CommitRecord | null): Promise<void> {
    return this.#alone(async () => {
      this.#head = head;
      if (head === null) this.#index.clear();
      else if (this.#index.seq !== head.seq || this.#index.attempt !== head.attempt) await this.#catchUp(head);
    });
  }

  /** After this, `has` is right for the date. */
  ensure(dates: Iterable<number>): Promise<void> | null {
    const missing = [...dates].filter((date) => !this.#index.dates.has(date));
    return missing.length === 0 ? null : this.#alone(() => this.#readDates(missing));
  }

  /** Adds the stacks of a record that has just been finished; `batch` holds what it published or carried. */
  commit(record: CommitRecord, batch: Batch): Promise<void> {
    return this.#alone(async () => {
      const byDate = new Map<number, string[]>();
      for (let stack = 0; stack < batch.stacks; stack++) {
        const date = batch.stackDate.get(stack);
        const ids = byDate.get(date) ?? [];
        if (ids.length === 0) byDate.set(date, ids);
        ids.push(batch.stackIdText(batch.stackId.get(stack)));
      }
      for (const [date, ids] of byDate) await this.#add(date, ids);
      this.#index.advance(record.seq, record.attempt);
      this.#head = record;
    });
  }

  close(): void {
    this.#index.close();
  }

  async #catchUp(head: CommitRecord): Promise<void> {
    const { seq, attempt } = this.#index;
    const behind = head.seq - seq;
    const ours = seq > 0 && behind > 0 && behind <= indexCatchUpRecordsMax ? await readRecord(this.#store, this.#shard, seq) : null;
    if (ours === null || ours.attempt !== attempt) {
      this.#index.clear(); // an older copy of the lake, or too far behind: dates are read again one by one
    } else {
      for (let next = seq + 1; next <= head.seq; next++) {
        const record = next === head.seq ? head : await readRecord(this.#store, this.#shard, next);
        for (const file of record?.files ?? []) {
          const name = parseLakeFileKey(file.key);
          if (name?.table === 'stacks') await this.#addFile(dateDays(name.date), file.key);
        }
      }
      await this.#addCarried(head, this.#index.dates);
    }
    this.#index.advance(head.seq, head.attempt);
  }

  async #readDates(dates: readonly number[]): Promise<void> {
    for (const date of dates) {
      if (this.#index.dates.has(date)) continue; // read while this one waited for its turn
      this.#index.drop(date);
      const files = this.#head === null ? [] : await stacksFilesOf(this.#store, date, this.#shard, this.#head.seq);
      for (const file of files) this.#index.add(date, await readStackIds(this.#store, file));
      if (this.#head !== null) await this.#addCarried(this.#head, new Set([date]));
      this.#index.complete(date);
    }
  }

  async #addCarried(head: CommitRecord, dates: ReadonlySet<number>): Promise<void> {
    if (!head.carry?.dates.some((date) => dates.has(dateDays(date)))) return;
    for (const key of head.carry.messages) {
      const bytes = await this.#store.get(key);
      if (bytes === null) continue; // said aloud where the rows themselves are needed
      const { stacks, stackIds } = decodeRows(bytes);
      for (let stack = 0; stack < stacks.length; stack++) {
        const date = stacks.date[stack]!;
        if (dates.has(date)) this.#index.add(date, [stackIds[stacks.id[stack]!]!]);
      }
    }
  }

  async #addFile(date: number, key: string): Promise<void> {
    if (!this.#index.dates.has(date)) return;
    // Retention may have taken the file since; its date is never asked for again then.
    if ((await this.#store.head(key)) !== null) this.#index.add(date, await readStackIds(this.#store, key));
  }

  async #add(date: number, ids: readonly string[]): Promise<void> {
    if (!this.#index.dates.has(date)) return;
    for (let start = 0; start < ids.length; start += indexStepIds) {
      this.#index.add(date, ids.slice(start, start + indexStepIds));
      await new Promise(setImmediate);
    }
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work);
    this.#turn = mine.catch(() => {});
    return mine;
  }
}

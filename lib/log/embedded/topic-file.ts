// One topic: one SQLite file, one rowid table per partition (rowid = offset). Several processes may
// append to it at once; SQLite's write lock puts their transactions in a row.
import { randomUUID } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { PipelineError } from '../../errors.ts';
import { busyMillisMax, checkpointWaitMillis, clockHoldMillis, readRecordsMax, trimStepBytes, trimStepRecords } from '../limits.ts';
import type { LogRecord, PartitionRange, ReadResult, TopicInfo } from '../log.ts';
import { corrupt, createDatabase, guarded, openDatabase, snapshot, transaction } from './sqlite.ts';

/** What an append carries through the thread: checked by the sender, headers as JSON. */
export interface Entry {
  /** null: by key, or in turn where there is none. */
  readonly partition: number | null;
  readonly key: Uint8Array | null;
  readonly headers: string | null;
  readonly value: Uint8Array;
}

// `next` is the offset of the next append and lives on when every record was trimmed, so that no
// offset is ever given twice. `time` is the newest append time.
const tables = (topic: string) => `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  INSERT INTO meta VALUES ('topic', '${topic}'), ('log_id', '${randomUUID()}');
  CREATE TABLE partitions (id INTEGER PRIMARY KEY, start INTEGER NOT NULL, next INTEGER NOT NULL, time INTEGER NOT NULL)`;

const partitionTable = (partition: number) =>
  `CREATE TABLE p${partition} (offset INTEGER PRIMARY KEY, time INTEGER NOT NULL, crc INTEGER NOT NULL, key BLOB, headers TEXT, value BLOB NOT NULL)`;

interface PartitionStatements {
  readonly insert: StatementSync;
  readonly lengths: StatementSync;
  readonly records: StatementSync;
  readonly oldest: StatementSync;
  readonly deleteBelow: StatementSync;
}

interface PartitionState {
  readonly start: number;
  readonly next: number;
  readonly time: number;
}

type Row = [offset: number, time: number, crc: number, key: Uint8Array | null, headers: string | null, value: Uint8Array];

export class TopicFile {
  readonly name: string;
  readonly file: string;
  readonly logId: string;
  readonly #db: DatabaseSync;
  readonly #state: StatementSync;
  readonly #advance: StatementSync;
  readonly #partitions: StatementSync;
  readonly #statements = new Map<number, PartitionStatements>();
  #turn = 0;

  private constructor(name: string, file: string, db: DatabaseSync) {
    this.name = name;
    this.file = file;
    this.#db = db;
    const meta = new Map(
      db
        .prepare('SELECT name, value FROM meta')
        .all()
        .map((row) => [row.name, row.value]),
    );
    if (meta.get('topic') !== name) throw corrupt(file, `it holds topic ${meta.get('topic')}, its name says ${name}`);
    this.logId = String(meta.get('log_id'));
    this.#state = db.prepare('SELECT start, next, time FROM partitions WHERE id = ?');
    this.#partitions = db.prepare('SELECT count(*) AS count FROM partitions');
    this.#advance = db.prepare('UPDATE partitions SET next = ?, time = ? WHERE id = ?');
  }

  static create(name: string, file: string): void {
    // 16 KiB pages: an append of 500 KB writes 31 pages instead of 123.
    createDatabase(file, tables(name), 16_384);
  }

  static open(name: string, file: string): TopicFile {
    return guarded(file, () => {
      const db = openDatabase(file, { durable: true, checkpointPages: 0 });
      try {
        return new TopicFile(name, file, db);
      } catch (error) {
        db.close();
        throw error;
      }
    });
  }

  info(): TopicInfo {
    return { name: this.name, logId: this.logId, partitions: this.partitions() };
  }

  partitions(): number {
    return guarded(this.file, () => this.#count());
  }

  /** Throws topic_missing where there is no such partition. */
  check(partition: number): void {
    guarded(this.file, () => this.#stateOf(partition));
  }

  /** Adds partitions up to `count`; never takes one away. */
  growTo(count: number): void {
    guarded(this.file, () => {
      if (this.#count() >= count) return;
      transaction(this.#db, () => {
        for (let id = this.#count(); id < count; id++) {
          this.#db.exec(partitionTable(id));
          this.#db.prepare('INSERT INTO partitions VALUES (?, 0, 0, 0)').run(id);
        }
      });
    });
  }

  /** Appends all entries in one transaction; their places, in order, once they are on disk. */
  append(entries: readonly Entry[], nowMillis: number): { partition: number; offset: number }[] {
    return guarded(this.file, () =>
      transaction(this.#db, () => {
        const count = this.#count();
        const states = new Map<number, { next: number; time: number }>();
        const places = entries.map((entry) => {
          const partition = entry.partition ?? this.#pick(entry.key, count);
          let state = states.get(partition);
          if (state === undefined) {
            const { next, time } = this.#stateOf(partition);
            state = { next, time: appendTime(time, nowMillis) };
            states.set(partition, state);
          }
          const offset = state.next++;
          const sum = checksum(entry.key, entry.headers, entry.value);
          this.#of(partition).insert.run(offset, state.time, sum, entry.key, entry.headers, entry.value);
          return { partition, offset };
        });
        for (const [partition, state] of states) this.#advance.run(state.next, state.time, partition);
        return places;
      }),
    );
  }

  read(partition: number, from: number, bytesMax: number): ReadResult {
    return guarded(this.file, () => snapshot(this.#db, () => this.#read(partition, from, bytesMax)));
  }

  range(partition: number): PartitionRange {
    return guarded(this.file, () => {
      const { start, next } = this.#stateOf(partition);
      return { start, end: next };
    });
  }

  /** Moves the oldest kept offset; the records themselves go by sweep(). */
  trim(partition: number, offset: number): void {
    guarded(this.file, () => {
      transaction(this.#db, () => {
        const { start, next } = this.#stateOf(partition);
        if (offset > next || offset < 0) throw outOfRange(this.name, partition, offset, { start, end: next });
        if (offset > start) this.#db.prepare('UPDATE partitions SET start = ? WHERE id = ?').run(offset, partition);
      });
    });
  }

  /** Deletes one step of records below the start; false when there is none left in any partition. */
  sweep(): boolean {
    return guarded(this.file, () => {
      const trimmed = this.#db.prepare('SELECT id, start FROM partitions').all() as { id: number; start: number }[];
      for (const { id, start } of trimmed) {
        const to = this.#sweepEnd(id, start);
        if (to === null) continue;
        transaction(this.#db, () => this.#of(id).deleteBelow.run(to));
        return true;
      }
      return false;
    });
  }

  freeBytes(): number {
    return guarded(this.file, () => this.#pragma('freelist_count') * this.#pragma('page_size'));
  }

  /** Gives up to `pages` free pages back to the file system. */
  shrink(pages: number): void {
    guarded(this.file, () => this.#db.exec(`PRAGMA incremental_vacuum(${pages})`));
  }

  /** Moves what is in the write-ahead file to its place. `empty`: waits a little for readers, so that the file can be cut to nothing. */
  checkpoint(empty: boolean): void {
    const pragma = empty
      ? `PRAGMA busy_timeout = ${checkpointWaitMillis}; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = ${busyMillisMax}`
      : 'PRAGMA wal_checkpoint(PASSIVE)';
    guarded(this.file, () => this.#db.exec(pragma));
  }

  close(): void {
    guarded(this.file, () => this.#db.close());
  }

  #read(partition: number, from: number, bytesMax: number): ReadResult {
    const { start, next } = this.#stateOf(partition);
    const range = { start, end: next };
    if (from < start || from > next) throw outOfRange(this.name, partition, from, range);
    if (from === next) return { records: [], next: from, range };
    const to = this.#readEnd(partition, from, bytesMax);
    const rows = this.#of(partition).records.all(from, to) as unknown as Row[];
    const records = rows.map((row, index) => this.#record(partition, from + index, row));
    if (records.length !== to - from) throw corrupt(this.file, `partition ${partition} has ${records.length} records in ${from}..${to}`);
    return { records, next: to, range };
  }

  /** Where a read from `from` ends: before the record that passes bytesMax, after the first at least. */
  #readEnd(partition: number, from: number, bytesMax: number): number {
    let bytes = 0;
    let to = from;
    for (const row of this.#of(partition).lengths.iterate(from, readRecordsMax) as Iterable<unknown> as Iterable<[number, number]>) {
      if (to > from && bytes + row[1] > bytesMax) break;
      if (row[0] !== to) break;
      bytes += row[1];
      to++;
    }
    if (to === from) throw this.#damaged(partition, from, 'the record is missing');
    return to;
  }

  #record(partition: number, offset: number, [found, time, crc, key, headers, value]: Row): LogRecord {
    if (found !== offset) throw this.#damaged(partition, offset, `record ${found} stands in its place`);
    if (crc !== checksum(key, headers, value)) throw this.#damaged(partition, offset, 'its checksum does not match');
    return { offset, appendTimeMillis: time, key, value, headers: headers === null ? {} : JSON.parse(headers) };
  }

  #damaged(partition: number, offset: number, what: string): PipelineError {
    return new PipelineError('log_corrupt', `${this.file}: partition ${partition}, offset ${offset}: ${what}; the disk has changed what was written`, {
      context: { file: this.file, topic: this.name, partition, offset },
    });
  }

  /** End of one step of sweeping, or null where nothing lies below the start. */
  #sweepEnd(partition: number, start: number): number | null {
    const { lengths, oldest } = this.#of(partition);
    const first = (oldest.get() as unknown as [number | null])[0];
    if (first === null || first >= start) return null;
    let bytes = 0;
    let to = first;
    for (const [offset, length] of lengths.iterate(first, trimStepRecords) as Iterable<unknown> as Iterable<[number, number]>) {
      if (offset >= start || (to > first && bytes + length > trimStepBytes)) break;
      bytes += length;
      to = offset + 1;
    }
    return to;
  }

  #stateOf(partition: number): PartitionState {
    const state = this.#state.get(partition) as PartitionState | undefined;
    if (state === undefined) {
      throw new PipelineError('topic_missing', `topic ${this.name} has ${this.#count()} partitions, there is none with number ${partition}`);
    }
    return state;
  }

  #pick(key: Uint8Array | null, count: number): number {
    return (key === null ? this.#turn++ : crc32(key)) % count;
  }

  #count(): number {
    return Number(this.#partitions.get()?.count);
  }

  #pragma(name: string): number {
    return Number(this.#db.prepare(`PRAGMA ${name}`).get()?.[name]);
  }

  #of(partition: number): PartitionStatements {
    let statements = this.#statements.get(partition);
    if (statements === undefined) {
      const prepare = (sql: string) => this.#db.prepare(sql.replace('TABLE', `p${partition}`), { returnArrays: true });
      statements = {
        insert: prepare('INSERT INTO TABLE VALUES (?, ?, ?, ?, ?, ?)'),
        lengths: prepare('SELECT offset, length(value) FROM TABLE WHERE offset >= ? ORDER BY offset LIMIT ?'),
        records: prepare('SELECT offset, time, crc, key, headers, value FROM TABLE WHERE offset >= ? AND offset < ? ORDER BY offset'),
        oldest: prepare('SELECT min(offset) FROM TABLE'),
        deleteBelow: prepare('DELETE FROM TABLE WHERE offset < ?'),
      };
      this.#statements.set(partition, statements);
    }
    return statements;
  }
}

/** Never back, unless the clock was set back by more than clockHoldMillis. */
export function appendTime(newestMillis: number, nowMillis: number): number {
  return newestMillis - nowMillis > clockHoldMillis ? nowMillis : Math.max(newestMillis, nowMillis);
}

/** SQLite has no checksum of its own over what lies in the file. */
function checksum(key: Uint8Array | null, headers: string | null, value: Uint8Array): number {
  return crc32(value, crc32(headers ?? '', crc32(key ?? '')));
}

function outOfRange(topic: string, partition: number, offset: number, range: PartitionRange): PipelineError {
  return new PipelineError('offset_out_of_range', `topic ${topic}, partition ${partition}: offset ${offset} is not in ${range.start}..${range.end}`, {
    context: { topic, partition, offset, range },
  });
}

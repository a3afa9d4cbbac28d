// Which stack ids the lake has, by date: 10 M ids a day and 8 open dates don't fit in memory, so they
// lie in a SQLite file. It is a cache of what the records say: it carries the sequence number that it
// reflects, and whatever does not match is thrown away and read again from the lake's own files.
import { rmSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { PipelineError } from '../lib/errors.ts';
import { indexCacheKiB, indexDatesMax } from './limits.ts';

/** Version of the tables below; another one is thrown away. */
const layoutVersion = 1;
const idPattern = /^[0-9a-f]{32}$/;

export class StackIndex {
  readonly #file: string;
  readonly #owner: string;
  #database: DatabaseSync;
  #has!: StatementSync;
  #add!: StatementSync;
  /** Dates that are complete as of `seq`. */
  readonly #dates = new Set<number>();

  /** `owner` names lake and shard: the file of another one is thrown away. */
  constructor(file: string, owner: string) {
    this.#file = file;
    this.#owner = owner;
    try {
      this.#database = openDatabase(file);
      this.#prepare();
    } catch (error) {
      if (isLocked(error))
        throw new PipelineError('data_locked', `${file}: another exporter holds this index; give each exporter a directory of its own`, { cause: error });
      this.#database = this.#anew();
    }
  }

  /** Record sequence number that the dates reflect; 0 = none. */
  get seq(): number {
    return this.#number('seq');
  }

  /** Attempt of that record: the same number in another copy of the lake is another record. */
  get attempt(): string {
    return this.#text('attempt');
  }

  get dates(): ReadonlySet<number> {
    return this.#dates;
  }

  has(date: number, id: string): boolean {
    return this.#guarded(() => this.#has.get(date, Buffer.from(id, 'hex')) !== undefined);
  }

  /** Forgets everything: the lake is another one, or older than the index. */
  clear(): void {
    this.#database.exec('DELETE FROM ids; DELETE FROM dates; DELETE FROM facts');
    this.#set('layout', layoutVersion);
    this.#set('owner', this.#owner);
    this.#dates.clear();
  }

  /** Adds ids of a date, in one transaction. */
  add(date: number, ids: Iterable<string>): void {
    this.#transaction(() => {
      for (const id of ids) {
        if (!idPattern.test(id))
          throw new PipelineError('lake_version', `stack id ${JSON.stringify(id)} was found, expected 32 hex digits; a stacks file is damaged, see lake check`);
        this.#add.run(date, Buffer.from(id, 'hex'));
      }
    });
  }

  /** The date is complete as of `seq`. */
  complete(date: number): void {
    this.#database.prepare('INSERT OR REPLACE INTO dates (date) VALUES (?)').run(date);
    this.#dates.add(date);
  }

  /** All dates reflect `seq` now; the oldest beyond the cap are forgotten (and read again if asked for). */
  advance(seq: number, attempt: string): void {
    this.#transaction(() => {
      this.#set('seq', seq);
      this.#set('attempt', attempt);
      const old = [...this.#dates].sort((a, b) => b - a).slice(indexDatesMax);
      for (const date of old) {
        this.#database.prepare('DELETE FROM ids WHERE date = ?').run(date);
        this.#database.prepare('DELETE FROM dates WHERE date = ?').run(date);
        this.#dates.delete(date);
      }
    });
  }

  /** Forgets one date, or what was begun of it. */
  drop(date: number): void {
    this.#database.prepare('DELETE FROM ids WHERE date = ?').run(date);
    this.#database.prepare('DELETE FROM dates WHERE date = ?').run(date);
    this.#dates.delete(date);
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #prepare(): void {
    this.#database.exec(`
      CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS dates (date INTEGER PRIMARY KEY);
      CREATE TABLE IF NOT EXISTS ids (date INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY (date, id)) WITHOUT ROWID;
    `);
    this.#has = this.#database.prepare('SELECT 1 FROM ids WHERE date = ? AND id = ?');
    this.#add = this.#database.prepare('INSERT OR IGNORE INTO ids (date, id) VALUES (?, ?)');
    this.#dates.clear();
    if (this.#text('owner') !== this.#owner || this.#number('layout') !== layoutVersion) this.clear();
    for (const row of this.#database.prepare('SELECT date FROM dates').all() as { date: number }[]) this.#dates.add(row.date);
  }

  #anew(): DatabaseSync {
    if (this.#database?.isOpen) this.#database.close();
    removeFiles(this.#file);
    this.#database = openDatabase(this.#file);
    this.#prepare();
    return this.#database;
  }

  #number(name: string): number {
    return Number(this.#fact(name) ?? 0);
  }

  #text(name: string): string {
    return String(this.#fact(name) ?? '');
  }

  #fact(name: string): unknown {
    return this.#database.prepare('SELECT value FROM facts WHERE name = ?').get(name)?.value;
  }

  #set(name: string, value: number | string): void {
    this.#database.prepare('INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)').run(name, value);
  }

  #transaction(work: () => void): void {
    this.#guarded(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        work();
        this.#database.exec('COMMIT');
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  /** A full disk passes; a damaged file is deleted, so that the start after this error reads the lake again. */
  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const code = resultCode(error);
      if (code === sqliteCodes.full)
        throw new PipelineError('store_full', `${this.#file}: the disk is full; free some space for the index of stack ids`, { cause: error });
      if (code === sqliteCodes.ioError) throw new PipelineError('store_unavailable', `${this.#file}: ${(error as Error).message}`, { cause: error });
      if (code === sqliteCodes.corrupt || code === sqliteCodes.notDatabase) {
        this.#database.close();
        removeFiles(this.#file);
      }
      throw error;
    }
  }
}

function openDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 2000 });
  try {
    // After a power loss the file may be behind the records, never ahead in part: WAL with NORMAL keeps
    // transactions whole and in order, and being behind is caught up.
    database.exec(`PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -${indexCacheKiB}`);
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

function removeFiles(file: string): void {
  for (const ending of ['', '-wal', '-shm', '-journal']) rmSync(file + ending, { force: true });
}

const sqliteCodes = { busy: 5, locked: 6, ioError: 10, corrupt: 11, full: 13, notDatabase: 26 } as const;

/** The primary result code of an error of SQLite, undefined for others. */
function resultCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown }).errcode;
  return typeof code === 'number' ? code & 0xff : undefined;
}

function isLocked(error: unknown): boolean {
  const code = resultCode(error);
  return code === sqliteCodes.busy || code === sqliteCodes.locked;
}

// The one place that opens SQLite files and turns SQLite's errors into the pipeline's.
import { DatabaseSync } from 'node:sqlite';
import { PipelineError } from '../../errors.ts';
import { busyMillisMax } from '../limits.ts';

/** "FLKE": tells our files from any other SQLite database. */
const applicationId = 0x464c4b45;
/** Raised when the tables change; a file of a newer version is left alone. */
const formatVersion = 1;

/** SQLite's primary codes (the low byte of an extended one). */
const code = { busy: 5, locked: 6, readonly: 8, ioerr: 10, corrupt: 11, full: 13, cantopen: 14, protocol: 15, constraint: 19, notadb: 26 } as const;
const ioerrFsync = 1034;
const ioerrDirFsync = 1290;
const ioerrShmSize = 4874;

/** Thrown where the kernel could not write through: what is on disk is unknown from here on, the process must end. */
export class FsyncFailed extends Error {}

/** Creates the tables of a file that does not exist yet. Page size and vacuum mode can only be said here. */
export function createDatabase(file: string, tables: string, pageBytes: number): void {
  guarded(file, () => {
    const db = new DatabaseSync(file, { timeout: busyMillisMax });
    try {
      db.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA synchronous = FULL`);
      const { journal_mode: mode } = db.prepare('PRAGMA journal_mode = WAL').get() as { journal_mode: string };
      if (mode !== 'wal')
        throw new PipelineError(
          'log_unavailable',
          `${file}: the file system has no shared memory maps (SQLite answers journal mode ${mode}, not wal); put the data on a local disk`,
        );
      db.exec(`BEGIN IMMEDIATE; PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${formatVersion}; ${tables}; COMMIT`);
    } finally {
      db.close();
    }
  });
}

export interface OpenOptions {
  /** Every commit is on disk (FULL). Without it a power loss may take the last commits, never the file's sense. */
  readonly durable: boolean;
  /** Pages in the write-ahead file after which a commit moves them; 0 where the caller does that itself. */
  readonly checkpointPages: number;
}

export function openDatabase(file: string, options: OpenOptions): DatabaseSync {
  return guarded(file, () => {
    const db = new DatabaseSync(file, { timeout: busyMillisMax, enableForeignKeyConstraints: false });
    try {
      const found = db
        .prepare('SELECT (SELECT application_id FROM pragma_application_id) AS id, (SELECT user_version FROM pragma_user_version) AS version')
        .get() as { id: number; version: number };
      if (found.id !== applicationId) throw corrupt(file, 'it is not a log of Flamelake');
      if (found.version > formatVersion) {
        throw new PipelineError(
          'log_corrupt',
          `${file}: written by a newer Flamelake (format ${found.version}, this one reads ${formatVersion}); run that version`,
        );
      }
      const synchronous = options.durable ? 'FULL' : 'NORMAL';
      // The write-ahead file is cut when it starts anew.
      db.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA wal_autocheckpoint = ${options.checkpointPages}; PRAGMA journal_size_limit = 0`);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** Runs `work` in one write transaction. */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // After some errors (disk full) SQLite has rolled back already.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** Runs `work` on one state of the file, whatever others commit meanwhile. */
export function snapshot<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN');
  try {
    return work();
  } finally {
    if (db.isTransaction) db.exec('COMMIT');
  }
}

/** Runs `work` and turns SQLite's errors into PipelineError (or FsyncFailed). */
export function guarded<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw pipelineError(file, error);
  }
}

function pipelineError(file: string, error: unknown): unknown {
  const errcode = (error as { errcode?: unknown } | null)?.errcode;
  if (typeof errcode !== 'number') return error;
  const text = (error as Error).message;
  const make = (to: 'log_full' | 'log_unavailable', what: string) => new PipelineError(to, `${file}: ${what}`, { cause: error, context: { file, errcode } });
  if (errcode === ioerrFsync || errcode === ioerrDirFsync) return new FsyncFailed(`${file}: fsync failed (${text})`);
  if (errcode === ioerrShmSize) return make('log_full', 'the disk is full; free some space');
  switch (errcode & 0xff) {
    case code.busy:
    case code.locked:
    case code.protocol:
      return make('log_unavailable', `another process has held it for more than ${busyMillisMax / 1000} s`);
    case code.full:
      return make('log_full', 'the disk is full; free some space');
    case code.readonly:
      return make('log_unavailable', 'the file is read-only; make the directory writable');
    case code.cantopen:
      return make('log_unavailable', 'cannot be opened; check that the directory exists and may be written');
    case code.ioerr:
      return make('log_unavailable', `the disk answers with an error (${text}, SQLite ${errcode})`);
    case code.corrupt:
    case code.notadb:
    // An offset that is taken: the counters and the records do not belong together.
    case code.constraint:
      return corrupt(file, text, error);
    default:
      return error;
  }
}

export function corrupt(file: string, what: string, cause?: unknown): PipelineError {
  return new PipelineError('log_corrupt', `${file}: damaged (${what}); stop Flamelake and move the file away, what it held and was not yet published is lost`, {
    cause,
    context: { file },
  });
}

// The embedded log's directory:
//   topics/<topic>.db   one SQLite file per topic        positions.db   remembered positions
//   wake/<topic>        written over after a commit      members.db     who holds which share
// Files are made complete under another name and then linked to their own, so that nobody ever opens
// half of one and two processes that make the same file end with one.
import { randomUUID } from 'node:crypto';
import { accessSync, closeSync, constants, fsyncSync, linkSync, openSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import { type ErrorCode, PipelineError } from '../../errors.ts';
import { requireLocalFileSystem } from '../../filesystem.ts';
import { makeFolder } from '../../make-folder.ts';
import { draftAgeMillisMax, topicNamePattern } from '../limits.ts';
import { memberTables } from './members.ts';
import { positionTables } from './positions.ts';
import { createDatabase, FsyncFailed } from './sqlite.ts';
import { TopicFile } from './topic-file.ts';

export class LogFiles {
  readonly directory: string;
  readonly #diskReserveBytes: number;

  constructor(directory: string, diskReserveBytes: number) {
    this.directory = directory;
    this.#diskReserveBytes = diskReserveBytes;
  }

  /** Makes what is missing; throws where this place can't carry a log. */
  prepare(): void {
    fileErrors(this.directory, () => {
      makeFolder(path.join(this.directory, 'topics'), syncFolder);
      accessSync(this.directory, constants.W_OK);
      requireLocalFileSystem(this.directory, 'an embedded log');
      for (const folder of [this.directory, path.join(this.directory, 'topics')]) sweepDrafts(folder);
      this.#makeOnce(this.positions, (file) => createDatabase(file, positionTables, 4096));
      this.#makeOnce(this.members, (file) => createDatabase(file, memberTables, 4096));
    });
  }

  get positions(): string {
    return path.join(this.directory, 'positions.db');
  }

  get members(): string {
    return path.join(this.directory, 'members.db');
  }

  topic(name: string): string {
    if (!topicNamePattern.test(name))
      throw new PipelineError('usage', `topic name ${JSON.stringify(name)}: 1-200 letters, digits, '.', '_', '-' are allowed, no '.' in front`);
    return path.join(this.directory, 'topics', `${name}.db`);
  }

  makeTopic(name: string): void {
    fileErrors(this.directory, () => this.#makeOnce(this.topic(name), (file) => TopicFile.create(name, file)));
  }

  /** Tells a file from one that was made anew under its name; null where there is none. */
  inode(file: string): number | null {
    return statSync(file, { throwIfNoEntry: false })?.ino ?? null;
  }

  /** What the log takes on disk now, write-ahead files and free pages included. */
  bytes(): number {
    let bytes = 0;
    for (const folder of [this.directory, path.join(this.directory, 'topics')]) {
      for (const name of readdirSync(folder)) {
        const found = statSync(path.join(folder, name), { throwIfNoEntry: false });
        if (found?.isFile()) bytes += found.size;
      }
    }
    return bytes;
  }

  walBytes(file: string): number {
    return statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Room that the file system has for us beyond the reserve. */
  roomBytes(): number {
    const { bavail, bsize } = statfsSync(this.directory);
    return bavail * bsize - this.#diskReserveBytes;
  }

  #makeOnce(file: string, make: (file: string) => void): void {
    if (this.inode(file) !== null) return;
    const folder = path.dirname(file);
    const draft = path.join(folder, `.${path.basename(file)}.${randomUUID()}`);
    try {
      make(draft);
      try {
        linkSync(draft, file);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      // Also where another process was first: it may die before its own sync.
      syncFolder(folder);
    } finally {
      for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(draft + suffix, { force: true });
    }
  }
}

/** Drafts of processes that died while they made a file, which takes milliseconds. */
function sweepDrafts(folder: string): void {
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    const found = name.startsWith('.') ? statSync(file, { throwIfNoEntry: false }) : undefined;
    if (found?.isFile() && Date.now() - found.mtimeMs > draftAgeMillisMax) rmSync(file, { force: true });
  }
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } catch (error) {
    // EINVAL: this file system has no such thing, which is no failed write.
    if ((error as NodeJS.ErrnoException).code === 'EINVAL')
      throw new PipelineError('log_unavailable', `${folder}: the file system can't sync folders; put the data on a local disk`);
    throw new FsyncFailed(`${folder}: fsync failed (${(error as Error).message})`);
  } finally {
    closeSync(handle);
  }
}

function fileErrors<T>(directory: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    const make = (to: ErrorCode, what: string) => new PipelineError(to, `${directory}: ${what}`, { cause: error });
    if (code === 'EROFS') throw make('log_unavailable', 'the file system is read-only; the log needs one that can be written');
    if (code === 'ENOSPC' || code === 'EDQUOT') throw make('log_full', 'the disk is full; free some space');
    // VFAT says EPERM, others that they don't know the call.
    if (syscall === 'link')
      throw make('log_unavailable', `the file system has no hard links (${code}); put the data on a local disk that has (ext4, xfs, btrfs)`);
    if (code === 'EACCES' || code === 'EPERM') throw make('rights_missing', 'may not be written by this user; change its owner or choose another');
    if (code === 'ENOTDIR' || code === 'EEXIST') throw make('usage', "a file stands where the log's directory should be");
    throw error;
  }
}

// One `flamelake up` per data directory. The lock is flock(2) on DIR/lock: it belongs to the open file,
// so the kernel frees it at any death of its holder and there is no stale lock to judge. POSIX locks
// (and so SQLite's) would be lost as soon as anything in the process closed another descriptor of the
// file. Node opens files close-on-exec, so children do not hold it on. Readers take no lock.
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { PipelineError } from './errors.ts';
import { flock, lastErrno } from './libc.ts';
import { makeFolder } from './make-folder.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

export interface DataLock {
  release(): void;
}

/** Throws data_locked, naming the directory and its holder, where somebody else has it. */
export async function lockDataDirectory(dir: string): Promise<DataLock> {
  const file = path.join(dir, 'lock');
  const handle = openLockFile(dir, file);
  try {
    take(dir, file, handle);
    // For the message of whoever comes second; the lock itself does not depend on it.
    ftruncateSync(handle);
    writeSync(handle, `${process.pid}\n`, 0);
  } catch (error) {
    closeSync(handle);
    throw error;
  }
  let held = true;
  return {
    release() {
      if (held) closeSync(handle);
      held = false;
    },
  };
}

function openLockFile(dir: string, file: string): number {
  try {
    makeFolder(dir);
    return openSync(file, constants.O_RDWR | constants.O_CREAT, 0o644);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') {
      throw new PipelineError(
        'rights_missing',
        `data directory ${dir}: may not be written by this user (${message}); change its owner or choose another with --data`,
        { cause: error },
      );
    }
    throw new PipelineError(
      code === 'EROFS' ? 'store_readonly' : 'usage',
      `data directory ${dir}: can't be used (${message}); choose a directory on a disk that can be written with --data`,
      {
        cause: error,
      },
    );
  }
}

function take(dir: string, file: string, handle: number): void {
  if (flock(handle, LOCK_EX | LOCK_NB) === 0) return;
  const errno = lastErrno();
  if (errno === 'EAGAIN' || errno === 'EWOULDBLOCK') {
    const pid = holder(file);
    const who = pid === null ? 'another process' : `process ${pid}`;
    throw new PipelineError('data_locked', `data directory ${dir} is in use by ${who}; stop it, or choose another directory with --data`, {
      context: { dir, pid },
    });
  }
  throw new PipelineError('usage', `data directory ${dir}: its file system has no file locks (flock answers ${errno}); put it on a local disk`);
}

/** The holder writes its pid right after it has the lock; in the moment between, it has no name yet. */
function holder(file: string): number | null {
  const pid = Number.parseInt(readFileSync(file, 'latin1'), 10);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
}

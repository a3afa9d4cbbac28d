// Where the data directory of a fault run lies. As root on Linux with loop devices: a small ext4 of its
// own in a file. That file holds exactly what the file system was told to make durable (and what it
// wrote on its own), so a copy of it is what a power loss leaves. Elsewhere an ordinary folder.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface Disk {
  /** For --data. */
  readonly dataDir: string;
  /** Why it is no file system of its own; null where it is. */
  readonly lack: string | null;
  /** Takes room away until so many bytes are left. */
  fill(leftBytes: number): void;
  /** Gives it back. */
  empty(): void;
  /** As the kernel does it after an error that it can't go on with: writes are refused from now on. */
  makeReadOnly(): void;
  /** Takes it away and brings it back as it was; nobody may have it open. */
  remount(): void;
  /** Copies what would be left by a power loss in this moment. */
  snapshot(): void;
  /** The snapshot takes the place of what is there; nobody may have it open. */
  restore(): void;
  /** `keep`: the image stays, to be looked at. */
  remove(keep: boolean): void;
}

const MiB = 2 ** 20;
/** Ten times what a run of a thousand faults needs; the file has holes. */
const diskBytes = 1024 * MiB;

const unmountAttemptsMax = 100;
const betweenAttemptsMillis = 100;

export function openDisk(folder: string): Disk {
  if (process.getuid?.() !== 0) return folderDisk(folder, 'needs root');
  try {
    return loopDisk(folder);
  } catch (error) {
    return folderDisk(folder, `no loop device or no ext4 here (${String((error as { stderr?: Buffer }).stderr ?? error).trim()})`);
  }
}

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });

function loopDisk(folder: string): Disk {
  const image = path.join(folder, 'disk.img');
  const copy = path.join(folder, 'snapshot.img');
  const mount = path.join(folder, 'disk');
  mkdirSync(mount);
  run('truncate', '-s', String(diskBytes), image);
  run('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image);
  const attach = () => run('mount', '-o', 'loop,errors=remount-ro', image, mount);
  const detach = () => unmount(mount);
  attach();
  const ballast = path.join(mount, 'ballast');
  return {
    dataDir: path.join(mount, 'data'),
    lack: null,
    fill: (leftBytes) => {
      const { bavail, bsize } = statfsSync(mount);
      const bytes = bavail * bsize - leftBytes;
      if (bytes > 0) run('fallocate', '-l', String(bytes), ballast);
    },
    empty: () => rmSync(ballast, { force: true }),
    makeReadOnly: () => writeFileSync(`/sys/fs/ext4/${deviceOf(mount)}/trigger_fs_error`, 'fault run'),
    remount: () => {
      detach();
      // After an error the file system wants to be looked at; the journal makes it whole.
      attach();
    },
    snapshot: () => void run('cp', '--sparse=always', image, copy),
    restore: () => {
      detach();
      renameSync(copy, image);
      attach();
    },
    remove: (keep) => {
      detach();
      if (keep) return;
      rmSync(mount, { recursive: true });
      rmSync(image);
      rmSync(copy, { force: true });
    },
  };
}

/** A process whose main thread has ended is told as gone, and its other threads hold their files a moment longer. */
function unmount(mount: string): void {
  for (let attempt = 1; ; attempt++) {
    try {
      run('umount', mount);
      return;
    } catch (error) {
      if (attempt === unmountAttemptsMax) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, betweenAttemptsMillis);
    }
  }
}

function deviceOf(mount: string): string {
  const line = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .find((each) => each.split(' ')[1] === mount);
  return path.basename(line!.split(' ')[0]!);
}

function folderDisk(folder: string, lack: string): Disk {
  const impossible = () => {
    throw new Error(`a disk of its own ${lack}`);
  };
  return {
    dataDir: path.join(folder, 'data'),
    lack,
    fill: impossible,
    empty: () => {},
    makeReadOnly: impossible,
    remount: impossible,
    snapshot: impossible,
    restore: impossible,
    remove: () => {},
  };
}

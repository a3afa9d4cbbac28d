// A file of somebody else's as a ByteSource. Its path may come from a process that we watch, so it may
// be a FIFO that blocks, a device that acts when it is opened, or a link to anywhere: the inode is
// looked at through O_PATH, which touches nothing, and only a regular file is then opened, by that very
// inode. A name can still lead to another file than the one mapped: whoever cares compares `identity`
// or the build id.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { PipelineError } from '../errors.ts';
import { type ByteSource, checkRange } from './source.ts';

export interface FileIdentity {
  readonly dev: bigint;
  readonly inode: bigint;
  readonly mtimeMillis: number;
  readonly bytes: number;
}

export interface FileSource extends ByteSource {
  readonly identity: FileIdentity;
  close(): void;
}

/** Linux; node:fs has no name for it. The same on x86-64 and arm64. */
const openPath = 0o10000000;
const openRead = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** Throws node's own error (ENOENT, EACCES, …) where it cannot be opened, `elf_malformed` where it is not a regular file. */
export function openFileSource(path: string): FileSource {
  const looked = openSync(path, openPath);
  try {
    const stat = fstatSync(looked, { bigint: true });
    if (!stat.isFile()) throw new PipelineError('elf_malformed', `${path}: found no regular file, expected an executable or library`);
    const file = openSync(`/proc/self/fd/${looked}`, openRead);
    return fileSource(path, file, { dev: stat.dev, inode: stat.ino, mtimeMillis: Number(stat.mtimeNs / 1_000_000n), bytes: Number(stat.size) });
  } finally {
    closeSync(looked);
  }
}

function fileSource(path: string, file: number, identity: FileIdentity): FileSource {
  const { bytes } = identity;
  return {
    bytes,
    identity,
    read(offset, length) {
      checkRange(bytes, offset, length);
      const buffer = Buffer.allocUnsafeSlow(length);
      for (let done = 0; done < length; ) {
        const count = readSync(file, buffer, done, length - done, offset + done);
        if (count === 0)
          throw new PipelineError('elf_malformed', `${path}: found its end at ${offset + done}, expected ${bytes} bytes; it was cut while it was read`);
        done += count;
      }
      return buffer;
    },
    close: () => closeSync(file),
  };
}

// Files of /proc, read whole up to a cap. They have no size beforehand and belong to processes that
// may end, or lie, while we read.
import { closeSync, openSync, readlinkSync, readSync } from 'node:fs';

const chunkBytes = 64 * 1024;
const chunk = Buffer.allocUnsafeSlow(chunkBytes);

export interface ProcFile {
  readonly bytes: Buffer;
  /** There was more than the cap. */
  readonly cut: boolean;
}

/** Null where the process is gone or the file may not be read. */
export function readProc(path: string, bytesMax: number): ProcFile | null {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return null;
  }
  try {
    const parts: Buffer[] = [];
    let length = 0;
    while (length < bytesMax) {
      const read = readSync(fd, chunk, 0, Math.min(chunkBytes, bytesMax - length), null);
      if (read === 0) return { bytes: Buffer.concat(parts, length), cut: false };
      parts.push(Buffer.from(chunk.subarray(0, read)));
      length += read;
    }
    return { bytes: Buffer.concat(parts, length), cut: readSync(fd, chunk, 0, 1, null) > 0 };
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

export function readProcLink(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

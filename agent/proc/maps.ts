// /proc/PID/maps: which file lies where in a process. Lines are
//   start-end perms offset major:minor inode   path
// with start, end, offset, major and minor in hex. The path is the process's own choice: it may hold
// spaces and, escaped by the kernel as \012, newlines.
import { executableMappingsMax, pathCharactersMax } from '../limits.ts';

export interface ExecutableMapping {
  readonly start: bigint;
  /** Exclusive. */
  readonly end: bigint;
  readonly fileOffset: bigint;
  /** major:minor as the kernel wrote it; of the file system, not always that of stat. */
  readonly device: string;
  /** 0 = no file. */
  readonly inode: bigint;
  /** File path, `[vdso]`, `[anon:…]`, or '' for memory without a name. */
  readonly path: string;
  /** The kernel says that the path leads to this file no more. */
  readonly deleted: boolean;
}

const deletedMark = ' (deleted)';

const newline = 10;
const space = 32;
const letterX = 120;
/** A path of 4,096 characters with each escaped, and what stands before it. */
const lineBytesMax = 4 * pathCharactersMax + 128;

/** Executable mappings by ascending address; what is not a line of maps is left out. Only lines of executable memory become text. */
export function parseMaps(bytes: Uint8Array): ExecutableMapping[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const mappings: ExecutableMapping[] = [];
  for (let at = 0; at < text.length && mappings.length < executableMappingsMax; ) {
    const newlineAt = text.indexOf(newline, at);
    const end = newlineAt < 0 ? text.length : newlineAt;
    // "start-end rwxp": the third letter after the first space.
    if (text[text.indexOf(space, at) + 3] === letterX) {
      const mapping = parseLine(text.toString('utf8', at, Math.min(end, at + lineBytesMax)));
      if (mapping) mappings.push(mapping);
    }
    at = end + 1;
  }
  return mappings;
}

function parseLine(line: string): ExecutableMapping | null {
  const match = /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) [r-][w-](x)[ps] ([0-9a-f]{1,16}) ([0-9a-f]+:[0-9a-f]+) (\d{1,20})(?: +(.*))?$/s.exec(line);
  if (!match) return null;
  const rawPath = (match[7] ?? '').slice(0, pathCharactersMax + deletedMark.length);
  const deleted = rawPath.endsWith(deletedMark);
  const start = BigInt(`0x${match[1]}`);
  const end = BigInt(`0x${match[2]}`);
  if (end <= start) return null;
  return {
    start,
    end,
    fileOffset: BigInt(`0x${match[4]}`),
    device: match[5]!,
    inode: BigInt(match[6]!),
    path: unescapePath(deleted ? rawPath.slice(0, -deletedMark.length) : rawPath),
    deleted,
  };
}

/** The kernel escapes newlines alone, as octal. */
function unescapePath(path: string): string {
  return path.includes('\\012') ? path.replaceAll('\\012', '\n') : path;
}

/** The mapping that holds an address; mappings ascend. */
export function mappingAt(mappings: readonly ExecutableMapping[], address: bigint): ExecutableMapping | null {
  let low = 0;
  let high = mappings.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (mappings[middle]!.end <= address) low = middle + 1;
    else high = middle;
  }
  const found = mappings[low];
  return found !== undefined && found.start <= address ? found : null;
}

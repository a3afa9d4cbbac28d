// What the data directory takes on disk, by its folders, and how much room there is. Looking costs a
// system call for each file and a lake has thousands, so it is looked at seldom, the larger the seldomer.
import { type Dirent, promises as fs } from 'node:fs';
import path from 'node:path';

export interface DataSize {
  /** Bytes of files under each folder of the data directory, files beside them under `other`. */
  readonly bytes: ReadonlyMap<string, number>;
  /** For an unprivileged user, as the stages count it. */
  readonly freeBytes: number;
}

/** Folders that are named even where they are not there yet; the rest of what is found counts as `other`. */
export const dataParts = ['log', 'lake', 'hot', 'commits', 'folds', 'digests', 'carry', 'staging', 'index', 'tmp', 'other'] as const;

export async function measureData(dir: string): Promise<DataSize> {
  const bytes = new Map<string, number>(dataParts.map((part) => [part, 0]));
  for (const entry of await entriesOf(dir)) {
    const isPart = entry.isDirectory() && bytes.has(entry.name);
    const part = isPart ? entry.name : 'other';
    const size = entry.isDirectory() ? await folderBytes(path.join(dir, entry.name)) : await fileBytes(path.join(dir, entry.name));
    bytes.set(part, bytes.get(part)! + size);
  }
  const { bavail, bsize } = await fs.statfs(dir);
  return { bytes, freeBytes: bavail * bsize };
}

async function folderBytes(dir: string): Promise<number> {
  let total = 0;
  for (const entry of await entriesOf(dir)) {
    const name = path.join(dir, entry.name);
    total += entry.isDirectory() ? await folderBytes(name) : await fileBytes(name);
  }
  return total;
}

/** Folders and files come and go while we look. */
const entriesOf = (dir: string): Promise<Dirent[]> => fs.readdir(dir, { withFileTypes: true }).catch(() => []);
const fileBytes = (file: string): Promise<number> =>
  fs.lstat(file).then(
    ({ size }) => size,
    () => 0,
  );

/** No more than this share of a CPU goes into looking, and no more often than this. */
const costShare = 0.005;
const betweenMillisMin = 1_000;

export interface DataWatch {
  /** The last measure; null before the first is there. Starts another one where that is old. */
  latest(): DataSize | null;
}

export function watchData(dir: string): DataWatch {
  let latest: DataSize | null = null;
  let nextMillis = 0;
  let isLooking = false;
  const look = async () => {
    isLooking = true;
    const start = performance.now();
    latest = await measureData(dir).catch(() => latest);
    const end = performance.now();
    nextMillis = end + Math.max(betweenMillisMin, (end - start) / costShare);
    isLooking = false;
  };
  return {
    latest() {
      if (!isLooking && performance.now() >= nextMillis) void look();
      return latest;
    },
  };
}

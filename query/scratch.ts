// Folders for what a query spills and what a server keeps merged: in the store's own tmp/, on the disk
// that was chosen for data (/tmp is memory on many hosts). They go when their owner closes them; what a
// process that was killed left behind goes when the next one starts: each folder has a file that its
// owner holds with flock(2), which the kernel frees at any death, in whatever container.
import { accessSync, closeSync, constants, openSync, type Stats, statfsSync } from 'node:fs';
import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { flock } from '../lib/libc.ts';
import type { Store } from '../lib/store/store.ts';
import { limits } from './limits.ts';

const LOCK_EX_NB = 2 | 4;
const lockName = 'lock';
const prefix = 'query-';
const draftPrefix = '.query-';

export interface Scratch {
  readonly folder: string;
  remove(): Promise<void>;
}

/** Where scratch folders of a store's readers are; the system's own place where this user may not write there. */
export function scratchPlace(store: Store): string {
  const place = path.join(path.dirname(store.locate('any')), 'tmp');
  try {
    accessSync(place, constants.W_OK | constants.X_OK);
    return place;
  } catch {
    return tmpdir();
  }
}

const swept = new Map<string, Promise<void>>();

export async function makeScratch(place: string): Promise<Scratch> {
  if (!swept.has(place))
    swept.set(
      place,
      sweepScratch(place).catch(() => {}),
    );
  await swept.get(place);
  // Locked before it has a name that a sweep looks at.
  const draft = await mkdtemp(path.join(place, `${draftPrefix}${process.pid}-`));
  const lock = openSync(path.join(draft, lockName), constants.O_RDWR | constants.O_CREAT, 0o600);
  flock(lock, LOCK_EX_NB);
  const folder = path.join(place, path.basename(draft).slice(1));
  await rename(draft, folder);
  return {
    folder,
    remove: async () => {
      await rm(folder, { recursive: true, force: true });
      closeSync(lock);
    },
  };
}

/** Removes what nobody holds any more. */
export async function sweepScratch(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    const folder = path.join(place, name);
    if (name.startsWith(prefix) ? isHeld(folder) : !(name.startsWith(draftPrefix) && isOld(await stat(folder)))) continue;
    await rm(folder, { recursive: true, force: true });
  }
}

function isHeld(folder: string): boolean {
  let lock: number;
  try {
    lock = openSync(path.join(folder, lockName), constants.O_RDWR);
  } catch (error) {
    // Half removed by a process that died meanwhile; of another user, or gone: not ours to take.
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
  try {
    return flock(lock, LOCK_EX_NB) !== 0;
  } finally {
    closeSync(lock);
  }
}

const isOld = ({ mtimeMs }: Stats) => Date.now() - mtimeMs > limits.scratchDraftMillisMax;

/** What one query may spill: never the room that the log and the exporter need to go on. */
export function spillRoom(place: string): number {
  const { bavail, bsize } = statfsSync(place);
  return Math.min(limits.spillBytesMax, Math.max(0, Math.floor((bavail * bsize - limits.diskKeptBytes) / 2)));
}

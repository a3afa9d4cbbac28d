// Folders for what a query spills and what a server keeps merged. They go when their owner closes them;
// what a process that was killed left behind goes when the next one starts.
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const prefix = 'flamelake-query-';
/** A live process of another container may look dead from here; its folders in use are younger than this. */
const abandonedMillis = 3_600_000;

let swept: Promise<void> | undefined;

export async function makeScratch(): Promise<string> {
  swept ??= sweepScratch(tmpdir(), Date.now()).catch(() => {});
  await swept;
  return mkdtemp(path.join(tmpdir(), `${prefix}${process.pid}-`));
}

export const removeScratch = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });

export async function sweepScratch(directory: string, nowMillis: number): Promise<void> {
  for (const name of await readdir(directory)) {
    const [, pid] = /^flamelake-query-(\d{1,10})-/.exec(name) ?? [];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const folder = path.join(directory, name);
    const { mtimeMs } = await stat(folder);
    if (nowMillis - mtimeMs > abandonedMillis) await removeScratch(folder);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

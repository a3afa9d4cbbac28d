// Files in the making lie in a directory of this process until the store has taken them. What an
// earlier process left there is of no use to anybody: its attempt is over.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Makes an empty directory for drafts below the exporter's own. */
export function prepareDrafts(indexDir: string): string {
  const drafts = path.join(indexDir, 'drafts');
  mkdirSync(drafts, { recursive: true });
  for (const name of readdirSync(drafts)) rmSync(path.join(drafts, name), { recursive: true, force: true });
  return drafts;
}

export function writeLocal(file: string, bytes: Uint8Array): void {
  writeFileSync(file, bytes, { flag: 'wx' });
}

/** A directory for one attempt; removed as a whole. */
export function attemptDirectory(drafts: string, attempt: string): string {
  const directory = path.join(drafts, attempt);
  mkdirSync(directory);
  return directory;
}

export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

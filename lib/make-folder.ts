// Makes a folder and what is missing above it, level by level: Node's own `recursive` answers ENOENT
// where the reason is a read-only disk.
import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';

/** `sync` puts the names in a folder on disk; it is called for each folder that got a new one. */
export function makeFolder(folder: string, sync: (folder: string) => void = () => {}, isRetry = false): void {
  const parent = path.dirname(folder);
  try {
    mkdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && parent !== folder && !isRetry) {
      makeFolder(parent, sync);
      // Once more and no more: some file systems (/proc) answer ENOENT to any mkdir.
      makeFolder(folder, sync, true);
      return;
    }
    // EEXIST for a folder is what we want; it is EROFS or EACCES on some file systems even then.
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
    throw error;
  }
  sync(parent);
}

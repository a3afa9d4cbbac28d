// Writing so that it survives power loss: fsync of files and of the folders that name them. A failed
// fsync ends the process (lib/fatal.ts says why), except where the file is a draft that nobody has seen.
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import { endProcess } from '../fatal.ts';
import { durableFoldersMax } from './limits.ts';

const noRoom = new Set(['ENOSPC', 'EDQUOT']);

/** Writes a new file; it is on disk when this returns, its name not yet. */
export async function writeDurable(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(bytes);
    await syncHandle(handle, file);
  } finally {
    await handle.close();
  }
}

export async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r');
  try {
    await syncHandle(handle, file);
  } finally {
    await handle.close();
  }
}

async function syncHandle(handle: FileHandle, file: string): Promise<void> {
  try {
    await handle.sync();
  } catch (error) {
    // Only now does the file system find no room for what it took: the put fails and its draft goes away.
    if (noRoom.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    endProcess(`${file}: fsync failed (${(error as Error).message})`);
  }
}

/** Makes folders and keeps in mind which are known to be on disk. */
export class DurableFolders {
  readonly #root: string;
  #known = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  /** Makes `folder` below the root; its name, and every one above it, is on disk when this returns. */
  async make(folder: string): Promise<void> {
    if (folder === this.#root || this.#known.has(folder)) return;
    const parent = path.dirname(folder);
    await this.make(parent);
    try {
      await mkdir(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    // Also where it was there: who made it may have died before its own sync.
    await this.sync(parent);
    if (this.#known.size >= durableFoldersMax) this.#known.clear();
    this.#known.add(folder);
  }

  forget(folder: string): void {
    this.#known.delete(folder);
  }

  /** Puts the names in a folder on disk. One that is gone (a delete took it) has none. */
  async sync(folder: string): Promise<void> {
    await withFolderOpen(folder, async (handle) => {
      try {
        await handle.sync();
      } catch (error) {
        endProcess(`${folder}: fsync failed (${(error as Error).message})`);
      }
    });
  }

  /** Throws where the file system can't sync a folder at all. */
  async probe(): Promise<void> {
    await withFolderOpen(this.#root, (handle) => handle.sync());
  }
}

async function withFolderOpen(folder: string, work: (handle: FileHandle) => Promise<void>): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(folder, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    await work(handle);
  } finally {
    await handle.close();
  }
}

// The store on a local directory. The conditional put is link(2): a finished, fsynced draft in tmp/
// gets its final name in one step, and only if that name is free (rename would replace). Whatever has
// a key is therefore whole and durable.
import { createHash, randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { copyFile, link, open, readdir, readFile, rename, rmdir, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { PipelineError } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import { listDirectory } from './directory-list.ts';
import { DurableFolders, syncFile, writeDurable } from './durable.ts';
import { checkKey, checkPrefix } from './keys.ts';
import { folderAttemptsMax, hashedTagBytesMax, listLimitDefault, listLimitMax, tmpAgeMillisMax } from './limits.ts';
import type { PutOutcome, Store, StoreBody, StoreEntry } from './store.ts';

export class DirectoryStore implements Store {
  readonly url: string;
  readonly #root: string;
  readonly #tmp: string;
  readonly #folders: DurableFolders;
  readonly #readOnly: boolean;
  /** Keys that are being replaced by this process; check and rename are two steps. */
  readonly #replacing = new Map<string, Promise<unknown>>();

  private constructor(root: string, readOnly: boolean) {
    this.url = pathToFileURL(root).href;
    this.#root = root;
    this.#tmp = path.join(root, 'tmp');
    this.#folders = new DurableFolders(root);
    this.#readOnly = readOnly;
  }

  static async open(root: string, readOnly: boolean): Promise<DirectoryStore> {
    const store = new DirectoryStore(root, readOnly);
    await store.#guarded('', () => (readOnly ? store.#mustBeThere() : store.#prepare()));
    return store;
  }

  putIfAbsent(key: string, body: StoreBody): Promise<PutOutcome> {
    return this.#writing(key, async (file) => {
      const draft = await this.#draft(body);
      try {
        const outcome = await this.#linkNew(draft, file);
        // A file system that sends a request again (NFS) finds its own link in the way. A file of the
        // caller may have been linked there before, so of it the inode says nothing.
        const mine = outcome === 'exists' && body instanceof Uint8Array && (await isSameFile(draft, file));
        return mine ? 'created' : outcome;
      } finally {
        await unlink(draft);
      }
    });
  }

  put(key: string, body: StoreBody): Promise<void> {
    return this.#writing(key, async (file) => {
      const draft = await this.#draft(body);
      await this.#renameOver(draft, file);
    });
  }

  /**
   * Between the check of the tag and the rename nobody else may write the key: within a process they
   * wait for each other, between processes the lock on the data directory keeps others out.
   */
  replace(key: string, body: StoreBody, tag: string): Promise<'replaced' | 'exists'> {
    return this.#writing(key, (file) =>
      this.#alone(key, async () => {
        const now = await tagOf(file);
        if (now === null) throw missing(key);
        if (now !== tag) return 'exists';
        await this.#renameOver(await this.#draft(body), file);
        return 'replaced';
      }),
    );
  }

  async publish(from: string, to: string): Promise<PutOutcome> {
    checkKey(from);
    return this.#writing(to, async (file) => {
      try {
        return await this.#linkNew(path.join(this.#root, from), file);
      } catch (error) {
        if (errno(error) === 'ENOENT') throw missing(from);
        throw error;
      }
    });
  }

  get(key: string, range?: { start: number; end: number }): Promise<Uint8Array | null> {
    return this.#reading(key, (file) => (range === undefined ? readWhole(file) : readRange(file, range)));
  }

  head(key: string): Promise<{ bytes: number; tag: string } | null> {
    return this.#reading(key, async (file) => {
      const tag = await tagOf(file);
      return tag === null ? null : { bytes: Number(tag.split('-', 1)[0]), tag };
    });
  }

  list(prefix: string, options: { after?: string; limit?: number } = {}): Promise<StoreEntry[]> {
    return this.#guarded(prefix, () => {
      checkPrefix(prefix);
      const limit = Math.min(options.limit ?? listLimitDefault, listLimitMax);
      return listDirectory(this.#root, { prefix, after: options.after ?? '', limit });
    });
  }

  delete(key: string): Promise<void> {
    return this.#writing(key, async (file) => {
      try {
        await unlink(file);
      } catch (error) {
        if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') return;
        throw error;
      }
      await this.#prune(path.dirname(file));
    });
  }

  locate(key: string): string {
    checkKey(key);
    return path.join(this.#root, key);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#replacing.values());
  }

  async #mustBeThere(): Promise<void> {
    const found = await stat(this.#root).catch(() => null);
    if (!found?.isDirectory()) throw new PipelineError('store_missing', `${this.#root}: there is no such directory; is it the right --data?`);
  }

  async #prepare(): Promise<void> {
    const made: string[] = [];
    makeFolder(this.#tmp, (folder) => made.push(folder));
    for (const folder of made) await this.#folders.sync(folder);
    await this.#folders.probe();
    await this.#probe();
    await this.#sweep();
  }

  /** Everything stands on link(2): a file system without it is found out here, not at the first record. */
  async #probe(): Promise<void> {
    const draft = this.#newDraft();
    const linked = path.join(this.#root, `.probe-${path.basename(draft)}`);
    await writeDurable(draft, new Uint8Array());
    try {
      await link(draft, linked);
      const again = await link(draft, linked).then(() => 'created', errno);
      if (again === 'EEXIST') return;
      throw new PipelineError(
        'store_unavailable',
        `${this.#root}: link(2) on a name that is taken answers ${again}, not EEXIST; put the data on another file system`,
      );
    } catch (error) {
      if (!['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(errno(error))) throw error;
      throw new PipelineError(
        'store_unavailable',
        `${this.#root}: the file system has no hard links (${errno(error)}); put the data on one that has (ext4, xfs, btrfs)`,
      );
    } finally {
      await unlink(linked).catch(() => {});
      await unlink(draft);
    }
  }

  /** Drafts of processes that died. By change time: a linked-in file of the caller may be older itself. */
  async #sweep(): Promise<void> {
    for (const name of await readdir(this.#tmp)) {
      const file = path.join(this.#tmp, name);
      const found = await stat(file).catch(() => null);
      if (found?.isFile() && Date.now() - found.ctimeMs > tmpAgeMillisMax) await unlink(file).catch(() => {});
    }
  }

  #newDraft(): string {
    return path.join(this.#tmp, `${process.pid}-${randomUUID()}`);
  }

  /** The body as a durable file in tmp/. */
  async #draft(body: StoreBody): Promise<string> {
    const draft = this.#newDraft();
    try {
      if (body instanceof Uint8Array) await writeDurable(draft, body);
      else await this.#takeFile(body.file, draft);
      return draft;
    } catch (error) {
      await unlink(draft).catch(() => {});
      throw error;
    }
  }

  async #takeFile(file: string, draft: string): Promise<void> {
    try {
      await link(file, draft);
    } catch (error) {
      // Another file system, or a file of another user (fs.protected_hardlinks).
      if (!['EXDEV', 'EPERM', 'EMLINK'].includes(errno(error))) throw error;
      await copyFile(file, draft, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    }
    await syncFile(draft);
  }

  /** Gives `file` the bytes of `from` if the name is free. Durable, also where somebody else was first. */
  async #linkNew(from: string, file: string): Promise<PutOutcome> {
    const outcome = await this.#withFolder(file, async () => {
      try {
        await link(from, file);
        return 'created' as const;
      } catch (error) {
        if (errno(error) !== 'EEXIST') throw error;
        if ((await stat(file).catch(() => null))?.isDirectory()) throw folderInTheWay(file);
        return 'exists' as const;
      }
    });
    await this.#folders.sync(path.dirname(file));
    return outcome;
  }

  async #renameOver(draft: string, file: string): Promise<void> {
    try {
      await this.#withFolder(file, () => rename(draft, file));
    } finally {
      // Still there after an error, or where both names were links to one file (rename then does nothing).
      await unlink(draft).catch(() => {});
    }
    await this.#folders.sync(path.dirname(file));
  }

  /** A delete, here or in another process, may take an empty folder away between making it and using it. */
  async #withFolder<T>(file: string, work: () => Promise<T>): Promise<T> {
    const folder = path.dirname(file);
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#folders.make(folder);
        return await work();
      } catch (error) {
        // It may also be the source of a publish that is missing; that shows by staying so.
        if (errno(error) !== 'ENOENT' || attempt === folderAttemptsMax) throw error;
        for (let gone = folder; gone !== this.#root; gone = path.dirname(gone)) this.#folders.forget(gone);
      }
    }
  }

  /** Takes folders away that a delete has left empty, up to those directly below the root. */
  async #prune(folder: string): Promise<void> {
    await this.#folders.sync(folder);
    if (folder === this.#root || path.dirname(folder) === this.#root) return;
    try {
      await rmdir(folder);
    } catch (error) {
      if (errno(error) === 'ENOENT') return;
      if (errno(error) === 'ENOTEMPTY' || errno(error) === 'EEXIST') return;
      throw error;
    }
    this.#folders.forget(folder);
    await this.#prune(path.dirname(folder));
  }

  /** Runs after whatever replaces the same key in this process. */
  async #alone<T>(key: string, work: () => Promise<T>): Promise<T> {
    const mine = (this.#replacing.get(key) ?? Promise.resolve()).then(work, work);
    this.#replacing.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#replacing.get(key) === mine) this.#replacing.delete(key);
    }
  }

  #writing<T>(key: string, work: (file: string) => Promise<T>): Promise<T> {
    return this.#guarded(key, async () => {
      checkKey(key);
      if (this.#readOnly) throw new PipelineError('store_readonly', `${this.#root}: opened for reading only, ${key} can't be written`);
      return work(path.join(this.#root, key));
    });
  }

  #reading<T>(key: string, work: (file: string) => Promise<T>): Promise<T | null> {
    return this.#guarded(key, async () => {
      checkKey(key);
      try {
        return await work(path.join(this.#root, key));
      } catch (error) {
        if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errno(error))) return null;
        throw error;
      }
    });
  }

  async #guarded<T>(key: string, work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw pipelineError(this.#root, key, error);
    }
  }
}

/**
 * bytes-sha256 for small objects. For large ones bytes-inode-mtime: an inode is used again only after
 * the version between was written too, and three writes of over 1 MiB with their syncs do not fit into
 * one tick of the file clock. (The change time is no part: unlinking the staged name changes it.)
 */
async function tagOf(file: string): Promise<string | null> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') return null;
    throw error;
  }
  try {
    const found = await handle.stat({ bigint: true });
    if (!found.isFile()) return null;
    if (found.size > hashedTagBytesMax) return `${found.size}-${found.ino}-${found.mtimeNs}`;
    return `${found.size}-${createHash('sha256')
      .update(await handle.readFile())
      .digest('hex')}`;
  } finally {
    await handle.close();
  }
}

async function isSameFile(a: string, b: string): Promise<boolean> {
  const [left, right] = await Promise.all([stat(a, { bigint: true }), stat(b, { bigint: true })]);
  return left.ino === right.ino && left.dev === right.dev;
}

async function readWhole(file: string): Promise<Uint8Array> {
  const { buffer, byteOffset, byteLength } = await readFile(file);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Bytes [start, end) as far as the object goes. */
async function readRange(file: string, { start, end }: { start: number; end: number }): Promise<Uint8Array> {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
    throw new PipelineError('usage', `range ${start}..${end}: whole numbers with 0 <= start <= end are allowed`);
  }
  const handle = await open(file, 'r');
  try {
    const { size } = (await handle.stat()) as Stats;
    const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start));
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  } finally {
    await handle.close();
  }
}

function errno(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

function folderInTheWay(file: string): PipelineError {
  return new PipelineError('key_invalid', `${file}: a folder has this name, so no object can`);
}

function missing(key: string): PipelineError {
  return new PipelineError('store_missing', `${key}: there is no such object`, { context: { key } });
}

function pipelineError(root: string, key: string, error: unknown): unknown {
  if (error instanceof PipelineError || errno(error) === '') return error;
  const make = (code: 'store_full' | 'store_readonly' | 'store_unavailable' | 'rights_missing' | 'key_invalid', what: string) =>
    new PipelineError(code, `${key === '' ? root : `${root}: ${key}`}: ${what}`, { cause: error, context: { key } });
  switch (errno(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return make('store_full', 'the disk is full; free some space');
    case 'EROFS':
      return make('store_readonly', 'the file system is read-only');
    case 'EACCES':
    case 'EPERM':
      return make('rights_missing', 'this user may not do that; change the owner of the directory');
    case 'ENOTDIR':
    case 'EISDIR':
      return make('key_invalid', 'an object and a folder would have the same name');
    case 'EXDEV':
      return make('store_unavailable', 'lies on another file system than tmp/ beside it; the store must be on one');
    case 'EINVAL':
      return make('store_unavailable', `the file system answers ${(error as Error).message}; put the data on one that can sync folders (ext4, xfs, btrfs)`);
    case 'ENAMETOOLONG':
      return make('key_invalid', 'the path is too long for this file system');
    default:
      return make('store_unavailable', `the file system answers ${(error as Error).message}; try later`);
  }
}

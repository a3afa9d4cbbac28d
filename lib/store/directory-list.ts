// Listing a directory tree in ascending byte order of the whole key, from a key on, without holding
// more names than the answer has.
import { lstat, opendir } from 'node:fs/promises';
import path from 'node:path';
import { compareKeys } from './keys.ts';
import { statsAtOnce } from './limits.ts';
import type { StoreEntry } from './store.ts';

export interface ListQuery {
  readonly prefix: string;
  /** Only keys above this one; '' is none. */
  readonly after: string;
  readonly limit: number;
}

export async function listDirectory(root: string, query: ListQuery): Promise<StoreEntry[]> {
  const slash = query.prefix.lastIndexOf('/');
  const keys: string[] = [];
  const entries: StoreEntry[] = [];
  for await (const key of keysBelow(root, query.prefix.slice(0, slash + 1), query)) {
    keys.push(key);
    if (keys.length < Math.min(statsAtOnce, query.limit - entries.length)) continue;
    entries.push(...(await entriesOf(root, keys.splice(0))));
    if (entries.length >= query.limit) return entries;
  }
  entries.push(...(await entriesOf(root, keys)));
  return entries;
}

/** Keys in `folder` ('' or ending in '/'). Folders are sorted with their '/', which makes the walk the keys' own order. */
async function* keysBelow(root: string, folder: string, query: ListQuery): AsyncGenerator<string> {
  let after = '';
  for (;;) {
    const { names, more } = await smallestNames(root, folder, after, query);
    for (const name of names) {
      if (name.endsWith('/')) yield* keysBelow(root, name, query);
      else yield name;
    }
    if (!more) return;
    // Folders may turn out empty, so the answer may need more names than its limit.
    after = names.at(-1)!;
  }
}

/** The first `limit` names of a folder behind `after` that may lead to keys asked for, as full keys. */
async function smallestNames(root: string, folder: string, after: string, query: ListQuery): Promise<{ names: string[]; more: boolean }> {
  let names: string[] = [];
  let more = false;
  const cut = () => {
    names.sort(compareKeys);
    more ||= names.length > query.limit;
    names = names.slice(0, query.limit);
  };
  for await (const name of namesIn(root, folder)) {
    if ((after !== '' && compareKeys(name, after) <= 0) || !mayHold(name, query)) continue;
    names.push(name);
    if (names.length >= 2 * query.limit + 1024) cut();
  }
  cut();
  return { names, more };
}

function mayHold(name: string, { prefix, after }: ListQuery): boolean {
  if (!name.endsWith('/')) return name.startsWith(prefix) && compareKeys(name, after) > 0;
  return (name.startsWith(prefix) || prefix.startsWith(name)) && (compareKeys(name, after) > 0 || after.startsWith(name));
}

/** Files and folders (with a '/' behind) that are the store's business. A folder that is gone has none. */
async function* namesIn(root: string, folder: string): AsyncGenerator<string> {
  try {
    for await (const entry of await opendir(path.join(root, folder), { bufferSize: 512 })) {
      if (entry.name.startsWith('.') || (folder === '' && entry.name === 'tmp')) continue;
      if (entry.isDirectory()) yield `${folder}${entry.name}/`;
      else if (entry.isFile()) yield folder + entry.name;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
  }
}

/** Without those that were deleted meanwhile. */
async function entriesOf(root: string, keys: readonly string[]): Promise<StoreEntry[]> {
  const found = await Promise.all(
    keys.map(async (key) => {
      try {
        const { size, mtimeMs } = await lstat(path.join(root, key));
        return { key, bytes: size, modifiedMillis: mtimeMs };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
    }),
  );
  return found.filter((entry) => entry !== null);
}

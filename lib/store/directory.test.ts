// The store on a directory: the common suite, and what only it promises (kill -9, links, full and
// read-only disks, what other programs see).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { listDirectory } from './directory-list.ts';
import { compareKeys } from './keys.ts';
import { tmpAgeMillisMax } from './limits.ts';
import { openStore } from './open.ts';
import { storeSuite } from './suite.ts';

storeSuite('the directory', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'flamelake-store-'));
  const url = pathToFileURL(directory).href;
  return {
    store: await openStore(url),
    second: () => openStore(url),
    cleanup: async () => rmSync(directory, { recursive: true }),
  };
});

let directory: string;
let url: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'flamelake-store-'));
  url = pathToFileURL(directory).href;
});
afterEach(() => rmSync(directory, { recursive: true }));

const bytes = (text: string) => new TextEncoder().encode(text);
const tmpNames = () => readdirSync(path.join(directory, 'tmp'));

test('objects are plain files under their key, and drafts leave nothing behind', async () => {
  const store = await openStore(url);
  await store.putIfAbsent('lake/samples/date=2026-11-24/x.parquet', bytes('rows'));
  await store.putIfAbsent('lake/samples/date=2026-11-24/x.parquet', bytes('late'));
  await store.put('hot/a', bytes('1'));
  await store.replace('hot/a', bytes('2'), 'stale');
  expect(store.locate('hot/a')).toBe(path.join(directory, 'hot/a'));
  expect(readFileSync(store.locate('lake/samples/date=2026-11-24/x.parquet'), 'utf8')).toBe('rows');
  expect(tmpNames()).toEqual([]);
});

test('publish links: no second copy on disk', async () => {
  const store = await openStore(url);
  await store.put('staging/a', bytes('rows'));
  await store.publish('staging/a', 'lake/a');
  expect(statSync(path.join(directory, 'lake/a')).ino).toBe(statSync(path.join(directory, 'staging/a')).ino);
});

test('a large object keeps its tag when its staged name goes away', async () => {
  const store = await openStore(url);
  await store.put('staging/a', new Uint8Array(2_000_000));
  await store.publish('staging/a', 'lake/a');
  const before = await store.head('lake/a');
  await store.delete('staging/a');
  expect(await store.head('lake/a')).toEqual(before);
});

test('a file of the caller is linked, not copied', async () => {
  const store = await openStore(url);
  writeFileSync(path.join(directory, 'tmp', 'mine'), 'rows');
  await store.put('staging/a', { file: path.join(directory, 'tmp', 'mine') });
  expect(statSync(path.join(directory, 'staging/a')).ino).toBe(statSync(path.join(directory, 'tmp', 'mine')).ino);
  expect(tmpNames()).toEqual(['mine']);
});

test('a file of the caller on another file system is copied', async () => {
  const other = mkdtempSync('/dev/shm/flamelake-body-');
  try {
    const store = await openStore(url);
    writeFileSync(path.join(other, 'file'), 'rows');
    expect(await store.putIfAbsent('a', { file: path.join(other, 'file') })).toBe('created');
    expect(readFileSync(path.join(directory, 'a'), 'utf8')).toBe('rows');
    expect(tmpNames()).toEqual([]);
  } finally {
    rmSync(other, { recursive: true });
  }
});

test('a missing file as body is an error and leaves nothing behind', async () => {
  const store = await openStore(url);
  await expect(store.put('a', { file: path.join(directory, 'missing') })).rejects.toMatchObject({ code: 'store_unavailable' });
  expect(tmpNames()).toEqual([]);
});

test('an object where a folder should be, and the other way round, is refused', async () => {
  const store = await openStore(url);
  await store.put('a/b', bytes('x'));
  await expect(store.put('a/b/c', bytes('y'))).rejects.toMatchObject({ code: 'key_invalid' });
  await expect(store.put('a', bytes('y'))).rejects.toMatchObject({ code: 'key_invalid' });
  await expect(store.putIfAbsent('a', bytes('y'))).rejects.toMatchObject({ code: 'key_invalid' });
  await expect(store.delete('a')).rejects.toMatchObject({ code: 'key_invalid' });
  expect(tmpNames()).toEqual([]);
});

test('what is no object is not listed: hidden names, tmp/, links, sockets', async () => {
  const store = await openStore(url);
  await store.put('a/b', bytes('x'));
  writeFileSync(path.join(directory, '.hidden'), '');
  writeFileSync(path.join(directory, 'a', '.b.swp'), '');
  writeFileSync(path.join(directory, 'tmp', 'draft'), '');
  symlinkSync('/etc', path.join(directory, 'a', 'link'));
  mkdirSync(path.join(directory, 'empty'));
  expect((await store.list('')).map((entry) => entry.key)).toEqual(['a/b']);
});

test('a delete takes emptied folders with it, but not those at the top', async () => {
  const store = await openStore(url);
  await store.put('lake/samples/date=2026-11-24/x', bytes(''));
  await store.put('lake/samples/date=2026-11-25/x', bytes(''));
  await store.delete('lake/samples/date=2026-11-24/x');
  expect(readdirSync(path.join(directory, 'lake/samples'))).toEqual(['date=2026-11-25']);
  await store.delete('lake/samples/date=2026-11-25/x');
  expect(readdirSync(path.join(directory, 'lake'))).toEqual([]);
});

test('drafts of dead processes are swept at open when they are old', async () => {
  await openStore(url);
  const tmp = path.join(directory, 'tmp');
  writeFileSync(path.join(tmp, 'draft'), '');
  // A file of the caller that was finished long ago: its link here is young all the same.
  writeFileSync(path.join(directory, 'finished'), '');
  utimesSync(path.join(directory, 'finished'), 0, 0);
  linkSync(path.join(directory, 'finished'), path.join(tmp, 'linked'));
  await openStore(url);
  expect(tmpNames().toSorted()).toEqual(['draft', 'linked']);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + tmpAgeMillisMax + 60_000 });
  try {
    await openStore(url);
  } finally {
    vi.useRealTimers();
  }
  expect(tmpNames()).toEqual([]);
});

test('kill -9 in the middle of puts: each key holds its whole object or is not there', { timeout: 60_000 }, async () => {
  const size = 300_000;
  const script = (round: number) => `
    import { writeSync } from 'node:fs';
    const { openStore } = await import(${JSON.stringify(new URL('./open.ts', import.meta.url).href)});
    const store = await openStore(${JSON.stringify(url)});
    const writer = async (who) => {
      for (let index = 0; ; index++) {
        const key = 'lake/${round}/' + who + '-' + index;
        await store.putIfAbsent(key, new Uint8Array(${size}).fill(index % 256));
        writeSync(1, key + '\\n');
      }
    };
    for (let who = 0; who < 4; who++) writer(who);`;
  const acknowledged: string[] = [];
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let seen = 0;
    for await (const key of createInterface({ input: child.stdout })) {
      acknowledged.push(key);
      if (++seen === 5 + round * 7) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  const store = await openStore(url);
  const listed = await store.list('lake/', { limit: 10_000 });
  expect(new Set(listed.map((entry) => entry.key))).toEqual(new Set([...listed.map((entry) => entry.key), ...acknowledged]));
  for (const { key, bytes: found } of listed) {
    expect(found).toBe(size);
    const value = await store.get(key);
    expect(value!.every((byte) => byte === Number(key.split('-')[1]) % 256)).toBe(true);
  }
});

test('two processes that put and delete in one folder do not get into each other’s way', { timeout: 30_000 }, async () => {
  const script = `
    const { openStore } = await import(${JSON.stringify(new URL('./open.ts', import.meta.url).href)});
    const store = await openStore(${JSON.stringify(url)});
    for (let round = 0; round < 150; round++) {
      const key = 'a/b/' + process.pid + '-' + round;
      if ((await store.putIfAbsent(key, new Uint8Array(1))) !== 'created') throw new Error(key);
      await store.delete(key);
    }`;
  const children = [0, 1].map(() => spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'inherit'] }));
  expect(await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]))).toEqual([0, 0]);
  expect(await (await openStore(url)).list('')).toEqual([]);
});

describe('opening', () => {
  test('for reading only makes nothing and refuses writes', async () => {
    const store = await openStore(url, { readOnly: true });
    expect(readdirSync(directory)).toEqual([]);
    await expect(store.put('a', bytes('x'))).rejects.toMatchObject({ code: 'store_readonly' });
    await expect(store.delete('a')).rejects.toMatchObject({ code: 'store_readonly' });
    expect(await store.list('')).toEqual([]);
  });

  test('for reading only of what is not there is said clearly', async () => {
    await expect(openStore(`${url}/missing`, { readOnly: true })).rejects.toMatchObject({ code: 'store_missing', message: expect.stringContaining('--data') });
    expect(existsSync(path.join(directory, 'missing'))).toBe(false);
  });

  test('makes the directory', async () => {
    await openStore(`${url}/new/store`);
    expect(lstatSync(path.join(directory, 'new/store/tmp')).isDirectory()).toBe(true);
  });

  test.each(['s3://bucket/x', '/tmp/x', 'file://host/x', ''])('%j is refused with what is allowed', async (wrong) => {
    await expect(openStore(wrong)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('file:///absolute/directory') });
  });
});

test('pages of random trees are pages of the sorted keys', async () => {
  const random = randomNumbers(20261124);
  const part = () =>
    Array.from({ length: 1 + random(2) }, () => 'ab-.0'[random(5)])
      .join('')
      .replace(/^\./, 'c');
  for (let tree = 0; tree < 40; tree++) {
    const root = path.join(directory, `tree${tree}`);
    mkdirSync(root);
    for (let count = random(40); count > 0; count--) {
      const key = Array.from({ length: 1 + random(4) }, part).join('/');
      try {
        mkdirSync(path.dirname(path.join(root, key)), { recursive: true });
        writeFileSync(path.join(root, key), '');
      } catch {
        // A file where a folder should be, or the other way round.
      }
    }
    const all = readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (let round = 0; round < 30; round++) {
      const [prefix, after] = [0, 1].map(() => (random(3) === 0 ? '' : `${part()}${random(2) ? '/' : ''}${random(2) ? part() : ''}`)) as [string, string];
      const limit = 1 + random(6);
      const listed = (await listDirectory(root, { prefix, after, limit })).map((entry) => entry.key);
      const expected = all.filter((key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0).slice(0, limit);
      expect(listed, JSON.stringify({ tree, prefix, after, limit })).toEqual(expected);
    }
  }
});

/** Whole numbers below a bound, always the same ones for a seed (mulberry32). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

test('the order of keys is the order of their UTF-8 bytes', () => {
  const units = ['', 'a', 'b', '/', '.', '\u007f', 'é', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}'];
  const all = units.flatMap((first) => units.map((second) => first + second));
  for (const a of all) {
    for (const b of all) expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }
});

// lake.json over a real directory: made once, whoever comes first; what this code does not know is refused.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStore } from '../../lib/store/open.ts';
import type { Store } from '../../lib/store/store.ts';
import { ensureLakeSettings, type LakeSettings, readLakeSettings } from './settings.ts';

let directory: string;
let store: Store;
beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'lake-settings-'));
  store = await openStore(pathToFileURL(directory).href);
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});
const file = () => path.join(directory, 'lake.json');

test('sixteen stages that start together agree on one lake', async () => {
  expect(await readLakeSettings(store)).toBeNull();
  const all = await Promise.all(Array.from({ length: 16 }, (_unused, index) => ensureLakeSettings(store, { shards: index + 1 })));
  expect(new Set(all.map((settings) => settings.lakeId)).size).toBe(1);
  expect(await ensureLakeSettings(store, { shards: 99 })).toEqual(all[0]);
  expect(all[0]).toMatchObject({ version: 1, routing: 1, identity: 1 });
});

test('a put whose answer is lost is read back', async () => {
  const lying = {
    url: store.url,
    get: (key: string) => store.get(key),
    putIfAbsent: async (key: string, body: Uint8Array) => {
      await store.putIfAbsent(key, body);
      throw new Error('timeout');
    },
  } as unknown as Store;
  expect((await ensureLakeSettings(lying, { shards: 4 })).shards).toBe(4);
});

test('another version, a broken file, impossible values: one line that says what was found', async () => {
  const good = await ensureLakeSettings(store, { shards: 2 });
  const refused: [Partial<LakeSettings> | string, RegExp][] = [
    [{ version: 2 }, /version 2 was found, this flamelake knows 1/],
    [{ routing: 7 }, /routing 7 was found/],
    [{ identity: 0 }, /identity 0 was found/],
    [{ shards: 0 }, /shards is 0/],
    [{ shards: 1e9 }, /shards is 1000000000/],
    [{ lakeId: '../x' }, /lakeId/],
    ['{', /not JSON/],
    ['null', /not a JSON object/],
  ];
  for (const [change, message] of refused) {
    writeFileSync(file(), typeof change === 'string' ? change : JSON.stringify({ ...good, ...change }));
    await expect(ensureLakeSettings(store, { shards: 2 })).rejects.toThrow(message);
    await expect(ensureLakeSettings(store, { shards: 2 })).rejects.toMatchObject({ code: 'lake_version' });
  }
  expect(readFileSync(file(), 'utf8')).toBe('null');
});

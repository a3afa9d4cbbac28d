// What is put under hot/ is what the batch holds: the rows that were admitted, lost rows, nothing twice.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStore } from '../lib/store/open.ts';
import type { Store } from '../lib/store/store.ts';
import { decodeHot } from '../schemas/hot/codec.ts';
import { decodeRows } from '../schemas/rows/codec.ts';
import { hotObjects } from './hot-objects.ts';
import { ShardBuilder } from './shard-builder.ts';
import { encodedMessage, type PlainProfile, type PlainSample } from './testing.ts';

const noonMillis = 1_795_521_600_000; // 2026-11-24T12:00:00Z
const settings = { version: 1, lakeId: '0'.repeat(32), createdMillis: 0, shards: 1, routing: 1, identity: 1 };
let directory: string;
let store: Store;
let builder: ShardBuilder;

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'hot-objects-'));
  store = await openStore(pathToFileURL(path.join(directory, 'store')).href);
  builder = new ShardBuilder({ store, settings, shard: 0, indexDir: directory });
  await builder.load(null, 0, []);
});
afterEach(async () => {
  await builder.close();
  await store.close();
  rmSync(directory, { recursive: true });
});

const sample = (value: number): PlainSample => ({
  time: BigInt(noonMillis) * 1000n,
  value: BigInt(value),
  stack: { id: 'a'.repeat(32), frames: [{ function: 'main' }] },
  resource: { service_name: 's' },
});
const profile = (digest: number, ...values: number[]): PlainProfile => ({ digest: String(digest).padStart(32, '0'), samples: values.map(sample) });

function append(offset: number, from: number, profiles: readonly PlainProfile[]) {
  const value = encodedMessage({ from, to: from + 1, segments: [{ offset: from + 1, appendTimeMillis: noonMillis, profiles }] });
  return builder.append([{ offset, appendTimeMillis: noonMillis, value }]);
}

/** [offset in flamelake.rows, sample type, value] of all rows. */
async function takeRows(): Promise<(readonly [number, string, number])[]> {
  const objects = await builder.takeHot();
  return objects.flatMap(({ bytes }) =>
    decodeHot(bytes, 'hot').flatMap(({ offset, value, rows }) => {
      const { samples, types, strings } = decodeRows(value);
      const all = rows.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, index) => start + index));
      return all.map((row) => [offset, strings[types[samples.type[row]!]![0]]!, Number(samples.value[row])] as const);
    }),
  );
}

test('rows that came twice are left out, and what was lost is a row', async () => {
  await append(0, 0, [profile(1, 10, 11), profile(2, 12)]);
  // The second profile again among others, behind a gap of source messages.
  const { open } = await append(1, 5, [profile(3, 13), profile(2, 12), profile(4, 14)]);
  expect(open.hotBytes).toBeGreaterThan(100);
  expect(await takeRows()).toEqual([
    [0, 'cpu', 10],
    [0, 'cpu', 11],
    [0, 'cpu', 12],
    [1, 'lost', 4],
    [1, 'cpu', 13],
    [1, 'cpu', 14],
  ]);
  expect(await builder.takeHot()).toEqual([]);
});

test('a batch whose hot objects were not taken is not cut', async () => {
  await append(0, 0, [profile(1, 10)]);
  await expect(builder.cut()).rejects.toThrow('hot objects were not taken');
  await takeRows();
  await builder.cut();
});

test('offsets that objects cover already are left out', () => {
  const arrived = [3, 4, 5, 6, 7].map((offset) => ({ offset, messages: offset === 7 ? [] : [{ offset, value: Uint8Array.of(offset), rows: [] }] }));
  const taken = hotObjects(arrived, [{ from: 4, to: 5 }]).map(({ from, to, bytes }) => [from, to, decodeHot(bytes, 'hot').map(({ offset }) => offset)]);
  expect(taken).toEqual([
    [3, 4, [3]],
    [5, 8, [5, 6]],
  ]);
  expect(hotObjects(arrived.slice(4), [])).toEqual([]);
});

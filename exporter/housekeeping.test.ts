// What the sweeps may delete: never what a record names, nor what one may still name.
import { expect, test } from 'vitest';
import { digestsKey, lakeFileKey, recordKey, stagedName, stagingKey } from '../schemas/lake/paths.ts';
import { type CommitRecord, encodeRecord } from '../schemas/lake/record.ts';
import { putHistory } from '../test/model/history.ts';
import { MemoryStore } from '../test/model/memory-store.ts';
import { sweepSideObjects, sweepStaging } from './housekeeping.ts';
import { stagingKeptMillis, unsettledKeptMillis } from './limits.ts';
import { readHead } from './records.ts';

const start = Date.UTC(2026, 10, 24);
const nothing = new Uint8Array(1);

const staged = (seq: number, attempt: string) => stagingKey(attempt, stagedName(lakeFileKey('samples', '2026-11-24', 0, 12, seq, 0)));

test('what was made for a record whose number is still free is kept: it may be named by one that was stopped before its put', async () => {
  const store = new MemoryStore(() => start);
  putHistory(store, 0, 3, 'rows', start);
  for (const seq of [3, 4]) {
    await store.put(staged(seq, 'a'), nothing);
    await store.put(digestsKey(0, seq, 'a'), nothing);
  }
  const left = () => [...store.keys('staging/'), ...store.keys('digests/')];
  const sweep = async (nowMillis: number) => (await sweepStaging(store, 1, nowMillis)) + (await sweepSideObjects(store, 0, nowMillis));
  expect(await sweep(start + stagingKeptMillis)).toBe(0);
  expect(await sweep(start + stagingKeptMillis + 1)).toBe(2);
  expect(left()).toEqual([staged(4, 'a'), digestsKey(0, 4, 'a')]);

  // Another took the number: now nobody can name them.
  const head = (await readHead(store, 0))!;
  const next: CommitRecord = { ...head, seq: 4, attempt: 'b', digests: digestsKey(0, 4, 'b') };
  await store.put(digestsKey(0, 4, 'b'), nothing);
  await store.put(recordKey(0, 4), encodeRecord(next));
  expect(await sweep(start + stagingKeptMillis + 1)).toBe(2);
  expect(left()).toEqual([digestsKey(0, 4, 'b')]);
});

test('a shard that publishes nothing for a month keeps no staging for ever', async () => {
  const store = new MemoryStore(() => start);
  await store.put(staged(1, 'a'), nothing);
  expect(await sweepStaging(store, 1, start + unsettledKeptMillis)).toBe(0);
  expect(await sweepStaging(store, 1, start + unsettledKeptMillis + 1)).toBe(1);
});

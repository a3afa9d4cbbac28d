// Local files in place of hot objects: made once, merged after a while, and the rows are the same throughout.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Session } from './engine.ts';
import { HotCache } from './hot-cache.ts';
import { readSnapshot } from './lake-listing.ts';
import { limits } from './limits.ts';
import { allTime, plannedKeys, type SnapshotPlan } from './snapshot.ts';
import { FixtureLake, type Row, sampleRow, stackId, stackRow } from './testing-lake.ts';
import { samplesQuery, stacksQuery } from './views.ts';

let lake: FixtureLake;
let place: string;
let cache: HotCache;

beforeEach(async () => {
  lake = await FixtureLake.make();
  place = await mkdtemp(path.join(tmpdir(), 'hot-cache-'));
  cache = new HotCache({ store: lake.store, place, merges: true, logger: undefined });
});
afterEach(async () => {
  await cache.close();
  expect(await readdir(place)).toEqual([]);
  await rm(place, { recursive: true });
  await lake.remove();
});

const stack = stackRow(stackId(1), ['main']);
const sampleAt = (offset: number): readonly [number, Row] => [offset, sampleRow('2026-11-24T10:00:00', stackId(1), { thread_id: offset })];
const upTo = (end: number) => Array.from({ length: end }, (_, offset) => offset);

const plan = async () => cache.localize(await readSnapshot(lake.store, allTime));

/** Thread ids, which are the offsets, and the number of stacks. */
async function read(local: SnapshotPlan): Promise<{ threads: number[]; stacks: number }> {
  const locate = (key: string) => (key.startsWith('/') ? key : lake.path(key));
  const session = await Session.open({ files: plannedKeys(local).map(locate), timeoutMillis: limits.viewMillisMax, scratch: place });
  try {
    const reading = { plan: local, locate, uniform: true };
    const threads = await session.rows(`SELECT thread_id FROM (${samplesQuery(reading)}) ORDER BY 1`);
    const [stacks] = await session.rows(`SELECT count(*) FROM (${stacksQuery(reading)})`);
    return { threads: threads.map(([thread]) => Number(thread)), stacks: Number(stacks![0]) };
  } finally {
    await session.close();
  }
}

test('a file more for each question, until they are merged behind an answer', async () => {
  for (let offset = 0; offset < limits.hotMergeLeast; offset++) {
    await lake.hot(offset, offset + 1, [sampleAt(offset)], offset === 0 ? [[0, stack]] : []);
    const local = await plan();
    expect(local.samples.hot).toHaveLength(offset + 1);
    expect(local.stacks.hot).toHaveLength(1);
  }
  cache.offer(await readSnapshot(lake.store, allTime));
  while ((await plan()).samples.hot.length > 1) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await read(await plan())).toEqual({ threads: upTo(limits.hotMergeLeast), stacks: 1 });

  // The head moves on into what was merged, and a zombie's object lies over it.
  await lake.publish({ seq: 1, position: 10, samples: upTo(10).map((offset) => sampleAt(offset)[1]), stacks: [stack] });
  await lake.hot(24, 26, [sampleAt(24), sampleAt(25)]);
  await lake.hot(20, 22, [sampleAt(20), sampleAt(21)]);
  expect(await read(await plan())).toEqual({ threads: upTo(26), stacks: 1 });
  // When all is published, the files have no use.
  await lake.publish({
    seq: 2,
    position: 26,
    samples: upTo(26)
      .slice(10)
      .map((offset) => sampleAt(offset)[1]),
  });
  cache.offer(await readSnapshot(lake.store, allTime));
  const folder = path.join(place, (await readdir(place))[0]!);
  while ((await readdir(folder)).some((name) => name.startsWith('run-'))) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('objects that come with one question are one file, however many ask at once', async () => {
  for (let offset = 0; offset < 5; offset++) await lake.hot(offset, offset + 1, [sampleAt(offset)], [[offset, stack]]);
  const plans = await Promise.all([plan(), plan(), plan()]);
  expect(new Set(plans.flatMap((each) => each.samples.hot.map(({ key }) => key))).size).toBe(1);
  expect(await read(plans[2]!)).toEqual({ threads: upTo(5), stacks: 1 });
});

test('an object that goes away meanwhile fails the question, not the next one', async () => {
  const key = await lake.hot(0, 1, [sampleAt(0)], [[0, stack]]);
  const listed = await readSnapshot(lake.store, allTime);
  await lake.store.delete(key);
  await expect(cache.localize(listed)).rejects.toMatchObject({ code: 'store_missing' });
  expect((await plan()).samples.hot).toEqual([]);
});

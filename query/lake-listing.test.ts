import { afterAll, beforeAll, expect, test } from 'vitest';
import { listAll } from './lake-listing.ts';
import { FixtureLake } from './testing-lake.ts';

let lake: FixtureLake;
beforeAll(async () => {
  lake = await FixtureLake.make();
  await Promise.all(Array.from({ length: 1001 }, (_, index) => lake.store.put(`staging/${index}`, new Uint8Array())));
});
afterAll(() => lake.remove());

test('more names than are to be held end in one line, not in memory', async () => {
  expect(await listAll(lake.store, 'staging/', 1001)).toHaveLength(1001);
  await expect(listAll(lake.store, 'staging/', 999)).rejects.toMatchObject({ code: 'query_failed', message: expect.stringContaining('narrow it') });
});

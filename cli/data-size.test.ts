import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { until } from '../test/e2e/until.ts';
import { measureData, watchData } from './data-size.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'flamelake-size-'));
afterAll(() => rmSync(dir, { recursive: true }));

test('bytes are told by folder, links are not followed, strangers count as other', async () => {
  mkdirSync(path.join(dir, 'lake/samples/date=2026-01-01'), { recursive: true });
  mkdirSync(path.join(dir, 'strange'));
  writeFileSync(path.join(dir, 'lake/samples/date=2026-01-01/a'), 'x'.repeat(1000));
  writeFileSync(path.join(dir, 'lake/samples/b'), 'x'.repeat(10));
  writeFileSync(path.join(dir, 'strange/c'), 'x'.repeat(5));
  writeFileSync(path.join(dir, 'lock'), '12\n');
  symlinkSync('/', path.join(dir, 'lake/all'));
  const { bytes, freeBytes } = await measureData(dir);
  expect([bytes.get('lake')! - 1, bytes.get('other'), bytes.get('log')]).toEqual([1010, 8, 0]);
  expect(freeBytes).toBeGreaterThan(0);
});

test('a watch gives nothing at first, then what was found, also of a directory that goes away', async () => {
  const watch = watchData(dir);
  expect(watch.latest()).toBeNull();
  const found = await until('a measure', 10_000, () => watch.latest());
  expect(found.bytes.get('other')).toBe(8);
  expect((await measureData(path.join(dir, 'lake'))).bytes.get('other')).toBe(1011);
});

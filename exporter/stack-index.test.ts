import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { indexDatesMax } from './limits.ts';
import { StackIndex } from './stack-index.ts';

const id = (number: number) => number.toString(16).padStart(32, '0');
let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'stack-index-'));
  file = path.join(directory, 'index.sqlite');
});
afterEach(() => rmSync(directory, { recursive: true }));

test('keeps what it was given, with the record it reflects', () => {
  const index = new StackIndex(file, 'lake/0');
  index.complete(20_000);
  index.add(20_000, [id(1), id(2), id(2)]);
  index.advance(7, 'attempt-7');
  index.close();
  const again = new StackIndex(file, 'lake/0');
  expect([again.seq, again.attempt, [...again.dates]]).toEqual([7, 'attempt-7', [20_000]]);
  expect([again.has(20_000, id(1)), again.has(20_000, id(3)), again.has(20_001, id(1))]).toEqual([true, false, false]);
  again.close();
});

test('of another lake, or damaged: begins empty', () => {
  const index = new StackIndex(file, 'lake/0');
  index.complete(1);
  index.advance(3, 'a');
  index.close();
  const other = new StackIndex(file, 'other/0');
  expect([other.seq, other.dates.size]).toEqual([0, 0]);
  other.close();
  writeFileSync(file, Buffer.alloc(8192, 7));
  const damaged = new StackIndex(file, 'lake/0');
  expect(damaged.seq).toBe(0);
  damaged.close();
});

test('forgets the oldest dates beyond its bound', () => {
  const index = new StackIndex(file, 'lake/0');
  for (let date = 0; date < indexDatesMax + 3; date++) {
    index.complete(date);
    index.add(date, [id(date)]);
  }
  index.advance(1, 'a');
  expect([...index.dates].sort((a, b) => a - b)[0]).toBe(3);
  expect([index.has(2, id(2)), index.has(3, id(3))]).toEqual([false, true]);
  index.close();
});

test('a second exporter on the same file is told to have its own', () => {
  const index = new StackIndex(file, 'lake/0');
  expect(() => new StackIndex(file, 'lake/0')).toThrow(/directory of its own/);
  index.close();
});

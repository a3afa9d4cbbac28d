import { expect, test } from 'vitest';
import { KnownStacks } from './known-stacks.ts';

const id = (number: number, service = 1) => Uint32Array.of(service, number, number * 7, number >>> 1);

test('knows a stack for its date and shard alone', () => {
  const known = new KnownStacks(8);
  known.add(id(1), 20_000, 3);
  expect([known.has(id(1), 20_000, 3), known.has(id(1), 20_001, 3), known.has(id(1), 20_000, 2), known.has(id(2), 20_000, 3)]).toEqual([
    true,
    false,
    false,
    false,
  ]);
});

test('never takes one id for another, however many collide', () => {
  const known = new KnownStacks(4096);
  // One word of four decides the place: these all go to the same one.
  for (let number = 0; number < 2000; number++) known.add(Uint32Array.of(number, 5, 5, 5), 1, 0);
  for (let number = 0; number < 4000; number++) expect(known.has(Uint32Array.of(number, 5, 5, 5), 1, 0)).toBe(number < 2000);
});

test('forgets what was not asked for, keeps what was, and stays bounded', () => {
  const known = new KnownStacks(100);
  known.add(id(0), 1, 0);
  for (let number = 1; number < 1000; number++) {
    known.add(id(number), 1, 0);
    expect(known.has(id(0), 1, 0)).toBe(true);
  }
  const kept = Array.from({ length: 1000 }, (_, number) => known.has(id(number), 1, 0)).filter(Boolean).length;
  expect(kept).toBeGreaterThanOrEqual(100);
  expect(kept).toBeLessThanOrEqual(201);
  expect(known.has(id(999), 1, 0)).toBe(true);
});

test('does not know dates that it cannot tell apart', () => {
  const known = new KnownStacks(8);
  for (const date of [-1, 2 ** 20]) {
    known.add(id(1), date, 0);
    expect(known.has(id(1), date, 0)).toBe(false);
  }
});

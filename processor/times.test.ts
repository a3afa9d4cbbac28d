import { expect, test } from 'vitest';
import { dateOf, microsOf, timeText } from './times.ts';

test('microseconds are whole and exact', () => {
  for (const nanos of [0n, 1n, 999n, 1000n, 2n ** 32n - 1n, 2n ** 32n, 1_790_000_000_123_456_789n, 9_007_199_254_740_991_999n]) {
    expect(BigInt(microsOf(Number(nanos & 0xffffffffn), Number(nanos >> 32n)))).toBe(nanos / 1000n);
  }
});

test('dates change at midnight UTC', () => {
  expect([0, 86_399_999_999, 86_400_000_000, 1_790_000_000_000_000].map(dateOf)).toEqual([0, 0, 1, 20_717]);
});

test('text keeps the nanoseconds', () => {
  expect([0n, 1_790_000_000_000_000_001n, 2n ** 64n - 1n].map(timeText)).toEqual([
    '1970-01-01T00:00:00.000000000Z',
    '2026-09-21T14:13:20.000000001Z',
    '2554-07-21T23:34:33.709551615Z',
  ]);
});

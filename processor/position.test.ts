import { describe, expect, test } from 'vitest';
import { formatHints, type Hints, nothingSent, parseHints, sentTo, withSent } from './position.ts';

const hints: Hints = { logId: 'log', running: true, attempt: { offset: 7, count: 2 }, sent: { others: 6, shards: new Map([[3, -1]]) } };

test('hints come back as they were written', () => {
  expect(parseHints(formatHints(hints)!)).toEqual(hints);
  expect(parseHints(formatHints({ ...hints, attempt: null, sent: nothingSent })!)).toEqual({ ...hints, attempt: null, sent: nothingSent });
});

test.each([
  '',
  'null',
  '[]',
  '{"v":2}',
  '{"v":1}',
  '{"v":1,"logId":"l","running":true,"others":-2,"shards":[]}',
  '{"v":1,"logId":"l","running":true,"others":1,"shards":[[1]]}',
])('what is not ours is no hint: %s', (text) => {
  expect(parseHints(text)).toBe(null);
});

test('128 shards that all stand elsewhere fit, four thousand don’t', () => {
  const sent = (shards: number) => ({ others: 10 ** 12, shards: new Map(Array.from({ length: shards }, (_, shard) => [shard, 10 ** 12 - shard - 1])) });
  expect(formatHints({ ...hints, sent: sent(128) })).not.toBe(null);
  expect(formatHints({ ...hints, sent: sent(4096) })).toBe(null);
});

describe('after sends', () => {
  test('a shard that was not sent keeps its position', () => {
    const first = withSent(nothingSent, 3, 4, new Set([1]));
    expect([0, 1, 2].map((shard) => sentTo(first, shard))).toEqual([-1, 4, -1]);
    const second = withSent(first, 3, 9, new Set([0, 1]));
    expect([0, 1, 2].map((shard) => sentTo(second, shard))).toEqual([9, 9, -1]);
    expect([...second.shards]).toEqual([[2, -1]]);
    const none = withSent(second, 3, 12, new Set());
    expect([0, 1, 2].map((shard) => sentTo(none, shard))).toEqual([9, 9, -1]);
  });
});

// Frozen: a row's shard must stay a pure function of its stack id. Values computed by hand.
import { expect, test } from 'vitest';
import { routingVersion, shardOf } from './shard.ts';

test('version 1', () => expect(routingVersion).toBe(1));

test.each([
  ['00000000ffffffffffffffffffffffff', 8, 1, 0],
  ['00000009ffffffffffffffffffffffff', 8, 1, 1],
  // 0xffffffff mod 128 = 127; mod 7 = 4294967295 - 7 * 613566756 = 3
  ['ffffffff000000000000000000000000', 128, 1, 127],
  ['ffffffff000000000000000000000000', 7, 1, 3],
  ['ffffffff000000000000000000000000', 1, 1, 0],
  // spread: (127 + 0x0005 mod 4) mod 128 = 0
  ['ffffffff000500000000000000000000', 128, 4, 0],
  // (16 + 0xabcd mod 8) mod 32 = 16 + 5
  ['00000010abcd00000000000000000000', 32, 8, 21],
])('%s in %i shards, spread %i: %i', (id, shards, spread, expected) => {
  expect(shardOf(id, shards, spread)).toBe(expected);
});

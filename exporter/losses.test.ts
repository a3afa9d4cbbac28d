import { expect, test } from 'vitest';
import { lossReasons } from '../schemas/lake/lost.ts';
import { shardOf } from '../schemas/lake/shard.ts';
import { Batch } from './batch.ts';
import { addLostRow } from './losses.ts';

const loss = { reason: lossReasons.sourceGap, count: 3, attributes: { b: '2', a: '1' }, appendTimeMillis: 1_795_521_600_000, offset: 7 };

test('a lost row lies in the shard that its stack id gives, in every shard of a large lake', () => {
  for (let shard = 0; shard < 128; shard++) {
    const batch = new Batch();
    addLostRow(batch, loss, { shard, shards: 128, isKnown: () => false });
    expect(shardOf(batch.stackIdText(0), 128)).toBe(shard);
    expect(batch.strings[batch.serviceOfRow(0)]).toMatch(/^flamelake\.exporter(\.\d+)?$/);
  }
});

test('with one shard the id is always the same; the stack is stored once', () => {
  const batch = new Batch();
  for (let time = 0; time < 3; time++) addLostRow(batch, loss, { shard: 0, shards: 1, isKnown: () => false });
  expect([batch.rows, batch.stacks, batch.stackIds.length]).toEqual([3, 1, 1]);
  expect(batch.maps[batch.attributes.get(0)]!.map(({ key }) => key)).toEqual(['a', 'b', 'flamelake.lost.reason']);
  const known = new Batch();
  addLostRow(known, loss, { shard: 0, shards: 1, isKnown: () => true });
  expect([known.rows, known.stacks]).toEqual([1, 0]);
});

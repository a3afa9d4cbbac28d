// Losses as rows: which row, in which shard, and that a repetition of either kind is recognised.
import { describe, expect, test } from 'vitest';
import { PipelineError } from '../lib/errors.ts';
import type { LogRecord } from '../lib/log/log.ts';
import { shardOf } from '../schemas/lake/shard.ts';
import { decodeRows } from '../schemas/rows/codec.ts';
import type { RowsMessage } from '../schemas/rows/message.ts';
import { rejectedSamplesHeader } from '../schemas/topics.ts';
import { type Batch, buildBatch, type Decoded, decode } from './batch.ts';
import { KnownStacks } from './known-stacks.ts';
import { nothingSent } from './position.ts';
import { smallMessage } from './testing.ts';
import { plainRows } from './testing-rows.ts';

const arrival = 1_795_521_600_000;
const record = (offset: number, value: Uint8Array, headers: Record<string, string> = {}): LogRecord => ({
  offset,
  appendTimeMillis: arrival,
  key: null,
  value,
  headers,
});
const message = (headers: Record<string, string> = {}, offset = 0) => decode(record(offset, smallMessage({ timeMillis: arrival }), headers));
const dead = (offset: number): Decoded => ({
  record: record(offset, Uint8Array.of(255)),
  message: null,
  error: new PipelineError('message_malformed', 'found this, expected that'),
});

function batchOf(decoded: readonly Decoded[], shards = 1): Batch {
  const source = { logId: 'log-1', topic: 'otlp_profiles', partition: 3 };
  return buildBatch(decoded, { source, shards, sent: nothingSent, known: new KnownStacks(100), nameOf: () => null });
}
const messagesOf = (batch: Batch): RowsMessage[] => batch.messages.map(({ value }) => decodeRows(value));
const lost = (batch: Batch) =>
  messagesOf(batch)
    .flatMap(plainRows)
    .filter(({ type }) => type === 'lost/count');
const digests = (batch: Batch) => messagesOf(batch).flatMap(({ segments }) => segments.flatMap(({ profiles }) => profiles.map(({ digest }) => digest)));

describe('a message that is no rows', () => {
  test('is one row with its reason, its place and what was wrong', () => {
    const [row, ...more] = lost(batchOf([dead(7)]));
    expect(more).toEqual([]);
    expect(row).toMatchObject({
      time: BigInt(arrival) * 1000n,
      value: 1n,
      service_name: 'flamelake.processor',
      attributes: {
        'flamelake.lost.reason': 'message_malformed',
        'flamelake.lost.log_id': 'log-1',
        'flamelake.lost.topic': 'otlp_profiles',
        'flamelake.lost.partition': '3',
        'flamelake.lost.from': '7',
        'flamelake.lost.to': '7',
        'flamelake.lost.message': 'found this, expected that',
      },
    });
    expect(row!.stack).toMatchObject({ frames: [{ function: '[lost: message_malformed]' }] });
  });

  test('is told under its own source offset, in the shard of its stack, the same by every attempt', () => {
    const batch = batchOf([message(), dead(1), message({}, 2)], 16);
    for (const { shard, segments, stackIds } of messagesOf(batch)) {
      for (const id of stackIds) expect(shardOf(id, 16)).toBe(shard);
      if (segments.length === 1) expect(segments[0]!.offset).toBe(1);
    }
    expect(lost(batch)).toHaveLength(1);
    expect(digests(batchOf([dead(1)]))).toEqual(digests(batchOf([dead(1)])));
    expect(digests(batchOf([dead(1)]))).not.toEqual(digests(batchOf([dead(2)])));
  });
});

describe('what the receiver cut out of a message', () => {
  test('is a row beside the rows of the rest', () => {
    const batch = batchOf([message({ [rejectedSamplesHeader]: '12' })]);
    expect(lost(batch)).toMatchObject([{ value: 12n, count: 12n, attributes: { 'flamelake.lost.reason': 'rejected' } }]);
    expect(messagesOf(batch).flatMap(plainRows)).toHaveLength(2);
    expect(messagesOf(batch)[0]!.segments).toHaveLength(1);
  });

  test('is recognised when the client sends all of it again', () => {
    const first = digests(batchOf([message({ [rejectedSamplesHeader]: '12' })]));
    expect(digests(batchOf([message({ [rejectedSamplesHeader]: '12' }, 5)]))).toEqual(first);
    expect(new Set(first).size).toBe(2);
  });

  test('is only believed where it is a number', () => {
    for (const text of ['', '-1', '1e3', '99999999999', 'x']) expect(lost(batchOf([message({ [rejectedSamplesHeader]: text })]))).toEqual([]);
  });
});

// What lies in the log and the store: row messages, commit records and folds, digests, lake.json. A
// damaged one is a PipelineError that says so.
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { DigestEntries, DigestWindow, decodeDigests, encodeDigests } from '../../../exporter/digests.ts';
import { isPipelineError } from '../../../lib/errors.ts';
import type { Store } from '../../../lib/store/store.ts';
import { encodeFold, parseFold } from '../../../schemas/lake/fold.ts';
import { foldKey, foldRecords, lakeFileKey, stagingKey } from '../../../schemas/lake/paths.ts';
import { type CommitRecord, encodeRecord, parseRecord, recordVersion } from '../../../schemas/lake/record.ts';
import { lakeSettingsVersion, readLakeSettings } from '../../../schemas/lake/settings.ts';
import { routingVersion } from '../../../schemas/lake/shard.ts';
import { identityVersion } from '../../../schemas/lake/stack-id.ts';
import { below, type Random } from '../../../schemas/otlp/testing-data.ts';
import { RowsBuilder } from '../../../schemas/rows/builder.ts';
import { decodeRows, encodeRows } from '../../../schemas/rows/codec.ts';
import { type Json, mutateBytes, mutateJson } from '../mutate.ts';
import { refusedOr, type Target, type Verdict } from '../target.ts';

const headerBytes = 16;

function someRows(random: Random): Uint8Array {
  const builder = new RowsBuilder({ logId: 'l', topic: 't', partition: 0, shard: 0, routing: 1 });
  const resource = builder.addResource({ strings: { service_name: 's' }, attributes: builder.map([['k', 'v']]) });
  for (let segment = 0; segment < 3; segment++) {
    builder.beginSegment(segment, 1000 + segment);
    builder.beginProfile('b'.repeat(32));
    for (let row = below(random, 4); row > 0; row--) {
      const id = below(random, 1000).toString(16).padStart(32, '0');
      builder.addSample({
        time: BigInt(below(random, 1e9)),
        value: 1n,
        count: 1n,
        type: builder.type('cpu', 'nanoseconds'),
        stack: builder.stackId(id),
        resource,
      });
      builder.addStack({ id, date: 3 }, [{ function: 'f' }]);
    }
    builder.endProfile();
    builder.endSegment();
  }
  const bytes = encodeRows(builder.build(-1, 5));
  const payload = zstdDecompressSync(bytes.subarray(headerBytes));
  for (let flips = below(random, 4); flips > 0; flips--) payload[below(random, payload.length)] = below(random, 3) === 0 ? 0xff : below(random, 256);
  const whole = Buffer.concat([bytes.subarray(0, headerBytes), zstdCompressSync(payload)]);
  return below(random, 10) === 0 ? mutateBytes(whole, random) : whole;
}

function feedRowMessage(input: Uint8Array): Verdict {
  const message = refusedOr(() => decodeRows(input))?.value;
  if (message === undefined) return 'refused';
  // What was let through can be written and indexed.
  decodeRows(encodeRows(message));
  for (const index of message.samples.stack) if (message.stackIds[index]?.length !== 32) throw new Error('a sample whose stack has no id');
  return 'taken';
}

export const rowMessages: Target = { name: 'row-messages', shortRuns: 800, weight: 3000, open: async () => ({ make: someRows, feed: feedRowMessage }) };

const hex = (random: Random, digits: number): string => Array.from({ length: digits }, () => below(random, 16).toString(16)).join('');

function someRecord(random: Random, seq = 1 + below(random, 1000)): CommitRecord {
  const shard = below(random, 3);
  const uuid = hex(random, 32);
  const file = (table: 'samples' | 'stacks', part: number) => ({
    table,
    staging: stagingKey(uuid, `${part}.parquet`),
    key: lakeFileKey(table, '2026-11-24', shard, 10, seq, part),
    rows: below(random, 1e6),
    bytes: below(random, 1e9),
    sha256: hex(random, 64),
  });
  return {
    version: recordVersion,
    shard,
    seq,
    attempt: uuid,
    writer: 'host/1',
    createdMillis: 1_790_000_000_000,
    firstMillis: 1_790_000_000_000,
    logId: uuid,
    position: below(random, 1e6),
    clockMillis: 1_790_000_000_000,
    leaderEpoch: 0,
    highWaters: [{ logId: uuid, topic: 'otlp_profiles', partition: 0, offset: below(random, 1e6) }],
    files: [file('stacks', 0), file('samples', 0)],
    carry: below(random, 2) === 0 ? null : { samples: ['carry/a'], stacks: [], messages: ['carry/m'], rows: 3, dates: ['2026-11-23'], sinceMillis: 1 },
    digests: null,
    samples: 1,
    stacks: 1,
    duplicates: 0,
    losses: { queue_full: 1 },
  };
}

function someRecordBytes(random: Random): Uint8Array {
  let tree = JSON.parse(Buffer.from(encodeRecord(someRecord(random))).toString()) as Json;
  for (let changes = below(random, 3); changes > 0; changes--) tree = mutateJson(tree, random);
  const text = Buffer.from(JSON.stringify(tree));
  return below(random, 5) === 0 ? mutateBytes(text, random) : text;
}

export const records: Target = {
  name: 'commit-records',
  shortRuns: 1500,
  weight: 15_000,
  open: async () => ({
    make: someRecordBytes,
    feed: (input) => (refusedOr(() => encodeRecord(parseRecord(input, 'commits/000/000000000001.json'))) ? 'taken' : 'refused'),
  }),
};

export const folds: Target = {
  name: 'folds',
  shortRuns: 30,
  weight: 150,
  open: async () => ({
    make: (random) => {
      const shard = 1;
      const all = Array.from({ length: foldRecords }, (_, index) => ({ ...someRecord(random, index + 1), shard }));
      if (below(random, 3) === 0) return encodeFold(all);
      const tree = JSON.parse(zstdDecompressSync(encodeFold(all)).toString()) as Json;
      const changed = zstdCompressSync(JSON.stringify(mutateJson(tree, random)));
      return below(random, 4) === 0 ? mutateBytes(changed, random) : changed;
    },
    feed: (input) => (refusedOr(() => encodeFold(parseFold(input, foldKey(1, 1)))) ? 'taken' : 'refused'),
  }),
};

export const digests: Target = {
  name: 'digests',
  shortRuns: 1500,
  weight: 15_000,
  open: async () => ({
    make: (random) => {
      const entries = new DigestEntries();
      for (let count = below(random, 20); count > 0; count--) entries.add(hex(random, 32), 1_790_000_000_000 + below(random, 1e6));
      return mutateBytes(encodeDigests(entries), random, 2);
    },
    feed: (input) => {
      const entries = refusedOr(() => decodeDigests(input, 'digests/000/1.bin'))?.value;
      if (entries === undefined) return 'refused';
      const window = new DigestWindow();
      window.restore(entries);
      window.seen('0'.repeat(32), 1_790_000_000_000, 1_790_000_000_000 - 900_000);
      if (window.length > entries.length + 1) throw new Error(`${window.length} digests are remembered of ${entries.length}`);
      return 'taken';
    },
  }),
};

export const settings: Target = {
  name: 'lake-settings',
  shortRuns: 1500,
  weight: 15_000,
  open: async () => ({
    make: (random) => {
      const good = {
        version: lakeSettingsVersion,
        lakeId: hex(random, 32),
        createdMillis: 1,
        shards: 1 + below(random, 9),
        routing: routingVersion,
        identity: identityVersion,
      };
      const text = Buffer.from(JSON.stringify(below(random, 3) === 0 ? good : mutateJson(good, random)));
      return below(random, 4) === 0 ? mutateBytes(text, random) : text;
    },
    feed: async (input) => {
      const store: Pick<Store, 'url' | 'get'> = { url: 'file:///lake', get: async () => input };
      try {
        await readLakeSettings(store as Store);
        return 'taken';
      } catch (error) {
        if (isPipelineError(error)) return 'refused';
        throw error;
      }
    },
  }),
};

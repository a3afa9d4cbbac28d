// From whatever bytes lie in the topic to row messages: a PipelineError, or rows that decode again.
import { expect, test } from 'vitest';
import { isPipelineError } from '../lib/errors.ts';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { encodeProfilesData } from '../schemas/otlp/testing.ts';
import { below, seeded, someData } from '../schemas/otlp/testing-data.ts';
import { mutate } from '../schemas/otlp/testing-mutate.ts';
import { decodeRows } from '../schemas/rows/codec.ts';
import { type BatchTarget, buildBatch, decode, wantedSymbols } from './batch.ts';
import { KnownStacks } from './known-stacks.ts';
import { nothingSent } from './position.ts';
import { danglingStacks, keptSegments } from './testing.ts';

const runs = Number(process.env.FLAMELAKE_FUZZ_RUNS ?? 3_000);

test('mutated messages are refused as PipelineError or become sound rows', () => {
  const random = seeded(20_261_124);
  const target: BatchTarget = {
    source: { logId: 'l', topic: 't', partition: 0 },
    shards: 3,
    sent: nothingSent,
    known: new KnownStacks(100),
    nameOf: () => (random() < 0.5 ? null : 'named'),
  };
  let [taken, refused, rows] = [0, 0, 0];
  for (let run = 0; run < runs; run++) {
    const data = someData(random, {
      resources: 1 + below(random, 2),
      profilesPerScope: 2,
      samplesPerProfile: 4,
      attributesBy: random() < 0.5 ? 'plain' : 'reference',
    });
    let value = encodeProfilesData(data, { layout: random() < 0.5 ? 'v1.9' : 'v1.10', packed: random() < 0.8, dictionaryFirst: random() < 0.5 });
    try {
      for (let changes = below(random, 4); changes > 0; changes--) value = mutate(value, ProfilesDataSchema, random);
    } catch {
      // A first change on the bytes can make the fields of the second unreadable; one change will do.
    }
    const decoded = decode({ offset: run, appendTimeMillis: 1_790_000_100_000, key: null, value, headers: {} });
    if (!decoded.message) {
      expect(isPipelineError(decoded.error)).toBe(true);
      refused++;
      continue;
    }
    wantedSymbols(decoded.message);
    const batch = buildBatch([decoded], target);
    const messages = batch.messages.map((message) => decodeRows(message.value));
    for (const message of messages) expect(danglingStacks(keptSegments([message]))).toEqual([]);
    // Samples without an event are told by one row of their own.
    const lossRows = batch.counts.samplesEmpty > 0 ? 1 : 0;
    expect(messages.reduce((sum, message) => sum + message.samples.length, 0)).toBe(batch.counts.rows + lossRows);
    rows += batch.counts.rows;
    taken++;
  }
  expect(taken).toBeGreaterThan(runs / 4);
  expect(refused).toBeGreaterThan(runs / 20);
  expect(rows).toBeGreaterThan(runs);
});

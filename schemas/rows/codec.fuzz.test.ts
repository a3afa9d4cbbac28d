// Whatever lies in a partition: the reader answers with a message or a PipelineError.
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { isPipelineError } from '../../lib/errors.ts';
import { RowsBuilder } from './builder.ts';
import { decodeRows, encodeRows } from './codec.ts';

const runs = Number(process.env.FLAMELAKE_FUZZ_RUNS ?? 4000);

function seededRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function someMessage(random: (below: number) => number): Uint8Array {
  const builder = new RowsBuilder({ logId: 'l', topic: 't', partition: 0, shard: 0, routing: 1 });
  const resource = builder.addResource({ strings: { service_name: 's' }, attributes: builder.map([['k', 'v']]) });
  for (let segment = 0; segment < 3; segment++) {
    builder.beginSegment(segment, 1000 + segment);
    builder.beginProfile('b'.repeat(32));
    for (let row = random(4); row > 0; row--) {
      const id = random(1000).toString(16).padStart(32, '0');
      builder.addSample({ time: BigInt(random(1e9)), value: 1n, count: 1n, type: builder.type('cpu', 'nanoseconds'), stack: builder.stackId(id), resource });
      builder.addStack({ id, date: 3 }, [{ function: 'f' }]);
    }
    builder.endProfile();
    builder.endSegment();
  }
  return encodeRows(builder.build(-1, 5));
}

test('mutated messages never crash the reader', () => {
  const random = seededRandom(20_261_124);
  let read = 0;
  for (let run = 0; run < runs; run++) {
    const bytes = someMessage(random);
    const payload = zstdDecompressSync(bytes.subarray(16));
    for (let flips = 1 + random(4); flips > 0; flips--) payload[random(payload.length)] = random(3) === 0 ? 0xff : random(256);
    const whole = Buffer.concat([bytes.subarray(0, 16), zstdCompressSync(payload)]);
    if (random(10) === 0) whole[random(whole.length)] = random(256);
    try {
      const message = decodeRows(random(20) === 0 ? whole.subarray(0, random(whole.length)) : whole);
      read++;
      // What was let through can be written and indexed.
      decodeRows(encodeRows(message));
      for (const index of message.samples.stack) expect(message.stackIds[index]).toHaveLength(32);
    } catch (error) {
      if (!isPipelineError(error)) throw error;
    }
  }
  expect(read).toBeGreaterThan(runs / 20);
});

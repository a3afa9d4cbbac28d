// Whatever lies under hot/: the reader answers with messages inside of the bytes, or a PipelineError.
import { expect, test } from 'vitest';
import { isPipelineError } from '../../lib/errors.ts';
import { decodeHot, encodeHot, type HotMessage } from './codec.ts';

const runs = Number(process.env.FLAMELAKE_FUZZ_RUNS ?? 20_000);

function seededRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function someObject(random: (below: number) => number): Buffer {
  const messages = Array.from({ length: random(5) }, (_, index): HotMessage => {
    let end = 0;
    const rows = Array.from({ length: random(4) }, () => {
      const start = end + random(10);
      end = start + random(100);
      return { start, end };
    });
    return { offset: index * random(1000), value: Uint8Array.from({ length: random(40) }, () => random(256)), rows };
  });
  return Buffer.from(encodeHot(messages));
}

test('mutated objects never crash the reader', () => {
  const random = seededRandom(20_261_124);
  let read = 0;
  for (let run = 0; run < runs; run++) {
    let bytes: Uint8Array = someObject(random);
    for (let flips = random(4); flips > 0; flips--) bytes[random(bytes.length)] = [0, 1, 0xff, random(256)][random(4)]!;
    if (random(10) === 0) bytes = bytes.subarray(0, random(bytes.length + 1));
    try {
      const messages = decodeHot(bytes, 'hot/fuzz');
      read++;
      // What was let through is the whole object, and writes as it was read.
      expect(Buffer.compare(encodeHot(messages), bytes)).toBe(0);
    } catch (error) {
      if (!isPipelineError(error)) throw error;
      expect(error.message).not.toContain('\n');
    }
  }
  expect(read).toBeGreaterThan(runs / 10);
  expect(read).toBeLessThan(runs);
});

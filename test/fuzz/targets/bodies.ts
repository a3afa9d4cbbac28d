// Compressed bodies in every encoding that is taken: never more than the bound, never other bytes than
// an independent decoder gives, and nothing held afterwards.
import { createRequire } from 'node:module';
import { deflateSync, gunzipSync, gzipSync, inflateSync, zstdCompressSync } from 'node:zlib';
import { isPipelineError } from '../../../lib/errors.ts';
import { type ContentEncoding, contentEncodings, decompress } from '../../../receiver/decompress.ts';
import { createInFlight } from '../../../receiver/in-flight.ts';
import { createPermits } from '../../../receiver/permits.ts';
import { below, type Random } from '../../../schemas/otlp/testing-data.ts';
import { mutateBytes } from '../mutate.ts';
import type { Target, Verdict } from '../target.ts';

// It has no types.
const { compress: snappyCompress } = createRequire(import.meta.url)('snappyjs') as { compress(bytes: Buffer): Buffer };

const bytesMax = 64 * 1024;
const inFlight = createInFlight(2 * 1024 * 1024);
const largeDecodes = createPermits(1);

const encoders: Readonly<Record<ContentEncoding, (bytes: Buffer) => Uint8Array>> = {
  identity: (bytes) => bytes,
  gzip: (bytes) => gzipSync(bytes, { level: 1 }),
  deflate: (bytes) => deflateSync(bytes, { level: 1 }),
  zlib: (bytes) => deflateSync(bytes, { level: 1 }),
  zstd: zstdCompressSync,
  snappy: snappyCompress,
  // One uncompressed chunk whose checksum is mostly wrong; the readers of chunks come after it.
  'x-snappy-framed': (bytes) =>
    Buffer.concat([Buffer.from([0xff, 6, 0, 0, ...Buffer.from('sNaPpY'), 1, (bytes.length + 4) & 0xff, (bytes.length + 4) >>> 8, 0, 0, 0, 0, 0]), bytes]),
};

/** The encoding is the first byte. */
function someBody(random: Random): Uint8Array {
  const kind = below(random, contentEncodings.length);
  const length = below(random, 20) === 0 ? below(random, 4 * bytesMax) : below(random, 600);
  const plain = Buffer.alloc(length);
  // Runs of one byte: they compress well, so that some are bombs.
  for (let at = 0; at < length; at += 1 + below(random, 200)) plain.fill(below(random, 256), at);
  const encode = encoders[contentEncodings[kind]!];
  const body = below(random, 8) === 0 ? Buffer.concat([encode(plain), encode(plain)]) : encode(plain);
  return Buffer.concat([Buffer.from([kind]), mutateBytes(body, random, 3)]);
}

async function feedBody(input: Uint8Array): Promise<Verdict> {
  const encoding = contentEncodings[(input[0] ?? 0) % contentEncodings.length]!;
  const body = Buffer.from(input.subarray(1));
  const hold = inFlight.hold();
  // A copy: what it is decoded into is given back with the hold.
  const plain = await decompress(body, encoding, { bytesMax, hold, largeDecodes })
    .then((decoded) => Buffer.from(decoded))
    .catch((error: unknown) => {
      if (isPipelineError(error)) return null;
      throw error;
    });
  hold.release();
  if (inFlight.bytes !== 0) throw new Error(`${inFlight.bytes} bytes are still held`);
  if (plain === null) return 'refused';
  if (encoding !== 'identity' && plain.length > bytesMax) throw new Error(`${plain.length} bytes came out, at most ${bytesMax} may`);
  if (encoding === 'gzip' && !gunzipSync(body).equals(plain)) throw new Error('gzip: other bytes than the judge has');
  if ((encoding === 'deflate' || encoding === 'zlib') && !inflateSync(body).equals(plain)) throw new Error('deflate: other bytes than the judge has');
  return 'taken';
}

export const bodies: Target = { name: 'decompression', shortRuns: 500, weight: 1500, open: async () => ({ make: someBody, feed: feedBody }) };

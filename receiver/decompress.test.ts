import { createRequire } from 'node:module';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { isPipelineError } from '../lib/errors.ts';
import { below, seeded } from '../schemas/otlp/testing-data.ts';
import { type ContentEncoding, decompress } from './decompress.ts';
import { createInFlight } from './in-flight.ts';
import { decodedPartBytes, decoderBytes, decoderInputBytesMin, largeDecodeBytes, partBytesMax, streamsInBodyMax } from './limits.ts';
import { createPermits } from './permits.ts';

const { compress } = createRequire(import.meta.url)('snappyjs') as { compress(bytes: Uint8Array): Uint8Array };

const mebibyte = 1024 * 1024;
const random = seeded(5);
const text = Buffer.from(Array.from({ length: 60_000 }, () => ['main', 'spin', 'libc.so.6', '\n'][below(random, 4)]).join(''));

const snappyBlock = (bytes: Uint8Array): Buffer => Buffer.from(compress(new Uint8Array(bytes)));

/** The framing format, with checksums by another way than the one under test: bit by bit over the message. */
function snappyFrames(bytes: Uint8Array, compressed = true): Buffer {
  const frames = [Buffer.from('ff060000734e61507059', 'hex')];
  for (let at = 0; at < bytes.length; at += 65_536) {
    const content = bytes.subarray(at, at + 65_536);
    const body = compressed ? snappyBlock(content) : content;
    const head = Buffer.alloc(8);
    head[0] = compressed ? 0 : 1;
    head.writeUIntLE(body.length + 4, 1, 3);
    const crc = crc32c(content);
    head.writeUInt32LE(((((crc >>> 15) | (crc << 17)) >>> 0) + 0xa282ead8) % 2 ** 32, 4);
    frames.push(head, Buffer.from(body));
  }
  return Buffer.concat(frames);
}

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const low = (crc ^ (byte >> bit)) & 1;
      crc >>>= 1;
      if (low) crc ^= 0x82f63b78;
    }
  }
  return (crc ^ 0xffffffff) >>> 0;
}

const encoders: Record<string, [ContentEncoding, (bytes: Uint8Array) => Buffer]> = {
  identity: ['identity', (bytes) => Buffer.from(bytes)],
  gzip: ['gzip', (bytes) => gzipSync(bytes)],
  deflate: ['deflate', (bytes) => deflateSync(bytes)],
  zlib: ['zlib', (bytes) => deflateSync(bytes)],
  zstd: ['zstd', (bytes) => zstdCompressSync(bytes)],
  'snappy, a block': ['snappy', snappyBlock],
  'snappy, frames': ['snappy', snappyFrames],
  'snappy, frames of plain bytes': ['snappy', (bytes) => snappyFrames(bytes, false)],
  'x-snappy-framed': ['x-snappy-framed', snappyFrames],
};
const compressing = Object.entries(encoders).filter(([name]) => name !== 'identity');

const roomy = (bytesMax = 64 * mebibyte) => ({ bytesMax, hold: createInFlight(256 * mebibyte).hold(), largeDecodes: createPermits(1) });

async function refusal(bytes: Buffer, encoding: ContentEncoding, bounds = roomy()): Promise<string> {
  try {
    await decompress(bytes, encoding, bounds);
  } catch (error) {
    if (isPipelineError(error)) return error.code;
    throw error;
  }
  return 'taken';
}

test('the checksum is CRC-32C', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
});

test.each(Object.entries(encoders))('%s gives back what went in', async (_name, [encoding, encode]) => {
  for (const bytes of [text, text.subarray(0, 1), Buffer.alloc(100_000)]) expect((await decompress(encode(bytes), encoding, roomy())).equals(bytes)).toBe(true);
});

test.each(compressing)('%s: cut, changed or followed by something is refused', async (_name, [encoding, encode]) => {
  const whole = encode(text.subarray(0, 70_000));
  for (const length of [0, 1, 5, whole.length >> 1, whole.length - 1]) expect(await refusal(whole.subarray(0, length), encoding)).toBe('message_malformed');
  expect(await refusal(Buffer.concat([whole, Buffer.from('more')]), encoding)).toBe('message_malformed');
  expect(await refusal(Buffer.from('no such stream, but some text'), encoding)).toBe('message_malformed');
});

test.each(compressing)('%s: a bomb is cut at the limit, having held no more', async (_name, [encoding, encode]) => {
  const bomb = encode(Buffer.alloc(16 * mebibyte));
  const inFlight = createInFlight(256 * mebibyte);
  let most = 0;
  const hold = inFlight.hold();
  const note = <T>(result: T): T => {
    most = Math.max(most, inFlight.bytes);
    return result;
  };
  const watched = { ...hold, take: (bytes: number) => note(hold.take(bytes)), allot: (bytes: number) => note(hold.allot(bytes)) };
  expect(await refusal(bomb, encoding, { bytesMax: mebibyte, hold: watched, largeDecodes: createPermits(1) })).toBe('message_too_large');
  // What zstd gave it keeps as well.
  expect(most).toBeLessThanOrEqual((encoding === 'zstd' ? 2 : 1) * mebibyte + decoderBytes + partBytesMax);
  expect(await refusal(bomb, encoding, { ...roomy(), hold: createInFlight(2 * mebibyte).hold() })).toBe('overloaded');
  expect(await refusal(bomb, encoding, roomy(16 * mebibyte))).toBe('taken');
});

describe('several streams in one body', () => {
  test('of gzip and zstd are one message', async () => {
    const parts = [text.subarray(0, 1000), text.subarray(1000, 1001), text.subarray(1001)];
    for (const [encoding, encode] of [encoders.gzip!, encoders.zstd!]) {
      expect((await decompress(Buffer.concat(parts.map(encode)), encoding, roomy())).equals(text)).toBe(true);
    }
  });

  test('are found wherever they end in what a decoder is given at a time', async () => {
    const others = seeded(6);
    const noise = Buffer.from(Array.from({ length: 900_000 }, () => below(others, 256)));
    for (const size of [7_000, decoderInputBytesMin, 50_000, 300_000, 899_999]) {
      const parts = Array.from({ length: Math.ceil(noise.length / size) }, (_, index) => noise.subarray(index * size, (index + 1) * size));
      for (const [encoding, encode] of [encoders.gzip!, encoders.zstd!]) {
        const body = Buffer.concat(parts.map(encode));
        expect((await decompress(body, encoding, roomy())).equals(noise)).toBe(true);
        expect(await refusal(Buffer.concat([body, noise.subarray(0, 300_000)]), encoding)).toBe('message_malformed');
      }
    }
  });

  test('more than any encoder makes are refused, and so is what is no stream behind one', async () => {
    const frame = zstdCompressSync(Buffer.from('x'));
    expect(await refusal(Buffer.concat(Array.from({ length: streamsInBodyMax }, () => frame)), 'zstd')).toBe('taken');
    expect(await refusal(Buffer.concat(Array.from({ length: streamsInBodyMax + 1 }, () => frame)), 'zstd')).toBe('message_malformed');
    expect(await refusal(Buffer.concat([frame, Buffer.alloc(2 * mebibyte)]), 'zstd')).toBe('message_malformed');
    expect(await refusal(Buffer.alloc(50_000 * frame.length, frame), 'zstd')).toBe('message_malformed');
  });

  test('of zlib are not', async () => {
    expect(await refusal(Buffer.concat([deflateSync(text), deflateSync(text)]), 'deflate')).toBe('message_malformed');
  });
});

describe('snappy from somebody who means harm', () => {
  const cases: Record<string, number[]> = {
    'a literal of 2^32 bytes': [0x05, 0xfc, 0xff, 0xff, 0xff, 0xff, 1, 2, 3],
    'a literal of negative length to a decoder with 32-bit sums': [0x05, 0xfc, 0xfa, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5],
    'a copy from before the beginning': [0x05, 0x00, 0x61, 0x01, 0x02],
    'a copy of offset 0': [0x05, 0x00, 0x61, 0x01, 0x00],
    'more output than announced': [0x01, 0x08, 1, 2, 3],
    'more output than announced by a copy': [0x02, 0x00, 0x61, 0x01, 0x01],
    'less output than announced': [0x05, 0x00, 0x61],
    'a length above 32 bits': [0xff, 0xff, 0xff, 0xff, 0x1f, 0x00, 0x61],
    'an endless length': [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    'an unknown frame': [0xff, 6, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59, 0x02, 0, 0, 0],
    'a frame of a wrong checksum': [0xff, 6, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59, 0x01, 5, 0, 0, 1, 2, 3, 4, 0x61],
  };
  test.each(Object.entries(cases))('%s', async (_name, bytes) => {
    expect(await refusal(Buffer.from(bytes), 'snappy')).toBe('message_malformed');
  });

  test('an announced length above the limit is refused before any memory is taken', async () => {
    expect(await refusal(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]), 'snappy')).toBe('message_too_large');
  });

  test('padding frames are passed over', async () => {
    const framed = Buffer.concat([snappyFrames(text), Buffer.from([0xfe, 3, 0, 0, 9, 9, 9])]);
    expect((await decompress(framed, 'snappy', roomy())).equals(text)).toBe(true);
  });

  test('changed streams are refused or give bytes, and always end', async () => {
    const outcomes = new Set<string>();
    for (let run = 0; run < 3000; run++) {
      const bytes = (run % 2 === 0 ? snappyBlock : snappyFrames)(text.subarray(0, below(random, 300)));
      for (let change = 0; change < 2; change++) bytes[below(random, bytes.length)] = below(random, 256);
      outcomes.add(await refusal(bytes, 'snappy', roomy(mebibyte)));
    }
    expect([...outcomes].sort()).toEqual(['message_malformed', 'message_too_large', 'taken']);
  });
});

test('bodies that become large go on one after the other, small ones pass them', async () => {
  const largeDecodes = createPermits(1);
  const inFlight = createInFlight(256 * mebibyte);
  const bounds = (hold = inFlight.hold()) => ({ bytesMax: 64 * mebibyte, hold, largeDecodes });
  const giveBack = await largeDecodes.take();
  const large = Array.from({ length: 5 }, () => decompress(gzipSync(Buffer.alloc(8 * mebibyte)), 'gzip', bounds()));
  const others = createInFlight(256 * mebibyte);
  const small = await Promise.all(Array.from({ length: 5 }, () => decompress(gzipSync(Buffer.alloc(largeDecodeBytes)), 'gzip', bounds(others.hold()))));
  expect(small.map((body) => body.length)).toEqual(Array.from({ length: 5 }, () => largeDecodeBytes));
  // Each of the large ones holds what made it large, and one part more.
  await expect.poll(() => inFlight.bytes).toBe(5 * (largeDecodeBytes + decodedPartBytes + decoderBytes));
  giveBack();
  expect((await Promise.all(large)).map((body) => body.length)).toEqual(Array.from({ length: 5 }, () => 8 * mebibyte));
  // Whoever fails gives its turn back too.
  await expect(decompress(gzipSync(Buffer.alloc(65 * mebibyte)), 'gzip', bounds())).rejects.toMatchObject({ code: 'message_too_large' });
  (await largeDecodes.take())();
});

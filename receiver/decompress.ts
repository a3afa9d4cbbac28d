// Takes the compression off a body within bounds: output is counted as it comes, so that a bomb is cut
// at the limit and not after it; those that become large go on a few at a time. Nothing of a body that
// ends early or goes on behind its end is used.
import { constants, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import type { Hold } from './in-flight.ts';
import { decodedPartBytes, decoderBytes, decoderInputBytesMax, decoderInputBytesMin, largeDecodeBytes, streamsInBodyMax } from './limits.ts';
import { Parts } from './parts.ts';
import type { Permits } from './permits.ts';
import { type Output, unsnappy } from './snappy.ts';

export const contentEncodings = ['identity', 'gzip', 'zstd', 'deflate', 'zlib', 'snappy', 'x-snappy-framed'] as const;
export type ContentEncoding = (typeof contentEncodings)[number];

export interface Bounds {
  readonly bytesMax: number;
  readonly hold: Hold;
  /** For those that become large, so that many small bodies that do wait for each other. */
  readonly largeDecodes: Permits;
}

type Decoder = ReturnType<typeof createGunzip> | ReturnType<typeof createInflate> | ReturnType<typeof createZstdDecompress>;

/** Window of up to 64 MiB: more than any message may have; encoders use 8 MiB, at most 32. */
const zstdOptions = { params: { [constants.ZSTD_d_windowLogMax]: 26 }, chunkSize: decodedPartBytes };

/** What comes back is the body itself, or memory of the hold; `bytes` are given back where they are not needed any more. */
export async function decompress(bytes: Buffer, encoding: ContentEncoding, bounds: Bounds): Promise<Buffer> {
  switch (encoding) {
    case 'identity':
      return bytes;
    case 'gzip':
      return decode(bytes, () => createGunzip({ chunkSize: decodedPartBytes }), encoding, bounds);
    case 'deflate':
    case 'zlib':
      // Both mean a zlib stream: RFC 9110 for the first, Collectors for the second.
      return decode(bytes, () => createInflate({ chunkSize: decodedPartBytes }), encoding, bounds);
    case 'zstd':
      return decode(bytes, () => createZstdDecompress(zstdOptions), encoding, bounds);
    case 'snappy':
    case 'x-snappy-framed':
      return unsnappy(bytes, outputOf(bounds));
    default: {
      const never: never = encoding;
      throw new Error(`encoding ${never}`);
    }
  }
}

function outputOf(bounds: Bounds): Output {
  const parts = new Parts(bounds.hold);
  return {
    allot(length) {
      if (length > bounds.bytesMax) throw tooLarge(bounds);
      return bounds.hold.allot(length);
    },
    add(part) {
      if (parts.length + part.length > bounds.bytesMax) throw tooLarge(bounds);
      parts.add(part);
    },
    join: () => parts.join(),
  };
}

const tooLarge = ({ bytesMax }: Bounds): PipelineError =>
  new PipelineError('message_too_large', `message of more than ${bytesMax} bytes when decompressed, at most that is taken; send it in parts`);

/** Decodes stream after stream: a body may be several zstd frames, and Node's decoder stops behind the first. */
async function decode(bytes: Buffer, create: () => Decoder, encoding: ContentEncoding, bounds: Bounds): Promise<Buffer> {
  const { hold, bytesMax, largeDecodes } = bounds;
  const parts = new Parts(hold);
  let giveBack: (() => void) | null = null;
  let decoderHeld = 0;
  const takeForDecoder = (more: number): void => {
    hold.take(more);
    decoderHeld += more;
  };
  const keep = async (part: Buffer): Promise<void> => {
    if (parts.length + part.length > bytesMax) throw tooLarge(bounds);
    parts.add(part);
    // What was decoded is kept by the decoder too, for later parts to refer to.
    if (encoding === 'zstd') takeForDecoder(part.length);
    if (parts.length > largeDecodeBytes) giveBack ??= await largeDecodes.take();
  };
  try {
    takeForDecoder(decoderBytes);
    let at = 0;
    let streams = 0;
    do {
      if (++streams > streamsInBodyMax) throw malformed(encoding, `more than ${streamsInBodyMax} streams one behind the other`);
      const used = await decodeOne(bytes.subarray(at), create(), keep, encoding);
      if (used === 0) throw malformed(encoding, 'nothing that can be decoded');
      at += used;
    } while (at < bytes.length && encoding === 'zstd');
    if (at < bytes.length) throw malformed(encoding, `${bytes.length - at} bytes behind its end`);
    hold.free(bytes);
    return parts.join();
  } finally {
    hold.give(decoderHeld);
    (giveBack as (() => void) | null)?.();
  }
}

/** Resolves with the number of bytes that the stream took. No part is decoded before the one before it is kept. */
async function decodeOne(bytes: Buffer, decoder: Decoder, keep: (part: Buffer) => Promise<void>, encoding: ContentEncoding): Promise<number> {
  // Also when nobody waits for it any more.
  decoder.on('error', () => {});
  try {
    feed(bytes, decoder);
    for await (const part of decoder as AsyncIterable<Buffer>) await keep(part);
    return decoder.bytesWritten;
  } catch (error) {
    throw isPipelineError(error) ? error : malformed(encoding, (error as NodeJS.ErrnoException).code ?? String(error));
  }
}

/**
 * Part by part, each a copy: a decoder that is ended in the middle goes on in its thread with what it has,
 * and nobody is told when it is done with it, while the body may be freed any time. The next part is given
 * when the one before was taken whole: a stream that ends within one has ended, and counts nothing more.
 */
function feed(bytes: Buffer, decoder: Decoder, at = 0, partBytes = decoderInputBytesMin): void {
  const end = at + partBytes;
  const part = Buffer.from(bytes.subarray(at, end));
  if (end >= bytes.length) {
    decoder.end(part);
    return;
  }
  decoder.write(part, (error) => {
    if (!error && decoder.bytesWritten === end) feed(bytes, decoder, end, Math.min(2 * partBytes, decoderInputBytesMax));
  });
}

const malformed = (encoding: string, found: string): PipelineError =>
  new PipelineError('message_malformed', `${encoding} body: found ${found}, expected one that decompresses from its first byte to its last`);

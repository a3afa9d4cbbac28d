// Takes the compression off a body within bounds: output is counted as it comes, so that a bomb is cut
// at the limit and not after it; those that become large go on a few at a time. Nothing of a body that ends early or goes on behind its end is used.
import { constants, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import type { Hold } from './in-flight.ts';
import { largeDecodeBytes } from './limits.ts';
import type { Permits } from './permits.ts';
import { unsnappy } from './snappy.ts';

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
const zstdOptions = { params: { [constants.ZSTD_d_windowLogMax]: 26 }, chunkSize: 64 * 1024 };

export async function decompress(bytes: Buffer, encoding: ContentEncoding, bounds: Bounds): Promise<Buffer> {
  switch (encoding) {
    case 'identity':
      return bytes;
    case 'gzip':
      return decode(bytes, () => createGunzip({ chunkSize: 64 * 1024 }), encoding, bounds);
    case 'deflate':
    case 'zlib':
      // Both mean a zlib stream: RFC 9110 for the first, Collectors for the second.
      return decode(bytes, () => createInflate({ chunkSize: 64 * 1024 }), encoding, bounds);
    case 'zstd':
      return decode(bytes, () => createZstdDecompress(zstdOptions), encoding, bounds);
    case 'snappy':
    case 'x-snappy-framed': {
      let total = 0;
      return unsnappy(bytes, (more) => {
        total += more;
        account(total, more, bounds);
      });
    }
    default: {
      const never: never = encoding;
      throw new Error(`encoding ${never}`);
    }
  }
}

function account(total: number, more: number, bounds: Bounds): void {
  if (total > bounds.bytesMax) {
    throw new PipelineError('message_too_large', `message of more than ${bounds.bytesMax} bytes when decompressed, at most that is taken; send it in parts`);
  }
  bounds.hold.take(more);
}

/** Decodes stream after stream: a body may be several zstd frames, and Node's decoder stops behind the first. */
async function decode(bytes: Buffer, create: () => Decoder, encoding: ContentEncoding, bounds: Bounds): Promise<Buffer> {
  const parts: Buffer[] = [];
  let total = 0;
  let giveBack: (() => void) | null = null;
  const keep = async (part: Buffer): Promise<void> => {
    total += part.length;
    account(total, part.length, bounds);
    parts.push(part);
    if (total > largeDecodeBytes) giveBack ??= await bounds.largeDecodes.take();
  };
  try {
    let at = 0;
    do {
      const used = await decodeOne(bytes.subarray(at), create(), keep, encoding);
      if (used === 0) throw malformed(encoding, 'nothing that can be decoded');
      at += used;
    } while (at < bytes.length && encoding === 'zstd');
    if (at < bytes.length) throw malformed(encoding, `${bytes.length - at} bytes behind its end`);
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  } finally {
    (giveBack as (() => void) | null)?.();
  }
}

/** Resolves with the number of bytes that the stream took. No part is decoded before the one before it is kept. */
async function decodeOne(bytes: Buffer, decoder: Decoder, keep: (part: Buffer) => Promise<void>, encoding: ContentEncoding): Promise<number> {
  try {
    decoder.end(bytes);
    for await (const part of decoder as AsyncIterable<Buffer>) await keep(part);
    return decoder.bytesWritten;
  } catch (error) {
    throw isPipelineError(error) ? error : malformed(encoding, (error as NodeJS.ErrnoException).code ?? String(error));
  }
}

const malformed = (encoding: string, found: string): PipelineError =>
  new PipelineError('message_malformed', `${encoding} body: found ${found}, expected one that decompresses from its first byte to its last`);

// Takes the compression off a body within bounds: output is counted as it comes, so that a bomb is cut
// at the limit and not after it. Nothing of a body that ends early or goes on behind its end is used.
import { constants, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import type { Hold } from './in-flight.ts';
import { unsnappy } from './snappy.ts';

export const contentEncodings = ['identity', 'gzip', 'zstd', 'deflate', 'zlib', 'snappy', 'x-snappy-framed'] as const;
export type ContentEncoding = (typeof contentEncodings)[number];

export interface Bounds {
  readonly bytesMax: number;
  readonly hold: Hold;
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
  const keep = (part: Buffer): void => {
    total += part.length;
    account(total, part.length, bounds);
    parts.push(part);
  };
  let at = 0;
  do {
    const used = await decodeOne(bytes.subarray(at), create(), keep, encoding);
    if (used === 0) throw malformed(encoding, 'nothing that can be decoded');
    at += used;
  } while (at < bytes.length && encoding === 'zstd');
  if (at < bytes.length) throw malformed(encoding, `${bytes.length - at} bytes behind its end`);
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

/** Resolves with the number of bytes that the stream took. */
function decodeOne(bytes: Buffer, decoder: Decoder, keep: (part: Buffer) => void, encoding: ContentEncoding): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      decoder.destroy();
      reject(isPipelineError(error) ? error : malformed(encoding, (error as NodeJS.ErrnoException).code ?? String(error)));
    };
    decoder.on('error', fail);
    decoder.on('data', (part: Buffer) => {
      try {
        keep(part);
      } catch (error) {
        fail(error);
      }
    });
    decoder.on('end', () => resolve(decoder.bytesWritten));
    decoder.end(bytes);
  });
}

const malformed = (encoding: string, found: string): PipelineError =>
  new PipelineError('message_malformed', `${encoding} body: found ${found}, expected one that decompresses from its first byte to its last`);

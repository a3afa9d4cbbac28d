// How a repeated part stands in what stack ids and digests hash. Frozen with them.
//
//   part = length:u32 bytes          up to 256 bytes
//        | length:u32 SHA-256(bytes) above
//
// A part is made once and copied wherever it is referenced: with this bound, a message that references
// one huge name or attribute a million times costs no more than any other.
import { hash } from 'node:crypto';
import type { ByteSink } from '../../lib/byte-sink.ts';

const plainBytesMax = 256;

/** Returns what endPart takes; between the two the part's bytes are appended. */
export function beginPart(sink: ByteSink): number {
  sink.uint32(0);
  return sink.length;
}

export function endPart(sink: ByteSink, begin: number): void {
  const end = sink.length;
  sink.length = begin - 4;
  sink.uint32(end - begin);
  if (end - begin <= plainBytesMax) {
    sink.length = end;
    return;
  }
  const digest: Uint8Array = hash('sha256', sink.bytes.subarray(begin, end), 'buffer');
  sink.raw(digest, 0, digest.length);
}

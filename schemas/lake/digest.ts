// The digest of a profile, identity version 1: by it an exporter recognises what a client sent twice,
// through another compression, JSON, another dictionary, field layout, batching or partition. Frozen;
// a change is a new version beside this one.
//
//   digest   = hex(SHA-256(profile)[0..16))                                  32 lower hex digits
//   profile  = resource:attributes scope sampleType:type periodType:type period:i64 time:u64 duration:u64
//              bytes(profile id) attributes n:u32 sample{n}
//   scope    = text(name) text(version) attributes
//   type     = text(type) text(unit)
//   sample   = SHA-256(stack) attributes link n:u32 value:i64{n} n:u32 timestamp:u64{n}
//   link     = bytes(trace id) bytes(span id)
//   stack    = n:u32 part(location){n}                                       leaf first
//   location = part(mapping) address:u64 n:u32 line{n} attributes
//   mapping  = memoryStart:u64 memoryLimit:u64 fileOffset:u64 text(file name) attributes
//   line     = text(name) text(system name) text(file) startLine:i64 line:i64 column:i64
//   attributes = n:u32 part(text(key) text(unit) value){n}, ascending by the parts' bytes
//   value    = 0:u8 | 1:u8 text | 2:u8 bool:u8 | 3:u8 int:i64 | 4:u8 double:u64 | 5:u8 n:u32 value{n}
//            | 6:u8 attributes | 7:u8 bytes
//   text, bytes = length:u32 and that many bytes (UTF-8); part: part.ts      all little endian
//
// What is sent, as it was sent: addresses untranslated, no fallback, nothing that we add. Left out is
// what carries no data of the sample (schema URLs, entity references, dropped counts, the original
// payload) and what is the dictionary's own affair (order, duplicates, orphans, which of the two
// attribute shapes). Entry 0 of a table is its zero value; an id of zeros is no id.
// Order: attributes are sets in OTLP and are sorted. Samples, values and timestamps stay in the order
// of the wire: nothing between a client and us reorders them, values belong to their timestamps, and
// sorting millions of samples would cost more than the whole of the rest.
import { createHash, type Hash, hash } from 'node:crypto';
import { type ByteSink, compareRanges } from '../../lib/byte-sink.ts';

export const valueKinds = { none: 0, text: 1, bool: 2, int: 3, double: 4, list: 5, map: 6, bytes: 7 } as const;

export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Appends `attributes` from parts that lie in `parts`, which may be the sink itself. */
export function putAttributes(sink: ByteSink, parts: ByteSink, ranges: ByteRange[]): void {
  sortRanges(parts.bytes, ranges);
  sink.uint32(ranges.length);
  for (const { start, end } of ranges) sink.raw(parts.bytes, start, end);
}

/** Insertion: the lists are short, and most senders keep one order. */
function sortRanges(bytes: Uint8Array, ranges: ByteRange[]): void {
  for (let index = 1; index < ranges.length; index++) {
    const range = ranges[index]!;
    let at = index - 1;
    while (at >= 0 && compareRanges(bytes, ranges[at]!.start, ranges[at]!.end, range.start, range.end) > 0) {
      ranges[at + 1] = ranges[at]!;
      at--;
    }
    ranges[at + 1] = range;
  }
}

/** SHA-256 of a `stack` that lies in the sink. */
export function stackContent(sink: ByteSink): Uint8Array {
  return hash('sha256', sink.bytes.subarray(0, sink.length), 'buffer');
}

/** Above this a profile is hashed in steps, so that one of millions of samples needs no second copy of itself. */
const stepBytes = 1 << 20;

/** Takes a profile's bytes from a sink that is filled again and again; one at a time. */
export class ProfileHash {
  #hash: Hash | null = null;

  /** Call between samples. */
  step(sink: ByteSink): void {
    if (sink.length < stepBytes) return;
    this.#hash ??= createHash('sha256');
    this.#hash.update(sink.bytes.subarray(0, sink.length));
    sink.clear();
  }

  /** The digest; the sink is empty afterwards. */
  finish(sink: ByteSink): string {
    const rest = sink.bytes.subarray(0, sink.length);
    const digest = this.#hash ? this.#hash.update(rest).digest() : hash('sha256', rest, 'buffer');
    this.#hash = null;
    sink.clear();
    return digest.toString('hex', 0, 16);
  }
}

// The digest of a profile, identity version 1: by it an exporter recognises what a client sent twice,
// through another compression, JSON, another dictionary, field layout, batching or partition. Frozen;
// a change is a new version beside this one.
//
//   digest   = hex(SHA-256(profile)[0..16))                                  32 lower hex digits
//   profile  = resource:attributes scope sampleType:type periodType:type period:i64 time:u64 duration:u64
//              bytes(profile id) attributes n:u32 sample{n}
//   scope    = text(name) text(version) attributes
//   type     = text(type) text(unit)
//   sample   = stack attributes link n:u32 value:i64{n} n:u32 timestamp:u64{n}
//   stack    = the 12 bytes of its part of the stack id (stack-id.ts)
//   link     = bytes(trace id) bytes(span id)
//   attributes = n:u32 part(text(key) text(unit) value){n}, ascending by the parts' bytes
//   value    = 0:u8 | 1:u8 text | 2:u8 bool:u8 | 3:u8 int:i64 | 4:u8 double:u64 | 5:u8 n:u32 value{n}
//            | 6:u8 attributes | 7:u8 bytes
//   text, bytes = length:u32 and that many bytes (UTF-8); part: part.ts      all little endian
//
// It covers what becomes rows, as it was sent: no fallback, nothing that we add. Two profiles of one digest
// would give the same rows. A stack therefore counts as far as its id tells it from another: what an id
// leaves out (columns, start lines, the path of a file with a build id) stands in the lake once for the id,
// whoever sent it first. So frames are hashed once, for both, which is most of what a digest used to cost.
// Left out is what carries no data of the sample (schema URLs, entity references, dropped counts, the
// original payload) and what is the dictionary's own affair (order, duplicates, orphans, which of the two
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
  for (const { start, end } of ranges) sink.copy(parts, start, end);
}

const shortList = 16;

/** By insertion where the list is short, as nearly all are; most senders keep one order. */
function sortRanges(bytes: Uint8Array, ranges: ByteRange[]): void {
  if (ranges.length > shortList) {
    ranges.sort((left, right) => compareRanges(bytes, left.start, left.end, right.start, right.end));
    return;
  }
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

/** Above this a profile is hashed in steps, so that one of millions of samples needs no second copy of itself. */
const stepBytes = 1 << 20;
const digestDigits = 32;

/** Takes a profile's bytes from a sink that is filled again and again; one at a time. */
export class ProfileHash {
  #hash: Hash | null = null;

  /** Call between samples. */
  step(sink: ByteSink): void {
    if (sink.length < stepBytes) return;
    this.#hash ??= createHash('sha256');
    this.#hash.update(sink.view());
    sink.clear();
  }

  /** The digest; the sink is empty afterwards. */
  finish(sink: ByteSink): string {
    const rest = sink.view();
    const digest = this.#hash ? this.#hash.update(rest).digest('hex') : hash('sha256', rest, 'hex');
    this.#hash = null;
    sink.clear();
    return digest.slice(0, digestDigits);
  }
}

// Digests of one message's profiles (grammar: schemas/lake/digest.ts). Attributes that profiles share are
// encoded once and copied; of a stack its part of the stack id is taken.
import { ByteSink } from '../lib/byte-sink.ts';
import { type ByteRange, ProfileHash, putAttributes } from '../schemas/lake/digest.ts';
import { type Attribute, putAttribute } from './attribute-values.ts';
import type { MessageAttributes } from './message-attributes.ts';
import type { MessageStacks } from './message-stacks.ts';
import type { MessageTexts } from './message-texts.ts';
import type { OtlpProfiles, ProfileRecord } from './otlp-tables.ts';

/** Of a resource or scope at a time; a huge one's memory is not kept. */
let plainEntries = new ByteSink(4_096);
const keptBytesMax = 1 << 20;

export class MessageDigests {
  readonly #message: OtlpProfiles;
  readonly #texts: MessageTexts;
  readonly #table: MessageAttributes;
  /** Encoded attributes of the dictionary, each found by its range. */
  readonly #parts = new ByteSink();
  readonly #attributes: (ByteRange | undefined)[] = [];
  readonly #ranges: ByteRange[] = [];
  readonly #sink = new ByteSink(16_384);
  readonly #hash = new ProfileHash();
  readonly #valueBytes: Uint8Array;
  readonly #timestampBytes: Uint8Array;

  constructor(message: OtlpProfiles, texts: MessageTexts, table: MessageAttributes) {
    this.#message = message;
    this.#texts = texts;
    this.#table = table;
    this.#valueBytes = bytesOf(message.samples.values);
    this.#timestampBytes = bytesOf(message.samples.timestamps);
  }

  /** `resource` and `scope` are the profile's, decoded; their order does not matter. */
  digest(profile: ProfileRecord, resource: readonly Attribute[], scope: readonly Attribute[], stacks: MessageStacks): string {
    const [sink, texts] = [this.#sink, this.#texts];
    this.#plainAttributes(resource);
    sink.text(profile.scope.name);
    sink.text(profile.scope.version);
    this.#plainAttributes(scope);
    for (const index of [profile.sampleType, profile.sampleUnit, profile.periodType, profile.periodUnit]) texts.put(sink, index);
    sink.bigint64(profile.period);
    sink.bigint64(profile.timeNanos);
    sink.bigint64(profile.durationNanos);
    this.#id(sink, profile.profileId.start, profile.profileId.end);
    this.#tableAttributes(sink, profile.attributes, 0, profile.attributes.length);
    sink.uint32(profile.sampleEnd - profile.sampleStart);
    for (let sample = profile.sampleStart; sample < profile.sampleEnd; sample++) {
      this.#sample(sample, stacks);
      this.#hash.step(sink);
    }
    return this.#hash.finish(sink);
  }

  #sample(sample: number, stacks: MessageStacks): void {
    const { samples, dictionary } = this.#message;
    const sink = this.#sink;
    const stack = samples.stack[sample]!;
    stacks.read(stack);
    for (let word = 3 * stack; word < 3 * stack + 3; word++) sink.uint32(stacks.words[word]!);
    this.#tableAttributes(sink, samples.attributes, samples.attributeStart[sample]!, samples.attributeStart[sample + 1]!);
    const link = samples.link[sample]!;
    const { traceStart, traceEnd, spanStart, spanEnd } = dictionary.links;
    this.#id(sink, link === 0 ? 0 : traceStart[link]!, link === 0 ? 0 : traceEnd[link]!);
    this.#id(sink, link === 0 ? 0 : spanStart[link]!, link === 0 ? 0 : spanEnd[link]!);
    putNumbers(sink, this.#valueBytes, samples.valueStart[sample]!, samples.valueStart[sample + 1]!);
    putNumbers(sink, this.#timestampBytes, samples.timestampStart[sample]!, samples.timestampStart[sample + 1]!);
  }

  /** An id of zeros is no id. */
  #id(sink: ByteSink, start: number, end: number): void {
    let at = start;
    while (at < end && this.#message.bytes[at] === 0) at++;
    sink.span(this.#message.bytes, start, at === end ? start : end);
  }

  #plainAttributes(attributes: readonly Attribute[]): void {
    const entries = plainEntries;
    entries.clear();
    const ranges = attributes.map(([key, value]) => putAttribute(entries, key, '', value));
    putAttributes(this.#sink, entries, ranges);
    if (entries.bytes.length > keptBytesMax) plainEntries = new ByteSink(4_096);
  }

  /** References to entry 0, the zero value, are no attributes. */
  #tableAttributes(sink: ByteSink, indices: Uint32Array, start: number, end: number): void {
    const ranges = this.#ranges;
    ranges.length = 0;
    for (let at = start; at < end; at++) if (indices[at] !== 0) ranges.push(this.#attribute(indices[at]!));
    putAttributes(sink, this.#parts, ranges);
  }

  #attribute(index: number): ByteRange {
    const known = this.#attributes[index];
    if (known) return known;
    const range = putAttribute(this.#parts, this.#table.key(index), this.#table.unit(index), this.#table.value(index));
    this.#attributes[index] = range;
    return range;
  }
}

function bytesOf(column: BigInt64Array | Uint32Array): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
}

/** n and n 64-bit numbers, which lie in the column as they are hashed. */
function putNumbers(sink: ByteSink, column: Uint8Array, start: number, end: number): void {
  sink.uint32(end - start);
  sink.raw(column, 8 * start, 8 * end);
}

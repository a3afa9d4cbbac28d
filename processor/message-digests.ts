// Digests of one message's profiles (grammar: schemas/lake/digest.ts). What profiles share, stacks and
// attributes, is encoded once and copied.
import { ByteSink } from '../lib/byte-sink.ts';
import { type ByteRange, ProfileHash, putAttributes, stackContent } from '../schemas/lake/digest.ts';
import { beginPart, endPart } from '../schemas/lake/part.ts';
import { type Attribute, putAttribute } from './attribute-values.ts';
import type { MessageAttributes } from './message-attributes.ts';
import type { MessageTexts } from './message-texts.ts';
import type { OtlpProfiles, ProfileRecord } from './otlp-tables.ts';

const noMapping = 0;

export class MessageDigests {
  readonly #message: OtlpProfiles;
  readonly #texts: MessageTexts;
  readonly #table: MessageAttributes;
  /** Encoded attributes, mappings and locations of the dictionary, each found by its range. */
  readonly #parts = new ByteSink(16_384);
  readonly #attributes: (ByteRange | undefined)[] = [];
  readonly #mappings: (ByteRange | undefined)[] = [];
  readonly #locations: (ByteRange | undefined)[] = [];
  readonly #stacks: (Uint8Array | undefined)[] = [];
  readonly #stack = new ByteSink();
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
  digest(profile: ProfileRecord, resource: readonly Attribute[], scope: readonly Attribute[]): string {
    const [sink, texts] = [this.#sink, this.#texts];
    this.#plainAttributes(resource);
    sink.text(profile.scope.name);
    sink.text(profile.scope.version);
    this.#plainAttributes(scope);
    for (const index of [profile.sampleType, profile.sampleUnit, profile.periodType, profile.periodUnit]) sink.text(texts.text(index));
    sink.bigint64(profile.period);
    sink.bigint64(profile.timeNanos);
    sink.bigint64(profile.durationNanos);
    this.#id(sink, profile.profileId.start, profile.profileId.end);
    this.#tableAttributes(sink, profile.attributes, 0, profile.attributes.length);
    sink.uint32(profile.sampleEnd - profile.sampleStart);
    for (let sample = profile.sampleStart; sample < profile.sampleEnd; sample++) {
      this.#sample(sample);
      this.#hash.step(sink);
    }
    return this.#hash.finish(sink);
  }

  #sample(sample: number): void {
    const { samples, dictionary } = this.#message;
    const sink = this.#sink;
    sink.raw(this.#stackContent(samples.stack[sample]!), 0, 32);
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
    const entries = new ByteSink(512);
    const ranges = attributes.map(([key, value]) => putAttribute(entries, key, '', value));
    putAttributes(this.#sink, entries, ranges);
  }

  /** References to entry 0, the zero value, are no attributes. */
  #tableAttributes(sink: ByteSink, indices: Uint32Array, start: number, end: number): void {
    const ranges: ByteRange[] = [];
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

  #stackContent(index: number): Uint8Array {
    const known = this.#stacks[index];
    if (known) return known;
    const { length, start, locations } = this.#message.dictionary.stacks;
    const [first, last] = index < length ? [start[index]!, start[index + 1]!] : [0, 0];
    const sink = this.#stack;
    sink.clear();
    sink.uint32(last - first);
    for (let at = first; at < last; at++) {
      const range = this.#location(locations[at]!);
      sink.raw(this.#parts.bytes, range.start, range.end);
    }
    const content = stackContent(sink);
    this.#stacks[index] = content;
    return content;
  }

  #location(index: number): ByteRange {
    const known = this.#locations[index];
    if (known) return known;
    const { locations, lines } = this.#message.dictionary;
    const isThere = index < locations.length;
    const mapping = this.#mapping(isThere ? locations.mapping[index]! : noMapping);
    const attributes = isThere ? [locations.attributeStart[index]!, locations.attributeStart[index + 1]!] : [0, 0];
    // Attributes that are new are encoded before the location begins: they go to the same sink.
    for (let at = attributes[0]!; at < attributes[1]!; at++) if (locations.attributes[at] !== 0) this.#attribute(locations.attributes[at]!);
    const sink = this.#parts;
    const start = sink.length;
    const begin = beginPart(sink);
    sink.raw(sink.bytes, mapping.start, mapping.end);
    sink.uint64(isThere ? locations.address[2 * index]! : 0, isThere ? locations.address[2 * index + 1]! : 0);
    const [firstLine, lastLine] = isThere ? [locations.lineStart[index]!, locations.lineStart[index + 1]!] : [0, 0];
    sink.uint32(lastLine - firstLine);
    for (let line = firstLine; line < lastLine; line++) {
      this.#function(lines.function[line]!);
      sink.uint64(lines.line[2 * line]!, lines.line[2 * line + 1]!);
      sink.uint64(lines.column[2 * line]!, lines.column[2 * line + 1]!);
    }
    this.#tableAttributes(sink, locations.attributes, attributes[0]!, attributes[1]!);
    endPart(sink, begin);
    const range = { start, end: sink.length };
    this.#locations[index] = range;
    return range;
  }

  /** Names, file and start line; function 0 is none. */
  #function(index: number): void {
    const { name, systemName, filename, startLine } = this.#message.dictionary.functions;
    const sink = this.#parts;
    const texts = this.#texts;
    sink.text(index === 0 ? '' : texts.text(name[index]!));
    sink.text(index === 0 ? '' : texts.text(systemName[index]!));
    sink.text(index === 0 ? '' : texts.text(filename[index]!));
    sink.uint64(index === 0 ? 0 : startLine[2 * index]!, index === 0 ? 0 : startLine[2 * index + 1]!);
  }

  #mapping(index: number): ByteRange {
    const known = this.#mappings[index];
    if (known) return known;
    const { addresses, filename, attributeStart, attributes } = this.#message.dictionary.mappings;
    const [first, last] = index === noMapping ? [0, 0] : [attributeStart[index]!, attributeStart[index + 1]!];
    for (let at = first; at < last; at++) if (attributes[at] !== 0) this.#attribute(attributes[at]!);
    const sink = this.#parts;
    const start = sink.length;
    const begin = beginPart(sink);
    for (let half = 0; half < 6; half += 2) {
      sink.uint64(index === noMapping ? 0 : addresses[6 * index + half]!, index === noMapping ? 0 : addresses[6 * index + half + 1]!);
    }
    sink.text(index === noMapping ? '' : this.#texts.text(filename[index]!));
    this.#tableAttributes(sink, attributes, first, last);
    endPart(sink, begin);
    const range = { start, end: sink.length };
    this.#mappings[index] = range;
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

// The stacks of one message: frames as they will stand in the lake, and the part of the stack id that
// comes from them. Made from the dictionary once per location and stack, whatever refers to them.
import { ByteSink } from '../lib/byte-sink.ts';
import type { ByteRange } from '../schemas/lake/digest.ts';
import { endPart } from '../schemas/lake/part.ts';
import { identifyFileFrame, identifyLine, identifyName, identifyNamedFrame, stackPart } from '../schemas/lake/stack-id.ts';
import { abortMarkerFrameType, frameTypes, stackCutAttribute } from '../schemas/otlp/attributes.ts';
import type { FrameRow } from '../schemas/rows/builder.ts';
import { type AttributeValue, readAnyValue } from './attribute-values.ts';
import type { Mapping, MessageMappings } from './message-mappings.ts';
import type { MessageTexts } from './message-texts.ts';
import type { OtlpProfiles } from './otlp-tables.ts';

export interface Location {
  /** Leaf first; empty for a cut marker. */
  readonly frames: readonly FrameRow[];
  /** Why the stack ends here; null where the location is a frame. */
  readonly cut: string | null;
  readonly isKernel: boolean;
  /** Its part of the id, in `parts`. */
  readonly identity: ByteRange;
  /** Index into a table of the message's distinct locations. */
  readonly slot: number;
}

export interface Stack {
  readonly locations: readonly Location[];
  readonly cut: string;
  /** 24 hex digits. */
  readonly part: string;
  /** Has frames, and none that is not the kernel's. */
  readonly isKernel: boolean;
}

/** Names for native frames that came without; asked once per location. */
export type NameOf = (mapping: Mapping, address: bigint, isFileOffset: boolean) => string | null;

const noLocation = 0;

export class MessageStacks {
  readonly #message: OtlpProfiles;
  readonly #texts: MessageTexts;
  readonly #mappings: MessageMappings;
  readonly #nameOf: NameOf;
  readonly #areElfAddresses: boolean;
  readonly #parts = new ByteSink(8192);
  readonly #sink = new ByteSink();
  readonly #locations: (Location | undefined)[] = [];
  readonly #stacks: (Stack | undefined)[] = [];
  #slots = 0;

  /** `areElfAddresses`: the sender's addresses are those of the file (message-mappings.ts). */
  constructor(message: OtlpProfiles, texts: MessageTexts, mappings: MessageMappings, areElfAddresses: boolean, nameOf: NameOf) {
    this.#message = message;
    this.#texts = texts;
    this.#mappings = mappings;
    this.#areElfAddresses = areElfAddresses;
    this.#nameOf = nameOf;
  }

  stack(index: number): Stack {
    const known = this.#stacks[index];
    if (known) return known;
    const { length, start, locations } = this.#message.dictionary.stacks;
    const [first, last] = index < length ? [start[index]!, start[index + 1]!] : [0, 0];
    const sink = this.#sink;
    sink.clear();
    const kept: Location[] = [];
    let cut = '';
    for (let at = first; at < last; at++) {
      const location = this.#location(locations[at]!);
      if (location.cut !== null) {
        cut = location.cut;
        continue;
      }
      kept.push(location);
      sink.raw(this.#parts.bytes, location.identity.start, location.identity.end);
    }
    const stack = { locations: kept, cut, part: stackPart(sink, cut), isKernel: kept.length > 0 && kept.every((location) => location.isKernel) };
    this.#stacks[index] = stack;
    return stack;
  }

  #location(index: number): Location {
    const known = this.#locations[index];
    if (known) return known;
    const { locations } = this.#message.dictionary;
    const isThere = index < locations.length;
    const type = isThere ? textValue(this.#attribute(index, 'profile.frame.type')) : '';
    const marker = isThere ? textValue(this.#attribute(index, stackCutAttribute)) : '';
    const cut = marker || (type === abortMarkerFrameType ? abortMarkerFrameType : null);
    const location: Location = cut !== null ? this.#cutMarker(cut) : this.#frames(isThere ? index : noLocation, isThere, type);
    this.#locations[index] = location;
    return location;
  }

  #cutMarker(cut: string): Location {
    return { frames: [], cut, isKernel: false, identity: { start: 0, end: 0 }, slot: this.#slots++ };
  }

  #frames(index: number, isThere: boolean, type: string): Location {
    const { locations } = this.#message.dictionary;
    const mapping = this.#mappings.mapping(isThere ? locations.mapping[index]! : 0);
    const { address, isFileOffset } = this.#mappings.fileAddress(mapping, isThere ? locations.address : noAddress, isThere ? index : 0, this.#areElfAddresses);
    const [first, last] = isThere ? [locations.lineStart[index]!, locations.lineStart[index + 1]!] : [0, 0];
    const identity = this.#identify(mapping, address, type, first, last);
    // What the id does not cover must not stand in the stack, which is stored once for all that have the id.
    const shared = { type, mapping: mapping.name, buildId: mapping.buildId, ...(mapping.buildId === '' ? {} : { address }) };
    const frames: FrameRow[] = [];
    for (let line = first; line < last; line++) frames.push({ ...this.#line(line), ...shared, inlined: line < last - 1 });
    if (frames.length === 0) frames.push(shared);
    const named = frames.length === 1 && !frames[0]!.function && (type === '' || type === frameTypes.native);
    const name = named && mapping.buildId !== '' ? this.#nameOf(mapping, address, isFileOffset) : null;
    if (name !== null) frames[0] = { ...frames[0], function: name, systemName: name };
    return { frames, cut: null, isKernel: type === frameTypes.kernel, identity, slot: this.#slots++ };
  }

  #line(line: number): FrameRow {
    const { lines, functions } = this.#message.dictionary;
    const index = lines.function[line]!;
    const systemName = index === 0 ? '' : this.#texts.text(functions.systemName[index]!);
    return {
      function: this.#functionName(index),
      systemName,
      file: index === 0 ? '' : this.#texts.text(functions.filename[index]!),
      line: signed(lines.line, line),
      column: signed(lines.column, line),
    };
  }

  /** A function that only its linker's name is known of is shown by it. */
  #functionName(index: number): string {
    const { functions } = this.#message.dictionary;
    if (index === 0) return '';
    return this.#texts.text(functions.name[index]!) || this.#texts.text(functions.systemName[index]!);
  }

  #identify(mapping: Mapping, address: bigint, type: string, first: number, last: number): ByteRange {
    const { lines, functions } = this.#message.dictionary;
    const sink = this.#parts;
    const start = sink.length;
    if (mapping.buildId !== '') {
      const begin = identifyFileFrame(sink, mapping.buildId, Number(address & 0xffffffffn), Number(address >> 32n), last - first);
      for (let line = first; line < last; line++) identifyName(sink, this.#functionName(lines.function[line]!));
      endPart(sink, begin);
    } else {
      const begin = identifyNamedFrame(sink, type, mapping.name, last - first);
      for (let line = first; line < last; line++) {
        const index = lines.function[line]!;
        identifyLine(sink, this.#functionName(index), index === 0 ? '' : this.#texts.text(functions.filename[index]!), signed(lines.line, line));
      }
      endPart(sink, begin);
    }
    return { start, end: sink.length };
  }

  #attribute(location: number, key: string): AttributeValue {
    const { locations, attributes } = this.#message.dictionary;
    for (let at = locations.attributeStart[location]!; at < locations.attributeStart[location + 1]!; at++) {
      const index = locations.attributes[at]!;
      if (index !== 0 && this.#texts.text(attributes.key[index]!) === key) {
        return readAnyValue(this.#texts, { start: attributes.valueStart[index]!, end: attributes.valueEnd[index]! });
      }
    }
    return null;
  }
}

const noAddress = new Uint32Array(2);

export function textValue(value: AttributeValue): string {
  return typeof value === 'string' ? value : '';
}

function signed(halves: Uint32Array, index: number): bigint {
  const [low, high] = [halves[2 * index]!, halves[2 * index + 1]!];
  return high === 0 ? BigInt(low) : (BigInt(high | 0) << 32n) | BigInt(low);
}

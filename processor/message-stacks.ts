// The stacks of one message: the part of the stack id that comes from their frames, and the frames as
// they will stand in the lake. Worked out once per location and stack, whatever refers to them; frames
// only where a shard does not have the stack yet, which is the smaller part of them.
import { ByteSink } from '../lib/byte-sink.ts';
import type { ByteRange } from '../schemas/lake/digest.ts';
import { endPart } from '../schemas/lake/part.ts';
import { identifyFileFrame, identifyLine, identifyName, identifyNamedFrame, stackPart } from '../schemas/lake/stack-id.ts';
import { abortMarkerFrameType, frameTypes, stackCutAttribute } from '../schemas/otlp/attributes.ts';
import type { FrameRow } from '../schemas/rows/builder.ts';
import { fileAddress, type Mapping } from './message-mappings.ts';
import type { PreparedMessage } from './prepared-message.ts';

export interface Location {
  /** Its place in the location table; with the reading of addresses it tells locations apart. */
  readonly index: number;
  /** Why the stack ends here; null where the location is a frame. */
  readonly cut: string | null;
  readonly type: string;
  readonly mapping: Mapping;
  /** In the file; halves. */
  readonly addressLow: number;
  readonly addressHigh: number;
  readonly isFileOffset: boolean;
  /** Its part of the id, in the sink of all parts. */
  readonly identity: ByteRange;
}

export interface Stack {
  /** Leaf first, without the marker of a cut. */
  readonly locations: readonly Location[];
  readonly cut: string;
  /** 24 hex digits. */
  readonly part: string;
  /** Has frames, and none that is not the kernel's. */
  readonly isKernel: boolean;
}

/** Names for native frames that came without. */
export type NameOf = (mapping: Mapping, address: bigint, isFileOffset: boolean) => string | null;

/** What an attribute of a location says. */
interface Meaning {
  readonly type: string | null;
  readonly cut: string | null;
}

const says = { nothing: { type: null, cut: null } } as const;

export class MessageStacks {
  readonly #message: PreparedMessage;
  readonly #nameOf: NameOf;
  readonly #areElfAddresses: boolean;
  readonly #parts = new ByteSink(8192);
  readonly #sink = new ByteSink();
  readonly #locations: (Location | undefined)[] = [];
  readonly #stacks: (Stack | undefined)[] = [];
  readonly #meanings: (Meaning | undefined)[] = [];

  /** `areElfAddresses`: the sender's addresses are those of the file (message-mappings.ts). */
  constructor(message: PreparedMessage, areElfAddresses: boolean, nameOf: NameOf) {
    this.#message = message;
    this.#areElfAddresses = areElfAddresses;
    this.#nameOf = nameOf;
  }

  stack(index: number): Stack {
    const known = this.#stacks[index];
    if (known) return known;
    const { length, start, locations } = this.#message.otlp.dictionary.stacks;
    const [first, last] = index < length ? [start[index]!, start[index + 1]!] : [0, 0];
    const sink = this.#sink;
    sink.clear();
    const kept: Location[] = [];
    let cut = '';
    let isKernel = true;
    for (let at = first; at < last; at++) {
      const location = this.#location(locations[at]!);
      if (location.cut !== null) {
        cut = location.cut;
        continue;
      }
      kept.push(location);
      if (location.type !== frameTypes.kernel) isKernel = false;
      sink.raw(this.#parts.bytes, location.identity.start, location.identity.end);
    }
    const stack = { locations: kept, cut, part: stackPart(sink, cut), isKernel: isKernel && kept.length > 0 };
    this.#stacks[index] = stack;
    return stack;
  }

  /** Leaf first: a location with inlined calls is several frames. */
  frames(location: Location): FrameRow[] {
    const { mapping, type, index } = location;
    const address = (BigInt(location.addressHigh) << 32n) | BigInt(location.addressLow);
    // The stack is stored once for all that have its id: an address that the id does not cover would be the
    // first sender's alone. (So is the path of a file with a build id, but that is one of its names.)
    const shared = { type, mapping: mapping.name, buildId: mapping.buildId, ...(mapping.buildId === '' ? {} : { address }) };
    const [first, last] = this.#lines(index);
    const frames: FrameRow[] = [];
    for (let line = first; line < last; line++) frames.push({ ...this.#line(line), ...shared, inlined: line < last - 1 });
    if (frames.length === 0) frames.push(shared);
    const isNameless = frames.length === 1 && !frames[0]!.function && (type === '' || type === frameTypes.native);
    const name = isNameless && mapping.buildId !== '' ? this.#nameOf(mapping, address, location.isFileOffset) : null;
    if (name !== null) frames[0] = { ...frames[0], function: name, systemName: name };
    return frames;
  }

  #location(index: number): Location {
    const known = this.#locations[index];
    if (known) return known;
    const { locations } = this.#message.otlp.dictionary;
    const isThere = index < locations.length;
    const { type, cut } = isThere ? this.#attributes(index) : says.nothing;
    const mapping = this.#message.mappings.mapping(isThere ? locations.mapping[index]! : 0);
    const [sentLow, sentHigh] = isThere ? [locations.address[2 * index]!, locations.address[2 * index + 1]!] : [0, 0];
    const { low, high, isFileOffset } = fileAddress(mapping, sentLow, sentHigh, this.#areElfAddresses);
    const start = this.#parts.length;
    if (cut === null) this.#identify(index, mapping, low, high, type ?? '');
    const identity = { start, end: this.#parts.length };
    const location = { index, cut, type: type ?? '', mapping, addressLow: low, addressHigh: high, isFileOffset, identity };
    this.#locations[index] = location;
    return location;
  }

  #attributes(location: number): Meaning {
    const { attributeStart, attributes } = this.#message.otlp.dictionary.locations;
    let { type, cut }: Meaning = says.nothing;
    for (let at = attributeStart[location]!; at < attributeStart[location + 1]!; at++) {
      const meaning = this.#meaning(attributes[at]!);
      type = meaning.type ?? type;
      cut = meaning.cut ?? cut;
    }
    return { type, cut };
  }

  #meaning(attribute: number): Meaning {
    const known = this.#meanings[attribute];
    if (known) return known;
    const { table } = this.#message;
    const value = attribute === 0 ? null : table.value(attribute);
    let meaning: Meaning = says.nothing;
    if (typeof value === 'string' && value !== '') {
      const key = table.key(attribute);
      if (key === 'profile.frame.type') meaning = value === abortMarkerFrameType ? { type: value, cut: value } : { type: value, cut: null };
      else if (key === stackCutAttribute) meaning = { type: null, cut: value };
    }
    this.#meanings[attribute] = meaning;
    return meaning;
  }

  #lines(location: number): [number, number] {
    const { length, lineStart } = this.#message.otlp.dictionary.locations;
    return location < length ? [lineStart[location]!, lineStart[location + 1]!] : [0, 0];
  }

  #line(line: number): FrameRow {
    const { lines, functions } = this.#message.otlp.dictionary;
    const { texts } = this.#message;
    const index = lines.function[line]!;
    return {
      function: this.#functionName(index),
      systemName: index === 0 ? '' : texts.text(functions.systemName[index]!),
      file: index === 0 ? '' : texts.text(functions.filename[index]!),
      line: signed(lines.line, line),
      column: signed(lines.column, line),
    };
  }

  /** A function of which only the linker's name is known is shown by it. */
  #functionName(index: number): string {
    const { functions } = this.#message.otlp.dictionary;
    const { texts } = this.#message;
    if (index === 0) return '';
    return texts.text(functions.name[index]!) || texts.text(functions.systemName[index]!);
  }

  #identify(index: number, mapping: Mapping, addressLow: number, addressHigh: number, type: string): void {
    const { lines, functions } = this.#message.otlp.dictionary;
    const sink = this.#parts;
    const [first, last] = this.#lines(index);
    if (mapping.buildId !== '') {
      const begin = identifyFileFrame(sink, mapping.buildId, addressLow, addressHigh, last - first);
      for (let line = first; line < last; line++) identifyName(sink, this.#functionName(lines.function[line]!));
      endPart(sink, begin);
      return;
    }
    const begin = identifyNamedFrame(sink, type, mapping.name, last - first);
    for (let line = first; line < last; line++) {
      const called = lines.function[line]!;
      const file = called === 0 ? '' : this.#message.texts.text(functions.filename[called]!);
      identifyLine(sink, this.#functionName(called), file, signed(lines.line, line));
    }
    endPart(sink, begin);
  }
}

function signed(halves: Uint32Array, index: number): bigint {
  const [low, high] = [halves[2 * index]!, halves[2 * index + 1]!];
  return high === 0 ? BigInt(low) : (BigInt(high | 0) << 32n) | BigInt(low);
}

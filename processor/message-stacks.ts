// The stacks of one message: the part of the stack id that comes from their frames. Worked out once per
// location and stack, whatever refers to them, for the digests and for the rows.
import { ByteSink } from '../lib/byte-sink.ts';
import { endPart } from '../schemas/lake/part.ts';
import { identifyFileFrame, identifyNamedFrame, stackPart } from '../schemas/lake/stack-id.ts';
import { abortMarkerFrameType, frameTypes, stackCutAttribute } from '../schemas/otlp/attributes.ts';
import type { MessageAttributes } from './message-attributes.ts';
import { fileAddress, type Mapping, type MessageMappings } from './message-mappings.ts';
import type { MessageTexts } from './message-texts.ts';
import type { OtlpProfiles } from './otlp-tables.ts';

export interface Stack {
  /** Its place in the stack table. */
  readonly index: number;
  /** Why it does not reach its root; '' where it does. */
  readonly cut: string;
  /** 24 hex digits, and the same as three signed words in the order of their bytes. */
  readonly part: string;
  readonly word0: number;
  readonly word1: number;
  readonly word2: number;
  /** Has frames, and none that is not the kernel's. */
  readonly isKernel: boolean;
}

/** What a frame is, where it is to be written down. */
export interface Location {
  readonly type: string;
  readonly mapping: Mapping;
  /** In the file; halves. */
  readonly addressLow: number;
  readonly addressHigh: number;
  readonly isFileOffset: boolean;
}

/** What an attribute of a location says. */
interface Meaning {
  readonly type: string | null;
  readonly cut: string | null;
}

const says = { nothing: { type: null, cut: null } } as const;
/** Of a location; a cut is no frame, it only says why the stack ends. */
const kinds = { unread: 0, frame: 1, kernelFrame: 2, cut: 3 } as const;

export interface MessageTables {
  readonly otlp: OtlpProfiles;
  readonly texts: MessageTexts;
  readonly table: MessageAttributes;
  readonly mappings: MessageMappings;
}

export class MessageStacks {
  readonly #tables: MessageTables;
  readonly #areElfAddresses: boolean;
  /** Identities of locations one after the other, and where each lies. */
  #parts = new ByteSink(16_384);
  readonly #partStart: Uint32Array;
  readonly #partEnd: Uint32Array;
  readonly #kinds: Uint8Array;
  readonly #cuts = new Map<number, string>();
  readonly #sink = new ByteSink();
  readonly #stacks: (Stack | undefined)[] = [];
  readonly #meanings: (Meaning | undefined)[] = [];

  /** `areElfAddresses`: the sender's addresses are those of the file (message-mappings.ts). */
  constructor(tables: MessageTables, areElfAddresses: boolean) {
    this.#tables = tables;
    this.#areElfAddresses = areElfAddresses;
    // Index 0 is good without a table.
    const locations = Math.max(1, tables.otlp.dictionary.locations.length);
    this.#partStart = new Uint32Array(locations);
    this.#partEnd = new Uint32Array(locations);
    this.#kinds = new Uint8Array(locations);
  }

  /** Lets go of what only stacks that were not asked for yet would need. */
  seal(): void {
    this.#parts = new ByteSink(0);
  }

  stack(index: number): Stack {
    const known = this.#stacks[index];
    if (known) return known;
    const { length, start, locations } = this.#tables.otlp.dictionary.stacks;
    const [first, last] = index < length ? [start[index]!, start[index + 1]!] : [0, 0];
    const sink = this.#sink;
    sink.clear();
    let [cut, frames, kernelFrames] = ['', 0, 0];
    for (let at = first; at < last; at++) {
      const location = locations[at]!;
      const kind = this.#kinds[location]! || this.#read(location);
      if (kind === kinds.cut) {
        cut = this.#cuts.get(location)!;
        continue;
      }
      frames++;
      if (kind === kinds.kernelFrame) kernelFrames++;
      sink.copy(this.#parts, this.#partStart[location]!, this.#partEnd[location]!);
    }
    const part = stackPart(sink, cut);
    const isKernel = frames > 0 && frames === kernelFrames;
    const stack: Stack = { index, cut, part, word0: hexWord(part, 0), word1: hexWord(part, 8), word2: hexWord(part, 16), isKernel };
    this.#stacks[index] = stack;
    return stack;
  }

  /** Of a location in a stack that was asked for: it is no frame, it only says why the stack ends. */
  isCut(location: number): boolean {
    return this.#kinds[location] === kinds.cut;
  }

  location(index: number): Location {
    const { locations } = this.#tables.otlp.dictionary;
    const isThere = index < locations.length;
    const mapping = this.#tables.mappings.mapping(isThere ? locations.mapping[index]! : 0);
    const [sentLow, sentHigh] = isThere ? [locations.address[2 * index]!, locations.address[2 * index + 1]!] : [0, 0];
    const { low, high, isFileOffset } = fileAddress(mapping, sentLow, sentHigh, this.#areElfAddresses);
    return { type: this.#attributes(index).type ?? '', mapping, addressLow: low, addressHigh: high, isFileOffset };
  }

  #read(index: number): number {
    const { type, cut } = this.#attributes(index);
    let kind: number = type === frameTypes.kernel ? kinds.kernelFrame : kinds.frame;
    this.#partStart[index] = this.#parts.length;
    if (cut === null) this.#identify(index);
    else {
      kind = kinds.cut;
      this.#cuts.set(index, cut);
    }
    this.#partEnd[index] = this.#parts.length;
    this.#kinds[index] = kind;
    return kind;
  }

  #attributes(location: number): Meaning {
    const { length, attributeStart, attributes } = this.#tables.otlp.dictionary.locations;
    if (location >= length) return says.nothing;
    const [first, last] = [attributeStart[location]!, attributeStart[location + 1]!];
    if (last === first + 1) return this.#meaning(attributes[first]!);
    let { type, cut }: Meaning = says.nothing;
    for (let at = first; at < last; at++) {
      const meaning = this.#meaning(attributes[at]!);
      type = meaning.type ?? type;
      cut = meaning.cut ?? cut;
    }
    return { type, cut };
  }

  #meaning(attribute: number): Meaning {
    const known = this.#meanings[attribute];
    if (known) return known;
    const { table } = this.#tables;
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

  #identify(index: number): void {
    const { locations, lines, functions } = this.#tables.otlp.dictionary;
    const { texts } = this.#tables;
    const sink = this.#parts;
    const { mapping, type, addressLow, addressHigh } = this.location(index);
    const [first, last] = index < locations.length ? [locations.lineStart[index]!, locations.lineStart[index + 1]!] : [0, 0];
    if (mapping.buildId !== '') {
      const begin = identifyFileFrame(sink, mapping.buildId, addressLow, addressHigh, last - first);
      for (let line = first; line < last; line++) texts.put(sink, this.#name(lines.function[line]!));
      endPart(sink, begin);
      return;
    }
    const begin = identifyNamedFrame(sink, type, mapping.name, last - first);
    // As identifyLine writes it.
    for (let line = first; line < last; line++) {
      const called = lines.function[line]!;
      texts.put(sink, this.#name(called));
      texts.put(sink, called === 0 ? 0 : functions.filename[called]!);
      sink.uint64(lines.line[2 * line]!, lines.line[2 * line + 1]!);
    }
    endPart(sink, begin);
  }

  /** Index of the text: a function of which only the linker's name is known is called by it. */
  #name(called: number): number {
    if (called === 0) return 0;
    const { name, systemName } = this.#tables.otlp.dictionary.functions;
    return this.#tables.texts.isEmpty(name[called]!) ? systemName[called]! : name[called]!;
  }
}

/** Eight hex digits as a signed number whose bytes, little endian, are those that the digits say. */
export function hexWord(digits: string, at: number): number {
  let word = 0;
  for (let index = 0; index < 8; index += 2) word |= ((hexDigit(digits, at + index) << 4) | hexDigit(digits, at + index + 1)) << (4 * index);
  return word;
}

/** Lower case. */
function hexDigit(digits: string, at: number): number {
  const unit = digits.charCodeAt(at);
  return unit < 0x3a ? unit - 0x30 : unit - 0x57;
}

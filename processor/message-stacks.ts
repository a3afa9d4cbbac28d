// The stacks of one message: the part of the stack id that comes from their frames. Worked out once per
// location and stack, whatever refers to them, for the digests and for the rows.
import { ByteSink } from '../lib/byte-sink.ts';
import { endPart } from '../schemas/lake/part.ts';
import { identifyFileFrame, identifyNamedFrame, stackPart } from '../schemas/lake/stack-id.ts';
import { abortMarkerFrameType, frameTypes, stackCutAttribute } from '../schemas/otlp/attributes.ts';
import { hexWord } from '../schemas/rows/stack-ids.ts';
import { FrameNumbers } from './frame-numbers.ts';
import type { IdentityMemory } from './identity-memory.ts';
import { rememberedDepthMax } from './limits.ts';
import type { MessageAttributes } from './message-attributes.ts';
import { fileAddress, type Mapping, type MessageMappings } from './message-mappings.ts';
import type { MessageTexts } from './message-texts.ts';
import type { OtlpProfiles } from './otlp-tables.ts';
import { emptyText, forgotten } from './text-memory.ts';

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
  /** The remembered number of `type`. */
  readonly typeText: number;
}

const says = { nothing: { type: null, cut: null, typeText: emptyText } } as const;
/** Of a location; a cut is no frame, it only says why the stack ends. */
const kinds = { frame: 1, kernelFrame: 2, cut: 3 } as const;
const kindBits = 2;
const kindMask = 3;
/** Of a stack; the kernel's has frames, and none that is not the kernel's. */
const stackKinds = { unread: 0, usual: 1, kernel: 2 } as const;
/** Numbers of the stack's frames while it is looked for. */
const frameNumbers = new Int32Array(rememberedDepthMax);

export interface MessageTables {
  readonly otlp: OtlpProfiles;
  readonly texts: MessageTexts;
  readonly table: MessageAttributes;
  readonly mappings: MessageMappings;
}

export class MessageStacks {
  /** By index in the stack table: its part of the stack id as three signed words, in the order of their bytes. */
  readonly words: Int32Array;
  readonly #tables: MessageTables;
  readonly #memory: IdentityMemory;
  readonly #frameNumbers: FrameNumbers;
  readonly #areElfAddresses: boolean;
  readonly #stackKinds: Uint8Array;
  /** Why a stack does not reach its root, for those that do not. */
  readonly #stackCuts = new Map<number, string>();
  /** Identities of locations that had to be hashed one after the other, and where each lies. */
  #parts = new ByteSink(16_384);
  readonly #partStart: Uint32Array;
  readonly #partEnd: Uint32Array;
  /** Of each location its kind, and above it the number of its frame; 0 = not looked at yet. */
  readonly #read: Int32Array;
  readonly #cuts = new Map<number, string>();
  readonly #sink = new ByteSink();
  readonly #meanings: (Meaning | undefined)[] = [];

  /** `areElfAddresses`: the sender's addresses are those of the file (message-mappings.ts). */
  constructor(tables: MessageTables, memory: IdentityMemory, areElfAddresses: boolean) {
    this.#tables = tables;
    this.#areElfAddresses = areElfAddresses;
    this.#memory = memory;
    this.#frameNumbers = new FrameNumbers(tables, memory, areElfAddresses);
    // Index 0 is good without a table.
    const { dictionary } = tables.otlp;
    const [locations, stacks] = [Math.max(1, dictionary.locations.length), Math.max(1, dictionary.stacks.length)];
    this.#partStart = new Uint32Array(locations);
    this.#partEnd = new Uint32Array(locations);
    this.#read = new Int32Array(locations);
    this.words = new Int32Array(3 * stacks);
    this.#stackKinds = new Uint8Array(stacks);
  }

  /** Lets go of what only stacks that were not asked for yet would need. */
  seal(): void {
    this.#parts = new ByteSink(0);
  }

  /** Makes sure of a stack's words. */
  read(index: number): void {
    if (this.#stackKinds[index] === stackKinds.unread) this.#readStack(index);
  }

  /** Of a stack that was read. */
  isKernel(index: number): boolean {
    return this.#stackKinds[index] === stackKinds.kernel;
  }

  /** Of a stack that was read: why it does not reach its root; '' where it does. */
  cut(index: number): string {
    return this.#stackCuts.get(index) ?? '';
  }

  #readStack(index: number): void {
    const { length, start, locations } = this.#tables.otlp.dictionary.stacks;
    const [first, last] = index < length ? [start[index]!, start[index + 1]!] : [0, 0];
    let [cut, frames, kernelFrames, isKnown] = ['', 0, 0, last - first <= rememberedDepthMax];
    let number = forgotten;
    for (let at = first; at < last; at++) {
      const location = locations[at]!;
      const read = this.#read[location]! || this.#readLocation(location, number);
      const kind = read & kindMask;
      if (kind === kinds.cut) {
        cut = this.#cuts.get(location)!;
        continue;
      }
      if (kind === kinds.kernelFrame) kernelFrames++;
      number = read >>> kindBits;
      if (number === forgotten) isKnown = false;
      else if (isKnown) frameNumbers[frames] = number;
      frames++;
    }
    this.#stackKinds[index] = frames > 0 && frames === kernelFrames ? stackKinds.kernel : stackKinds.usual;
    if (cut !== '') this.#stackCuts.set(index, cut);
    const { stacks } = this.#memory;
    const cutText = cut === '' ? emptyText : this.#memory.texts.ofString(cut);
    if (!isKnown || cutText === forgotten) this.#hash(index, first, last, cut);
    else if (!stacks.find(frameNumbers, frames, cutText, this.words, 3 * index)) {
      this.#hash(index, first, last, cut);
      stacks.add(frameNumbers, frames, cutText, this.words, 3 * index);
    }
  }

  #hash(index: number, first: number, last: number, cut: string): void {
    const { locations } = this.#tables.otlp.dictionary.stacks;
    const sink = this.#sink;
    sink.clear();
    for (let at = first; at < last; at++) {
      const location = locations[at]!;
      if (this.isCut(location)) continue;
      if (this.#partEnd[location] === 0) {
        this.#identify(location);
        this.#partEnd[location] = this.#parts.length;
      }
      sink.copy(this.#parts, this.#partStart[location]!, this.#partEnd[location]!);
    }
    const part = stackPart(sink, cut);
    for (let word = 0; word < 3; word++) this.words[3 * index + word] = hexWord(part, 8 * word);
  }

  /** Of a location in a stack that was asked for: it is no frame, it only says why the stack ends. */
  isCut(location: number): boolean {
    return (this.#read[location]! & kindMask) === kinds.cut;
  }

  location(index: number): Location {
    const { locations } = this.#tables.otlp.dictionary;
    const isThere = index < locations.length;
    const mapping = this.#tables.mappings.mapping(isThere ? locations.mapping[index]! : 0);
    const [sentLow, sentHigh] = isThere ? [locations.address[2 * index]!, locations.address[2 * index + 1]!] : [0, 0];
    const { low, high, isFileOffset } = fileAddress(mapping, sentLow, sentHigh, this.#areElfAddresses);
    return { type: this.#attributes(index).type ?? '', mapping, addressLow: low, addressHigh: high, isFileOffset };
  }

  /** `before`: the number of the frame before it in the stack. */
  #readLocation(index: number, before: number): number {
    const { type, cut, typeText } = this.#attributes(index);
    let read: number = kinds.cut;
    if (cut === null) {
      this.#memory.frames.after(before);
      read = (this.#frameNumbers.number(index, typeText) << kindBits) | (type === frameTypes.kernel ? kinds.kernelFrame : kinds.frame);
    } else this.#cuts.set(index, cut);
    this.#read[index] = read;
    return read;
  }

  #attributes(location: number): Meaning {
    const { length, attributeStart, attributes } = this.#tables.otlp.dictionary.locations;
    if (location >= length) return says.nothing;
    const [first, last] = [attributeStart[location]!, attributeStart[location + 1]!];
    if (last === first + 1) return this.#meaning(attributes[first]!);
    let { type, cut, typeText }: Meaning = says.nothing;
    for (let at = first; at < last; at++) {
      const meaning = this.#meaning(attributes[at]!);
      if (meaning.type !== null) ({ type, typeText } = meaning);
      cut = meaning.cut ?? cut;
    }
    return { type, cut, typeText };
  }

  #meaning(attribute: number): Meaning {
    const known = this.#meanings[attribute];
    if (known) return known;
    const { table } = this.#tables;
    const value = attribute === 0 ? null : table.value(attribute);
    let meaning: Meaning = says.nothing;
    if (typeof value === 'string' && value !== '') {
      const key = table.key(attribute);
      const typeText = this.#memory.texts.ofString(value);
      if (key === 'profile.frame.type') meaning = { type: value, cut: value === abortMarkerFrameType ? value : null, typeText };
      else if (key === stackCutAttribute) meaning = { type: null, cut: value, typeText: emptyText };
    }
    this.#meanings[attribute] = meaning;
    return meaning;
  }

  #identify(index: number): void {
    const { locations, lines, functions } = this.#tables.otlp.dictionary;
    const { texts } = this.#tables;
    const sink = this.#parts;
    this.#partStart[index] = sink.length;
    const { mapping, type, addressLow, addressHigh } = this.location(index);
    const [first, last] = index < locations.length ? [locations.lineStart[index]!, locations.lineStart[index + 1]!] : [0, 0];
    if (mapping.buildId !== '') {
      const begin = identifyFileFrame(sink, mapping.buildId, addressLow, addressHigh, last - first);
      for (let line = first; line < last; line++) texts.put(sink, texts.ofFunction(lines.function[line]!));
      endPart(sink, begin);
      return;
    }
    const begin = identifyNamedFrame(sink, type, mapping.name, last - first);
    // As identifyLine writes it.
    for (let line = first; line < last; line++) {
      const called = lines.function[line]!;
      texts.put(sink, texts.ofFunction(called));
      texts.put(sink, called === 0 ? 0 : functions.filename[called]!);
      sink.uint64(lines.line[2 * line]!, lines.line[2 * line + 1]!);
    }
    endPart(sink, begin);
  }
}

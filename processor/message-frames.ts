// Frames as they will stand in the lake, for stacks that a shard does not have yet: a table of the row
// message, each location of a source message once, and for each stack its list of them.
import { frameTypes } from '../schemas/otlp/attributes.ts';
import type { FrameWords, RowsBuilder } from '../schemas/rows/builder.ts';
import type { Mapping } from './message-mappings.ts';
import type { Location, MessageStacks, MessageTables } from './message-stacks.ts';

/** Names for native frames that came without. */
export type NameOf = (mapping: Mapping, address: bigint, isFileOffset: boolean) => string | null;

/** String indices of a function's texts. */
interface FunctionNames {
  readonly function: number;
  readonly systemName: number;
  readonly file: number;
}

interface MappingTexts {
  readonly name: number;
  readonly buildId: number;
}

const nameless: FunctionNames = { function: 0, systemName: 0, file: 0 };

export class FrameRows {
  readonly #tables: MessageTables;
  readonly #stacks: MessageStacks;
  readonly #builder: RowsBuilder;
  readonly #nameOf: NameOf;
  /** First frame of each location, by its index. */
  readonly #first = new Map<number, number>();
  readonly #functions: (FunctionNames | undefined)[] = [];
  readonly #mappings: (MappingTexts | undefined)[] = [];
  /** Of the frame before; index 0 is '' in any builder. */
  #type = '';
  #typeText = 0;
  readonly #words: FrameWords = {
    function: 0,
    systemName: 0,
    file: 0,
    type: 0,
    mapping: 0,
    buildId: 0,
    inlined: 0,
    line: [0, 0],
    column: [0, 0],
    address: [0, 0],
  };

  constructor(tables: MessageTables, stacks: MessageStacks, builder: RowsBuilder, nameOf: NameOf) {
    this.#tables = tables;
    this.#stacks = stacks;
    this.#builder = builder;
    this.#nameOf = nameOf;
  }

  /** The frames of the stack that the builder was told to begin. */
  append(stack: number): void {
    const { stacks, locations } = this.#tables.otlp.dictionary;
    if (stack >= stacks.length) return;
    for (let at = stacks.start[stack]!; at < stacks.start[stack + 1]!; at++) {
      const location = stacks.locations[at]!;
      if (this.#stacks.isCut(location)) continue;
      let first = this.#first.get(location);
      if (first === undefined) {
        first = this.#add(location);
        this.#first.set(location, first);
      }
      // One with inlined calls is several frames.
      const lines = location < locations.length ? locations.lineStart[location + 1]! - locations.lineStart[location]! : 0;
      for (let frame = first; frame < first + Math.max(1, lines); frame++) this.#builder.stackFrame(frame);
    }
  }

  /** Leaf first. */
  #add(index: number): number {
    const { dictionary } = this.#tables.otlp;
    const location = this.#stacks.location(index);
    const { mapping, type, addressLow, addressHigh } = location;
    const builder = this.#builder;
    const words = this.#words;
    const texts = this.#mappingTexts(mapping);
    const hasBuildId = mapping.buildId !== '';
    if (type !== this.#type) {
      this.#type = type;
      this.#typeText = builder.string(type);
    }
    words.type = this.#typeText;
    words.mapping = texts.name;
    words.buildId = texts.buildId;
    // The stack is stored once for all that have its id: an address that the id does not cover would be the
    // first sender's alone. (So is the path of a file with a build id, but that is one of its names.)
    words.address[0] = hasBuildId ? addressLow : 0;
    words.address[1] = hasBuildId ? addressHigh : 0;
    const { length, lineStart } = dictionary.locations;
    const [first, last] = index < length ? [lineStart[index]!, lineStart[index + 1]!] : [0, 0];
    if (last - first > 1) return this.#addLines(first, last);
    const called = last > first ? dictionary.lines.function[first]! : 0;
    this.#place(last > first ? first : -1);
    words.inlined = 0;
    this.#called(this.#names(called));
    if (words.function === 0 && hasBuildId && (type === '' || type === frameTypes.native)) this.#nameNative(location);
    return builder.addFrameWords(words);
  }

  #addLines(first: number, last: number): number {
    const { lines } = this.#tables.otlp.dictionary;
    const frame = this.#builder.frames;
    for (let line = first; line < last; line++) {
      this.#place(line);
      this.#words.inlined = line < last - 1 ? 1 : 0;
      this.#called(this.#names(lines.function[line]!));
      this.#builder.addFrameWords(this.#words);
    }
    return frame;
  }

  #nameNative({ mapping, addressLow, addressHigh, isFileOffset }: Location): void {
    const name = this.#nameOf(mapping, (BigInt(addressHigh) << 32n) | BigInt(addressLow), isFileOffset);
    if (name === null) return;
    this.#words.function = this.#builder.string(name);
    this.#words.systemName = this.#words.function;
  }

  #called({ function: name, systemName, file }: FunctionNames): void {
    this.#words.function = name;
    this.#words.systemName = systemName;
    this.#words.file = file;
  }

  /** Line and column of a line; -1 = none. */
  #place(line: number): void {
    const { lines } = this.#tables.otlp.dictionary;
    const words = this.#words;
    words.line[0] = line < 0 ? 0 : lines.line[2 * line]!;
    words.line[1] = line < 0 ? 0 : lines.line[2 * line + 1]!;
    words.column[0] = line < 0 ? 0 : lines.column[2 * line]!;
    words.column[1] = line < 0 ? 0 : lines.column[2 * line + 1]!;
  }

  #mappingTexts(mapping: Mapping): MappingTexts {
    const known = this.#mappings[mapping.index];
    if (known) return known;
    const made = { name: this.#builder.string(mapping.name), buildId: this.#builder.string(mapping.buildId) };
    this.#mappings[mapping.index] = made;
    return made;
  }

  #names(called: number): FunctionNames {
    if (called === 0) return nameless;
    const known = this.#functions[called];
    if (known) return known;
    const { texts, otlp } = this.#tables;
    const { name, systemName, filename } = otlp.dictionary.functions;
    const string = (index: number) => this.#builder.string(texts.text(index));
    const own = string(name[called]!);
    const linkers = string(systemName[called]!);
    // A function of which only the linker's name is known is shown by it.
    const names = { function: own || linkers, systemName: linkers, file: string(filename[called]!) };
    this.#functions[called] = names;
    return names;
  }
}

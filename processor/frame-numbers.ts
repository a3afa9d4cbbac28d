// The frames of one message by the numbers that they have in the memory of the process (frame-memory.ts).
// What counts is what schemas/lake/stack-id.ts hashes, in its order: message-stacks.ts writes the same.
import { type FrameMemory, frameSteps } from './frame-memory.ts';
import type { IdentityMemory } from './identity-memory.ts';
import { fileAddress, hasFileAddresses } from './message-mappings.ts';
import type { MessageTables } from './message-stacks.ts';
import { emptyText, forgotten, viewOf } from './text-memory.ts';

/** Of a text that was not asked for yet; `forgotten` is an answer. */
const unread = -1;

export class FrameNumbers {
  readonly #tables: MessageTables;
  readonly #memory: IdentityMemory;
  readonly #frames: FrameMemory;
  readonly #view: DataView;
  readonly #texts: Int32Array;
  /** Of each mapping the build id or, where it has none, the name; whether it is a build id, and whether addresses are its file's. */
  readonly #mappingTexts: Int32Array;
  readonly #hasBuildId: Uint8Array;
  readonly #isPlain: Uint8Array;
  readonly #areElfAddresses: boolean;
  /** By mapping: what a frame of this type begins with. */
  readonly #headTypes: Int32Array;
  readonly #heads: Int32Array;

  constructor(tables: MessageTables, memory: IdentityMemory, areElfAddresses: boolean) {
    this.#tables = tables;
    this.#memory = memory;
    this.#frames = memory.frames;
    this.#view = viewOf(tables.otlp.bytes);
    this.#texts = new Int32Array(tables.otlp.dictionary.strings.length).fill(unread);
    this.#areElfAddresses = areElfAddresses;
    const { mappings } = tables;
    const length = Math.max(1, mappings.length);
    this.#mappingTexts = new Int32Array(length);
    this.#hasBuildId = new Uint8Array(length);
    this.#isPlain = new Uint8Array(length);
    this.#headTypes = new Int32Array(length);
    this.#heads = new Int32Array(length);
    for (let index = 0; index < length; index++) {
      const mapping = mappings.mapping(index);
      const { buildId, name } = mapping;
      this.#mappingTexts[index] = memory.texts.ofString(buildId === '' ? name : buildId);
      this.#hasBuildId[index] = buildId === '' ? 0 : 1;
      this.#isPlain[index] = hasFileAddresses(mapping, areElfAddresses) ? 1 : 0;
    }
  }

  /** Of a location that is a frame of this type. */
  number(index: number, typeText: number): number {
    const { locations } = this.#tables.otlp.dictionary;
    if (index >= locations.length) return this.#frames.head(frameSteps.named, emptyText, emptyText);
    const mapping = locations.mapping[index]!;
    const text = this.#mappingTexts[mapping]!;
    if (text === forgotten || typeText === forgotten) return forgotten;
    if (this.#hasBuildId[mapping] === 0) return this.#lines(index, this.#head(mapping, typeText, text));
    let [low, high] = [locations.address[2 * index]!, locations.address[2 * index + 1]!];
    if (this.#isPlain[mapping] === 0) ({ low, high } = fileAddress(this.#tables.mappings.mapping(mapping), low, high, this.#areElfAddresses));
    return this.#names(index, this.#frames.step(frameSteps.file, 0, text, low | 0, high | 0, 0));
  }

  /** Most frames of a mapping have one type. */
  #head(mapping: number, typeText: number, text: number): number {
    if (this.#headTypes[mapping] !== typeText) {
      this.#headTypes[mapping] = typeText;
      this.#heads[mapping] = this.#frames.head(frameSteps.named, typeText, text);
    }
    return this.#heads[mapping]!;
  }

  #names(index: number, file: number): number {
    const { locations, lines } = this.#tables.otlp.dictionary;
    let number = file;
    const last = locations.lineStart[index + 1]!;
    for (let line = locations.lineStart[index]!; line < last; line++) {
      const name = this.#text(this.#tables.texts.ofFunction(lines.function[line]!));
      if (number === forgotten || name === forgotten) return forgotten;
      number = this.#frames.step(frameSteps.name, number, name, 0, 0, 0);
    }
    return number;
  }

  #lines(index: number, named: number): number {
    const { locations, lines, functions } = this.#tables.otlp.dictionary;
    let number = named;
    const last = locations.lineStart[index + 1]!;
    for (let line = locations.lineStart[index]!; line < last; line++) {
      const called = lines.function[line]!;
      const name = this.#text(this.#tables.texts.ofFunction(called));
      const file = called === 0 ? emptyText : this.#text(functions.filename[called]!);
      if (number === forgotten || name === forgotten || file === forgotten) return forgotten;
      number = this.#frames.step(frameSteps.line, number, name, file, lines.line[2 * line]! | 0, lines.line[2 * line + 1]! | 0);
    }
    return number;
  }

  #text(index: number): number {
    if (index === 0) return emptyText;
    const known = this.#texts[index]!;
    if (known !== unread) return known;
    const { strings } = this.#tables.otlp.dictionary;
    const text = this.#memory.texts.of(this.#tables.otlp.bytes, this.#view, strings.start[index]!, strings.end[index]!);
    this.#texts[index] = text;
    return text;
  }
}

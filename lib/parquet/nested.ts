// Levels of the two nested shapes that the lake has: a MAP of texts, NULL where there is none, and a LIST
// of structs that is never NULL. Both are the three-level forms of the format's specification.
import { type CodedTexts, type Column, type FixedWords, type Levels, tableTexts, type Values } from './values.ts';

type Entries = readonly { readonly key: string; readonly value: string }[];

/**
 * `codes` say which map a row has, or the rows up to each place in `ends`; 0 = NULL. Maps have at least one entry.
 * Two columns: keys and values.
 */
export function* mapColumns(name: string, codes: Uint32Array, maps: readonly Entries[], ends?: Uint32Array): Generator<Column> {
  const rows = ends === undefined ? codes.length : (ends.at(-1) ?? 0);
  const countOf = (run: number) => (ends === undefined ? 1 : ends[run]! - (run === 0 ? 0 : ends[run - 1]!));
  let [slots, nulls] = [0, 0];
  for (let run = 0; run < codes.length; run++) {
    const count = countOf(run);
    if (codes[run] === 0) nulls += count;
    slots += codes[run] === 0 ? count : count * maps[codes[run]!]!.length;
  }
  const leaf = (field: string, levels: Levels, values: CodedTexts): Column => {
    return { path: [name, 'key_value', field], rows, slots, nulls, levels, values, statistics: false };
  };
  if (nulls === slots) {
    const levels = { repetition: new Uint32Array(1), definition: new Uint32Array(1), ends: Uint32Array.of(slots) };
    yield leaf('key', { ...levels, definitionMax: keyLevel }, tableTexts(new Uint32Array(0), []));
    yield leaf('value', { ...levels, definitionMax: keyLevel + 1 }, tableTexts(new Uint32Array(0), []));
    return;
  }
  const repetition = new Uint32Array(slots);
  const [keys, values] = [new Uint32Array(slots - nulls), new Uint32Array(slots - nulls)];
  /** Levels of keys; those of values are one more where there is one. */
  const present = new Uint32Array(slots);
  const texts = new MapTexts(maps);
  for (let run = 0, slot = 0, at = 0; run < codes.length; run++) {
    const count = countOf(run);
    if (codes[run] === 0) {
      slot += count;
      continue;
    }
    const numbers = texts.numbers(codes[run]!);
    const taken = count * numbers.keys.length;
    repeat(repetition, slot, numbers.repetition, count);
    repeat(keys, at, numbers.keys, count);
    repeat(values, at, numbers.values, count);
    present.fill(keyLevel, slot, slot + taken);
    slot += taken;
    at += taken;
  }
  yield leaf('key', { repetition, definition: present, definitionMax: keyLevel }, tableTexts(keys, texts.all));
  for (let slot = 0; slot < slots; slot++) if (present[slot] === keyLevel) present[slot] = keyLevel + 1;
  yield leaf('value', { repetition, definition: present, definitionMax: keyLevel + 1 }, tableTexts(values, texts.all));
}

/** Writes the pattern so many times from `at` on. */
function repeat(target: Uint32Array, at: number, pattern: Uint32Array, times: number): void {
  const total = pattern.length * times;
  target.set(pattern, at);
  for (let done = pattern.length; done < total; done *= 2) target.copyWithin(at + done, at, at + Math.min(done, total - done));
}

/** What each map's entries are in columns, made once for each map. */
class MapTexts {
  readonly #maps: readonly Entries[];
  readonly #texts = new TextTable();
  readonly #known = new Map<number, { readonly repetition: Uint32Array; readonly keys: Uint32Array; readonly values: Uint32Array }>();

  constructor(maps: readonly Entries[]) {
    this.#maps = maps;
  }

  get all(): readonly string[] {
    return this.#texts.all;
  }

  numbers(code: number) {
    let numbers = this.#known.get(code);
    if (numbers === undefined) {
      const map = this.#maps[code]!;
      numbers = {
        repetition: Uint32Array.from(map, (_entry, position) => (position === 0 ? 0 : 1)),
        keys: Uint32Array.from(map, ({ key }) => this.#texts.number(key)),
        values: Uint32Array.from(map, ({ value }) => this.#texts.number(value)),
      };
      this.#known.set(code, numbers);
    }
    return numbers;
  }
}

const keyLevel = 2;

class TextTable {
  readonly all: string[] = [];
  readonly #numbers = new Map<string, number>();

  number(text: string): number {
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.all.push(text) - 1;
      this.#numbers.set(text, number);
    }
    return number;
  }
}

/** Texts that are made from numbers: equal texts get equal codes, and '' gets 0. */
export function codeTexts(numbers: Uint32Array, textOf: (number: number) => string): { codes: Uint32Array; table: readonly string[] } {
  const texts = new TextTable();
  texts.number('');
  return { codes: numbers.map((number) => texts.number(textOf(number))), table: texts.all };
}

/**
 * The elements of lists, row after row; a list without elements takes a slot too. Elements repeat, so what a field says
 * of one is asked for once and not for each slot. Columns share their arrays: each is valid until the next one is made.
 */
export class ListSlots {
  readonly #rows: number;
  readonly #slots: number;
  readonly #empty: number;
  readonly #repetition: Uint32Array;
  /** Place in `distinct` of each slot's element, `noElement` where the list is empty. */
  readonly #places: Uint32Array;
  readonly #distinct: Uint32Array;
  readonly #definition: Uint32Array;
  /** Places of the slots that have an element. */
  readonly #filled: Uint32Array;
  /** Of those whose element has a field that others have not. */
  readonly #present: Uint32Array;
  /** By level and greatest level, since the same levels are other bytes under another width. */
  readonly #uniform = new Map<string, Uint32Array>();

  /** Elements are numbers below `elementsMax`; `count` of them are in all lists together. */
  constructor(rows: number, count: number, elementsMax: number, lengthOf: (row: number) => number, elementOf: (row: number, position: number) => number) {
    this.#rows = rows;
    this.#repetition = new Uint32Array(count + rows);
    this.#places = new Uint32Array(count + rows);
    const marks = new Uint32Array(elementsMax);
    const distinct = new Uint32Array(Math.min(count, elementsMax));
    let [slot, empty, found] = [0, 0, 0];
    for (let row = 0; row < rows; row++) {
      const length = lengthOf(row);
      if (length === 0) {
        empty++;
        this.#places[slot++] = noElement;
      }
      for (let position = 0; position < length; position++) {
        const element = elementOf(row, position);
        if (marks[element] === 0) {
          distinct[found] = element;
          marks[element] = ++found;
        }
        this.#repetition[slot] = position === 0 ? 0 : 1;
        this.#places[slot++] = marks[element]! - 1;
      }
    }
    this.#slots = slot;
    this.#empty = empty;
    this.#distinct = distinct.subarray(0, found);
    this.#definition = new Uint32Array(slot);
    this.#filled = empty === 0 ? this.#places.subarray(0, slot) : this.#places.subarray(0, slot).filter((place) => place !== noElement);
    this.#present = new Uint32Array(this.#filled.length);
  }

  /** A field that every element has. */
  required(path: readonly string[], bitOf: (element: number) => number, values: (codes: Uint32Array) => Values): Column {
    const bits = this.#distinct.map(bitOf);
    const codes = new Uint32Array(this.#filled.length);
    for (let at = 0; at < codes.length; at++) codes[at] = bits[this.#filled[at]!]!;
    return this.#column(path, this.#empty, this.#levels(1, 1), 1, values(codes));
  }

  /** A field that is NULL where its code is 0. `values` of the codes that it is given, in their order. */
  optional(path: readonly string[], codeOf: (element: number) => number, values: (codes: Uint32Array) => CodedTexts | FixedWords): Column {
    const of = this.#distinct.map(codeOf);
    const codes = new Uint32Array(of.length);
    let found = 0;
    /** What was a place among all elements becomes one among those that have the field; noElement where it has not. */
    const moved = new Uint32Array(of.length);
    for (let place = 0; place < of.length; place++) {
      moved[place] = of[place] === 0 ? noElement : found;
      if (of[place] !== 0) codes[found++] = of[place]!;
    }
    const all = { ...values(codes.subarray(0, found)), places: this.#filled };
    if (found === of.length) return this.#column(path, this.#empty, this.#levels(2, 2), 2, all);
    if (found === 0) return this.#column(path, this.#slots, this.#levels(1, 2), 2, { ...all, places: new Uint32Array(0) });
    const [slots, places, definition, present] = [this.#slots, this.#places, this.#definition, this.#present];
    let at = 0;
    for (let slot = 0; slot < slots; slot++) {
      const place = places[slot]!;
      const to = place === noElement ? noElement : moved[place]!;
      definition[slot] = to === noElement ? (place === noElement ? 0 : 1) : 2;
      if (to !== noElement) present[at++] = to;
    }
    return this.#column(path, slots - at, definition, 2, { ...all, places: present.subarray(0, at) });
  }

  /** Definition levels that are the same for each element, 0 where a list is empty. */
  #levels(level: number, definitionMax: number): Uint32Array {
    const key = `${level} of ${definitionMax}`;
    let levels = this.#uniform.get(key);
    if (levels === undefined) {
      levels = new Uint32Array(this.#slots).fill(level);
      if (this.#empty > 0) for (let slot = 0; slot < this.#slots; slot++) if (this.#places[slot] === noElement) levels[slot] = 0;
      this.#uniform.set(key, levels);
    }
    return levels;
  }

  #column(path: readonly string[], nulls: number, definition: Uint32Array, definitionMax: number, values: Values): Column {
    const shared = definition === this.#definition ? [this.#repetition] : [this.#repetition, definition];
    return {
      path,
      rows: this.#rows,
      slots: this.#slots,
      nulls,
      levels: { repetition: this.#repetition, definition, definitionMax, shared },
      values,
      statistics: false,
    };
  }
}

const noElement = 0xffff_ffff;

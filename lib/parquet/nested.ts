// Levels of the two nested shapes that the lake has: a MAP of texts, NULL where there is none, and a LIST
// of structs that is never NULL. Both are the three-level forms of the format's specification.
import { type Column, tableTexts, type Values } from './values.ts';

type Map = readonly { readonly key: string; readonly value: string }[];

/** `codes` say which map a row has, 0 = NULL; maps have at least one entry. Two columns: keys and values. */
export function* mapColumns(name: string, codes: Uint32Array, maps: readonly Map[]): Generator<Column> {
  const rows = codes.length;
  let [slots, nulls] = [0, 0];
  for (let row = 0; row < rows; row++) {
    if (codes[row] === 0) nulls++;
    slots += codes[row] === 0 ? 1 : maps[codes[row]!]!.length;
  }
  const repetition = new Uint32Array(slots);
  const texts = new TextTable();
  const [keys, values] = [new Uint32Array(slots - nulls), new Uint32Array(slots - nulls)];
  /** Levels of keys; those of values are one more where there is one. */
  const present = nulls === slots ? repetition : new Uint32Array(slots);
  for (let row = 0, slot = 0, at = 0; row < rows && nulls < slots; row++) {
    if (codes[row] === 0) {
      slot++;
      continue;
    }
    const map = maps[codes[row]!]!;
    for (let position = 0; position < map.length; position++, slot++, at++) {
      present[slot] = keyLevel;
      repetition[slot] = position === 0 ? 0 : 1;
      keys[at] = texts.number(map[position]!.key);
      values[at] = texts.number(map[position]!.value);
    }
  }
  const leaf = (field: string, definition: Uint32Array, definitionMax: number, of: Uint32Array): Column => ({
    path: [name, 'key_value', field],
    rows,
    slots,
    nulls,
    levels: { repetition, definition, definitionMax },
    values: tableTexts(of, texts.all),
    statistics: false,
  });
  yield leaf('key', present, keyLevel, keys);
  if (nulls < slots) for (let slot = 0; slot < slots; slot++) if (present[slot] === keyLevel) present[slot] = keyLevel + 1;
  yield leaf('value', present, keyLevel + 1, values);
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
  readonly #codes: Uint32Array;
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
    this.#codes = new Uint32Array(slot);
  }

  /** A field that every element has. */
  required(path: readonly string[], bitOf: (element: number) => number, values: (codes: Uint32Array) => Values): Column {
    const bits = this.#distinct.map(bitOf);
    const codes = this.#take(bits);
    return this.#column(path, this.#empty, this.#levels(1, 1), 1, values(codes));
  }

  /** A field that is NULL where its code is 0. */
  optional(path: readonly string[], codeOf: (element: number) => number, values: (codes: Uint32Array) => Values): Column {
    const of = this.#distinct.map(codeOf);
    let nulls = 0;
    for (let place = 0; place < of.length; place++) if (of[place] === 0) nulls++;
    if (nulls === 0) return this.#column(path, this.#empty, this.#levels(2, 2), 2, values(this.#take(of)));
    if (nulls === of.length) return this.#column(path, this.#slots, this.#levels(1, 2), 2, values(new Uint32Array(0)));
    const [slots, places, definition, codes] = [this.#slots, this.#places, this.#definition, this.#codes];
    let at = 0;
    for (let slot = 0; slot < slots; slot++) {
      const place = places[slot]!;
      const code = place === noElement ? 0 : of[place]!;
      definition[slot] = code === 0 ? (place === noElement ? 0 : 1) : 2;
      if (code !== 0) codes[at++] = code;
    }
    return this.#column(path, slots - at, definition, 2, values(codes.subarray(0, at)));
  }

  /** What every element has, slot by slot. */
  #take(of: Uint32Array): Uint32Array {
    const [slots, places, codes] = [this.#slots, this.#places, this.#codes];
    let at = 0;
    for (let slot = 0; slot < slots; slot++) {
      const place = places[slot]!;
      if (place !== noElement) codes[at++] = of[place]!;
    }
    return codes.subarray(0, at);
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

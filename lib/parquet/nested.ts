// Levels of the two nested shapes that the lake has: a MAP of texts, NULL where there is none, and a LIST
// of structs that is never NULL. Both are the three-level forms of the format's specification.
import { type Column, type Levels, tableTexts, type Values } from './values.ts';

/** `codes` say which map a row has, 0 = NULL; maps have at least one entry. Two columns: keys and values. */
export function* mapColumns(
  name: string,
  codes: Uint32Array,
  maps: readonly (readonly { readonly key: string; readonly value: string }[])[],
): Generator<Column> {
  const rows = codes.length;
  let slots = 0;
  let nulls = 0;
  for (let row = 0; row < rows; row++) {
    if (codes[row] === 0) nulls++;
    slots += codes[row] === 0 ? 1 : maps[codes[row]!]!.length;
  }
  const repetition = new Uint32Array(slots);
  const present = new Uint32Array(slots);
  const texts = new TextTable();
  const keys = new Uint32Array(slots - nulls);
  const values = new Uint32Array(slots - nulls);
  let slot = 0;
  let at = 0;
  for (let row = 0; row < rows; row++) {
    if (codes[row] === 0) {
      slot++;
      continue;
    }
    for (const [position, { key, value }] of maps[codes[row]!]!.entries()) {
      present[slot] = 1;
      repetition[slot++] = position === 0 ? 0 : 1;
      keys[at] = texts.number(key);
      values[at++] = texts.number(value);
    }
  }
  const leaf = (field: string, definitionMax: number, of: Uint32Array): Column => ({
    path: [name, 'key_value', field],
    rows,
    slots,
    nulls,
    levels: { repetition, definition: present.map((there) => there * definitionMax), definitionMax },
    values: tableTexts(of, texts.all),
    statistics: false,
  });
  yield leaf('key', 2, keys);
  yield leaf('value', 3, values);
}

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

/** The elements of lists, row after row; a list without elements takes a slot too. */
export class ListSlots {
  readonly rows: number;
  readonly slots: number;
  readonly repetition: Uint32Array;
  /** Element of each slot, `noElement` where the list is empty. */
  readonly elements: Uint32Array;
  readonly empty: number;

  constructor(rows: number, elementsMax: number, lengthOf: (row: number) => number, elementOf: (row: number, position: number) => number) {
    this.rows = rows;
    this.repetition = new Uint32Array(elementsMax + rows);
    this.elements = new Uint32Array(elementsMax + rows);
    let slot = 0;
    let empty = 0;
    for (let row = 0; row < rows; row++) {
      const length = lengthOf(row);
      if (length === 0) {
        empty++;
        this.elements[slot++] = noElement;
      }
      for (let position = 0; position < length; position++) {
        this.repetition[slot] = position === 0 ? 0 : 1;
        this.elements[slot++] = elementOf(row, position);
      }
    }
    this.slots = slot;
    this.empty = empty;
  }

  /** A field that every element has. */
  required(path: readonly string[], bitOf: (element: number) => number, values: (codes: Uint32Array) => Values): Column {
    const codes = new Uint32Array(this.slots - this.empty);
    const definition = new Uint32Array(this.slots);
    for (let slot = 0, at = 0; slot < this.slots; slot++) {
      const element = this.elements[slot]!;
      if (element === noElement) continue;
      definition[slot] = 1;
      codes[at++] = bitOf(element);
    }
    return this.#column(path, this.empty, { repetition: this.repetition, definition, definitionMax: 1 }, values(codes));
  }

  /** A field that is NULL where its code is 0. */
  optional(path: readonly string[], codeOf: (element: number) => number, values: (codes: Uint32Array) => Values): Column {
    const codes = new Uint32Array(this.slots);
    const definition = new Uint32Array(this.slots);
    let at = 0;
    for (let slot = 0; slot < this.slots; slot++) {
      const element = this.elements[slot]!;
      if (element === noElement) continue;
      const code = codeOf(element);
      definition[slot] = code === 0 ? 1 : 2;
      if (code !== 0) codes[at++] = code;
    }
    return this.#column(path, this.slots - at, { repetition: this.repetition, definition, definitionMax: 2 }, values(codes.subarray(0, at)));
  }

  #column(path: readonly string[], nulls: number, levels: Levels, values: Values): Column {
    return { path, rows: this.rows, slots: this.slots, nulls, levels, values, statistics: false };
  }
}

const noElement = 0xffff_ffff;

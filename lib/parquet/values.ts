// The values of a column chunk as its writer takes them: what is there, without the NULLs. Three shapes,
// because they are what a batch in memory has at hand and none of them is an array of JavaScript values.
import type { GrowingBytes } from './growing-bytes.ts';

/** Text by number: each row has the number of its text. One text under two numbers only costs space. */
export interface CodedTexts {
  readonly kind: 'texts';
  readonly codes: Uint32Array;
  /** Numbers are below this. */
  readonly codesMax: number;
  /** Writes the text of a number as UTF-8. */
  readonly put: (code: number, out: GrowingBytes) => void;
  /** Ids: random hex digits, of which zstd saves the half that digits waste and no more. */
  readonly digits?: boolean;
}

/** Fixed-width values as their little-endian words, `stride` of them each. */
export interface FixedWords {
  readonly kind: 'words';
  readonly type: 'INT32' | 'INT64' | 'DOUBLE';
  readonly words: Uint32Array;
}

/** INT64 that goes up in small steps, as whole numbers. */
export interface Deltas {
  readonly kind: 'deltas';
  readonly values: Float64Array;
}

export interface Booleans {
  readonly kind: 'booleans';
  /** 0 or 1. */
  readonly values: Uint32Array;
}

export type Values = CodedTexts | FixedWords | Deltas | Booleans;

export const wordsOf = { INT32: 1, INT64: 2, DOUBLE: 2 } as const;

/** Repetition and definition levels, one for each slot; null where the greatest level is 0. */
export interface Levels {
  readonly repetition: Uint32Array | null;
  readonly definition: Uint32Array | null;
  readonly definitionMax: number;
  /** Arrays that other columns have too and nobody changes: their bytes are made once. */
  readonly shared?: readonly Uint32Array[];
}

/** One leaf of the schema in one row group. */
export interface Column {
  readonly path: readonly string[];
  readonly rows: number;
  /** Values and NULLs; as many as rows where nothing repeats. */
  readonly slots: number;
  readonly nulls: number;
  readonly levels: Levels;
  readonly values: Values;
  readonly statistics?: boolean;
  readonly bloom?: boolean;
}

/** Strings by their index in a table. */
export function tableTexts(codes: Uint32Array, table: readonly string[]): CodedTexts {
  return { kind: 'texts', codes, codesMax: table.length, put: (code, out) => out.text(table[code]!) };
}

/** The same of ids. */
export function tableDigits(codes: Uint32Array, table: readonly string[]): CodedTexts {
  return { ...tableTexts(codes, table), digits: true };
}

export function longs(values: BigInt64Array): FixedWords {
  return { kind: 'words', type: 'INT64', words: new Uint32Array(values.buffer, values.byteOffset, 2 * values.length) };
}

export function doubles(values: Float64Array): FixedWords {
  return { kind: 'words', type: 'DOUBLE', words: new Uint32Array(values.buffer, values.byteOffset, 2 * values.length) };
}

export function ints(values: Int32Array): FixedWords {
  return { kind: 'words', type: 'INT32', words: new Uint32Array(values.buffer, values.byteOffset, values.length) };
}

const noLevels: Levels = { repetition: null, definition: null, definitionMax: 0 };

/** A column without NULLs. */
export function required(name: string, rows: number, values: Values): Column {
  return { path: [name], rows, slots: rows, nulls: 0, levels: noLevels, values };
}

/** A column whose code 0 is NULL. */
export function optionalTexts(name: string, texts: CodedTexts): Column {
  const { codes } = texts;
  let nulls = 0;
  for (let row = 0; row < codes.length; row++) if (codes[row] === 0) nulls++;
  const present = nulls === 0 ? codes : nulls === codes.length ? new Uint32Array(0) : codes.filter((code) => code !== 0);
  const definition = new Uint32Array(codes.length);
  if (nulls < codes.length) for (let row = 0; row < codes.length; row++) definition[row] = codes[row] === 0 ? 0 : 1;
  return optional(name, nulls, definition, { ...texts, codes: present });
}

/** A column of fixed-width values in which one value, told by its words, is NULL. */
export function optionalWords(name: string, all: FixedWords, nullWords: readonly number[]): Column {
  const stride = wordsOf[all.type];
  const { words } = all;
  const rows = words.length / stride;
  const isNull = (row: number) => words[row * stride] === nullWords[0] && (stride === 1 || words[row * stride + 1] === nullWords[1]);
  let nulls = 0;
  for (let row = 0; row < rows; row++) if (isNull(row)) nulls++;
  let present = words;
  if (nulls > 0) {
    present = new Uint32Array((rows - nulls) * stride);
    for (let row = 0, at = 0; row < rows && at < present.length; row++) {
      if (isNull(row)) continue;
      for (let word = 0; word < stride; word++) present[at++] = words[row * stride + word]!;
    }
  }
  const definition = new Uint32Array(rows);
  if (nulls < rows) for (let row = 0; row < rows; row++) definition[row] = isNull(row) ? 0 : 1;
  return optional(name, nulls, definition, { kind: 'words', type: all.type, words: present });
}

function optional(name: string, nulls: number, definition: Uint32Array, values: Values): Column {
  const rows = definition.length;
  return { path: [name], rows, slots: rows, nulls, levels: { repetition: null, definition, definitionMax: 1 }, values };
}

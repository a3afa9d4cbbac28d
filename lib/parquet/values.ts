// The values of a column chunk as its writer takes them: what is there, without the NULLs. Three shapes,
// because they are what a batch in memory has at hand and none of them is an array of JavaScript values.
import type { GrowingBytes } from './growing-bytes.ts';

/** How a few values stand for many rows; with neither there is one for each. */
export interface Shared {
  /** Value i is that of the rows up to ends[i], from where the one before it ends. */
  readonly ends?: Uint32Array | undefined;
  /** Which value each row has. */
  readonly places?: Uint32Array | undefined;
}

/** Text by number: each row has the number of its text. One text under two numbers only costs space. */
export interface CodedTexts extends Shared {
  readonly kind: 'texts';
  readonly codes: Uint32Array;
  /** Numbers are below this. */
  readonly codesMax: number;
  /** Writes the text of a number as UTF-8. */
  readonly put: (code: number, out: GrowingBytes) => void;
  /** Ids: random hex digits, of which zstd saves the half that digits waste and no more. */
  readonly digits?: boolean;
}

/** Fixed-width values as their little-endian words, `wordsOf` its type each. */
export interface FixedWords extends Shared {
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
  /** Level i is that of the slots up to ends[i]; of both arrays. */
  readonly ends?: Uint32Array | undefined;
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
export function tableTexts(codes: Uint32Array, table: readonly string[], ends?: Uint32Array): CodedTexts {
  return { kind: 'texts', codes, ends, codesMax: table.length, put: (code, out) => out.text(table[code]!) };
}

/** The same of ids. */
export function tableDigits(codes: Uint32Array, table: readonly string[], ends?: Uint32Array): CodedTexts {
  return { ...tableTexts(codes, table, ends), digits: true };
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
  const { codes, ends } = texts;
  if (ends !== undefined) {
    const { nulls, present, ...levels } = presentRuns(ends, (run) => codes[run] === 0);
    return optional(name, nulls, levels, { ...texts, codes: present.map((run) => codes[run]!), ends: levels.valueEnds });
  }
  let nulls = 0;
  for (let row = 0; row < codes.length; row++) if (codes[row] === 0) nulls++;
  const present = nulls === 0 ? codes : nulls === codes.length ? new Uint32Array(0) : codes.filter((code) => code !== 0);
  const definition = new Uint32Array(codes.length);
  if (nulls < codes.length) for (let row = 0; row < codes.length; row++) definition[row] = codes[row] === 0 ? 0 : 1;
  return optional(name, nulls, { definition }, { ...texts, codes: present });
}

/** Which runs are not NULL, and the levels of all. */
function presentRuns(ends: Uint32Array, isNull: (run: number) => boolean) {
  const present = new Uint32Array(ends.length);
  const valueEnds = new Uint32Array(ends.length);
  const definition = new Uint32Array(ends.length);
  let [nulls, found, start] = [0, 0, 0];
  for (let run = 0; run < ends.length; run++) {
    const end = ends[run]!;
    if (isNull(run)) {
      nulls += end - start;
    } else {
      definition[run] = 1;
      valueEnds[found] = end - nulls;
      present[found++] = run;
    }
    start = end;
  }
  return { nulls, present: present.subarray(0, found), valueEnds: valueEnds.subarray(0, found), ...joined(definition, ends) };
}

/** Runs of equal levels as one. */
function joined(levels: Uint32Array, all: Uint32Array): { definition: Uint32Array; ends: Uint32Array } {
  const definition = new Uint32Array(levels.length);
  const ends = new Uint32Array(levels.length);
  let count = 0;
  for (let run = 0; run < levels.length; run++) {
    if (count === 0 || definition[count - 1] !== levels[run]) definition[count++] = levels[run]!;
    ends[count - 1] = all[run]!;
  }
  return { definition: definition.subarray(0, count), ends: ends.subarray(0, count) };
}

/** A column of fixed-width values in which one value, told by its words, is NULL. */
export function optionalWords(name: string, all: FixedWords, nullWords: readonly number[]): Column {
  const stride = wordsOf[all.type];
  const { words, ends } = all;
  const rows = words.length / stride;
  const isNull = (row: number) => words[row * stride] === nullWords[0] && (stride === 1 || words[row * stride + 1] === nullWords[1]);
  if (ends !== undefined) {
    const { nulls, present, ...levels } = presentRuns(ends, isNull);
    const values = new Uint32Array(present.length * stride);
    for (let run = 0; run < present.length; run++) {
      for (let word = 0; word < stride; word++) values[run * stride + word] = words[present[run]! * stride + word]!;
    }
    return optional(name, nulls, levels, { kind: 'words', type: all.type, words: values, ends: levels.valueEnds });
  }
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
  return optional(name, nulls, { definition }, { kind: 'words', type: all.type, words: present });
}

function optional(name: string, nulls: number, { definition, ends }: { definition: Uint32Array; ends?: Uint32Array }, values: Values): Column {
  const rows = ends === undefined ? definition.length : (ends.at(-1) ?? 0);
  return { path: [name], rows, slots: rows, nulls, levels: { repetition: null, definition, definitionMax: 1, ends }, values };
}

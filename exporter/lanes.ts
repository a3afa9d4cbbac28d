// One column of a batch that grows: chunks of 65,536 values, so that growing never copies. A chunk
// exists only once a value in it differs from the column's default; columns that are nearly always
// empty (durations, links, attributes) cost nothing. Each row is set once.

const chunkBits = 16;
const chunkLength = 1 << chunkBits;
const chunkMask = chunkLength - 1;

/** 32-bit values: indexes, dates, counters. */
export class Lane {
  readonly #empty: number;
  readonly #signed: boolean;
  readonly #chunks: (Uint32Array | Int32Array | undefined)[] = [];

  constructor(empty: number, signed: boolean) {
    this.#empty = empty;
    this.#signed = signed;
  }

  get(row: number): number {
    const chunk = this.#chunks[row >>> chunkBits];
    return chunk === undefined ? this.#empty : chunk[row & chunkMask]!;
  }

  set(row: number, value: number): void {
    if (value === this.#empty) return;
    const chunk = this.#chunks[row >>> chunkBits] ?? this.#make(row >>> chunkBits);
    chunk[row & chunkMask] = value;
  }

  /** Values of source[start, end) for the rows from `row` on. */
  setRange(row: number, source: Uint32Array | Int32Array, start: number, end: number): void {
    for (let index = start; index < end; index++) this.set(row + index - start, source[index]!);
  }

  gather(rows: Uint32Array): Uint32Array {
    const values = new Uint32Array(rows.length);
    for (let index = 0; index < rows.length; index++) values[index] = this.get(rows[index]!);
    return values;
  }

  /** No row has another value than the default. */
  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  get bytes(): number {
    return bytesOf(this.#chunks);
  }

  #make(position: number): Uint32Array | Int32Array {
    const chunk = (this.#signed ? new Int32Array(chunkLength) : new Uint32Array(chunkLength)).fill(this.#empty);
    this.#chunks[position] = chunk;
    return chunk;
  }
}

type Values64 = BigInt64Array | Float64Array;
const wordsOf = (values: Values64): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);

interface Chunk64 {
  readonly values: Values64;
  /** The same bytes: low word, high word. Reading a bigint makes an object, reading its words does not. */
  readonly words: Uint32Array;
  readonly byteLength: number;
}

/** 64-bit values, kept and copied as pairs of words. */
export class Lane64<T extends bigint | number> {
  readonly #make: (length: number) => Values64;
  readonly #empty: T;
  readonly #low: number;
  readonly #high: number;
  readonly #chunks: (Chunk64 | undefined)[] = [];

  constructor(empty: T, make: (length: number) => Values64) {
    this.#make = make;
    this.#empty = empty;
    const words = wordsOf(make(1));
    this.#low = words[0]!;
    this.#high = words[1]!;
  }

  get(row: number): T {
    const chunk = this.#chunks[row >>> chunkBits];
    return chunk === undefined ? this.#empty : (chunk.values[row & chunkMask] as T);
  }

  set(row: number, value: T): void {
    if (value !== this.#empty) (this.#chunk(row >>> chunkBits).values as unknown as { [index: number]: T })[row & chunkMask] = value;
  }

  /** Of an integer: exact to 2^53. */
  number(row: number): number {
    const chunk = this.#chunks[row >>> chunkBits];
    if (chunk === undefined) return Number(this.#empty);
    const at = 2 * (row & chunkMask);
    return (chunk.words[at + 1]! | 0) * 0x1_0000_0000 + chunk.words[at]!;
  }

  /** Values of source[start, end) for the rows from `row` on. */
  setRange(row: number, source: Values64, start: number, end: number): void {
    const words = wordsOf(source);
    for (let index = start; index < end; index++) {
      const [low, high] = [words[2 * index]!, words[2 * index + 1]!];
      if (low === this.#low && high === this.#high) continue;
      const target = row + index - start;
      const chunk = this.#chunks[target >>> chunkBits] ?? this.#chunk(target >>> chunkBits);
      const at = 2 * (target & chunkMask);
      chunk.words[at] = low;
      chunk.words[at + 1] = high;
    }
  }

  /** Words of the rows' values. */
  gather(rows: Uint32Array): Uint32Array {
    const words = new Uint32Array(2 * rows.length);
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index]!;
      const chunk = this.#chunks[row >>> chunkBits];
      const at = 2 * (row & chunkMask);
      words[2 * index] = chunk === undefined ? this.#low : chunk.words[at]!;
      words[2 * index + 1] = chunk === undefined ? this.#high : chunk.words[at + 1]!;
    }
    return words;
  }

  gatherNumbers(rows: Uint32Array): Float64Array {
    const numbers = new Float64Array(rows.length);
    for (let index = 0; index < rows.length; index++) numbers[index] = this.number(rows[index]!);
    return numbers;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  get bytes(): number {
    return bytesOf(this.#chunks);
  }

  #chunk(position: number): Chunk64 {
    const known = this.#chunks[position];
    if (known !== undefined) return known;
    const values = this.#make(chunkLength);
    const chunk = { values, words: wordsOf(values), byteLength: values.byteLength };
    this.#chunks[position] = chunk;
    return chunk;
  }
}

function bytesOf(chunks: readonly ({ readonly byteLength: number } | undefined)[]): number {
  return chunks.reduce((sum, chunk) => sum + (chunk?.byteLength ?? 0), 0);
}

export const laneUint32 = (empty = 0): Lane => new Lane(empty, false);
export const laneInt32 = (empty: number): Lane => new Lane(empty, true);
export const laneFloat64 = (empty: number): Lane64<number> => new Lane64(empty, (length) => new Float64Array(length).fill(empty));
export const laneInt64 = (empty: bigint): Lane64<bigint> => new Lane64(empty, (length) => new BigInt64Array(length).fill(empty));

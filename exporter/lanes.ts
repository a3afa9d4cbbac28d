// One column of a batch that grows: chunks of 65,536 values, so that growing never copies. A chunk
// exists only once a value in it differs from the column's default; columns that are nearly always
// empty (durations, links, attributes) cost nothing.

const chunkBits = 16;
const chunkLength = 1 << chunkBits;
const chunkMask = chunkLength - 1;

interface Chunk<T> {
  [index: number]: T;
  readonly byteLength: number;
}

/** Each row is set once. */
export class Lane<T extends number | bigint> {
  readonly #empty: T;
  readonly #make: () => Chunk<T>;
  readonly #chunks: (Chunk<T> | undefined)[] = [];

  constructor(empty: T, make: () => Chunk<T>) {
    this.#empty = empty;
    this.#make = make;
  }

  get(row: number): T {
    const chunk = this.#chunks[row >>> chunkBits];
    return chunk === undefined ? this.#empty : chunk[row & chunkMask]!;
  }

  set(row: number, value: T): void {
    if (value === this.#empty) return;
    const position = row >>> chunkBits;
    let chunk = this.#chunks[position];
    if (chunk === undefined) {
      chunk = this.#make();
      this.#chunks[position] = chunk;
    }
    chunk[row & chunkMask] = value;
  }

  get bytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + (chunk?.byteLength ?? 0), 0);
  }
}

export const laneUint32 = (empty = 0): Lane<number> => new Lane(empty, () => new Uint32Array(chunkLength).fill(empty));
export const laneInt32 = (empty: number): Lane<number> => new Lane(empty, () => new Int32Array(chunkLength).fill(empty));
export const laneFloat64 = (empty: number): Lane<number> => new Lane(empty, () => new Float64Array(chunkLength).fill(empty));
export const laneInt64 = (empty: bigint): Lane<bigint> => new Lane(empty, () => new BigInt64Array(chunkLength).fill(empty));

// Typed arrays that grow, for readers that don't know a column's length before its end.

export class Uint32List {
  #values: Uint32Array;
  length = 0;

  constructor(capacity = 64) {
    this.#values = new Uint32Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.#values.length) this.#values = larger(this.#values);
    this.#values[this.length++] = value;
  }

  /** The memory of the list with room for so many more: to be written from `length` on, which is then set. */
  room(count: number): Uint32Array {
    while (this.length + count > this.#values.length) this.#values = larger(this.#values);
    return this.#values;
  }

  /** What was pushed; later pushes may or may not show in it. */
  done(): Uint32Array {
    return this.#values.subarray(0, this.length);
  }
}

/** 64-bit numbers pushed as unsigned halves, without a bigint for each. */
export class Word64List {
  #halves: Uint32Array;
  length = 0;

  constructor(capacity = 64) {
    this.#halves = new Uint32Array(2 * capacity);
  }

  push(low: number, high: number): void {
    const at = 2 * this.length;
    if (at === this.#halves.length) this.#halves = larger(this.#halves);
    this.#halves[at] = low;
    this.#halves[at + 1] = high;
    this.length++;
  }

  /** [low, high] pairs; the halves of entry i are at 2i and 2i + 1 (little endian, as every host that we run on). */
  halves(): Uint32Array {
    return this.#halves.subarray(0, 2 * this.length);
  }

  /** The same memory as signed numbers. */
  int64(): BigInt64Array {
    return new BigInt64Array(this.#halves.buffer, 0, this.length);
  }
}

function larger(values: Uint32Array): Uint32Array {
  const grown = new Uint32Array(Math.max(64, 2 * values.length));
  grown.set(values);
  return grown;
}

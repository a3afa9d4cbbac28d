// Interning of fixed-width tuples of 32-bit words (a resource, a frame, a series of samples, a stack id): each
// distinct tuple is kept once and has an index. Open addressing over one flat array, because a Map
// with string keys costs ten times the bytes and most of the time of appending a message.

const firstSlots = 64;

export class WordTable {
  readonly stride: number;
  /** The tuple to look up or to add is written here. */
  readonly scratch: Uint32Array;
  #words: Uint32Array;
  #length = 0;
  /**
   * Two words each: index + 1 of the tuple, 0 = free, and its hash, which mostly tells what differs without a look at
   * the tuple. Side by side, since most lookups miss the cache. A power of two of slots, at most half full.
   */
  #slots = new Uint32Array(2 * firstSlots);

  constructor(stride: number) {
    this.stride = stride;
    this.scratch = new Uint32Array(stride);
    this.#words = new Uint32Array(stride * 16);
  }

  get length(): number {
    return this.#length;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#words.byteLength + this.#slots.byteLength;
  }

  word(index: number, position: number): number {
    return this.#words[index * this.stride + position]!;
  }

  /** Index of the tuple in `scratch`, which is added if it is new. */
  intern(): number {
    const hash = hashWords(this.scratch);
    const slot = this.#slotOf(hash);
    const known = this.#slots[slot]!;
    if (known !== 0) return known - 1;
    const index = this.#length;
    this.#slots[slot] = index + 1;
    this.#slots[slot + 1] = hash;
    this.#append();
    if (this.#length * 4 > this.#slots.length) this.#rehash();
    return index;
  }

  /** Index of the tuple in `scratch`, or -1. */
  find(): number {
    return this.#slots[this.#slotOf(hashWords(this.scratch))]! - 1;
  }

  /** Where the tuple in `scratch` is, or the free place for it. */
  #slotOf(hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (2 * hash) & mask;
    for (;;) {
      const taken = slots[slot]!;
      if (taken === 0 || (slots[slot + 1] === hash && this.#equals(taken - 1))) return slot;
      slot = (slot + 2) & mask;
    }
  }

  #equals(index: number): boolean {
    const { stride, scratch } = this;
    const words = this.#words;
    const at = index * stride;
    for (let i = 0; i < stride; i++) if (words[at + i] !== scratch[i]) return false;
    return true;
  }

  #append(): void {
    const at = this.#length * this.stride;
    if (at + this.stride > this.#words.length) {
      const grown = new Uint32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words.set(this.scratch, at);
    this.#length++;
  }

  #rehash(): void {
    const before = this.#slots;
    const slots = new Uint32Array(before.length * 2);
    const mask = slots.length - 1;
    for (let at = 0; at < before.length; at += 2) {
      if (before[at] === 0) continue;
      const hash = before[at + 1]!;
      let slot = (2 * hash) & mask;
      while (slots[slot] !== 0) slot = (slot + 2) & mask;
      slots[slot] = before[at]!;
      slots[slot + 1] = hash;
    }
    this.#slots = slots;
  }
}

/** Multiply and shift a word at a time; the tuples are small counters, so the high bits must be stirred down. */
function hashWords(words: Uint32Array): number {
  let hash = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    hash = Math.imul(hash ^ words[i]!, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}

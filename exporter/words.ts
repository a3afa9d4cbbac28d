// Interning of fixed-width tuples of 32-bit words (a resource, a frame, a series of samples): each
// distinct tuple is kept once and has an index. Open addressing over one flat array, because a Map
// with string keys costs ten times the bytes and most of the time of appending a message.

const firstSlots = 64;

export class WordTable {
  readonly stride: number;
  /** The tuple to look up or to add is written here. */
  readonly scratch: Uint32Array;
  #words: Uint32Array;
  #length = 0;
  /** Index + 1 of the tuple, 0 = free. A power of two, at most half full. */
  #slots = new Uint32Array(firstSlots);
  /** Hash of each tuple: what differs is mostly told by it, without a look at the words. */
  #hashes = new Uint32Array(16);

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
    return this.#words.byteLength + this.#slots.byteLength + this.#hashes.byteLength;
  }

  word(index: number, position: number): number {
    return this.#words[index * this.stride + position]!;
  }

  /** Index of the tuple in `scratch`, which is added if it is new. */
  intern(): number {
    const [slots, hashes] = [this.#slots, this.#hashes];
    const mask = slots.length - 1;
    const hash = hashWords(this.scratch);
    let slot = hash & mask;
    for (;;) {
      const taken = slots[slot]!;
      if (taken === 0) break;
      if (hashes[taken - 1] === hash && this.#equals(taken - 1)) return taken - 1;
      slot = (slot + 1) & mask;
    }
    const index = this.#length;
    slots[slot] = index + 1;
    this.#append(hash);
    if (this.#length * 2 > this.#slots.length) this.#rehash();
    return index;
  }

  #equals(index: number): boolean {
    const { stride, scratch } = this;
    const words = this.#words;
    const at = index * stride;
    for (let i = 0; i < stride; i++) if (words[at + i] !== scratch[i]) return false;
    return true;
  }

  #append(hash: number): void {
    const at = this.#length * this.stride;
    if (this.#length === this.#hashes.length) {
      const grown = new Uint32Array(this.#hashes.length * 2);
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    this.#hashes[this.#length] = hash;
    if (at + this.stride > this.#words.length) {
      const grown = new Uint32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words.set(this.scratch, at);
    this.#length++;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let index = 0; index < this.#length; index++) {
      let slot = this.#hashes[index]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
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

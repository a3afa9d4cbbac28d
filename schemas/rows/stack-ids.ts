// The stack ids of a row message while it is built: four words each, the bytes of the id in their order,
// found again without a text for each.
import { randomBytes } from 'node:crypto';

const idWords = 4;
const firstSlots = 256;
/**
 * Odd and random for each process: who could choose ids that share slots would make a table of them slow.
 * The last three words of an id are hashed; the first is the service's.
 */
const factors = new Int32Array(Uint8Array.from(randomBytes(12)).buffer).map((factor) => factor | 1);

export class StackIds {
  length = 0;
  #words = new Int32Array((idWords * firstSlots) / 2);
  /** Index + 1 by slot; half full at most. */
  #slots = new Uint32Array(firstSlots);
  #shift = 32 - Math.log2(firstSlots);

  /** The index of an id, which is added where it is new. */
  index(word0: number, word1: number, word2: number, word3: number): number {
    const words = this.#words;
    let slot = this.#slot(word1, word2, word3);
    for (;;) {
      const index = this.#slots[slot]! - 1;
      if (index < 0) return this.#add(slot, word0, word1, word2, word3);
      const at = idWords * index;
      if (words[at + 1] === word1 && words[at + 2] === word2 && words[at + 3] === word3 && words[at] === word0) return index;
      slot = (slot + 1) % this.#slots.length;
    }
  }

  /** 32 lower hex digits. */
  indexOf(id: string): number {
    return this.index(hexWord(id, 0), hexWord(id, 8), hexWord(id, 16), hexWord(id, 24));
  }

  /** 16 each. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#words.buffer, 0, 4 * idWords * this.length);
  }

  #slot(word1: number, word2: number, word3: number): number {
    return (Math.imul(word1, factors[0]!) + Math.imul(word2, factors[1]!) + Math.imul(word3, factors[2]!)) >>> this.#shift;
  }

  #add(slot: number, word0: number, word1: number, word2: number, word3: number): number {
    const index = this.length++;
    this.#slots[slot] = index + 1;
    const at = idWords * index;
    this.#words[at] = word0;
    this.#words[at + 1] = word1;
    this.#words[at + 2] = word2;
    this.#words[at + 3] = word3;
    if (2 * this.length === this.#slots.length) this.#grow();
    return index;
  }

  #grow(): void {
    const words = new Int32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
    this.#slots = new Uint32Array(2 * this.#slots.length);
    this.#shift--;
    for (let index = 0; index < this.length; index++) {
      const at = idWords * index;
      let slot = this.#slot(words[at + 1]!, words[at + 2]!, words[at + 3]!);
      while (this.#slots[slot] !== 0) slot = (slot + 1) % this.#slots.length;
      this.#slots[slot] = index + 1;
    }
  }
}

/** Eight lower hex digits as a signed number whose bytes, little endian, are those that the digits say. */
export function hexWord(digits: string, at: number): number {
  let word = 0;
  for (let index = 0; index < 8; index += 2) word |= ((hexDigit(digits, at + index) << 4) | hexDigit(digits, at + index + 1)) << (4 * index);
  return word;
}

function hexDigit(digits: string, at: number): number {
  const unit = digits.charCodeAt(at);
  const digit = unit < 0x3a ? unit - 0x30 : unit - 0x57;
  if (!(digit >= 0 && digit < 16) || (unit >= 0x3a && unit < 0x61)) throw new Error(`row message: '${digits}', expected hex digits`);
  return digit;
}

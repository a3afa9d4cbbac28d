// Texts of messages before this one, each with a number of its own: two texts are the same if their
// numbers are. What identity-memory.ts builds on.
import { rememberedProbesMax, rememberedTextBytesMax, rememberedTextsBytesMax, rememberedTextsMax } from './limits.ts';

/** Of what is not remembered: no room, too long, or too many that hash to its place. */
export const forgotten = 0;
/** Of ''. */
export const emptyText = 1;

/** Twice as many slots as texts; a slot holds the text's number and, in the bits above, those of its hash that did not choose the slot. */
const slotBits = Math.ceil(Math.log2(2 * rememberedTextsMax));
const slotMask = 2 ** slotBits - 1;

export class TextMemory {
  /** Random for each process: nobody outside can choose texts that share a slot. */
  readonly #seed: number;
  readonly #slots = new Uint32Array(2 ** slotBits);
  readonly #bytes = new Uint8Array(rememberedTextsBytesMax);
  /** Text i ends here, and begins where text i - 1 ends. */
  readonly #ends = new Uint32Array(rememberedTextsMax + 2);
  #count = emptyText;
  #scratch = Buffer.allocUnsafeSlow(rememberedTextBytesMax);
  #scratchView = viewOf(this.#scratch);

  constructor(seed: number) {
    this.#seed = seed;
  }

  get isFull(): boolean {
    return this.#count > rememberedTextsMax || this.#ends[this.#count]! + rememberedTextBytesMax > this.#bytes.length;
  }

  clear(): void {
    this.#slots.fill(0);
    this.#count = emptyText;
  }

  ofString(text: string): number {
    // At most three bytes for a UTF-16 unit.
    if (3 * text.length > rememberedTextBytesMax) return forgotten;
    return this.of(this.#scratch, this.#scratchView, 0, this.#scratch.write(text));
  }

  /** The number of the text in these bytes; `view` is of the same bytes. */
  of(from: Uint8Array, view: DataView, start: number, end: number): number {
    if (start === end) return emptyText;
    if (end - start > rememberedTextBytesMax) return forgotten;
    const hash = hashOf(from, view, start, end, this.#seed);
    const slots = this.#slots;
    let slot = hash & slotMask;
    for (let probe = 0; probe < rememberedProbesMax; probe++) {
      const found = slots[slot]!;
      if (found === 0) return this.#add(slot, hash, from, start, end);
      if ((found ^ hash) >>> slotBits === 0 && this.#isText(found & slotMask, from, start, end)) return found & slotMask;
      slot = (slot + 1) & slotMask;
    }
    return forgotten;
  }

  #isText(text: number, from: Uint8Array, start: number, end: number): boolean {
    const bytes = this.#bytes;
    const begin = this.#ends[text - 1]!;
    if (this.#ends[text]! - begin !== end - start) return false;
    for (let at = start; at < end; at++) if (bytes[begin + at - start] !== from[at]) return false;
    return true;
  }

  #add(slot: number, hash: number, from: Uint8Array, start: number, end: number): number {
    if (this.isFull) return forgotten;
    const begin = this.#ends[this.#count]!;
    for (let at = start; at < end; at++) this.#bytes[begin + at - start] = from[at]!;
    const text = ++this.#count;
    this.#ends[text] = begin + end - start;
    this.#slots[slot] = (hash & ~slotMask) | text;
    return text;
  }
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function hashOf(from: Uint8Array, view: DataView, start: number, end: number, seed: number): number {
  let hash = seed ^ (end - start);
  let at = start;
  for (; at + 4 <= end; at += 4) {
    hash = Math.imul(hash ^ view.getInt32(at, true), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ from[at]!, 0x85ebca6b);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 13);
}

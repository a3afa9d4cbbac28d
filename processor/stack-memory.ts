// Stacks of messages before this one, by the numbers of their frames, with the part of the stack id that
// was hashed from them.
import { rememberedDepthMax, rememberedEntriesMax, rememberedProbesMax, rememberedStacksMax } from './limits.ts';

const slots = 2 ** Math.ceil(Math.log2(2 * rememberedStacksMax));
const slotMask = slots - 1;
/** Before its frames a stack has: their number, the text of its cut, and three words of its id. */
const headWords = 5;

export class StackMemory {
  /** Random for each process: nobody outside can choose stacks that share a slot. */
  readonly #seed: number;
  /** For each slot the hash and where the stack lies; 0 = none. */
  readonly #slots = new Int32Array(2 * slots);
  readonly #entries = new Int32Array(rememberedEntriesMax);
  #end = 1;
  #count = 0;
  /** Where the stack that was looked for last would go. */
  #hash = 0;
  #slot = -1;

  constructor(seed: number) {
    this.#seed = seed;
  }

  get isFull(): boolean {
    return this.#count >= rememberedStacksMax || this.#end + headWords + rememberedDepthMax > this.#entries.length;
  }

  clear(): void {
    this.#slots.fill(0);
    this.#end = 1;
    this.#count = 0;
  }

  /** Copies the three words of its id to `to` and says true where it is known. */
  find(frames: Int32Array, count: number, cut: number, to: Int32Array, at: number): boolean {
    let hash = this.#seed ^ count ^ Math.imul(cut, 0x85ebca6b);
    for (let index = 0; index < count; index++) {
      hash = Math.imul(hash ^ frames[index]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    this.#hash = hash;
    this.#slot = -1;
    let slot = hash & slotMask;
    for (let probe = 0; probe < rememberedProbesMax; probe++) {
      const start = this.#slots[2 * slot + 1]!;
      if (start === 0) {
        this.#slot = slot;
        return false;
      }
      if (this.#slots[2 * slot] === hash && this.#isStack(start, frames, count, cut)) {
        for (let word = 0; word < 3; word++) to[at + word] = this.#entries[start + 2 + word]!;
        return true;
      }
      slot = (slot + 1) & slotMask;
    }
    return false;
  }

  #isStack(start: number, frames: Int32Array, count: number, cut: number): boolean {
    const entries = this.#entries;
    if (entries[start] !== count || entries[start + 1] !== cut) return false;
    const first = start + headWords;
    for (let index = 0; index < count; index++) if (entries[first + index] !== frames[index]) return false;
    return true;
  }

  /** The stack that was looked for last, and not found. */
  add(frames: Int32Array, count: number, cut: number, from: Int32Array, at: number): void {
    if (this.#slot < 0 || this.isFull) return;
    const [entries, start] = [this.#entries, this.#end];
    this.#slots[2 * this.#slot] = this.#hash;
    this.#slots[2 * this.#slot + 1] = start;
    entries[start] = count;
    entries[start + 1] = cut;
    for (let word = 0; word < 3; word++) entries[start + 2 + word] = from[at + word]!;
    for (let index = 0; index < count; index++) entries[start + headWords + index] = frames[index]!;
    this.#end = start + headWords + count;
    this.#count++;
    this.#slot = -1;
  }
}

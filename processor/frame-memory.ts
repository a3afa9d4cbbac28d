// Frames of messages before this one, each with a number of its own. A frame is built in steps, of its file
// and address and then of each line that it has: a step is known by the number of the one before it and by
// what it adds, in full. So frames of any number of inlined calls need no more than this one table.
import { rememberedFramesMax, rememberedProbesMax } from './limits.ts';
import { forgotten } from './text-memory.ts';

/** What a step adds to the one before it. */
export const frameSteps = {
  /** To nothing: a file by its build id, and the address in it. */
  file: 1,
  /** To nothing: a frame's type and mapping. */
  named: 2,
  /** To a file: a name. */
  name: 3,
  /** To a named frame: name, file and line. */
  line: 4,
} as const;
export type FrameStep = (typeof frameSteps)[keyof typeof frameSteps];

/** Kind and step before, four words of what it adds, and the number of the entry that was asked for after it. */
const entryWords = 6;
const numberBits = Math.ceil(Math.log2(rememberedFramesMax + 1));
const kindUnit = 2 ** numberBits;
const numberMask = kindUnit - 1;
const firstSlots = 4096;

export class FrameMemory {
  /** Odd and random for each process: nobody outside can choose frames that share a slot. */
  readonly #factors: readonly number[];
  /** In the order in which they came: what comes together lies together. */
  #entries = new Int32Array((firstSlots / 2) * entryWords);
  /** Number, and above it bits of the hash, which spare most looks at entries that are others. Half full at most. */
  #slots = new Int32Array(firstSlots);
  #shift = 32 - Math.log2(firstSlots);
  /** Entry 1 is no step: it stands before the first that is asked for. */
  #count = 1;
  #last = 1;

  constructor(seed: () => number) {
    this.#factors = Array.from({ length: entryWords - 1 }, () => seed() | 1);
    this.clear();
  }

  get isFull(): boolean {
    return this.#count >= rememberedFramesMax;
  }

  clear(): void {
    this.#slots.fill(0);
    this.#count = 1;
    this.#last = 1;
    this.#entries[entryWords - 1] = 1;
  }

  /** Says after which frame of its stack the next one comes. */
  after(number: number): void {
    this.#last = number === forgotten ? 1 : number;
  }

  /** The step's number; `before` is the number of the step before it, 0 for none. */
  step(kind: FrameStep, before: number, b: number, c: number, d: number, e: number): number {
    const a = kind * kindUnit + before;
    // What called this frame the last time mostly calls it again, and lies near, where a slot lies anywhere.
    const follower = (this.#last - 1) * entryWords + entryWords - 1;
    const expected = this.#entries[follower]!;
    if (this.#isEntry(expected, a, b, c, d, e)) {
      this.#last = expected;
      return expected;
    }
    const number = this.#look(a, b, c, d, e);
    if (number !== forgotten) {
      this.#entries[follower] = number;
      this.#last = number;
    }
    return number;
  }

  /** As step, of one that many frames begin with: it says nothing of what comes next. */
  head(kind: FrameStep, b: number, c: number): number {
    return this.#look(kind * kindUnit, b, c, 0, 0);
  }

  #isEntry(number: number, a: number, b: number, c: number, d: number, e: number): boolean {
    const entries = this.#entries;
    const at = (number - 1) * entryWords;
    return entries[at] === a && entries[at + 1] === b && entries[at + 2] === c && entries[at + 3] === d && entries[at + 4] === e;
  }

  #look(a: number, b: number, c: number, d: number, e: number): number {
    const hash = this.#hash(a, b, c, d, e);
    const slots = this.#slots;
    const tag = tagOf(hash);
    let slot = hash >>> this.#shift;
    for (let probe = 0; probe < rememberedProbesMax; probe++) {
      const found = slots[slot]!;
      if (found === 0) return this.#add(slot, hash, a, b, c, d, e);
      if (((found >>> numberBits) ^ tag) === 0) {
        const number = found & numberMask;
        if (this.#isEntry(number, a, b, c, d, e)) return number;
      }
      slot = (slot + 1) & (slots.length - 1);
    }
    return forgotten;
  }

  #hash(a: number, b: number, c: number, d: number, e: number): number {
    const factors = this.#factors;
    const sum = Math.imul(a, factors[0]!) + Math.imul(b, factors[1]!) + Math.imul(c, factors[2]!) + Math.imul(d, factors[3]!) + Math.imul(e, factors[4]!);
    return sum | 0;
  }

  #add(slot: number, hash: number, a: number, b: number, c: number, d: number, e: number): number {
    if (this.isFull) return forgotten;
    const number = ++this.#count;
    const [entries, at] = [this.#entries, (number - 1) * entryWords];
    entries[at] = a;
    entries[at + 1] = b;
    entries[at + 2] = c;
    entries[at + 3] = d;
    entries[at + 4] = e;
    entries[at + 5] = 1;
    this.#slots[slot] = (tagOf(hash) << numberBits) | number;
    if (2 * number >= this.#slots.length) this.#grow();
    return number;
  }

  #grow(): void {
    const entries = new Int32Array(2 * this.#entries.length);
    entries.set(this.#entries);
    this.#entries = entries;
    const slots = new Int32Array(2 * this.#slots.length);
    this.#slots = slots;
    this.#shift--;
    for (let number = 2; number <= this.#count; number++) {
      const at = (number - 1) * entryWords;
      const hash = this.#hash(entries[at]!, entries[at + 1]!, entries[at + 2]!, entries[at + 3]!, entries[at + 4]!);
      let slot = hash >>> this.#shift;
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
      slots[slot] = (tagOf(hash) << numberBits) | number;
    }
  }
}

/** The low bits: the high ones choose the slot. */
const tagOf = (hash: number): number => hash & (2 ** (32 - numberBits) - 1);

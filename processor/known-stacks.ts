// Which stacks a shard has been sent for a date, as far as memory goes. Forgetting one costs a stack
// sent again, which the exporter drops; believing in one that was never acknowledged would leave
// samples without their stack. So an id is compared in full, and added only after the ack.

/** Four words of the id, one of date and shard. */
const entryWords = 5;
const emptyTag = 0;

/** Open addressing, at most half full. */
interface Generation {
  readonly words: Uint32Array;
  count: number;
}

export class KnownStacks {
  readonly #entriesMax: number;
  readonly #slots: number;
  #current: Generation;
  #previous: Generation;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
    this.#slots = 2 ** Math.ceil(Math.log2(2 * entriesMax));
    this.#current = this.#generation();
    this.#previous = this.#generation();
  }

  /** `id`: 32 hex digits as four words; `date`: days since 1970; `shard` below 4096. */
  has(id: Uint32Array, date: number, shard: number): boolean {
    const tag = tagOf(date, shard);
    if (tag === emptyTag) return false;
    if (this.#find(this.#current, id, tag) < 0) return true;
    if (this.#find(this.#previous, id, tag) >= 0) return false;
    // In use: it moves on, so that what is asked for is never what is forgotten.
    this.add(id, date, shard);
    return true;
  }

  add(id: Uint32Array, date: number, shard: number): void {
    const tag = tagOf(date, shard);
    if (tag === emptyTag) return;
    if (this.#current.count >= this.#entriesMax) {
      const oldest = this.#previous;
      this.#previous = this.#current;
      this.#current = emptied(oldest);
    }
    const slot = this.#find(this.#current, id, tag);
    if (slot < 0) return;
    const { words } = this.#current;
    words[slot] = tag;
    words.set(id, slot + 1);
    this.#current.count++;
  }

  clear(): void {
    emptied(this.#current);
    emptied(this.#previous);
  }

  #generation(): Generation {
    return { words: new Uint32Array(this.#slots * entryWords), count: 0 };
  }

  /** The free word offset for it, or -1 where it is there. */
  #find({ words }: Generation, id: Uint32Array, tag: number): number {
    // Ids are hashes: any of their words will do, but the first is the service's.
    let slot = (id[3]! ^ Math.imul(tag, 0x9e3779b1)) & (this.#slots - 1);
    for (;;) {
      const at = slot * entryWords;
      const found = words[at]!;
      if (found === emptyTag) return at;
      if (found === tag && words[at + 1] === id[0] && words[at + 2] === id[1] && words[at + 3] === id[2] && words[at + 4] === id[3]) return -1;
      slot = (slot + 1) & (this.#slots - 1);
    }
  }
}

/** Its memory stays: a new one would be had from the kernel page by page. */
function emptied(generation: Generation): Generation {
  generation.words.fill(0);
  generation.count = 0;
  return generation;
}

/** Dates from 1970 to 4840 have a tag of their own; others are never known. */
function tagOf(date: number, shard: number): number {
  if (date < 0 || date >= 2 ** 20 - 1 || shard >= 4096) return emptyTag;
  return (date + 1) * 4096 + shard;
}

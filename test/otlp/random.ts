// A small seeded generator of numbers for tests and benches: the same seed gives the same run on every
// machine. Not for anything that must be hard to guess.

export interface Random {
  /** Uniform in [0, 2^32). */
  uint32(): number;
  /** Uniform in [0, bound). */
  below(bound: number): number;
  /** Uniform in [low, high]. */
  between(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** Uniform in [0, 2^64). */
  uint64(): bigint;
  bytes(length: number): Uint8Array;
  hex(digits: number): string;
}

/** splitmix32: passes through all 2^32 states, so no seed is a bad one. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const uint32 = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  const below = (bound: number) => Math.floor((uint32() / 2 ** 32) * bound);
  const bytes = (length: number) => Uint8Array.from({ length }, () => uint32() & 0xff);
  return {
    uint32,
    below,
    between: (low, high) => low + below(high - low + 1),
    chance: (probability) => uint32() < probability * 2 ** 32,
    pick: (items) => {
      if (items.length === 0) throw new Error('pick from nothing');
      return items[below(items.length)]!;
    },
    uint64: () => (BigInt(uint32()) << 32n) | BigInt(uint32()),
    bytes,
    hex: (digits) =>
      Buffer.from(bytes(Math.ceil(digits / 2)))
        .toString('hex')
        .slice(0, digits),
  };
}

// What a member holds, in memory that both threads see: the thread that owns the files writes it at each
// heartbeat, the stage reads it whenever it asks. By messages a stage could pair a new lease with an old
// share, or think that it has lost its share because it was too busy to read them.
import { partitionsMax } from '../limits.ts';

export interface Share {
  readonly partitions: readonly number[];
  readonly generation: number;
  /** End of the lease, monotonic milliseconds. */
  readonly untilMillis: number;
}

// One 64-bit word each: a count that is odd while the rest is being written, the end of the lease, the
// generation; then a bit for each partition.
const countAt = 0;
const untilAt = 1;
const generationAt = 2;
const partitionsAt = 3;
const words = partitionsAt + partitionsMax / 64;

export type ShareMemory = BigInt64Array<SharedArrayBuffer>;

export function newShareMemory(): ShareMemory {
  return new BigInt64Array(new SharedArrayBuffer(words * 8));
}

export function writeShare(memory: ShareMemory, share: Share): void {
  Atomics.add(memory, countAt, 1n);
  Atomics.store(memory, untilAt, BigInt(share.untilMillis));
  Atomics.store(memory, generationAt, BigInt(share.generation));
  const bits = new BigInt64Array(words - partitionsAt);
  for (const partition of share.partitions) bits[partition >> 6]! |= 1n << BigInt(partition & 63);
  for (const [index, word] of bits.entries()) Atomics.store(memory, partitionsAt + index, word);
  Atomics.add(memory, countAt, 1n);
}

export function readShare(memory: ShareMemory): Share {
  for (;;) {
    const count = Atomics.load(memory, countAt);
    const share = {
      partitions: readPartitions(memory),
      generation: Number(Atomics.load(memory, generationAt)),
      untilMillis: Number(Atomics.load(memory, untilAt)),
    };
    // The other thread is in the middle of it, for a microsecond: once more.
    if ((count & 1n) === 0n && Atomics.load(memory, countAt) === count) return share;
  }
}

function readPartitions(memory: ShareMemory): number[] {
  const partitions: number[] = [];
  for (let index = partitionsAt; index < words; index++) {
    const word = Atomics.load(memory, index);
    for (let bit = 0; word !== 0n && bit < 64; bit++) {
      if ((word >> BigInt(bit)) & 1n) partitions.push((index - partitionsAt) * 64 + bit);
    }
  }
  return partitions;
}

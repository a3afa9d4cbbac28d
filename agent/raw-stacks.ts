// Stacks as the kernel half sent them, until no sample can name them any more. The kernel sends a stack
// once an epoch; around a change of epoch a sample may still name one from the epoch before. So two
// generations are kept, and each batch is complete in itself.
import { stackEventLayout, userFrameLayout } from './bpf/layout.gen.ts';
import { stackCacheBytesMax } from './limits.ts';

export interface RawStack {
  /** Bits of stackCut. */
  readonly cut: number;
  /** Leaf first. */
  readonly kernelAddresses: readonly bigint[];
  /** user_frames x struct user_frame. */
  readonly userFrames: Uint8Array;
}

/** Null where the event's own counts don't fit its length. */
export function parseStackEvent(view: DataView, bytes: Uint8Array, at: number, length: number): { id: bigint; stack: RawStack } | null {
  if (length < stackEventLayout.bytes) return null;
  const kernelFrames = view.getUint16(at + stackEventLayout.kernelFrames, true);
  const userFrames = view.getUint16(at + stackEventLayout.userFrames, true);
  const framesAt = at + stackEventLayout.bytes;
  const userAt = framesAt + 8 * kernelFrames;
  const userEnd = userAt + userFrameLayout.bytes * userFrames;
  if (userEnd > at + length) return null;
  return {
    id: view.getBigUint64(at + stackEventLayout.stackId, true),
    stack: {
      cut: view.getUint16(at + stackEventLayout.cut, true),
      kernelAddresses: Array.from({ length: kernelFrames }, (_, index) => view.getBigUint64(framesAt + 8 * index, true)),
      userFrames: bytes.slice(userAt, userEnd),
    },
  };
}

export class RawStacks {
  #current = new Map<bigint, RawStack>();
  #previous = new Map<bigint, RawStack>();
  #currentBytes = 0;
  #previousBytes = 0;
  /** The cap was reached in this epoch: a sample may name a stack that was dropped, and is lost with that reason. */
  isFull = false;

  add(id: bigint, stack: RawStack): void {
    const bytes = stack.userFrames.length + 24 * stack.kernelAddresses.length + 200;
    if (this.#currentBytes + this.#previousBytes + bytes > stackCacheBytesMax) {
      this.isFull = true;
      return;
    }
    if (!this.#current.has(id)) this.#currentBytes += bytes;
    this.#current.set(id, stack);
  }

  find(id: bigint): RawStack | undefined {
    return this.#current.get(id) ?? this.#previous.get(id);
  }

  /** After the epoch was advanced and the ring drained. */
  nextEpoch(): void {
    this.#previous = this.#current;
    this.#previousBytes = this.#currentBytes;
    this.#current = new Map();
    this.#currentBytes = 0;
    this.isFull = false;
  }
}

// Bytes that come in parts, copied into buffers of their own: a part of what a socket has read keeps all
// of it alive, 64 KiB for a byte if the sender wants it so.
import type { Hold } from './in-flight.ts';
import { partBytesMax, partBytesMin } from './limits.ts';

export class Parts {
  readonly #hold: Hold;
  readonly #buffers: Buffer[] = [];
  #length = 0;
  /** Not yet written in the last buffer. */
  #room = 0;

  constructor(hold: Hold) {
    this.#hold = hold;
  }

  get length(): number {
    return this.#length;
  }

  add(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#room === 0) this.#grow(bytes.length - at);
      const last = this.#buffers.at(-1)!;
      const count = Math.min(this.#room, bytes.length - at);
      last.set(bytes.subarray(at, at + count), last.length - this.#room);
      this.#room -= count;
      this.#length += count;
      at += count;
    }
  }

  /** As large as what is there already: never more than twice of it is held, and few buffers do for a large body. */
  #grow(wanted: number): void {
    const bytes = Math.min(partBytesMax, Math.max(partBytesMin, wanted, this.#length));
    this.#buffers.push(this.#hold.allot(bytes));
    this.#room = bytes;
  }

  /** All of it in one piece. Takes the parts away: call it once, as the last. */
  join(): Buffer {
    const buffers = this.#buffers.splice(0);
    const [first] = buffers;
    if (first === undefined) return Buffer.alloc(0);
    return buffers.length === 1 ? first.subarray(0, this.#length) : this.#hold.join(buffers, this.#length);
  }
}

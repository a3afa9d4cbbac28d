// Bytes that grow, for canonical encodings that are hashed (schemas/lake) and copied from themselves
// again. Little endian; texts are length-prefixed, so that two fields can't be read as one.

export class ByteSink {
  bytes: Uint8Array;
  length = 0;
  #text: Buffer;

  constructor(capacity = 4096) {
    this.#text = Buffer.allocUnsafeSlow(capacity);
    this.bytes = this.#text;
  }

  /** Empty again, with the memory kept. */
  clear(): void {
    this.length = 0;
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const wanted = this.length + count;
    if (wanted <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.bytes.length));
    larger.set(this.bytes.subarray(0, this.length));
    this.#text = larger;
    this.bytes = larger;
  }

  uint8(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  uint32(value: number): void {
    this.reserve(4);
    const { bytes, length } = this;
    bytes[length] = value;
    bytes[length + 1] = value >>> 8;
    bytes[length + 2] = value >>> 16;
    bytes[length + 3] = value >>> 24;
    this.length = length + 4;
  }

  /** A 64-bit number from its unsigned halves. */
  uint64(low: number, high: number): void {
    this.uint32(low);
    this.uint32(high);
  }

  /** A 64-bit number of either sign. */
  bigint64(value: bigint): void {
    const unsigned = BigInt.asUintN(64, value);
    this.uint64(Number(unsigned & 0xffffffffn), Number(unsigned >> 32n));
  }

  text(value: string): void {
    // At most three bytes for a UTF-16 unit.
    this.reserve(4 + 3 * value.length);
    const written = this.#text.write(value, this.length + 4, 'utf8');
    this.uint32(written);
    this.length += written;
  }

  /** A text or bytes of another buffer, length-prefixed as `text`. */
  span(from: Uint8Array, start: number, end: number): void {
    this.uint32(end - start);
    this.raw(from, start, end);
  }

  raw(from: Uint8Array, start: number, end: number): void {
    const count = end - start;
    this.reserve(count);
    const { bytes, length } = this;
    // A native copy costs more than it saves below some 50 bytes.
    if (count <= 48) for (let index = 0; index < count; index++) bytes[length + index] = from[start + index]!;
    else bytes.set(from.subarray(start, end), length);
    this.length = length + count;
  }
}

/** Bytewise order of two ranges of one buffer, a shorter one before what it begins. */
export function compareRanges(bytes: Uint8Array, start: number, end: number, otherStart: number, otherEnd: number): number {
  const common = Math.min(end - start, otherEnd - otherStart);
  for (let index = 0; index < common; index++) {
    const difference = bytes[start + index]! - bytes[otherStart + index]!;
    if (difference !== 0) return difference;
  }
  return end - start - (otherEnd - otherStart);
}

// Bytes that grow, for canonical encodings that are hashed (schemas/lake) and copied from themselves
// again. Little endian; texts are length-prefixed, so that two fields can't be read as one.

/** UTF-16 units. */
const shortText = 48;

export class ByteSink {
  bytes: Uint8Array;
  length = 0;
  #text: Buffer;
  #view: DataView;

  constructor(capacity = 4096) {
    this.#text = Buffer.allocUnsafeSlow(capacity);
    this.bytes = new Uint8Array(this.#text.buffer);
    this.#view = new DataView(this.#text.buffer);
  }

  /** What is in it, until the next byte is added. */
  view(): Uint8Array {
    return new Uint8Array(this.bytes.buffer, 0, this.length);
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
    this.bytes = new Uint8Array(larger.buffer);
    this.#view = new DataView(larger.buffer);
  }

  uint8(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  uint32(value: number): void {
    this.reserve(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
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
    if (value.length <= shortText && this.#ascii(value)) return;
    const written = this.#text.write(value, this.length + 4, 'utf8');
    this.uint32(written);
    this.length += written;
  }

  /** A call out of JavaScript costs more than a few letters written here. False where one is no ASCII. */
  #ascii(value: string): boolean {
    const { bytes } = this;
    const start = this.length + 4;
    for (let index = 0; index < value.length; index++) {
      const unit = value.charCodeAt(index);
      if (unit >= 0x80) return false;
      bytes[start + index] = unit;
    }
    this.#view.setUint32(this.length, value.length, true);
    this.length = start + value.length;
    return true;
  }

  /** A text or bytes of another buffer, length-prefixed as `text`. */
  span(from: Uint8Array, start: number, end: number): void {
    this.uint32(end - start);
    this.raw(from, start, end);
  }

  /** `span` of ASCII letters; false, and nothing appended, where there are others. */
  asciiSpan(from: Uint8Array, start: number, end: number): boolean {
    const count = end - start;
    this.reserve(4 + count);
    const { bytes } = this;
    const to = this.length + 4;
    let seen = 0;
    for (let index = 0; index < count; index++) {
      const byte = from[start + index]!;
      bytes[to + index] = byte;
      seen |= byte;
    }
    if (seen >= 0x80) return false;
    this.#view.setUint32(this.length, count, true);
    this.length = to + count;
    return true;
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

  /** `raw` for pieces of some 60 bytes from another sink, eight bytes at a time: what a stack is put together from. */
  copy(from: ByteSink, start: number, end: number): void {
    const count = end - start;
    this.reserve(count);
    const [to, view, source] = [this.length, this.#view, from.#view];
    let at = 0;
    for (; at + 8 <= count; at += 8) view.setBigUint64(to + at, source.getBigUint64(start + at, true), true);
    for (; at < count; at++) view.setUint8(to + at, source.getUint8(start + at));
    this.length = to + count;
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

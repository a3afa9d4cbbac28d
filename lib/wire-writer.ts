// Writing primitives for protobuf, into bytes that grow. Nested messages are written into a writer of
// their own and copied in with their length, so no length is ever patched afterwards.

export class WireWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity = 1024) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** Empty again, with the memory kept. */
  clear(): void {
    this.#length = 0;
  }

  /** What was written; the writer's own memory, valid until its next write or clear. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  varint(value: number): void {
    this.#reserve(10);
    let rest = value;
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  varint64(value: bigint): void {
    this.#reserve(10);
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#length++] = Number(rest);
  }

  fixed64(value: bigint): void {
    this.#reserve(8);
    this.#length = this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, value), this.#length);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  // Fields. proto3 leaves out what has its default value, but for entries of repeated fields.

  /** int32, uint32, int64 ≥ 0 within safe integers. */
  uintField(field: number, value: number): void {
    if (value === 0) return;
    this.varint(field << 3);
    this.varint(value);
  }

  /** int64, uint64. */
  uint64Field(field: number, value: bigint): void {
    if (value === 0n) return;
    this.varint(field << 3);
    this.varint64(value);
  }

  fixed64Field(field: number, value: bigint): void {
    if (value === 0n) return;
    this.varint((field << 3) | 1);
    this.fixed64(value);
  }

  stringField(field: number, text: string): void {
    if (text !== '') this.stringEntry(field, text);
  }

  /** A string that is written also when it is empty: an entry of a repeated field, a oneof. */
  stringEntry(field: number, text: string): void {
    const bytes = Buffer.byteLength(text);
    this.varint((field << 3) | 2);
    this.varint(bytes);
    this.#reserve(bytes);
    this.#length += this.#bytes.write(text, this.#length, 'utf8');
  }

  bytesField(field: number, bytes: Uint8Array): void {
    if (bytes.length > 0) this.messageField(field, bytes);
  }

  /** A nested message, or an entry of repeated bytes; written also when it is empty. */
  messageField(field: number, bytes: Uint8Array): void {
    this.varint((field << 3) | 2);
    this.varint(bytes.length);
    this.raw(bytes);
  }

  packedUints(field: number, values: readonly number[], scratch: WireWriter): void {
    if (values.length === 0) return;
    scratch.clear();
    for (const value of values) scratch.varint(value);
    this.messageField(field, scratch.view());
  }

  packedInt64s(field: number, values: readonly bigint[], scratch: WireWriter): void {
    if (values.length === 0) return;
    scratch.clear();
    for (const value of values) scratch.varint64(value);
    this.messageField(field, scratch.view());
  }

  packedFixed64s(field: number, values: readonly bigint[]): void {
    if (values.length === 0) return;
    this.varint((field << 3) | 2);
    this.varint(8 * values.length);
    for (const value of values) this.fixed64(value);
  }

  #reserve(count: number): void {
    const wanted = this.#length + count;
    if (wanted <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

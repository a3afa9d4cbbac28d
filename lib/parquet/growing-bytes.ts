// A buffer that grows, filled by the encoders of this folder and used again for each page. Methods write
// at `length`; what is needed often (single bytes, varints) is inlined by its callers through `room`.

export class GrowingBytes {
  data: Buffer;
  length = 0;

  constructor(firstBytes = 64 * 1024) {
    this.data = Buffer.allocUnsafeSlow(firstBytes);
  }

  clear(): void {
    this.length = 0;
  }

  /** What was written; valid until the next write. */
  view(from = 0): Uint8Array {
    return this.data.subarray(from, this.length);
  }

  /** Makes sure that so many more bytes fit; gives the place where they go. */
  room(bytes: number): Buffer {
    if (this.length + bytes > this.data.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.data.length * 2, this.length + bytes));
      grown.set(this.data.subarray(0, this.length));
      this.data = grown;
    }
    return this.data;
  }

  byte(value: number): void {
    this.room(1)[this.length++] = value;
  }

  uint32(value: number): void {
    const data = this.room(4);
    const at = this.length;
    data[at] = value;
    data[at + 1] = value >>> 8;
    data[at + 2] = value >>> 16;
    data[at + 3] = value >>> 24;
    this.length = at + 4;
  }

  /** A whole number from 0 to 2^54, even above 2^53. */
  varint(value: number): void {
    const data = this.room(8);
    let rest = value;
    while (rest >= 128) {
      data[this.length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    data[this.length++] = rest;
  }

  /** UTF-8. Names are short and ASCII: a loop costs less than a call out of JavaScript. */
  text(text: string): void {
    const { length } = text;
    if (length <= 48) {
      const data = this.room(length);
      const at = this.length;
      let index = 0;
      for (; index < length; index++) {
        const code = text.charCodeAt(index);
        if (code > 127) break;
        data[at + index] = code;
      }
      if (index === length) {
        this.length = at + length;
        return;
      }
    }
    this.length += this.room(3 * length).write(text, this.length, 'utf8');
  }
}

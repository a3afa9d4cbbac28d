// Columns, strings and ids of a row message as bytes; codec.ts has the grammar.
import { isUtf8 } from 'node:buffer';
import { checkEnds, malformed } from './check.ts';

const idBytes = 16;

/** A cursor over the payload's columns. Every read is inside: the size was compared with the counts before. */
export class Columns {
  readonly #payload: Uint8Array;
  #at = 0;

  constructor(payload: Uint8Array) {
    this.#payload = payload;
  }

  put(column: ArrayBufferView): void {
    this.#payload.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), this.#at);
    this.#at += column.byteLength;
  }

  finish(): void {
    if (this.#at !== this.#payload.length)
      throw new Error(`row message: ${this.#at} bytes written of ${this.#payload.length}; a column's length is not its table's`);
  }

  #take(bytes: number): number {
    const offset = this.#payload.byteOffset + this.#at;
    this.#at += bytes;
    return offset;
  }

  float64(length: number): Float64Array {
    return new Float64Array(this.#payload.buffer, this.#take(8 * length), length);
  }

  int64(length: number): BigInt64Array {
    return new BigInt64Array(this.#payload.buffer, this.#take(8 * length), length);
  }

  uint64(length: number): BigUint64Array {
    return new BigUint64Array(this.#payload.buffer, this.#take(8 * length), length);
  }

  uint32(length: number): Uint32Array {
    return new Uint32Array(this.#payload.buffer, this.#take(4 * length), length);
  }

  int32(length: number): Int32Array {
    return new Int32Array(this.#payload.buffer, this.#take(4 * length), length);
  }

  uint8(length: number): Uint8Array {
    return new Uint8Array(this.#payload.buffer, this.#take(length), length);
  }
}

export function encodeStrings(strings: readonly string[]): { ends: Uint32Array; bytes: Uint8Array } {
  const ends = new Uint32Array(strings.length);
  let end = 0;
  for (const [index, text] of strings.entries()) {
    end += Buffer.byteLength(text);
    ends[index] = end;
  }
  const bytes = Buffer.allocUnsafeSlow(end);
  for (const [index, text] of strings.entries()) bytes.write(text, index === 0 ? 0 : ends[index - 1]!, 'utf8');
  return { ends, bytes };
}

export function decodeStrings(ends: Uint32Array, bytes: Uint8Array): string[] {
  checkEnds(ends, bytes.length, 'string');
  if (!isUtf8(bytes)) throw malformed('strings that are not UTF-8', 'UTF-8');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from(ends, (end, index) => text.toString('utf8', index === 0 ? 0 : ends[index - 1]!, end));
}

export function packHex(ids: readonly string[], what: string): Uint8Array {
  const bytes = Buffer.alloc(idBytes * ids.length);
  for (const [index, id] of ids.entries()) {
    if (id.length !== 2 * idBytes || bytes.write(id, idBytes * index, 'hex') !== idBytes)
      throw new Error(`row message: ${what} '${id}', expected 32 hex digits`);
  }
  return bytes;
}

export function unpackHex(bytes: Uint8Array): string[] {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
  return Array.from({ length: bytes.length / idBytes }, (_, index) => hex.slice(32 * index, 32 * index + 32));
}

/** The texts of ids, made when somebody first asks for one. */
export function stackIdTexts(bytes: Uint8Array): () => readonly string[] {
  let texts: readonly string[] | null = null;
  return () => {
    texts ??= unpackHex(bytes);
    return texts;
  };
}

// The distinct values of a column chunk, in the order of their first use, with the place of each row's
// value among them. Text numbers are looked up in a table of marks, fixed-width values in a hash table;
// both are kept and used again, since a row group has forty columns.
import { GrowingBytes } from './growing-bytes.ts';
import { type CodedTexts, type FixedWords, type Shared, wordsOf } from './values.ts';

export interface Dictionary {
  readonly length: number;
  /** Place of each value in the dictionary, row by row or run by run. Valid until the next dictionary is made. */
  readonly indexes: Uint32Array;
  /** Where the runs end; undefined where there is an index for each row. */
  readonly runEnds: Uint32Array | undefined;
  readonly rows: number;
  /** PLAIN values, one after the other; entry i ends at ends[i]. */
  readonly bytes: GrowingBytes;
  readonly ends: Uint32Array;
}

/** Bytes before a text: its length. */
export const prefixBytes = 4;

export class DictionaryMaker {
  readonly #bytes = new GrowingBytes();
  #indexes = new Uint32Array(1024);
  /** Of rows, where values say their places. */
  #placed = new Uint32Array(1024);
  #ends = new Uint32Array(1024);
  /** Place + 1 by text number; all 0 between uses. */
  #marks = new Uint32Array(1024);
  /** Place + 1 by hash; all 0 between uses. */
  #slots = new Uint32Array(0);
  /** Text number, or first row, of each entry. */
  #firsts = new Uint32Array(1024);

  texts(values: CodedTexts): Dictionary {
    const { codes, codesMax } = values;
    const { length } = codes;
    this.#reserve(length);
    if (this.#marks.length < codesMax) this.#marks = new Uint32Array(Math.max(codesMax, 2 * this.#marks.length));
    const [marks, indexes, firsts] = [this.#marks, this.#indexes, this.#firsts];
    let count = 0;
    for (let row = 0; row < length; row++) {
      const code = codes[row]!;
      let place = marks[code]!;
      if (place === 0) {
        firsts[count] = code;
        place = ++count;
        marks[code] = place;
      }
      indexes[row] = place - 1;
    }
    for (let entry = 0; entry < count; entry++) marks[firsts[entry]!] = 0;
    this.#bytes.clear();
    for (let entry = 0; entry < count; entry++) {
      putText(this.#bytes, values, firsts[entry]!);
      this.#ends[entry] = this.#bytes.length;
    }
    return this.#made(count, length, values);
  }

  /** Null where there are more than `entriesMax`. */
  words(values: FixedWords, entriesMax: number): Dictionary | null {
    const { words, type } = values;
    const stride = wordsOf[type];
    const length = words.length / stride;
    this.#reserve(length);
    const count = this.#findWords(words, stride, length, entriesMax);
    if (count < 0) return null;
    this.#bytes.clear();
    for (let entry = 0; entry < count; entry++) {
      const at = this.#firsts[entry]! * stride;
      for (let word = 0; word < stride; word++) this.#bytes.uint32(words[at + word]!);
      this.#ends[entry] = this.#bytes.length;
    }
    return this.#made(count, length, values);
  }

  #findWords(words: Uint32Array, stride: number, length: number, entriesMax: number): number {
    const mask = this.#clearSlots(Math.min(length, entriesMax + 1));
    const [slots, indexes, firsts] = [this.#slots, this.#indexes, this.#firsts];
    let count = 0;
    let [lastLow, lastHigh, last] = [0, 0, -1];
    for (let row = 0; row < length; row++) {
      const low = words[row * stride]!;
      const high = stride === 2 ? words[row * 2 + 1]! : 0;
      if (low !== lastLow || high !== lastHigh || last < 0) {
        let slot = hash(low, high) & mask;
        for (;;) {
          last = slots[slot]! - 1;
          if (last < 0) break;
          const at = firsts[last]! * stride;
          if (words[at] === low && (stride === 1 || words[at + 1] === high)) break;
          slot = (slot + 1) & mask;
        }
        if (last < 0) {
          if (count === entriesMax) return -1;
          last = count++;
          firsts[last] = row;
          slots[slot] = count;
        }
        lastLow = low;
        lastHigh = high;
      }
      indexes[row] = last;
    }
    return count;
  }

  #clearSlots(entries: number): number {
    const size = 2 ** Math.ceil(Math.log2(2 * entries + 2));
    if (this.#slots.length < size) this.#slots = new Uint32Array(size);
    else this.#slots.fill(0, 0, size);
    return size - 1;
  }

  #reserve(length: number): void {
    if (this.#indexes.length >= length) return;
    this.#indexes = new Uint32Array(length);
    this.#ends = new Uint32Array(length);
    this.#firsts = new Uint32Array(length);
  }

  #made(count: number, length: number, { ends: runEnds, places }: Shared): Dictionary {
    const indexes = places === undefined ? this.#indexes.subarray(0, length) : this.#place(places);
    const rows = runEnds === undefined ? indexes.length : (runEnds.at(-1) ?? 0);
    return { length: count, indexes, runEnds, rows, bytes: this.#bytes, ends: this.#ends.subarray(0, count) };
  }

  #place(places: Uint32Array): Uint32Array {
    if (this.#placed.length < places.length) this.#placed = new Uint32Array(places.length);
    const [indexes, placed] = [this.#indexes, this.#placed];
    for (let row = 0; row < places.length; row++) placed[row] = indexes[places[row]!]!;
    return placed.subarray(0, places.length);
  }
}

/** A text as PLAIN writes it. */
export function putText(out: GrowingBytes, values: CodedTexts, code: number): void {
  const at = out.length;
  out.uint32(0);
  values.put(code, out);
  out.data.writeUInt32LE(out.length - at - prefixBytes, at);
}

function hash(low: number, high: number): number {
  let mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 13);
}

export interface Bounds {
  readonly least: number;
  readonly most: number;
}

/** Entries with the least and the greatest text, byte by byte as the format's order is. */
export function textBounds({ length, bytes, ends }: Dictionary): Bounds {
  const { data } = bytes;
  let least = 0;
  let most = 0;
  const start = (entry: number) => (entry === 0 ? 0 : ends[entry - 1]!) + prefixBytes;
  const compare = (left: number, right: number) => {
    let a = start(left);
    let b = start(right);
    const [aEnd, bEnd] = [ends[left]!, ends[right]!];
    while (a < aEnd && b < bEnd) {
      const difference = data[a++]! - data[b++]!;
      if (difference !== 0) return difference;
    }
    return aEnd - a - (bEnd - b);
  };
  for (let entry = 1; entry < length; entry++) {
    if (compare(entry, least) < 0) least = entry;
    else if (compare(entry, most) > 0) most = entry;
  }
  return { least, most };
}

/** Bytes of an entry's text: a copy. */
export function textAt({ bytes, ends }: Dictionary, entry: number): Uint8Array {
  return new Uint8Array(bytes.data.subarray((entry === 0 ? 0 : ends[entry - 1]!) + prefixBytes, ends[entry]!));
}

// The digests that a shard has seen lately: a client's retry is recognised by its content, whatever
// its encoding or partition. The window is 15 minutes of its clock (window-clock.ts) or 1 M profiles,
// whichever is smaller (docs/lake.md promises it). First in, first out, in flat arrays: 1 M digests
// cost 40 MB, a Set of strings would cost three times that.
import { PipelineError } from '../lib/errors.ts';
import { digestWindowEntriesMax } from './limits.ts';

const digestWords = 4;
/** Bytes of one entry in a side object: 16 of digest, 4 of milliseconds after the object's base. */
const entryBytes = 20;
const headerBytes = 16;
const sideObjectMagic = 0x31444c46; // 'FLD1', little-endian

export class DigestWindow {
  /** A ring of entries; #first is the oldest. Positions are entry numbers modulo the capacity. */
  #words = new Uint32Array(digestWords * 1024);
  #clocks = new Float64Array(1024);
  #first = 0;
  #length = 0;
  /** Ring position + 1, 0 = free; linear probing, at most half full. */
  #slots = new Uint32Array(2048);
  #scratch = new Uint32Array(digestWords);

  get length(): number {
    return this.#length;
  }

  /** True where the digest is in the window, which begins at `startMillis`. It is (again) the newest afterwards, at `clockMillis`. */
  seen(digest: string, clockMillis: number, startMillis: number): boolean {
    this.#expire(startMillis);
    parseDigest(digest, this.#scratch);
    const found = this.#find(this.#scratch);
    if (found >= 0) {
      // Moving an entry inside the ring would cost a shift of all behind it: the old one is emptied
      // from the index only and expires in its turn.
      this.#unindex(found);
    }
    this.#push(this.#scratch, clockMillis);
    return found >= 0;
  }

  /** Adds what a record's side object holds; entries must come in the order in which they were seen. */
  restore(entries: DigestEntries): void {
    for (let i = 0; i < entries.length; i++) {
      this.#expire(Number.NEGATIVE_INFINITY);
      this.#scratch.set(entries.words.subarray(i * digestWords, (i + 1) * digestWords));
      const found = this.#find(this.#scratch);
      if (found >= 0) this.#unindex(found);
      this.#push(this.#scratch, entries.clocks[i]!);
    }
  }

  #expire(startMillis: number): void {
    while (this.#length > 0 && (this.#clocks[this.#first]! < startMillis || this.#length >= digestWindowEntriesMax)) {
      if (this.#slotOf(this.#first) >= 0) this.#unindex(this.#first);
      this.#first = (this.#first + 1) % this.#clocks.length;
      this.#length--;
    }
  }

  #push(words: Uint32Array, clockMillis: number): void {
    if (this.#length === this.#clocks.length) this.#grow();
    const position = (this.#first + this.#length) % this.#clocks.length;
    this.#words.set(words, position * digestWords);
    this.#clocks[position] = clockMillis;
    this.#length++;
    this.#index(position);
  }

  #home(words: Uint32Array, at: number): number {
    return words[at]! & (this.#slots.length - 1);
  }

  #find(words: Uint32Array): number {
    const mask = this.#slots.length - 1;
    for (let slot = this.#home(words, 0); ; slot = (slot + 1) & mask) {
      const taken = this.#slots[slot]!;
      if (taken === 0) return -1;
      const at = (taken - 1) * digestWords;
      if (this.#words[at] === words[0] && this.#words[at + 1] === words[1] && this.#words[at + 2] === words[2] && this.#words[at + 3] === words[3])
        return taken - 1;
    }
  }

  #slotOf(position: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = this.#home(this.#words, position * digestWords); ; slot = (slot + 1) & mask) {
      const taken = this.#slots[slot]!;
      if (taken === 0) return -1;
      if (taken === position + 1) return slot;
    }
  }

  #index(position: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#home(this.#words, position * digestWords);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = position + 1;
  }

  /** Frees the slot and moves those behind it up, so that no tombstone is needed. */
  #unindex(position: number): void {
    const mask = this.#slots.length - 1;
    let hole = this.#slotOf(position);
    for (let slot = (hole + 1) & mask; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#home(this.#words, (this.#slots[slot]! - 1) * digestWords);
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        this.#slots[hole] = this.#slots[slot]!;
        hole = slot;
      }
    }
    this.#slots[hole] = 0;
  }

  #grow(): void {
    const capacity = this.#clocks.length;
    const words = new Uint32Array(capacity * 2 * digestWords);
    const clocks = new Float64Array(capacity * 2);
    const indexed: number[] = [];
    for (let i = 0; i < this.#length; i++) {
      const from = (this.#first + i) % capacity;
      words.set(this.#words.subarray(from * digestWords, (from + 1) * digestWords), i * digestWords);
      clocks[i] = this.#clocks[from]!;
      if (this.#slotOf(from) >= 0) indexed.push(i);
    }
    this.#words = words;
    this.#clocks = clocks;
    this.#first = 0;
    this.#slots = new Uint32Array(capacity * 4);
    for (const position of indexed) this.#index(position);
  }
}

/** Digests in the order in which a range saw them, each with the window's clock at that moment. */
export class DigestEntries {
  words = new Uint32Array(digestWords * 64);
  clocks = new Float64Array(64);
  length = 0;

  add(digest: string, clockMillis: number): void {
    if (this.length === this.clocks.length) {
      this.words = grown(this.words, new Uint32Array(this.words.length * 2));
      this.clocks = grown(this.clocks, new Float64Array(this.clocks.length * 2));
    }
    parseDigest(digest, this.words.subarray(this.length * digestWords, (this.length + 1) * digestWords));
    this.clocks[this.length++] = clockMillis;
  }
}

/** Side object of a record: magic, count, base (milliseconds, float64), then the entries. Little-endian. */
export function encodeDigests(entries: DigestEntries): Uint8Array {
  const bytes = new Uint8Array(headerBytes + entries.length * entryBytes);
  const view = new DataView(bytes.buffer);
  const base = entries.length === 0 ? 0 : entries.clocks[0]!;
  view.setUint32(0, sideObjectMagic, true);
  view.setUint32(4, entries.length, true);
  view.setFloat64(8, base, true);
  for (let i = 0; i < entries.length; i++) {
    const at = headerBytes + i * entryBytes;
    for (let word = 0; word < digestWords; word++) view.setUint32(at + word * 4, entries.words[i * digestWords + word]!, true);
    // The clock never goes back, so the difference is not negative; 49 days fit, more is beyond any window.
    view.setUint32(at + 16, Math.min(entries.clocks[i]! - base, 0xffffffff), true);
  }
  return bytes;
}

export function decodeDigests(bytes: Uint8Array, key: string): DigestEntries {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < headerBytes || view.getUint32(0, true) !== sideObjectMagic || bytes.length !== headerBytes + view.getUint32(4, true) * entryBytes) {
    throw new PipelineError(
      'lake_version',
      `${key}: ${bytes.length} bytes were found that are no list of digests; the object is damaged, restore it from a backup or delete it (retries of the last 15 minutes are then not recognised)`,
    );
  }
  const entries = new DigestEntries();
  const length = view.getUint32(4, true);
  const base = view.getFloat64(8, true);
  entries.words = new Uint32Array(length * digestWords);
  entries.clocks = new Float64Array(length);
  entries.length = length;
  for (let i = 0; i < length; i++) {
    const at = headerBytes + i * entryBytes;
    for (let word = 0; word < digestWords; word++) entries.words[i * digestWords + word] = view.getUint32(at + word * 4, true);
    entries.clocks[i] = base + view.getUint32(at + 16, true);
  }
  return entries;
}

/** 32 lower hex digits to four words. */
function parseDigest(digest: string, into: Uint32Array): void {
  for (let word = 0; word < digestWords; word++) into[word] = Number.parseInt(digest.slice(word * 8, word * 8 + 8), 16);
}

function grown<A extends Uint32Array | Float64Array>(from: A, to: A): A {
  to.set(from as never);
  return to;
}

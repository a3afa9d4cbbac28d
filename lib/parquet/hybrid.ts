// Parquet's RLE / bit-packed hybrid: levels, dictionary indexes and booleans.
//   run = varint(count << 1) value:ceil(width / 8) bytes          count values that are equal
//       | varint(groups << 1 | 1) groups × width bytes            groups of 8 values, packed from the low bit on
// Runs begin at multiples of eight values, so that only the last group is padded.
import type { GrowingBytes } from './growing-bytes.ts';

/** The packer shifts in 32 bits: seven bits that wait and one value. */
export const hybridWidthMax = 24;
/** A run costs about four bytes with the header of what is packed behind it; so many bits packed cost as much. */
const runBitsMin = 32;
/** Below it runs of whole bytes are left to zstd: a header among them would hide what repeats around it. */
const byteRunMin = 32;

export function bitWidth(valueMax: number): number {
  return 32 - Math.clz32(valueMax);
}

/**
 * Bits of dictionary indexes: whole bytes, since zstd finds again what it has seen at any byte and at no other bit
 * (stacks share callers: an eighth of their bytes). What fits half a byte repeats within one or two anyway.
 */
export function indexWidth(valueMax: number): number {
  const bits = bitWidth(valueMax);
  return bits <= 4 ? bits : 8 * Math.ceil(bits / 8);
}

export function putHybrid(out: GrowingBytes, values: Uint32Array, length: number, width: number): void {
  if (width > hybridWidthMax) throw new Error(`${width} bits, at most ${hybridWidthMax}`);
  if (width === 0) {
    putRun(out, 0, length, width);
    return;
  }
  const runMin = runMinOf(width);
  let packedFrom = 0;
  let at = 0;
  while (at < length) {
    const value = values[at]!;
    let end = at + 1;
    while (end < length && values[end] === value) end++;
    if (end - at >= runMin) {
      putPacked(out, values, packedFrom, at, width);
      putRun(out, value, end - at, width);
      at = end;
      packedFrom = at;
    } else {
      at += 8; // what of a run begins inside of these eight is looked at behind them
    }
  }
  putPacked(out, values, packedFrom, length, width);
}

/** The same of values of which each is there up to its place in `ends`. */
export function putHybridRuns(out: GrowingBytes, values: Uint32Array, ends: Uint32Array, width: number): void {
  if (width > hybridWidthMax) throw new Error(`${width} bits, at most ${hybridWidthMax}`);
  const length = ends.at(-1) ?? 0;
  if (width === 0) {
    putRun(out, 0, length, width);
    return;
  }
  const runMin = runMinOf(width);
  let [at, run, packedFrom, packedRun] = [0, 0, 0, 0];
  while (at < length) {
    while (ends[run]! <= at) run++;
    const end = ends[run]!;
    if (end - at >= runMin) {
      putPackedRuns(out, values, ends, packedRun, packedFrom, at, width);
      putRun(out, values[run]!, end - at, width);
      at = end;
      [packedFrom, packedRun] = [at, run];
    } else {
      at += 8;
    }
  }
  putPackedRuns(out, values, ends, packedRun, packedFrom, length, width);
}

function putPackedRuns(out: GrowingBytes, values: Uint32Array, ends: Uint32Array, firstRun: number, from: number, to: number, width: number): void {
  if (from >= to) return;
  const rows = new Uint32Array(to - from);
  for (let run = firstRun, at = from; at < to; run++) {
    const end = Math.min(ends[run]!, to);
    if (end > at) rows.fill(values[run]!, at - from, end - from);
    at = Math.max(at, end);
  }
  putPacked(out, rows, 0, rows.length, width);
}

function runMinOf(width: number): number {
  return width % 8 === 0 ? byteRunMin : Math.max(8, Math.ceil(runBitsMin / width));
}

function putRun(out: GrowingBytes, value: number, count: number, width: number): void {
  out.varint(count * 2);
  for (let shift = 0; shift < width; shift += 8) out.byte((value >>> shift) & 255);
}

function putPacked(out: GrowingBytes, values: Uint32Array, from: number, to: number, width: number): void {
  if (from >= to) return;
  const groups = Math.ceil((to - from) / 8);
  out.varint(groups * 2 + 1);
  const data = out.room(groups * width);
  const end = out.length + groups * width;
  const at = width % 8 === 0 ? packBytes(data, out.length, values, from, to, width) : packBits(data, out.length, values, from, to, width);
  data.fill(0, at, end);
  out.length = end;
}

function packBits(data: Uint8Array, start: number, values: Uint32Array, from: number, to: number, width: number): number {
  let at = start;
  let waiting = 0;
  let bits = 0;
  for (let index = from; index < to; index++) {
    waiting |= values[index]! << bits;
    bits += width;
    while (bits >= 8) {
      data[at++] = waiting;
      waiting >>>= 8;
      bits -= 8;
    }
  }
  if (bits > 0) data[at++] = waiting;
  return at;
}

function packBytes(data: Uint8Array, start: number, values: Uint32Array, from: number, to: number, width: number): number {
  let at = start;
  for (let index = from; index < to; index++) {
    const value = values[index]!;
    data[at++] = value;
    if (width > 8) data[at++] = value >>> 8;
    if (width > 16) data[at++] = value >>> 16;
  }
  return at;
}

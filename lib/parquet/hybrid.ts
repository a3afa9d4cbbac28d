// Parquet's RLE / bit-packed hybrid: levels, dictionary indexes and booleans.
//   run = varint(count << 1) value:ceil(width / 8) bytes          count values that are equal
//       | varint(groups << 1 | 1) groups × width bytes            groups of 8 values, packed from the low bit on
// Runs begin at multiples of eight values, so that only the last group is padded.
import type { GrowingBytes } from './growing-bytes.ts';

/** The packer shifts in 32 bits: seven bits that wait and one value. */
export const hybridWidthMax = 24;
/** A run costs about four bytes with the header of what is packed behind it; so many bits packed cost as much. */
const runBitsMin = 32;

export function bitWidth(valueMax: number): number {
  return 32 - Math.clz32(valueMax);
}

export function putHybrid(out: GrowingBytes, values: Uint32Array, length: number, width: number): void {
  if (width > hybridWidthMax) throw new Error(`${width} bits, at most ${hybridWidthMax}`);
  if (width === 0) {
    putRun(out, 0, length, width);
    return;
  }
  const runMin = Math.max(8, Math.ceil(runBitsMin / width));
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

function putRun(out: GrowingBytes, value: number, count: number, width: number): void {
  out.varint(count * 2);
  for (let shift = 0; shift < width; shift += 8) out.byte((value >>> shift) & 255);
}

function putPacked(out: GrowingBytes, values: Uint32Array, from: number, to: number, width: number): void {
  if (from >= to) return;
  const groups = Math.ceil((to - from) / 8);
  out.varint(groups * 2 + 1);
  const data = out.room(groups * width);
  let at = out.length;
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
  const end = out.length + groups * width;
  if (bits > 0) data[at++] = waiting;
  data.fill(0, at, end);
  out.length = end;
}

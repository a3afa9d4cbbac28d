// DELTA_BINARY_PACKED of whole numbers: times that go up in small steps.
//   page  = varint 128, varint 4, varint count, zigzag first, block…
//   block = zigzag least delta, 4 widths (a byte each), the miniblocks of 32 deltas - least, packed from the low bit on
// Numbers, not bigints, which would cost ten times as much; what numbers cannot do exactly is said by
// `isDeltaExact`, and such a column is written plain.
import type { GrowingBytes } from './growing-bytes.ts';

const blockValues = 128;
const miniblocks = 4;
const miniblockValues = blockValues / miniblocks;
/** Microseconds to the year 2112; a spread of 71 years. Twice of either is still a safe integer. */
const valueMax = 2 ** 52;
const spreadMax = 2 ** 51;

export function isDeltaExact(values: Float64Array): boolean {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return values.length === 0 || (least >= -valueMax && most <= valueMax && most - least <= spreadMax);
}

export function putDelta(out: GrowingBytes, values: Float64Array): void {
  out.varint(blockValues);
  out.varint(miniblocks);
  out.varint(values.length);
  putZigzag(out, values.length === 0 ? 0 : values[0]!);
  const deltas = new Float64Array(blockValues);
  for (let at = 1; at < values.length; at += blockValues) {
    const count = Math.min(blockValues, values.length - at);
    let least = Number.POSITIVE_INFINITY;
    for (let index = 0; index < count; index++) {
      const delta = values[at + index]! - values[at + index - 1]!;
      deltas[index] = delta;
      if (delta < least) least = delta;
    }
    for (let index = 0; index < count; index++) deltas[index]! -= least;
    deltas.fill(0, count);
    putBlock(out, deltas, count, least);
  }
}

function putBlock(out: GrowingBytes, deltas: Float64Array, count: number, least: number): void {
  putZigzag(out, least);
  const widthsAt = out.length;
  for (let miniblock = 0; miniblock < miniblocks; miniblock++) {
    const from = miniblock * miniblockValues;
    let most = 0;
    for (let index = from; index < from + miniblockValues; index++) if (deltas[index]! > most) most = deltas[index]!;
    out.byte(widthOf(most));
  }
  for (let miniblock = 0; miniblock * miniblockValues < count; miniblock++) {
    putMiniblock(out, deltas, miniblock * miniblockValues, out.data[widthsAt + miniblock]!);
  }
}

function widthOf(most: number): number {
  return most < 2 ** 32 ? 32 - Math.clz32(most) : 32 + 32 - Math.clz32(Math.floor(most / 2 ** 32));
}

/** 24 bits of a value at a time, so that seven that wait and these fit a 32-bit word. */
const pieceBits = 24;
const pieceSize = 2 ** pieceBits;

function putMiniblock(out: GrowingBytes, deltas: Float64Array, from: number, width: number): void {
  const data = out.room(4 * width);
  let at = out.length;
  let waiting = 0;
  let bits = 0;
  for (let index = from; index < from + miniblockValues; index++) {
    let value = deltas[index]!;
    for (let left = width; left > 0; left -= pieceBits) {
      const piece = left > pieceBits ? value % pieceSize : value;
      waiting |= piece << bits;
      bits += Math.min(left, pieceBits);
      while (bits >= 8) {
        data[at++] = waiting;
        waiting >>>= 8;
        bits -= 8;
      }
      value = Math.floor(value / pieceSize);
    }
  }
  out.length = at; // 32 values of any width end with a byte
}

function putZigzag(out: GrowingBytes, value: number): void {
  out.varint(value < 0 ? -2 * value - 1 : 2 * value);
}

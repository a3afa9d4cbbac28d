// Reading primitives for protobuf bytes from anybody. One cursor over one message lives in this
// module, so that a hot loop makes no object and no closure per field: a first version with closures
// was 3-5 times slower. A reader opens the bytes, reads to the end and closes, without an await in
// between. No read passes the end of the innermost entered range; every breach is a PipelineError
// `message_malformed` with the byte offset.
//
// Grammar:  message = (tag value)*      tag = varint(field << 3 | wire type)
//   wire type 0 varint · 1 eight bytes · 2 length + that many bytes · 5 four bytes · 3 and 4 groups,
//   which proto3 does not have and which are refused.
import { isUtf8 } from 'node:buffer';
import { PipelineError } from './errors.ts';
import type { Uint32List } from './lists.ts';

const empty = new Uint8Array(0);
let bytes: Uint8Array = empty;
let view: DataView = new DataView(empty.buffer);
let at = 0;
let end = 0;

/** The two halves of the last 64-bit read, as unsigned 32-bit numbers. */
export let low = 0;
export let high = 0;

export const wireVarint = 0;
export const wireFixed64 = 1;
export const wireBytes = 2;
export const wireFixed32 = 5;

export function openWire(message: Uint8Array): void {
  // Values of one message are read one by one, each with the wire opened for it.
  if (bytes !== message) view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  bytes = message;
  at = 0;
  end = message.byteLength;
  low = 0;
  high = 0;
}

/** Lets go of the message, so that the module does not keep it alive. */
export function closeWire(): void {
  openWire(empty);
}

export function position(): number {
  return at;
}

/** Whether the innermost range has bytes left. */
export function more(): boolean {
  return at < end;
}

/** The tag, field << 3 | wire type, as an unsigned number: compare it as a whole on hot paths. */
export function readTag(): number {
  const start = at;
  let tag = 0;
  if (at < end && bytes[at]! < 0x80) tag = bytes[at++]!;
  else {
    readVarint64();
    if (high !== 0) throw malformed('a field number above 2^29 - 1', 'a tag', start);
    tag = low;
  }
  if (tag < 8) throw malformed('field number 0', 'a tag', start);
  return tag;
}

/** Low 32 bits of a varint, unsigned: how protobuf reads uint32 and bool. */
export function readUint32(): number {
  if (at < end) {
    const first = bytes[at]!;
    if (first < 0x80) {
      at++;
      return first;
    }
    if (at + 1 < end) {
      const second = bytes[at + 1]!;
      if (second < 0x80) {
        at += 2;
        return (first & 0x7f) | (second << 7);
      }
    }
  }
  readVarint64();
  return low;
}

/** Low 32 bits of a varint, signed: how protobuf reads int32. A negative one takes ten bytes. */
export function readInt32(): number {
  return readUint32() | 0;
}

/** Appends the numbers of a packed field of uint32 or int32, from its length on. */
export function readPacked(list: Uint32List): void {
  const outer = enter();
  // In variables of its own the cursor costs half.
  const [from, to] = [bytes, end];
  const values = list.room(to - at);
  let { length } = list;
  let next = at;
  while (next < to) {
    const first = from[next]!;
    const second = next + 1 < to ? from[next + 1]! : 0x80;
    if (first < 0x80) {
      values[length++] = first;
      next++;
    } else if (second < 0x80) {
      values[length++] = (first & 0x7f) | (second << 7);
      next += 2;
    } else {
      at = next;
      readVarint64();
      values[length++] = low;
      next = at;
    }
  }
  list.length = length;
  at = next;
  leave(outer);
}

/** The greatest number of the packed field that was passed last, unsigned. */
export let packedMax = 0;

/** Passes over a packed field of uint32 or int32 and says how many numbers it has. */
export function passPacked(): number {
  const outer = enter();
  const [from, to] = [bytes, end];
  let [count, max] = [0, 0];
  let next = at;
  while (next < to) {
    const first = from[next]!;
    const second = next + 1 < to ? from[next + 1]! : 0x80;
    let value = first;
    if (first < 0x80) next++;
    else if (second < 0x80) {
      value = (first & 0x7f) | (second << 7);
      next += 2;
    } else {
      at = next;
      readVarint64();
      value = low;
      next = at;
    }
    if (value > max) max = value;
    count++;
  }
  packedMax = max;
  at = next;
  leave(outer);
  return count;
}

/** Reads a varint of up to ten bytes into low and high. */
export function readVarint64(): void {
  const [from, start, to] = [bytes, at, end];
  let next = start;
  let byte = 0x80;
  let lowBits = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    if (next >= to) throw endOfVarint(start);
    byte = from[next++]!;
    lowBits |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      at = next;
      low = lowBits;
      high = 0;
      return;
    }
  }
  if (next >= to) throw endOfVarint(start);
  byte = from[next++]!;
  let highBits = (byte & 0x7f) >>> 4;
  lowBits |= byte << 28;
  for (let shift = 3; byte >= 0x80; shift += 7) {
    if (next >= to) throw endOfVarint(start);
    byte = from[next++]!;
    // The tenth byte holds bit 63 alone.
    if (shift === 31 && byte > 1) throw malformed('a varint above 64 bits', 'at most ten bytes, the last of them 0 or 1', start);
    highBits |= (byte & 0x7f) << shift;
  }
  at = next;
  low = lowBits >>> 0;
  high = highBits >>> 0;
}

function endOfVarint(start: number): PipelineError {
  return malformed('the end of the field', 'the rest of a varint', start);
}

/** Reads eight bytes, little endian, into low and high. */
export function readFixed64(): void {
  if (end - at < 8) throw malformed(`${end - at} bytes`, 'eight bytes of a fixed64');
  low = view.getUint32(at, true);
  high = view.getUint32(at + 4, true);
  at += 8;
}

/** The last 64-bit read as a signed bigint. */
export function lastInt64(): bigint {
  return (BigInt(high | 0) << 32n) | BigInt(low);
}

/** The last 64-bit read as an unsigned bigint. */
export function lastUint64(): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

/** A length prefix, checked against what is left of the range; the cursor stands at the first byte after it. */
export function readLength(): number {
  const start = at;
  const first = start < end ? bytes[start]! : 0x80;
  let length = first;
  if (first < 0x80) at = start + 1;
  else {
    const second = start + 1 < end ? bytes[start + 1]! : 0x80;
    if (second < 0x80) {
      length = (first & 0x7f) | (second << 7);
      at = start + 2;
    } else length = readLongLength();
  }
  if (length > end - at) throw tooLong(length, start);
  return length;
}

/** Apart, so that lengths that may be no small integers do not make those of nearly all fields slow. */
function readLongLength(): number {
  const start = at;
  readVarint64();
  if (high !== 0 || low > end - at) throw tooLong(high * 2 ** 32 + low, start);
  return low | 0;
}

function tooLong(length: number, start: number): PipelineError {
  return malformed(`a length of ${length}`, `at most the ${end - at} bytes that are left`, start);
}

/** Enters a submessage or packed field; give what it returns to `leave` when `more()` says it is read. */
export function enter(): number {
  const length = readLength();
  const outer = end;
  end = at + length;
  return outer;
}

export function leave(outer: number): void {
  if (at !== end) throw malformed(`${end - at} bytes unread`, 'a submessage read to its end');
  end = outer;
}

/** Back to a place that was read before, within the same range. */
export function moveBack(to: number): void {
  if (to > at) throw malformed(`byte ${to}`, `one up to ${at}`);
  at = to;
}

/** Enters bytes of this message that were measured before, e.g. a table entry to be read later. */
export function enterSpan(start: number, length: number): void {
  if (start < 0 || length < 0 || start + length > bytes.byteLength) throw malformed(`bytes ${start} to ${start + length}`, 'bytes of the message', start);
  at = start;
  end = start + length;
}

/** Passes over a bytes field; it lies from the returned offset to position(). */
export function readBytes(): number {
  const length = readLength();
  const start = at;
  at += length;
  return start;
}

/** Passes over a string field after checking that it is UTF-8, as proto3 demands; as readBytes. */
export function readText(): number {
  const start = readBytes();
  for (let index = start; index < at; index++) {
    if (bytes[index]! >= 0x80) {
      if (!isUtf8(bytes.subarray(start, at))) throw malformed('a string that is not UTF-8', 'UTF-8', start);
      break;
    }
  }
  return start;
}

/** Passes over the value that follows this tag. */
export function skip(tag: number): void {
  switch (tag & 7) {
    case wireVarint:
      if (at < end && bytes[at]! < 0x80) at++;
      else readVarint64();
      return;
    case wireFixed64:
      skipBytes(8);
      return;
    case wireBytes:
      readBytes();
      return;
    case wireFixed32:
      skipBytes(4);
      return;
    default:
      throw malformed(`wire type ${tag & 7} of field ${tag >>> 3}`, 'wire type 0, 1, 2 or 5');
  }
}

function skipBytes(count: number): void {
  if (end - at < count) throw malformed(`${end - at} bytes`, `${count} bytes of a fixed field`);
  at += count;
}

/** The error of this module, for readers that find more than the wire form wrong; offset defaults to the cursor. */
export function malformed(found: string, expected: string, offset: number = at): PipelineError {
  return new PipelineError('message_malformed', `protobuf message, byte ${offset}: found ${found}, expected ${expected}`, {
    context: { offset, found, expected },
  });
}

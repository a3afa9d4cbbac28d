// Snappy from anybody: a single block (what `snappy` means by its definition) or the framing format
// (what Collectors call `snappy` too, `x-snappy-framed` by its right name); the stream says which.
// Written here because a decoder for hostile bytes must check every read, and must end: the one on npm
// can be sent in circles by a literal of negative length.
//
//   block:  varint length, then elements by the low 2 bits of a tag byte
//     0 literal: length - 1 in the high 6 bits, or 60-63 = in the next 1-4 bytes
//     1 copy: length - 4 in 3 bits, offset in 3 bits + 1 byte · 2 copy: length - 1, offset in 2 bytes · 3: in 4
//   frame:  type, 3 bytes of length; 0xff opens with `sNaPpY`, 0 = checksum + block, 1 = checksum + bytes,
//           0x80-0xfe may be passed over
import { setImmediate } from 'node:timers/promises';
import { PipelineError } from '../lib/errors.ts';

const opening = Buffer.from([0xff, 6, 0, 0, ...Buffer.from('sNaPpY')]);
/** By definition of the framing format. */
const chunkBytesMax = 65_536;

/** Where output goes: a block is made in one piece, frames are gathered. Both throw where it is too much. */
export interface Output {
  allot(bytes: number): Buffer;
  add(bytes: Buffer): void;
  join(): Buffer;
}

/** Lets others on after every so much: a large body is half a second of work. */
export async function unsnappy(bytes: Buffer, output: Output): Promise<Buffer> {
  const steps = bytes.subarray(0, opening.length).equals(opening) ? unframe(bytes, output) : unblock(bytes, (length) => output.allot(length));
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await setImmediate();
  }
}

const stepBytes = 256 * 1024;

/** Yields when it would be good to let others on. */
type Steps = Generator<void, Buffer, void>;

function* unframe(bytes: Buffer, output: Output): Steps {
  const scratch = Buffer.allocUnsafeSlow(chunkBytesMax);
  let at = 0;
  let rested = 0;
  while (at < bytes.length) {
    const head = need(bytes, at, 4);
    const type = head[0]!;
    const body = need(bytes, at + 4, head.readUIntLE(1, 3));
    at += 4 + body.length;
    if (type === 0 || type === 1) output.add(readChunk(type, body, scratch));
    else if (type === 0xff ? !body.equals(opening.subarray(4)) : type < 0x80) throw malformed(`a chunk of type ${type}`);
    rested += type < 2 ? chunkBytesMax / 4 + body.length : 4;
    if (rested < stepBytes) continue;
    rested = 0;
    yield;
  }
  return output.join();
}

function readChunk(type: number, body: Buffer, scratch: Buffer): Buffer {
  const checksum = need(body, 0, 4).readUInt32LE(0);
  let content = body.subarray(4);
  if (type === 0) content = unblockHere(content, scratch);
  else if (content.length > chunkBytesMax) throw malformed(`a chunk of ${content.length} bytes`);
  if (maskedChecksum(content) !== checksum) throw malformed('a chunk whose checksum is another');
  return content;
}

/** A block of a frame, which is small. */
function unblockHere(bytes: Buffer, scratch: Buffer): Buffer {
  const steps = unblock(bytes, (length) => {
    if (length > chunkBytesMax) throw malformed(`a chunk of ${length} bytes`);
    return scratch.subarray(0, length);
  });
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

function* unblock(bytes: Buffer, allot: (length: number) => Buffer): Steps {
  const [length, start] = blockLength(bytes);
  const out = allot(length);
  let at = start;
  let end = 0;
  let rest = stepBytes;
  while (at < bytes.length) {
    const tag = bytes[at++]!;
    if ((tag & 3) === 0) {
      let size = (tag >>> 2) + 1;
      if (size > 60) {
        const width = size - 60;
        size = need(bytes, at, width).readUIntLE(0, width) + 1;
        at += width;
      }
      const literal = need(bytes, at, size);
      if (end + size > length) throw malformed('more bytes than announced');
      literal.copy(out, end);
      at += size;
      end += size;
    } else {
      const width = tag & 3 ? [0, 1, 2, 4][tag & 3]! : 0;
      const low = need(bytes, at, width).readUIntLE(0, width);
      const offset = width === 1 ? ((tag >>> 5) << 8) | low : low;
      const size = width === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
      at += width;
      if (offset === 0 || offset > end) throw malformed('a copy from before the beginning');
      if (end + size > length) throw malformed('more bytes than announced');
      // Byte by byte where source and target overlap: that repeats a pattern, and is meant to.
      if (offset >= size) out.copyWithin(end, end - offset, end - offset + size);
      else for (let index = 0; index < size; index++) out[end + index] = out[end - offset + index]!;
      end += size;
    }
    if (end < rest) continue;
    rest = end + stepBytes;
    yield;
  }
  if (end !== length) throw malformed(`${end} bytes where ${length} are announced`);
  return out;
}

/** The block's varint: length and where the elements begin. */
function blockLength(bytes: Buffer): [number, number] {
  let length = 0;
  for (let index = 0; index < 5; index++) {
    const byte = need(bytes, index, 1)[0]!;
    length += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) {
      if (length > 0xffff_ffff) break;
      return [length, index + 1];
    }
  }
  throw malformed('a length above 2^32 - 1');
}

function need(bytes: Buffer, at: number, count: number): Buffer {
  if (at + count > bytes.length) throw malformed(`an end ${at + count - bytes.length} bytes too early`);
  return bytes.subarray(at, at + count);
}

const malformed = (found: string): PipelineError => new PipelineError('message_malformed', `snappy body: found ${found}; send what a snappy encoder gave`);

/** CRC-32C, turned and shifted as the framing format has it. */
function maskedChecksum(bytes: Buffer): number {
  let crc = 0xffff_ffff;
  for (let index = 0; index < bytes.length; index++) crc = crcTable[(crc ^ bytes[index]!) & 0xff]! ^ (crc >>> 8);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  return crc;
});

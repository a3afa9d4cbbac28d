// A hot object: what the exporter puts under hot/ every few seconds so that queries see rows at once.
// Private between exporter and query of one version, and as cheap to write as can be: the row messages as
// they came, and which of their rows count. An exporter drops rows that came twice; that is said by the
// ranges, and the message's bytes stay what they were.
//
//   object = "FLHO" version:u32 headBytes:u32 entries:u32 entry… message…       all little endian
//   entry  = offset:f64 messageBytes:u32 ranges:u32 (start:u32 end:u32)…
//
// Rows [start, end) of the message count; all of its stacks do. `offset` is the place in flamelake.rows
// that the rows belong to. Messages follow in the order of their entries.
import { PipelineError } from '../../lib/errors.ts';

export const hotObjectVersion = 1;
const magic = 0x4f484c46;
const prefixBytes = 16;
const entryBytes = 16;
const rangeBytes = 8;

export interface RowRange {
  readonly start: number;
  readonly end: number;
}

export interface HotMessage {
  /** In flamelake.rows. */
  readonly offset: number;
  /** A row message (schemas/rows). */
  readonly value: Uint8Array;
  readonly rows: readonly RowRange[];
}

export function encodeHot(messages: readonly HotMessage[]): Uint8Array {
  const headBytes = messages.reduce((sum, { rows }) => sum + entryBytes + rangeBytes * rows.length, prefixBytes);
  const bytes = Buffer.allocUnsafeSlow(messages.reduce((sum, { value }) => sum + value.length, headBytes));
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE(hotObjectVersion, 4);
  bytes.writeUInt32LE(headBytes, 8);
  bytes.writeUInt32LE(messages.length, 12);
  let at = prefixBytes;
  let bodyAt = headBytes;
  for (const { offset, value, rows } of messages) {
    bytes.writeDoubleLE(offset, at);
    bytes.writeUInt32LE(value.length, at + 8);
    bytes.writeUInt32LE(rows.length, at + 12);
    at += entryBytes;
    for (const { start, end } of rows) {
      bytes.writeUInt32LE(start, at);
      bytes.writeUInt32LE(end, at + 4);
      at += rangeBytes;
    }
    bytes.set(value, bodyAt);
    bodyAt += value.length;
  }
  return bytes;
}

/** `name` is said where the bytes are none of ours. Messages are views of `bytes`, and not decoded yet. */
export function decodeHot(bytes: Uint8Array, name: string): HotMessage[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headBytes = checkPrefix(view, name);
  const messages: HotMessage[] = [];
  let at = prefixBytes;
  let bodyAt = headBytes;
  for (let entries = view.readUInt32LE(12); entries > 0; entries--) {
    if (at + entryBytes > headBytes) throw malformed(name, `an entry at ${at}`, `entries below ${headBytes}`);
    const offset = view.readDoubleLE(at);
    const length = view.readUInt32LE(at + 8);
    const ranges = view.readUInt32LE(at + 12);
    at += entryBytes;
    if (!Number.isSafeInteger(offset) || offset < 0) throw malformed(name, `offset ${offset}`, 'a whole number from 0 on');
    if (ranges > (headBytes - at) / rangeBytes) throw malformed(name, `${ranges} ranges at ${at}`, `ranges below ${headBytes}`);
    if (length > bytes.length - bodyAt) throw malformed(name, `a message of ${length} bytes at ${bodyAt}`, `messages below ${bytes.length}`);
    messages.push({ offset, value: bytes.subarray(bodyAt, bodyAt + length), rows: readRanges(view, at, ranges, name) });
    at += rangeBytes * ranges;
    bodyAt += length;
  }
  if (at !== headBytes || bodyAt !== bytes.length) throw malformed(name, `entries to ${at} and messages to ${bodyAt}`, `${headBytes} and ${bytes.length}`);
  return messages;
}

function checkPrefix(view: Buffer, name: string): number {
  if (view.length < prefixBytes) throw malformed(name, `${view.length} bytes`, `at least ${prefixBytes}`);
  const version = view.readUInt32LE(4);
  if (view.readUInt32LE(0) !== magic || version !== hotObjectVersion) {
    const found = view.readUInt32LE(0) === magic ? `version ${version}` : `first bytes ${JSON.stringify(view.toString('latin1', 0, 4))}`;
    throw new PipelineError(
      'lake_version',
      `${name}: ${found} found, this flamelake reads hot objects of version ${hotObjectVersion}; another version's exporter wrote it, and the next publication of its rows puts it out of use`,
    );
  }
  const headBytes = view.readUInt32LE(8);
  if (headBytes < prefixBytes || headBytes > view.length) throw malformed(name, `a head of ${headBytes} bytes`, `${prefixBytes} to ${view.length}`);
  return headBytes;
}

function readRanges(view: Buffer, from: number, count: number, name: string): RowRange[] {
  const ranges: RowRange[] = [];
  let before = 0;
  for (let index = 0; index < count; index++) {
    const start = view.readUInt32LE(from + rangeBytes * index);
    const end = view.readUInt32LE(from + rangeBytes * index + 4);
    if (start < before || end < start) throw malformed(name, `rows ${start} to ${end} after ${before}`, 'rows in order');
    ranges.push({ start, end });
    before = end;
  }
  return ranges;
}

function malformed(name: string, found: string, expected: string): PipelineError {
  return new PipelineError('message_malformed', `${name}: found ${found}, expected ${expected}; the object is damaged`);
}

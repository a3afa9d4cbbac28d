// The stacks of one row group, column by column, as the Parquet writer takes them. Frames are numbers of
// the batch's distinct frames, and each of their fields the number of its text.
import type { GrowingBytes } from '../lib/parquet/growing-bytes.ts';
import { codeTexts, ListSlots } from '../lib/parquet/nested.ts';
import { type Column, ints, optionalTexts, required, tableDigits, tableTexts, type Values } from '../lib/parquet/values.ts';
import { frameColumns } from '../schemas/lake/columns.ts';
import { dateName } from '../schemas/lake/paths.ts';
import { type Batch, frameWords } from './batch.ts';

/** In the order of schemas/lake/columns.ts. `stacks` are stack rows of the batch in file order. */
export function* stackColumns(batch: Batch, stacks: Uint32Array): Generator<Column> {
  const { length } = stacks;
  const optional = (name: string, codes: Uint32Array) => optionalTexts(name, tableTexts(codes, batch.strings));
  const functionAt = (stack: number, position: 'leaf' | 'root') => {
    const { start, end } = batch.stackFrameRange(stack);
    return start === end ? 0 : batch.frames.word(batch.stackFrames.get(position === 'leaf' ? start : end - 1), frameWords.function);
  };
  yield required('stack_id', length, tableDigits(batch.stackId.gather(stacks), batch.stackIds));
  yield optional('service_name', batch.stackService.gather(stacks));
  yield* frameLeaves(batch, stacks);
  yield optional(
    'leaf_function',
    stacks.map((stack) => functionAt(stack, 'leaf')),
  );
  yield optional(
    'root_function',
    stacks.map((stack) => functionAt(stack, 'root')),
  );
  yield required('depth', length, ints(Int32Array.from(stacks, (stack) => depthOf(batch, stack))));
  yield optional('cut', batch.stackCut.gather(stacks));
  yield required('unresolved', length, ints(Int32Array.from(stacks, (stack) => unresolved(batch, stack))));
}

export function* stackDateColumn(batch: Batch, stacks: Uint32Array): Generator<Column> {
  const { codes, table } = codeTexts(batch.stackDate.gather(stacks), dateName);
  yield required('_date', stacks.length, tableTexts(codes, table));
}

const { systemName: system_name, buildId: build_id, file, type, mapping } = frameWords;
const textWords: Readonly<Record<string, number>> = { function: frameWords.function, system_name, file, type, mapping, build_id };

function depthOf(batch: Batch, stack: number): number {
  const { start, end } = batch.stackFrameRange(stack);
  return end - start;
}

function unresolved(batch: Batch, stack: number): number {
  const { start, end } = batch.stackFrameRange(stack);
  let count = 0;
  for (let at = start; at < end; at++) if (batch.frames.word(batch.stackFrames.get(at), frameWords.function) === 0) count++;
  return count;
}

/** Frames of all these stacks. */
function countFrames(batch: Batch, stacks: Uint32Array): number {
  let frames = 0;
  for (const stack of stacks) frames += depthOf(batch, stack);
  return frames;
}

function* frameLeaves(batch: Batch, stacks: Uint32Array): Generator<Column> {
  const { frames, strings } = batch;
  const starts = stacks.map((stack) => batch.stackFrameRange(stack).start);
  const list = new ListSlots(
    stacks.length,
    countFrames(batch, stacks),
    frames.length,
    (row) => depthOf(batch, stacks[row]!),
    (row, position) => batch.stackFrames.get(starts[row]! + position),
  );
  const texts = (codes: Uint32Array): Values => tableTexts(codes, strings);
  for (const { name } of frameColumns) {
    const path = ['frames', 'list', 'element', name];
    switch (name) {
      case 'line':
      case 'column':
        yield list.optional(path, longOf(batch, frameWords[name]), (codes) => longsOf(batch, frameWords[name], codes));
        break;
      case 'inlined':
        yield list.required(
          path,
          (frame) => frames.word(frame, frameWords.inlined),
          (values) => ({ kind: 'booleans', values }),
        );
        break;
      case 'address':
        yield list.optional(path, longOf(batch, frameWords.address), (codes) => addresses(batch, codes));
        break;
      default: {
        const word = textWords[name]!;
        yield list.optional(path, (frame) => frames.word(frame, word), texts);
      }
    }
  }
}

/** Numbers of a frame that is not NULL: its own + 1. NULL is a long of 0. */
const longOf = (batch: Batch, position: number) => (frame: number) =>
  batch.frames.word(frame, position) === 0 && batch.frames.word(frame, position + 1) === 0 ? 0 : frame + 1;

function longsOf(batch: Batch, position: number, numbers: Uint32Array): Values {
  const words = new Uint32Array(2 * numbers.length);
  for (let at = 0; at < numbers.length; at++) {
    words[2 * at] = batch.frames.word(numbers[at]! - 1, position);
    words[2 * at + 1] = batch.frames.word(numbers[at]! - 1, position + 1);
  }
  return { kind: 'words', type: 'INT64', words };
}

function addresses({ frames }: Batch, codes: Uint32Array): Values {
  const put = (number: number, out: GrowingBytes) =>
    putAddress(out, frames.word(number - 1, frameWords.address), frames.word(number - 1, frameWords.address + 1));
  return { kind: 'texts', codes, codesMax: frames.length + 1, put };
}

const hexDigits = Buffer.from('0123456789abcdef');

/** `0x…`, without zeros in front. */
function putAddress(out: GrowingBytes, low: number, high: number): void {
  const digits = high === 0 ? Math.ceil((32 - Math.clz32(low)) / 4) : 8 + Math.ceil((32 - Math.clz32(high)) / 4);
  const data = out.room(2 + digits);
  data[out.length] = 48;
  data[out.length + 1] = 120;
  let [rest, next] = [low, high];
  for (let at = out.length + 1 + digits; at > out.length + 1; at--) {
    data[at] = hexDigits[rest & 15]!;
    rest = ((rest >>> 4) | (next << 28)) >>> 0;
    next >>>= 4;
  }
  out.length += 2 + digits;
}

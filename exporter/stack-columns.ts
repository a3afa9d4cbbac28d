// The stacks of one row group, column by column, as the Parquet writer takes them. Frames are numbers of
// the batch's distinct frames, and each of their fields the number of its text.
import type { GrowingBytes } from '../lib/parquet/growing-bytes.ts';
import { codeTexts, ListSlots } from '../lib/parquet/nested.ts';
import { type CodedTexts, type Column, type FixedWords, ints, optionalTexts, required, tableTexts } from '../lib/parquet/values.ts';
import { frameColumns } from '../schemas/lake/columns.ts';
import { dateName } from '../schemas/lake/paths.ts';
import { type Batch, frameWords } from './batch.ts';
import { hexDigits, stackIdTexts } from './sample-columns.ts';

/** In the order of schemas/lake/columns.ts. `stacks` are stack rows of the batch in file order. */
export function* stackColumns(batch: Batch, stacks: Uint32Array): Generator<Column> {
  const { length } = stacks;
  const optional = (name: string, codes: Uint32Array) => optionalTexts(name, tableTexts(codes, batch.strings));
  const frames = framesOf(batch, stacks);
  yield required('stack_id', length, stackIdTexts(batch, batch.stackId.gather(stacks)));
  yield optional('service_name', batch.stackService.gather(stacks));
  yield* frameLeaves(batch, frames);
  const { leaf, root, depth, unresolved } = endsAndCounts(batch, frames);
  yield optional('leaf_function', leaf);
  yield optional('root_function', root);
  yield required('depth', length, ints(depth));
  yield optional('cut', batch.stackCut.gather(stacks));
  yield required('unresolved', length, ints(unresolved));
}

export function* stackDateColumn(batch: Batch, stacks: Uint32Array): Generator<Column> {
  const { codes, table } = codeTexts(batch.stackDate.gather(stacks), dateName);
  yield required('_date', stacks.length, tableTexts(codes, table));
}

const { systemName: system_name, buildId: build_id, file, type, mapping } = frameWords;
const textWords: Readonly<Record<string, number>> = { function: frameWords.function, system_name, file, type, mapping, build_id };

/** Frames of all stacks, one after the other in file order. */
interface Frames {
  readonly all: Uint32Array;
  /** Of stack i: all[starts[i]] to all[starts[i + 1] - 1], leaf first. */
  readonly starts: Uint32Array;
}

function framesOf(batch: Batch, stacks: Uint32Array): Frames {
  const starts = new Uint32Array(stacks.length + 1);
  for (let row = 0; row < stacks.length; row++) {
    const { start, end } = batch.stackFrameRange(stacks[row]!);
    starts[row + 1] = starts[row]! + end - start;
  }
  const all = new Uint32Array(starts[stacks.length]!);
  for (let row = 0, at = 0; row < stacks.length; row++) {
    const { start, end } = batch.stackFrameRange(stacks[row]!);
    for (let position = start; position < end; position++) all[at++] = batch.stackFrames.get(position);
  }
  return { all, starts };
}

/** What a stack says of its frames: names of the first and the last, how many they are, how many have none. */
function endsAndCounts({ frames }: Batch, { all, starts }: Frames) {
  const length = starts.length - 1;
  const [leaf, root, depth, unresolved] = [new Uint32Array(length), new Uint32Array(length), new Int32Array(length), new Int32Array(length)];
  for (let row = 0; row < length; row++) {
    const [start, end] = [starts[row]!, starts[row + 1]!];
    if (start === end) continue;
    leaf[row] = frames.word(all[start]!, frameWords.function);
    root[row] = frames.word(all[end - 1]!, frameWords.function);
    depth[row] = end - start;
    let unnamed = 0;
    for (let at = start; at < end; at++) if (frames.word(all[at]!, frameWords.function) === 0) unnamed++;
    unresolved[row] = unnamed;
  }
  return { leaf, root, depth, unresolved };
}

function* frameLeaves(batch: Batch, { all, starts }: Frames): Generator<Column> {
  const { frames, strings } = batch;
  const list = new ListSlots(
    starts.length - 1,
    all.length,
    frames.length,
    (row) => starts[row + 1]! - starts[row]!,
    (row, position) => all[starts[row]! + position]!,
  );
  const texts = (codes: Uint32Array) => tableTexts(codes, strings);
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

function longsOf(batch: Batch, position: number, numbers: Uint32Array): FixedWords {
  const words = new Uint32Array(2 * numbers.length);
  for (let at = 0; at < numbers.length; at++) {
    words[2 * at] = batch.frames.word(numbers[at]! - 1, position);
    words[2 * at + 1] = batch.frames.word(numbers[at]! - 1, position + 1);
  }
  return { kind: 'words', type: 'INT64', words };
}

function addresses({ frames }: Batch, codes: Uint32Array): CodedTexts {
  const put = (number: number, out: GrowingBytes) =>
    putAddress(out, frames.word(number - 1, frameWords.address), frames.word(number - 1, frameWords.address + 1));
  return { kind: 'texts', codes, codesMax: frames.length + 1, put };
}

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

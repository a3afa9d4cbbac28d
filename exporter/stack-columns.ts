// The stacks of one row group, column by column, as values for the Parquet writer.
import { dateName } from '../schemas/lake/paths.ts';
import { type Batch, frameWords } from './batch.ts';
import type { ColumnPart } from './parquet-file.ts';
import { values } from './sample-columns.ts';

/** Frames as the writer wants them, one object per distinct frame of the batch. */
export class FrameValues {
  readonly #batch: Batch;
  readonly #made: object[] = [];

  constructor(batch: Batch) {
    this.#batch = batch;
  }

  of(stack: number): object[] {
    const { start, end } = this.#batch.stackFrameRange(stack);
    return Array.from({ length: end - start }, (_unused, index) => this.#frame(this.#batch.stackFrames.get(start + index)));
  }

  #frame(frame: number): object {
    const known = this.#made[frame];
    if (known !== undefined) return known;
    const batch = this.#batch;
    const text = (word: number) => batch.strings[batch.frames.word(frame, word)] || null;
    const positive = (word: number) => batch.frameLong(frame, word) || null;
    const address = BigInt.asUintN(64, batch.frameLong(frame, frameWords.address));
    const made = {
      function: text(frameWords.function),
      system_name: text(frameWords.systemName),
      file: text(frameWords.file),
      line: positive(frameWords.line),
      column: positive(frameWords.column),
      inlined: batch.frames.word(frame, frameWords.inlined) === 1,
      type: text(frameWords.type),
      mapping: text(frameWords.mapping),
      build_id: text(frameWords.buildId),
      address: address === 0n ? null : `0x${address.toString(16)}`,
    };
    this.#made[frame] = made;
    return made;
  }
}

/** `stacks` are stack rows of the batch in file order. */
export function stackParts(batch: Batch, stacks: Uint32Array, frames: FrameValues): ColumnPart[] {
  const functionAt = (stack: number, position: 'leaf' | 'root') => {
    const { start, end } = batch.stackFrameRange(stack);
    if (start === end) return null;
    const frame = batch.stackFrames.get(position === 'leaf' ? start : end - 1);
    return batch.strings[batch.frames.word(frame, frameWords.function)] || null;
  };
  const depth = (stack: number) => batch.stackFrameRange(stack).end - batch.stackFrameRange(stack).start;
  const unresolved = (stack: number) => {
    const { start, end } = batch.stackFrameRange(stack);
    let count = 0;
    for (let at = start; at < end; at++) if (batch.frames.word(batch.stackFrames.get(at), frameWords.function) === 0) count++;
    return count;
  };
  return [
    { name: 'stack_id', data: () => values(stacks, (stack) => batch.stackIds[batch.stackId.get(stack)]!) },
    { name: 'service_name', data: () => values(stacks, (stack) => batch.strings[batch.stackService.get(stack)] || null) },
    { name: 'frames', statistics: false, data: () => values(stacks, (stack) => frames.of(stack)) },
    { name: 'leaf_function', data: () => values(stacks, (stack) => functionAt(stack, 'leaf')) },
    { name: 'root_function', data: () => values(stacks, (stack) => functionAt(stack, 'root')) },
    { name: 'depth', data: () => Int32Array.from(stacks, depth) },
    { name: 'cut', data: () => values(stacks, (stack) => batch.strings[batch.stackCut.get(stack)] || null) },
    { name: 'unresolved', data: () => Int32Array.from(stacks, unresolved) },
  ];
}

export function stackDateParts(batch: Batch, stacks: Uint32Array): ColumnPart[] {
  return [{ name: '_date', data: () => values(stacks, (stack) => dateName(batch.stackDate.get(stack))) }];
}

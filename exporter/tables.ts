// Whole files and objects of both tables from a batch. The generators stop after each row group (a tenth
// of a second of one core), so that the worker can take messages and write hot objects in between.
import { ParquetFile, type WrittenFile } from '../lib/parquet/file.ts';
import type { Column } from '../lib/parquet/values.ts';
import { shapes } from '../schemas/lake/parquet-shapes.ts';
import type { LakeTable } from '../schemas/lake/paths.ts';
import type { Batch } from './batch.ts';
import { rowGroupFramesMax, rowGroupRows } from './limits.ts';
import { originColumns, sampleColumns } from './sample-columns.ts';
import { stackColumns, stackDateColumn } from './stack-columns.ts';

/** Where the rows of a private object came from. */
export interface Origin {
  readonly shard: number;
  /** Offset in flamelake.rows by batch row (samples) or stack row (stacks). */
  readonly offsetOf: (row: number) => number;
}

/** Writes batch rows, in the order given, to a new file */
export function* writeTable(table: LakeTable, path: string, batch: Batch, rows: Uint32Array, origin: Origin | null): Generator<void, TableResult> {
  const file = new ParquetFile(path, shapes[table][origin === null ? 'public' : 'private']);
  let finished = false;
  try {
    for (let start = 0; start < rows.length; ) {
      const end = table === 'samples' ? Math.min(start + rowGroupRows, rows.length) : stackGroupEnd(batch, rows, start);
      const part = rows.subarray(start, end);
      file.writeRowGroup(columnsOf(table, batch, part, origin), part.length);
      start = end;
      yield;
    }
    const written = file.finish();
    finished = true;
    return { ...written, rows: rows.length };
  } finally {
    if (!finished) file.abandon();
  }
}

export interface TableResult extends WrittenFile {
  readonly rows: number;
}

/** Runs a generator to its end at once. */
export function finish<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

function* columnsOf(table: LakeTable, batch: Batch, rows: Uint32Array, origin: Origin | null): Generator<Column> {
  yield* table === 'samples' ? sampleColumns(batch, rows) : stackColumns(batch, rows);
  if (origin === null) return;
  yield* originColumns(origin.shard, rows, origin.offsetOf);
  if (table === 'stacks') yield* stackDateColumn(batch, rows);
}

function stackGroupEnd(batch: Batch, stacks: Uint32Array, start: number): number {
  let frames = 0;
  let end = start;
  while (end < stacks.length && end - start < rowGroupRows) {
    const range = batch.stackFrameRange(stacks[end]!);
    frames += range.end - range.start;
    if (frames > rowGroupFramesMax && end > start) break;
    end++;
  }
  return end;
}

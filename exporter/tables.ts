// Whole files and objects of both tables from a batch. The generators stop after each row group (about
// a second of one core), so that the worker can take messages and write hot objects in between.
import type { LakeTable } from '../schemas/lake/paths.ts';
import type { Batch } from './batch.ts';
import { rowGroupFramesMax, rowGroupRows } from './limits.ts';
import { type ColumnPart, ParquetFile, type TableShape, type WrittenFile } from './parquet-file.ts';
import { type ShapeKind, tableSchema } from './parquet-schema.ts';
import { originParts, sampleParts } from './sample-columns.ts';
import { FrameValues, stackDateParts, stackParts } from './stack-columns.ts';

/** Where the rows of a private object came from. */
export interface Origin {
  readonly shard: number;
  /** Offset in flamelake.rows by batch row (samples) or stack row (stacks). */
  readonly offsetOf: (row: number) => number;
}

/** Writes batch rows, in the order given, to a new file (or to memory where `path` is null). */
export function* writeTable(table: LakeTable, path: string | null, batch: Batch, rows: Uint32Array, origin: Origin | null): Generator<void, TableResult> {
  const kind: ShapeKind = origin === null ? 'public' : 'private';
  const file = new ParquetFile(path, shapes[table][kind]);
  let finished = false;
  try {
    const frames = new FrameValues(batch);
    for (let start = 0; start < rows.length; ) {
      const end = table === 'samples' ? Math.min(start + rowGroupRows, rows.length) : stackGroupEnd(batch, rows, start);
      const part = rows.subarray(start, end);
      const columns = table === 'samples' ? sampleParts(batch, part) : stackParts(batch, part, frames);
      file.writeRowGroup([...columns, ...(origin === null ? [] : privateParts(table, batch, part, origin))], part.length);
      start = end;
      yield;
    }
    const written = file.finish();
    finished = true;
    return { ...written, rows: rows.length, contents: path === null ? file.contents() : null };
  } finally {
    if (!finished) file.abandon();
  }
}

export interface TableResult extends WrittenFile {
  readonly rows: number;
  readonly contents: Uint8Array | null;
}

/** Runs a generator to its end at once; for objects of one row group. */
export function finish<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

function privateParts(table: LakeTable, batch: Batch, rows: Uint32Array, origin: Origin): ColumnPart[] {
  const origins = originParts(origin.shard, Array.from(rows, origin.offsetOf));
  return table === 'samples' ? origins : [...origins, ...stackDateParts(batch, rows)];
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

const shape = (table: LakeTable, kind: ShapeKind): TableShape => ({ schema: tableSchema(table, kind), fast: kind === 'private' });
const shapes = {
  samples: { public: shape('samples', 'public'), private: shape('samples', 'private') },
  stacks: { public: shape('stacks', 'public'), private: shape('stacks', 'private') },
} as const;

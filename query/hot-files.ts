// Hot objects as local Parquet files that DuckDB reads: the rows of one shard's slices, written once by
// the querying process.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import { ParquetFile } from '../lib/parquet/file.ts';
import type { Store } from '../lib/store/store.ts';
import { decodeHot, type HotMessage } from '../schemas/hot/codec.ts';
import { shapes } from '../schemas/lake/parquet-shapes.ts';
import type { LakeTable } from '../schemas/lake/paths.ts';
import { decodeRows } from '../schemas/rows/codec.ts';
import { type HotPart, HotRows } from './hot-columns.ts';
import { limits } from './limits.ts';
import type { HotSlice } from './snapshot.ts';

export interface HotFiles {
  readonly rows: number;
  readonly bytes: number;
  /** Tables that have rows. */
  readonly tables: readonly LakeTable[];
}

export const tableFile = (folder: string, table: LakeTable): string => path.join(folder, `${table}.parquet`);

/** Writes the rows of the slices, all of one shard, into files of `folder`, one for each table that has any. */
export async function writeHotFiles(store: Store, slices: readonly HotSlice[], folder: string): Promise<HotFiles> {
  const files = new TableFiles(folder, slices[0]!.shard);
  try {
    for (const slice of slices) {
      const bytes = await store.get(slice.key);
      if (bytes === null) throw new PipelineError('store_missing', `${slice.key} was listed and is not there`);
      for (const message of decodeHot(bytes, slice.key)) {
        if (message.offset >= slice.from && message.offset < slice.to) files.add(readMessage(message, slice.key));
      }
    }
    return await files.finish();
  } catch (error) {
    files.abandon();
    throw error;
  }
}

function readMessage({ offset, value, rows }: HotMessage, key: string): HotPart {
  try {
    const message = decodeRows(value);
    const end = rows.at(-1)?.end ?? 0;
    if (end <= message.samples.length) return { message, offset, rows };
    throw new PipelineError('message_malformed', `rows up to ${end} where the message has ${message.samples.length}; the object is damaged`);
  } catch (error) {
    throw isPipelineError(error) ? new PipelineError(error.code, `${key}: ${error.message}`, { cause: error }) : error;
  }
}

/** Holds messages until they make a row group. */
class TableFiles {
  readonly #folder: string;
  readonly #shard: number;
  readonly #open = new Map<LakeTable, ParquetFile>();
  #parts: HotPart[] = [];
  #held = 0;
  #rows = 0;

  constructor(folder: string, shard: number) {
    this.#folder = folder;
    this.#shard = shard;
  }

  add(part: HotPart): void {
    this.#parts.push(part);
    this.#held += part.message.samples.length + part.message.stacks.frame.length;
    if (this.#held >= limits.hotGroupRowsMax) this.#flush();
  }

  async finish(): Promise<HotFiles> {
    this.#flush();
    const tables = [...this.#open.keys()];
    for (const file of this.#open.values()) file.finish();
    const sizes = await Promise.all(tables.map(async (table) => (await stat(tableFile(this.#folder, table))).size));
    return { tables, rows: this.#rows, bytes: sizes.reduce((sum, size) => sum + size, 0) };
  }

  abandon(): void {
    for (const file of this.#open.values()) file.abandon();
  }

  #flush(): void {
    const group = new HotRows(this.#parts, this.#shard);
    this.#parts = [];
    this.#held = 0;
    this.#rows += group.rows;
    if (group.rows > 0) this.#file('samples').writeRowGroup(group.samples(), group.rows);
    if (group.stacks > 0) this.#file('stacks').writeRowGroup(group.stackRows(), group.stacks);
  }

  #file(table: LakeTable): ParquetFile {
    const file = this.#open.get(table) ?? new ParquetFile(tableFile(this.#folder, table), shapes[table].private);
    this.#open.set(table, file);
    return file;
  }
}

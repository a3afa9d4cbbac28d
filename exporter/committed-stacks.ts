// Reads the stack ids of published stacks files: how the index learns what others committed, and
// everything after it was lost.
import { zstdDecompressSync } from 'node:zlib';
import { type AsyncBuffer, parquetRead } from 'hyparquet';
import { PipelineError } from '../lib/errors.ts';
import type { Store } from '../lib/store/store.ts';
import { dateName, parseLakeFileKey, shardName } from '../schemas/lake/paths.ts';
import { listAll } from './housekeeping.ts';

/** Ids of one stacks file (or carried stacks object), with only that column read from the store. */
export async function readStackIds(store: Store, key: string): Promise<string[]> {
  const head = await store.head(key);
  if (head === null) throw new PipelineError('store_missing', `${key}: a finished record names it and it is gone; see lake check`);
  const file: AsyncBuffer = {
    byteLength: head.bytes,
    slice: async (start, end = head.bytes) => {
      const bytes = await store.get(key, { start, end });
      if (bytes === null) throw new PipelineError('store_missing', `${key}: went away while it was read`);
      return new Uint8Array(bytes).buffer; // a copy: a Buffer may be a view of a pool
    },
  };
  const ids: string[] = [];
  await parquetRead({
    file,
    columns: ['stack_id'],
    compressors: { ZSTD: (bytes) => zstdDecompressSync(bytes) },
    onChunk: ({ columnData }) => {
      for (const id of columnData) ids.push(id as string);
    },
  });
  return ids;
}

/** Public stacks files of a date in one shard, of records up to `seq`. */
export async function stacksFilesOf(store: Store, date: number, shard: number, seq: number): Promise<string[]> {
  const entries = await listAll(store, `lake/stacks/date=${dateName(date)}/shard=${shardName(shard)}/`);
  return entries.map((entry) => entry.key).filter((key) => (parseLakeFileKey(key)?.seq ?? Number.POSITIVE_INFINITY) <= seq);
}

// Records that are a day old are folded: 100 of them in one object, so that commits/ stays a short
// listing for years. Which record is in which fold is fixed by its number (foldKey), so two exporters
// that fold at once write the same, and a reader knows where to look without any listing.
//
// A fold is put before the records in it are deleted. Who reads a record therefore looks into its fold
// first: a key under commits/ that a fold covers may have been taken again by an exporter that was frozen
// since before the fold (records.ts sees that it lost), and means nothing.
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { PipelineError } from '../../lib/errors.ts';
import type { Store } from '../../lib/store/store.ts';
import { foldKey, foldRecords } from './paths.ts';
import { type CommitRecord, checkRecord } from './record.ts';

export const foldVersion = 1;
/** 100 records of a catch-up with hundreds of files each; a usual one has 1.5 KB. */
const foldBytesMax = 256 * 1024 * 1024;

export function encodeFold(records: readonly CommitRecord[]): Uint8Array {
  return zstdCompressSync(JSON.stringify({ version: foldVersion, records }));
}

/** The records of a fold, ascending. Throws `lake_version` for what is damaged or newer. */
export function parseFold(bytes: Uint8Array, key: string): CommitRecord[] {
  let value: { version?: unknown; records?: unknown } | null;
  try {
    value = JSON.parse(new TextDecoder().decode(zstdDecompressSync(bytes, { maxOutputLength: foldBytesMax }))) as typeof value;
  } catch {
    throw new PipelineError('lake_version', `${key}: is not JSON under zstd; the folded records are damaged, restore them from a backup`);
  }
  if (value?.version !== foldVersion) {
    throw new PipelineError('lake_version', `${key}: fold version ${JSON.stringify(value?.version)} was found, this flamelake knows ${foldVersion}`);
  }
  if (!Array.isArray(value.records) || value.records.length !== foldRecords) {
    throw new PipelineError('lake_version', `${key}: ${foldRecords} records were expected; the folded records are damaged, restore them from a backup`);
  }
  const records = value.records.map((record) => checkRecord(record, key));
  const first = records[0]!.seq;
  if (!records.every((record, index) => record.seq === first + index) || foldKey(records[0]!.shard, first) !== key) {
    throw new PipelineError('lake_version', `${key}: records ${first} and following were found, others were expected; restore it from a backup`);
  }
  return records;
}

/** The fold that holds record `seq`; null where that is not folded (yet). */
export async function readFold(store: Store, shard: number, seq: number): Promise<CommitRecord[] | null> {
  const key = foldKey(shard, seq);
  const bytes = await store.get(key);
  return bytes === null ? null : parseFold(bytes, key);
}

/** One record of a fold; null where it is not folded (yet). */
export async function readFolded(store: Store, shard: number, seq: number): Promise<CommitRecord | null> {
  return (await readFold(store, shard, seq))?.find((record) => record.seq === seq) ?? null;
}

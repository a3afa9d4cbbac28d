// The chain of commit records of one shard: reading its head, putting the next one, finishing one.
// docs/lake.md has the rules; each line here that looks too careful is one of them.
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import type { Store } from '../lib/store/store.ts';
import { readFloor } from '../schemas/lake/floor.ts';
import { readFolded } from '../schemas/lake/fold.ts';
import { parseLakeFileKey, parseRecordKey, recordKey, recordPrefix } from '../schemas/lake/paths.ts';
import { type CommitRecord, encodeRecord, parseRecord, type RecordFile } from '../schemas/lake/record.ts';

/** The newest record; keys count downwards, so it is the first of one listing. Null: none yet. */
export async function readHead(store: Store, shard: number): Promise<CommitRecord | null> {
  const [entry] = await store.list(recordPrefix(shard), { limit: 1 });
  if (entry === undefined) return null;
  const name = parseRecordKey(entry.key);
  if (name === null) throw new PipelineError('lake_version', `${entry.key}: not the name of a record; take it out of ${recordPrefix(shard)}`);
  const bytes = await store.get(entry.key);
  if (bytes === null) throw new PipelineError('store_unavailable', `${entry.key}: is listed but can't be read; the store is not consistent`);
  return parseRecord(bytes, entry.key);
}

/** Any record of the chain, folded or not. What lies under a key that a fold covers is no part of the chain. */
export async function readRecord(store: Store, shard: number, seq: number): Promise<CommitRecord | null> {
  const folded = await readFolded(store, shard, seq);
  if (folded !== null) return folded;
  const key = recordKey(shard, seq);
  const bytes = await store.get(key);
  // Folded between the two looks: then it is in the fold now.
  return bytes === null ? readFolded(store, shard, seq) : parseRecord(bytes, key);
}

/**
 * Puts a record and gives back what lies under its key afterwards, whoever put it. The put's own answer
 * says nothing: an error may hide that it was applied, and `exists` may be its own first try. `created`
 * neither: the key may be free because the record there was folded while this exporter was frozen. Throws
 * where nothing can be read back; the same record may then be put again.
 */
export async function putRecord(store: Store, record: CommitRecord): Promise<CommitRecord> {
  const answer = await store.putIfAbsent(recordKey(record.shard, record.seq), encodeRecord(record)).catch((error: unknown) => error);
  const stored = await readRecord(store, record.shard, record.seq);
  if (stored !== null) return stored;
  if (answer instanceof Error) throw answer;
  throw new PipelineError(
    'store_unavailable',
    `${recordKey(record.shard, record.seq)}: the put answered ${String(answer)} but nothing is there; the store does not read its own writes`,
  );
}

/**
 * Gives every file of the record its public name, in order (stacks before samples). Nothing is decoded
 * and nothing is assumed about who began: it may be done any number of times, by anybody. A file of a date
 * that retention has taken since the record was made stays away.
 */
export async function finishRecord(store: Store, record: CommitRecord): Promise<void> {
  const floor = record.files.length === 0 ? null : await readFloor(store);
  for (const file of record.files) {
    if (floor !== null && parseLakeFileKey(file.key)!.date < floor.date) continue;
    if (!(await finishFile(store, file))) {
      // Neither staged nor public: retention has been here since the floor was read. With a younger record this
      // one was finished long ago.
      if (parseLakeFileKey(file.key)!.date < ((await readFloor(store))?.date ?? '')) continue;
      const head = await readHead(store, record.shard);
      if (head !== null && head.seq > record.seq) return;
      throw new PipelineError(
        'store_missing',
        `${file.key}: neither it nor ${file.staging} is there, though record ${record.seq} of shard ${record.shard} names them; restore one of them from a backup`,
      );
    }
  }
}

async function finishFile(store: Store, file: RecordFile): Promise<boolean> {
  try {
    if ((await store.publish(file.staging, file.key)) === 'created') return true;
  } catch (error) {
    if (!isPipelineError(error, 'store_missing')) throw error;
  }
  const found = await store.head(file.key);
  if (found === null) return false;
  // Stacks files are rewritten in place when symbols come late, so only the size of samples says something.
  if (file.table === 'samples' && found.bytes !== file.bytes) {
    throw new PipelineError(
      'lake_version',
      `${file.key}: ${found.bytes} bytes were found, its record says ${file.bytes}; another file has this name, take it out of the lake`,
    );
  }
  return true;
}

/** Staged bytes are of no use once every file has its public name. */
export async function dropStaging(store: Store, record: CommitRecord): Promise<void> {
  for (const file of record.files) await store.delete(file.staging);
}

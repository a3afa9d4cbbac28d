// Folds the records of a shard that are a day old (schemas/lake/fold.ts). Every step may be repeated, by
// anybody, also by an exporter that was frozen in the middle of it: what a fold holds is fixed by its
// number, its put is conditional, and only what a stored fold covers is deleted.
import { PipelineError } from '../lib/errors.ts';
import type { Store, StoreEntry } from '../lib/store/store.ts';
import { encodeFold, readFold } from '../schemas/lake/fold.ts';
import { foldKey, foldRecords, parseRecordKey, recordKey, recordPrefix } from '../schemas/lake/paths.ts';
import { type CommitRecord, parseRecord } from '../schemas/lake/record.ts';
import { listAll } from './housekeeping.ts';
import { foldAfterMillis } from './limits.ts';

/** Gives back how many records left commits/. */
export async function foldOldRecords(store: Store, shard: number, nowMillis: number): Promise<number> {
  const bySeq = new Map<number, StoreEntry>();
  for (const entry of await listAll(store, recordPrefix(shard))) {
    const name = parseRecordKey(entry.key);
    if (name !== null) bySeq.set(name.seq, entry);
  }
  const head = Math.max(0, ...bySeq.keys());
  let deleted = 0;
  for (const first of foldsOf(bySeq.keys())) {
    if ((await readFold(store, shard, first)) === null) {
      if (!isWhole(bySeq, first, head, nowMillis)) continue;
      await putFold(store, shard, first);
    }
    for (let seq = first; seq < first + foldRecords; seq++) {
      if (!bySeq.has(seq) || seq === head) continue;
      await store.delete(recordKey(shard, seq));
      deleted++;
    }
  }
  return deleted;
}

/** First numbers of the folds that any of these records belong to, ascending. */
function foldsOf(seqs: Iterable<number>): number[] {
  const firsts = new Set<number>();
  for (const seq of seqs) firsts.add(Math.floor((seq - 1) / foldRecords) * foldRecords + 1);
  return [...firsts].sort((a, b) => a - b);
}

/** All are there, none is the head, none is young. A gap stays as it is: `lake check` names it. */
function isWhole(bySeq: ReadonlyMap<number, StoreEntry>, first: number, head: number, nowMillis: number): boolean {
  for (let seq = first; seq < first + foldRecords; seq++) {
    const entry = bySeq.get(seq);
    if (entry === undefined || seq >= head || entry.modifiedMillis > nowMillis - foldAfterMillis) return false;
  }
  return true;
}

async function putFold(store: Store, shard: number, first: number): Promise<void> {
  const records: CommitRecord[] = [];
  for (let seq = first; seq < first + foldRecords; seq++) {
    const key = recordKey(shard, seq);
    const bytes = await store.get(key);
    // Somebody else has folded them since they were listed.
    if (bytes === null) break;
    records.push(parseRecord(bytes, key));
  }
  const key = foldKey(shard, first);
  const answer = records.length < foldRecords ? 'incomplete' : await store.putIfAbsent(key, encodeFold(records)).catch((error: unknown) => error);
  // Whatever it answered: nothing is deleted before the fold has been read back, whoever put it.
  if ((await readFold(store, shard, first)) !== null) return;
  if (answer instanceof Error) throw answer;
  throw new PipelineError('store_unavailable', `${key}: the fold was put (${String(answer)}) and is not there`);
}

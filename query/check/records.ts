// The chain of records of one shard: 1, 2, 3 … without gaps, positions that only grow, each file named
// once. Reads every record, those that are folded too.
import { PipelineError } from '../../lib/errors.ts';
import type { Store } from '../../lib/store/store.ts';
import { parseFold } from '../../schemas/lake/fold.ts';
import { foldPrefix, foldRecords, parseFoldKey, parseLakeFileKey, parseRecordKey, recordKey, recordPrefix } from '../../schemas/lake/paths.ts';
import { type CommitRecord, parseRecord, type RecordFile } from '../../schemas/lake/record.ts';
import { listAll } from '../lake-listing.ts';
import type { Findings } from './findings.ts';

export interface ShardRecords {
  readonly shard: number;
  readonly records: number;
  /** Null where the shard has no readable record. */
  readonly head: CommitRecord | null;
  /** Of all records, by public key. */
  readonly files: ReadonlyMap<string, NamedFile>;
}

export interface NamedFile extends RecordFile {
  readonly seq: number;
}

/** Reads the records of a shard from the first to the head, folded or not. `onRecord` is told of each. */
export async function readChain(store: Store, shard: number, findings: Findings, onRecord: () => void): Promise<ShardRecords> {
  const found = await readSingle(store, shard, findings);
  // Listed afterwards: what was folded, and deleted, before the first listing is in a fold that is listed now.
  await addFolded(store, shard, found, findings);
  const files = new Map<string, NamedFile>();
  let last: CommitRecord | null = null;
  let expected = 1;
  const seqs = [...found.keys()].sort((a, b) => a - b);
  for (const seq of seqs) {
    onRecord();
    const { key, record } = found.get(seq)!;
    if (seq !== expected) findings.add('chain_gap', recordKey(shard, expected), gapText(expected, seq - 1, seq));
    expected = seq + 1;
    if (record === null) continue;
    checkOrder(record, shard, seq, last, key, findings);
    nameFiles(record, shard, files, key, findings);
    last = record;
  }
  return { shard, records: seqs.length, head: last, files };
}

interface FoundRecord {
  /** Of the object that it lies in. */
  readonly key: string;
  /** Null where it is damaged, which has been said. */
  readonly record: CommitRecord | null;
}

async function readSingle(store: Store, shard: number, findings: Findings): Promise<Map<number, FoundRecord>> {
  const found = new Map<number, FoundRecord>();
  for (const { key } of await listAll(store, recordPrefix(shard))) {
    const name = parseRecordKey(key);
    if (name === null || name.shard !== shard) {
      findings.add('stray_record', key, 'is not a name that an exporter gives');
      continue;
    }
    const bytes = await store.get(key);
    if (bytes !== null) found.set(name.seq, { key, record: parsed(() => parseRecord(bytes, key), 'record_damaged', key, findings) });
    // else folded since it was listed
  }
  return found;
}

async function addFolded(store: Store, shard: number, found: Map<number, FoundRecord>, findings: Findings): Promise<void> {
  for (const { key } of await listAll(store, foldPrefix(shard))) {
    const name = parseFoldKey(key);
    if (name === null || name.shard !== shard) {
      findings.add('stray_record', key, 'is not a name that an exporter gives');
      continue;
    }
    const bytes = await store.get(key);
    const records = bytes === null ? null : parsed(() => parseFold(bytes, key), 'fold_damaged', key, findings);
    for (let seq = name.last - foldRecords + 1; seq <= name.last; seq++) {
      const record = records?.find((each) => each.seq === seq) ?? null;
      const single = found.get(seq);
      if (record === null && single !== undefined) continue;
      if (record !== null && single?.record != null && single.record.attempt !== record.attempt) {
        findings.add('record_superseded', single.key, `record ${seq} is folded in ${key}, and this is another one`);
      }
      found.set(seq, { key, record });
    }
  }
}

function parsed<T>(parse: () => T, kind: 'record_damaged' | 'fold_damaged', key: string, findings: Findings): T | null {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    findings.add(kind, key, error.message.replace(`${key}: `, ''));
    return null;
  }
}

const gapText = (first: number, end: number, next: number) =>
  first === end ? `record ${first} is missing, record ${next} is there` : `records ${first} to ${end} are missing, record ${next} is there`;

function checkOrder(record: CommitRecord, shard: number, seq: number, last: CommitRecord | null, key: string, findings: Findings): void {
  if (record.shard !== shard || record.seq !== seq)
    findings.add('chain_order', key, `says shard ${record.shard} and record ${record.seq}, its name shard ${shard} and record ${seq}`);
  if (last === null) return;
  if (record.logId === last.logId && record.position < last.position) {
    findings.add('chain_order', key, `position ${record.position} is below ${last.position} of record ${last.seq}`);
  }
  if (record.firstMillis !== last.firstMillis)
    findings.add('chain_order', key, `firstMillis ${record.firstMillis} is not ${last.firstMillis} of record ${last.seq}`);
}

function nameFiles(record: CommitRecord, shard: number, files: Map<string, NamedFile>, key: string, findings: Findings): void {
  for (const file of record.files) {
    const name = parseLakeFileKey(file.key)!;
    if (name.shard !== shard || name.seq !== record.seq) findings.add('chain_order', key, `names ${file.key}, which is of another shard or record`);
    const other = files.get(file.key);
    if (other) findings.add('file_twice', file.key, `is named by record ${other.seq} and by record ${record.seq}`);
    files.set(file.key, { ...file, seq: record.seq });
  }
}

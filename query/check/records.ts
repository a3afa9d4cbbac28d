// The chain of records of one shard: 1, 2, 3 … without gaps, positions that only grow, each file named
// once. Reads every record.
import { PipelineError } from '../../lib/errors.ts';
import type { Store } from '../../lib/store/store.ts';
import { parseLakeFileKey, parseRecordKey, recordKey, recordPrefix } from '../../schemas/lake/paths.ts';
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

/** Reads the records of a shard from the first to the head. `onRecord` is told of each. */
export async function readChain(store: Store, shard: number, findings: Findings, onRecord: () => void): Promise<ShardRecords> {
  const names: { key: string; seq: number }[] = [];
  for (const { key } of await listAll(store, recordPrefix(shard))) {
    const name = parseRecordKey(key);
    if (name === null || name.shard !== shard) findings.add('stray_record', key, 'is not a name that an exporter gives');
    else names.push({ key, seq: name.seq });
  }
  names.sort((a, b) => a.seq - b.seq);
  const files = new Map<string, NamedFile>();
  let last: CommitRecord | null = null;
  let expected = 1;
  for (const { key, seq } of names) {
    onRecord();
    if (seq !== expected) findings.add('chain_gap', recordKey(shard, expected), gapText(expected, seq - 1, seq));
    expected = seq + 1;
    const record = await readRecord(store, key, findings);
    if (record === null) continue;
    checkOrder(record, shard, seq, last, key, findings);
    nameFiles(record, shard, files, key, findings);
    last = record;
  }
  return { shard, records: names.length, head: last, files };
}

const gapText = (first: number, end: number, next: number) =>
  first === end ? `record ${first} is missing, record ${next} is there` : `records ${first} to ${end} are missing, record ${next} is there`;

async function readRecord(store: Store, key: string, findings: Findings): Promise<CommitRecord | null> {
  const bytes = await store.get(key);
  try {
    if (bytes === null) throw new PipelineError('store_missing', `${key}: was listed and is not there`);
    return parseRecord(bytes, key);
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    findings.add('record_damaged', key, error.message.replace(`${key}: `, ''));
    return null;
  }
}

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

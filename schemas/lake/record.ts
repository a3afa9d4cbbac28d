// A commit record: the only thing that makes rows part of the lake. It is put once, with
// If-None-Match, names finished bytes, and anybody can complete it without decoding anything.
import { PipelineError } from '../../lib/errors.ts';
import { type LakeTable, lakeTables, parseLakeFileKey } from './paths.ts';

export const recordVersion = 1;

export interface RecordFile {
  readonly table: LakeTable;
  /** Where the bytes lie before the record is finished. */
  readonly staging: string;
  /** Public name, `lake/…`. */
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  /** Lower hex of the whole file. */
  readonly sha256: string;
}

/**
 * Rows and stacks that are not published yet because their date is old (published once a day). They
 * hold, and hold only, what is in no public file of this record's chain.
 */
export interface RecordCarry {
  /** For queries: Parquet objects in the shape of hot ones (public columns, _shard, _offset; stacks with _date). */
  readonly samples: readonly string[];
  readonly stacks: readonly string[];
  /** The same rows and stacks as row messages (schemas/rows): what the exporter publishes them from. */
  readonly messages: readonly string[];
  /** Sample rows in all of them. */
  readonly rows: number;
  /** Dates (YYYY-MM-DD) that they hold: a record that publishes rows of one of them publishes the carry too. */
  readonly dates: readonly string[];
  /** createdMillis of the record that carried the first of them. */
  readonly sinceMillis: number;
}

export interface HighWater {
  readonly logId: string;
  readonly topic: string;
  readonly partition: number;
  /** Every source offset up to and with this one is in the lake (or counted as lost). */
  readonly offset: number;
  /** For the clock of the digest window: append time of its last message, and where its clock stands. */
  readonly appendMillis?: number;
  readonly clockMillis?: number;
}

export interface CommitRecord {
  readonly version: number;
  readonly shard: number;
  /** 1, 2, 3 … without gaps. */
  readonly seq: number;
  /** Random, of the attempt that made it: how a writer knows its own record when it reads it back. */
  readonly attempt: string;
  /** Who made it; for people. */
  readonly writer: string;
  readonly createdMillis: number;
  /** createdMillis of record 1 of this shard: the first hour of a lake's life publishes more often. */
  readonly firstMillis: number;
  /** Identity and next position of flamelake.rows in this shard: all below is in the lake. */
  readonly logId: string;
  readonly position: number;
  /** Newest log append time among all source messages below `position`. */
  readonly clockMillis: number;
  /** The clock of the digest window, which runs by append times (exporter/window-clock.ts); older records have none of their own. */
  readonly windowMillis?: number;
  /** Kafka leader epoch; 0 embedded. */
  readonly leaderEpoch: number;
  readonly highWaters: readonly HighWater[];
  /** Stacks before samples: the order in which they are put. */
  readonly files: readonly RecordFile[];
  readonly carry: RecordCarry | null;
  /** Side object with the digests of this range (digestsKey), or null where it has none. */
  readonly digests: string | null;
  readonly samples: number;
  readonly stacks: number;
  /** Samples dropped here because their profile had been seen, and the losses counted in this range, by reason. */
  readonly duplicates: number;
  readonly losses: Readonly<Record<string, number>>;
}

/** Checks a record that was read from the store. Throws `lake_version` for what this code must not act on. */
export function parseRecord(bytes: Uint8Array, key: string): CommitRecord {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new PipelineError('lake_version', `${key}: is not JSON; the record is damaged, restore it from a backup`);
  }
  return checkRecord(value, key);
}

export function checkRecord(found: unknown, key: string): CommitRecord {
  const refuse = (found: string): never => {
    throw new PipelineError('lake_version', `${key}: ${found}`);
  };
  const value = found as CommitRecord;
  if (typeof value !== 'object' || value === null) return refuse('is not a JSON object; the record is damaged, restore it from a backup');
  if (value.version !== recordVersion) {
    return refuse(
      `record version ${JSON.stringify(value.version)} was found, this flamelake knows ${recordVersion}; use the version that wrote it or a newer one`,
    );
  }
  const numbers = ['shard', 'seq', 'createdMillis', 'firstMillis', 'position', 'clockMillis', 'leaderEpoch', 'samples', 'stacks', 'duplicates'] as const;
  for (const name of numbers)
    if (!Number.isSafeInteger(value[name])) return refuse(`${name} is ${JSON.stringify(value[name])}, expected an integer; the record is damaged`);
  if (!isOptionalMillis(value.windowMillis)) return refuse(`windowMillis is ${JSON.stringify(value.windowMillis)}, expected an integer; the record is damaged`);
  if (typeof value.attempt !== 'string' || typeof value.logId !== 'string') return refuse('attempt or logId is missing; the record is damaged');
  if (!Array.isArray(value.files) || !value.files.every((file) => isObject(file) && isRecordFile(file)))
    return refuse('files is not a list of files; the record is damaged');
  if (!Array.isArray(value.highWaters) || !value.highWaters.every((water) => isObject(water) && isHighWater(water)))
    return refuse('highWaters is not a list of positions; the record is damaged');
  if (value.carry !== null && !(isObject(value.carry) && isCarry(value.carry)))
    return refuse('carry is neither null nor a list of objects; the record is damaged');
  if (value.digests !== null && typeof value.digests !== 'string') return refuse('digests is neither null nor a key; the record is damaged');
  return value;
}

export function encodeRecord(record: CommitRecord): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(record, null, 1)}\n`);
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

function isRecordFile(file: RecordFile): boolean {
  return (
    lakeTables.includes(file.table) &&
    typeof file.staging === 'string' &&
    typeof file.key === 'string' &&
    parseLakeFileKey(file.key)?.table === file.table &&
    Number.isSafeInteger(file.rows) &&
    Number.isSafeInteger(file.bytes) &&
    typeof file.sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(file.sha256)
  );
}

const isOptionalMillis = (value: unknown): boolean => value === undefined || Number.isSafeInteger(value);

function isHighWater(water: HighWater): boolean {
  return (
    typeof water.logId === 'string' &&
    typeof water.topic === 'string' &&
    Number.isSafeInteger(water.partition) &&
    Number.isSafeInteger(water.offset) &&
    isOptionalMillis(water.appendMillis) &&
    isOptionalMillis(water.clockMillis)
  );
}

function isCarry(carry: RecordCarry): boolean {
  const areKeys = (keys: readonly string[]) => Array.isArray(keys) && keys.every((key) => typeof key === 'string');
  const lists = [carry.samples, carry.stacks, carry.messages, carry.dates];
  return lists.every(areKeys) && Number.isSafeInteger(carry.rows) && Number.isSafeInteger(carry.sinceMillis);
}

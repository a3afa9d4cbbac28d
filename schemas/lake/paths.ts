// Every name in the lake, in one place. Engines that are not ours depend on the first group; only
// exporter and query know the second.
import { createHash } from 'node:crypto';

export const lakeTables = ['samples', 'stacks'] as const;
export type LakeTable = (typeof lakeTables)[number];

/** Pinned at the lake's creation by a conditional put: LakeSettings (settings.ts). */
export const settingsKey = 'lake.json';
export const routesKey = 'routes.json';

export const shardName = (shard: number): string => String(shard).padStart(3, '0');

/** `date` is YYYY-MM-DD (UTC), `hour` 0-23, `seq` the record's number, `part` counts files of one record, table, date and hour. */
export function lakeFileKey(table: LakeTable, date: string, shard: number, hour: number, seq: number, part: number): string {
  return `lake/${table}/date=${date}/shard=${shardName(shard)}/h${String(hour).padStart(2, '0')}-${String(seq).padStart(9, '0')}-${part}.parquet`;
}

export interface LakeFileName {
  readonly table: LakeTable;
  readonly date: string;
  readonly shard: number;
  readonly hour: number;
  readonly seq: number;
  readonly part: number;
}

/** Null for what is not a lake file of ours. */
export function parseLakeFileKey(key: string): LakeFileName | null {
  const match = /^lake\/(samples|stacks)\/date=(\d{4}-\d{2}-\d{2})\/shard=(\d{3,})\/h(\d{2})-(\d{9,})-(\d+)\.parquet$/.exec(key);
  if (!match) return null;
  const [, table, date, shard, hour, seq, part] = match as unknown as [string, LakeTable, string, string, string, string, string];
  return { table, date, shard: Number(shard), hour: Number(hour), seq: Number(seq), part: Number(part) };
}

/**
 * A hot object holds whole messages of flamelake.rows with offsets [from, to) of one shard. Two
 * objects may hold the same offsets (a restart, a zombie); a reader takes each offset once. The name
 * ends in a UUID of version 8, whose first digits say which log the offsets are of: a topic that is made
 * anew counts from 0 again. (Versions before had random ones, of version 4.)
 */
export function hotFileKey(shard: number, from: number, to: number, logId: string, uuid: string): string {
  const tagged = `${hotLog(logId)}${uuid.slice(8, 14)}8${uuid.slice(15)}`;
  return `${hotPrefix(shard)}${String(from).padStart(15, '0')}-${String(to).padStart(15, '0')}-${tagged}.rows`;
}

/** A log as names of hot objects have it. */
export const hotLog = (logId: string): string => createHash('sha256').update(logId).digest('hex').slice(0, 8);

export interface HotFileName {
  readonly shard: number;
  readonly from: number;
  readonly to: number;
  /** hotLog of its log; null where an older version named it, and it may be any. */
  readonly log: string | null;
}

export function parseHotFileKey(key: string): HotFileName | null {
  const match = /^hot\/shard=(\d{3,})\/(\d{15})-(\d{15})-([0-9a-f]{8})-[0-9a-f]{4}-([0-9a-f])[0-9a-f-]{21}\.rows$/.exec(key);
  if (!match) return null;
  const [, shard, from, to, log, version] = match as unknown as [string, string, string, string, string, string];
  return { shard: Number(shard), from: Number(from), to: Number(to), log: version === '8' ? log : null };
}

const seqMax = 999_999_999_999;

/** Sequence numbers count downwards in the key, so that the head is the first entry of one listing. */
export function recordKey(shard: number, seq: number): string {
  return `${recordPrefix(shard)}${String(seqMax - seq).padStart(12, '0')}.json`;
}

export const recordPrefix = (shard: number): string => `commits/${shardName(shard)}/`;

export function parseRecordKey(key: string): { shard: number; seq: number } | null {
  const match = /^commits\/(\d{3,})\/(\d{12})\.json$/.exec(key);
  if (!match) return null;
  return { shard: Number(match[1]), seq: seqMax - Number(match[2]) };
}

/** Records of a whole fold lie together: fold.ts. Named by the last of them, downwards like records. */
export const foldRecords = 100;

export const foldPrefix = (shard: number): string => `folds/${shardName(shard)}/`;

/** The key of the fold that holds record `seq`, or will. */
export function foldKey(shard: number, seq: number): string {
  const last = Math.ceil(seq / foldRecords) * foldRecords;
  return `${foldPrefix(shard)}${String(seqMax - last).padStart(12, '0')}.json.zst`;
}

/** Null for what is no fold of ours; `last` is the newest record in it. */
export function parseFoldKey(key: string): { shard: number; last: number } | null {
  const match = /^folds\/(\d{3,})\/(\d{12})\.json\.zst$/.exec(key);
  if (!match) return null;
  const last = seqMax - Number(match[2]);
  return last > 0 && last % foldRecords === 0 ? { shard: Number(match[1]), last } : null;
}

/** Dates below the one in it are gone or going: floor.ts. */
export const floorKey = 'floor.json';

/** Side object of a record: the digests of its range. Under its own prefix so that commits/ lists heads only. */
export const digestsKey = (shard: number, seq: number, uuid: string): string => `digests/${shardName(shard)}/${String(seq).padStart(12, '0')}-${uuid}.bin`;
export const digestsPrefix = (shard: number): string => `digests/${shardName(shard)}/`;

export const stagingKey = (uuid: string, name: string): string => `staging/${uuid}/${name}`;

export const stagingPrefix = 'staging/';

/** Staged files have their public names as one part, so that a person who finds one knows what it is. */
export const stagedName = (key: string): string => key.slice('lake/'.length).replaceAll('/', '_');

/** What a staged file will be; null for what is no staged file of ours. */
export const parseStagingKey = (key: string): LakeFileName | null => {
  const name = /^staging\/[^/]+\/([^/]+)$/.exec(key)?.[1];
  return name === undefined ? null : parseLakeFileKey(`lake/${name.replaceAll('_', '/')}`);
};
export const hotPrefix = (shard: number): string => `hot/shard=${shardName(shard)}/`;

/** Rows of old dates that wait for their daily publication; named by the head record only (RecordCarry). */
export const carryPrefix = (shard: number): string => `carry/${shardName(shard)}/`;
/** The record that a side object was made for; null for what is none of ours. */
export const sideObjectSeq = (key: string): number | null => {
  const seq = /^(?:digests|carry)\/\d{3,}\/(\d{12})-/.exec(key)?.[1];
  return seq === undefined ? null : Number(seq);
};
export const carryKey = (part: LakeTable | 'messages', shard: number, seq: number, uuid: string): string =>
  `${carryPrefix(shard)}${String(seq).padStart(12, '0')}-${uuid}-${part}.${part === 'messages' ? 'bin' : 'parquet'}`;

const dayMillis = 86_400_000;

/** Days since 1970-01-01 (UTC) as the `date=` of a path. */
export const dateName = (days: number): string => new Date(days * dayMillis).toISOString().slice(0, 10);
export const dateDays = (name: string): number => Math.floor(Date.parse(`${name}T00:00:00Z`) / dayMillis);

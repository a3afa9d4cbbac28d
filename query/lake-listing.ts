// Reads the lake's names in the order that makes a snapshot true (snapshot.ts says why): hot, heads, lake
// samples, lake stacks. Samples are listed before stacks because stacks are put before samples: a sample
// that is seen then has its stack in the later listing. A hot object holds both.
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import type { Store, StoreEntry } from '../lib/store/store.ts';
import { floorDays, readFloor } from '../schemas/lake/floor.ts';
import { hotLog, hotPrefix, type LakeFileName, lakeTables, parseHotFileKey, parseLakeFileKey, parseRecordKey, recordPrefix } from '../schemas/lake/paths.ts';
import { type CommitRecord, parseRecord, type RecordFile } from '../schemas/lake/record.ts';
import { readLakeSettings } from '../schemas/lake/settings.ts';
import { limits } from './limits.ts';
import { emptyPlan, type HeadFile, inRange, planSnapshot, type ShardHead, type SnapshotPlan, type TimeRange } from './snapshot.ts';

export async function readSnapshot(store: Store, range: TimeRange): Promise<SnapshotPlan> {
  const settings = await readLakeSettings(store);
  if (settings === null) return emptyPlan(range);
  const shards = Array.from({ length: settings.shards }, (_, shard) => shard);

  const hot = [];
  for (const shard of shards) hot.push(...named(await listAll(store, hotPrefix(shard)), parseHotFileKey));
  const records = (await Promise.all(shards.map((shard) => readHead(store, shard)))).filter((record) => record !== null);
  // Files that retention is taking are left out whole, instead of while some of a date are still there.
  const floor = await readFloor(store);
  const isKept = ({ date }: { date: string }) => floor === null || date >= floor.date;
  const lake = [];
  for (const table of lakeTables) {
    for (const prefix of datePrefixes(`lake/${table}/`, range))
      lake.push(...named(await listAll(store, prefix, limits.namesMax), parseLakeFileKey).filter(isKept));
  }
  const listed = new Set(lake.map((file) => file.key));
  const heads = await Promise.all(records.map((record) => placeHead(store, record, listed, (name) => inRange(name, range) && isKept(name))));
  // Rows below the floor that are hot or carried are told as lost with the next publication.
  const kept = floor === null ? range : { ...range, fromMillis: Math.max(range.fromMillis ?? Number.NEGATIVE_INFINITY, floorDays(floor) * dayMillis) };
  return bounded(planSnapshot({ hot, heads, lake }, kept));
}

/** Newest record of a shard, or null where it has none. */
export async function readHead(store: Store, shard: number): Promise<CommitRecord | null> {
  const [entry] = await store.list(recordPrefix(shard), { limit: 1 });
  if (!entry) return null;
  if (!parseRecordKey(entry.key)) {
    throw new PipelineError('lake_version', `${entry.key} is no record name; move it away (flamelake lake check names all strays)`);
  }
  const bytes = await store.get(entry.key);
  if (bytes === null) throw new PipelineError('store_missing', `${entry.key} was listed and is not there; flamelake lake check says what the lake lacks`);
  return parseRecord(bytes, entry.key);
}

async function placeHead(store: Store, record: CommitRecord, listed: ReadonlySet<string>, isWanted: (name: LakeFileName) => boolean): Promise<ShardHead> {
  const files: HeadFile[] = [];
  for (const file of record.files) {
    const name = parseLakeFileKey(file.key);
    if (!name || !isWanted(name)) continue;
    files.push({ ...name, key: file.key, staging: file.staging, place: await placeOf(store, file, listed) });
  }
  const carry = { samples: record.carry?.samples ?? [], stacks: record.carry?.stacks ?? [] };
  return { shard: record.shard, seq: record.seq, position: record.position, log: hotLog(record.logId), files, carry };
}

/** Staged bytes go away only after the public file is there; so whoever finds neither, in this order, looks at what retention took. */
async function placeOf(store: Store, file: RecordFile, listed: ReadonlySet<string>): Promise<HeadFile['place']> {
  if (listed.has(file.key)) return 'public';
  if ((await store.head(file.staging)) !== null) return 'staging';
  return (await store.head(file.key)) === null ? 'gone' : 'public';
}

const dayMillis = 86_400_000;
/** A range of more days than this is listed in one go. */
const dayPrefixesMax = 40;

export function datePrefixes(tablePrefix: string, range: TimeRange): string[] {
  if (range.fromMillis === null || range.toMillis === null) return [tablePrefix];
  const first = Math.floor(range.fromMillis / dayMillis);
  const last = Math.floor((range.toMillis - 1) / dayMillis);
  if (last - first >= dayPrefixesMax) return [tablePrefix];
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => {
    const date = new Date((first + index) * dayMillis).toISOString().slice(0, 10);
    return `${tablePrefix}date=${date}/`;
  });
}

const pageKeys = 1000;

/** Throws query_failed where more than `namesMax` are there. */
export async function listAll(store: Store, prefix: string, namesMax = Number.POSITIVE_INFINITY): Promise<StoreEntry[]> {
  const entries: StoreEntry[] = [];
  for (;;) {
    const after = entries.at(-1)?.key;
    const page = await store.list(prefix, { limit: pageKeys, ...(after === undefined ? {} : { after }) });
    entries.push(...page);
    if (page.length < pageKeys) return entries;
    if (entries.length > namesMax) {
      throw new PipelineError(
        'query_failed',
        `${prefix} holds more than ${namesMax} files, too many to look through for one query; narrow it with from and to`,
      );
    }
  }
}

function named<Name>(entries: readonly StoreEntry[], parse: (key: string) => Name | null): (Name & { key: string })[] {
  const known = [];
  for (const { key } of entries) {
    const name = parse(key);
    if (name !== null) known.push({ ...name, key });
  }
  return known;
}

function bounded(plan: SnapshotPlan): SnapshotPlan {
  for (const table of lakeTables) {
    const { published, staged, carry, hot } = plan[table];
    const files = published.length + staged.length + carry.length + hot.length;
    if (files > limits.filesMax) {
      throw new PipelineError(
        'query_failed',
        `the time range covers ${files} ${table} files, at most ${limits.filesMax} are opened at once; narrow it with from and to`,
      );
    }
  }
  return plan;
}

/** Whether an error means that an object went away after it was listed: then a fresh snapshot answers. */
export function isVanished(error: unknown): boolean {
  if (isPipelineError(error, 'store_missing')) return true;
  const message = error instanceof Error ? error.message : '';
  // Where a name is gone DuckDB looks for a directory of that name, which it may not.
  return /No such file or directory|No files found that match|(Could not|Cannot) open file|Cannot access file ".*\/\*\*\/\*\.parquet"/i.test(message);
}

/** What is said when a fresh snapshot did not help. */
export function vanishedError(error: unknown): PipelineError {
  const message = error instanceof Error ? error.message : String(error);
  const file = /"([^"]+?)(?:\/\*\*\/\*\.parquet)?"/.exec(message)?.[1];
  const found = file === undefined ? message : `${file} was listed and cannot be opened`;
  return new PipelineError('store_missing', `${found}; flamelake lake check says what the lake lacks`, { cause: error });
}

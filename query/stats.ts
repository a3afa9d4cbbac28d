// `flamelake lake stats`: what a lake takes, by table, column, date and shard, from names and Parquet
// footers; rows are not read but for the sum of events.
import { isPipelineError } from '../lib/errors.ts';
import type { Store, StoreEntry } from '../lib/store/store.ts';
import { type LakeFileName, type LakeTable, lakeTables, parseLakeFileKey } from '../schemas/lake/paths.ts';
import { readLakeSettings } from '../schemas/lake/settings.ts';
import { Session } from './engine.ts';
import { listAll } from './lake-listing.ts';
import { limits } from './limits.ts';
import { scratchPlace } from './scratch.ts';
import { sqlList } from './sql-text.ts';

export interface StatsOptions {
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ColumnStats {
  /** `frames.function` for a field of a nested column, `attributes.key` for a map. */
  readonly name: string;
  readonly bytes: number;
  readonly uncompressedBytes: number;
  readonly bytesPerRow: number;
}

export interface TableStats {
  readonly table: LakeTable;
  readonly files: number;
  readonly smallFiles: number;
  readonly bytes: number;
  readonly rows: number;
  readonly rowGroups: number;
  readonly bytesPerRow: number;
  /** Heaviest first. */
  readonly columns: readonly ColumnStats[];
}

export interface PartStats {
  readonly files: number;
  readonly bytes: number;
  readonly samples: number;
  readonly stacks: number;
}

export interface LakeStats {
  readonly tables: readonly TableStats[];
  readonly dates: readonly (PartStats & { readonly date: string })[];
  readonly shards: readonly (PartStats & { readonly shard: number })[];
  /** Samples of the fullest shard over the mean of all; 1 where they are even, 0 without samples. */
  readonly skew: number;
  /** Objects that are not public. */
  readonly hot: { readonly objects: number; readonly bytes: number };
  readonly carry: { readonly objects: number; readonly bytes: number };
  readonly staging: { readonly objects: number; readonly bytes: number };
  readonly records: { readonly objects: number; readonly bytes: number };
  /** Sum of count in samples, losses left out. */
  readonly events: number;
  /** All public bytes over all events: what an event costs with its share of the stacks. */
  readonly bytesPerEvent: number;
  /** Footers that could not be read; flamelake lake check says why. */
  readonly unreadable: readonly string[];
}

interface File extends LakeFileName {
  readonly key: string;
  readonly bytes: number;
  rows: number;
  rowGroups: number;
}

type ColumnSums = Map<string, { bytes: number; uncompressedBytes: number }>;

const statementMillisMax = 3_600_000;

export async function lakeStats(store: Store, options: StatsOptions = {}): Promise<LakeStats> {
  const settings = await readLakeSettings(store);
  const files = await listFiles(store);
  const columns: Record<LakeTable, ColumnSums> = { samples: new Map(), stacks: new Map() };
  const unreadable: string[] = [];
  let events = 0;
  for (let start = 0; start < files.length; start += limits.footerBatch) {
    events += await readFooters(store, files.slice(start, start + limits.footerBatch), columns, unreadable, options);
    options.onProgress?.({ done: Math.min(files.length, start + limits.footerBatch), total: files.length });
  }
  const shards = Array.from({ length: settings?.shards ?? 0 }, (_, shard) => ({ shard, ...partStats(files.filter((file) => file.shard === shard)) }));
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return {
    tables: lakeTables.map((table) => tableStats(table, files, columns[table])),
    dates: [...Map.groupBy(files, (file) => file.date)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([date, members]) => ({ date, ...partStats(members) })),
    shards,
    skew: skewOf(shards.map(({ samples }) => samples)),
    hot: await sizeOf(store, 'hot/'),
    carry: await sizeOf(store, 'carry/'),
    staging: await sizeOf(store, 'staging/'),
    records: await sizeOf(store, 'commits/', 'folds/'),
    events,
    bytesPerEvent: events === 0 ? 0 : bytes / events,
    unreadable,
  };
}

async function listFiles(store: Store): Promise<File[]> {
  const files: File[] = [];
  for (const { key, bytes } of await listAll(store, 'lake/')) {
    const name = parseLakeFileKey(key);
    if (name !== null) files.push({ ...name, key, bytes, rows: 0, rowGroups: 0 });
  }
  return files;
}

/** Fills rows and row groups in, adds columns up; gives the events of the files. */
async function readFooters(
  store: Store,
  files: readonly File[],
  columns: Record<LakeTable, ColumnSums>,
  unreadable: string[],
  options: StatsOptions,
): Promise<number> {
  const session = await Session.open({
    files: files.map((file) => store.locate(file.key)),
    timeoutMillis: statementMillisMax,
    signal: options.signal,
    scratch: scratchPlace(store),
  });
  try {
    const readable: File[] = [];
    for (const file of files) {
      if (await readCounts(session, store, file)) readable.push(file);
      else unreadable.push(file.key);
    }
    let events = 0;
    for (const table of lakeTables) {
      const paths = readable.filter((file) => file.table === table).map((file) => store.locate(file.key));
      if (paths.length === 0) continue;
      await addColumns(session, paths, columns[table]);
      if (table === 'samples') events += await sumEvents(session, paths);
    }
    return events;
  } finally {
    await session.close();
  }
}

async function readCounts(session: Session, store: Store, file: File): Promise<boolean> {
  try {
    const [row] = await session.rows(`SELECT num_rows::DOUBLE, num_row_groups::DOUBLE FROM parquet_file_metadata(${sqlList([store.locate(file.key)])})`);
    file.rows = Number(row![0]);
    file.rowGroups = Number(row![1]);
    return true;
  } catch (error) {
    if (isPipelineError(error) && error.context.reason !== undefined) throw error;
    return false;
  }
}

async function addColumns(session: Session, paths: readonly string[], sums: ColumnSums): Promise<void> {
  const rows = await session.rows(`SELECT path_in_schema, sum(total_compressed_size)::DOUBLE, sum(total_uncompressed_size)::DOUBLE
    FROM parquet_metadata(${sqlList(paths)}) GROUP BY path_in_schema`);
  for (const [path, bytes, uncompressed] of rows) {
    const name = columnName(String(path));
    const sum = sums.get(name) ?? { bytes: 0, uncompressedBytes: 0 };
    sums.set(name, { bytes: sum.bytes + Number(bytes), uncompressedBytes: sum.uncompressedBytes + Number(uncompressed) });
  }
}

/** 'frames, list, element, function' -> frames.function. */
export function columnName(path: string): string {
  const parts = path.split(', ');
  return parts.length === 1 ? path : `${parts[0]}.${parts.at(-1)}`;
}

async function sumEvents(session: Session, paths: readonly string[]): Promise<number> {
  const from = `read_parquet(${sqlList(paths)}, union_by_name = true, hive_partitioning = false)`;
  const [row] = await session.rows(`SELECT coalesce(sum("count"), 0)::DOUBLE FROM ${from} WHERE sample_type <> 'lost'`);
  return Number(row![0]);
}

function tableStats(table: LakeTable, all: readonly File[], columns: ColumnSums): TableStats {
  const files = all.filter((file) => file.table === table);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  const perRow = (amount: number) => (rows === 0 ? 0 : amount / rows);
  return {
    table,
    files: files.length,
    smallFiles: files.filter((file) => file.bytes < limits.smallFileBytes).length,
    bytes,
    rows,
    rowGroups: files.reduce((sum, file) => sum + file.rowGroups, 0),
    bytesPerRow: perRow(bytes),
    columns: [...columns]
      .map(([name, sums]) => ({ name, ...sums, bytesPerRow: perRow(sums.bytes) }))
      .sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1)),
  };
}

function partStats(files: readonly File[]): PartStats {
  const rows = (table: LakeTable) => files.reduce((sum, file) => sum + (file.table === table ? file.rows : 0), 0);
  return { files: files.length, bytes: files.reduce((sum, file) => sum + file.bytes, 0), samples: rows('samples'), stacks: rows('stacks') };
}

export function skewOf(amounts: readonly number[]): number {
  const sum = amounts.reduce((total, amount) => total + amount, 0);
  return sum === 0 ? 0 : Math.max(...amounts) / (sum / amounts.length);
}

async function sizeOf(store: Store, ...prefixes: string[]): Promise<{ objects: number; bytes: number }> {
  const entries: StoreEntry[] = (await Promise.all(prefixes.map((prefix) => listAll(store, prefix)))).flat();
  return { objects: entries.length, bytes: entries.reduce((sum, entry) => sum + entry.bytes, 0) };
}

// SQL of a snapshot: the views `samples` and `stacks` as users know them (docs/lake.md), over exactly
// the files of the plan, and the macros that people need first. Text only; engine.ts runs it.
import { type Column, type ColumnType, frameColumns, sampleColumns, stackColumns } from '../schemas/lake/columns.ts';
import type { LakeTable } from '../schemas/lake/paths.ts';
import { macros } from './macros.ts';
import type { HotSlice, SnapshotPlan, StagedFile, TimeRange } from './snapshot.ts';
import { sqlList, sqlString } from './sql-text.ts';

export type Locate = (key: string) => string;

const frameType = `STRUCT(${frameColumns.map((column) => `"${column.name}" ${column.type === 'boolean' ? 'BOOLEAN' : sqlType(column.type)}`).join(', ')})`;

export function sqlType(type: ColumnType): string {
  switch (type) {
    case 'timestamp':
      return 'TIMESTAMPTZ';
    case 'int64':
      return 'BIGINT';
    case 'int32':
      return 'INTEGER';
    case 'double':
      return 'DOUBLE';
    case 'string':
      return 'VARCHAR';
    case 'map':
      return 'MAP(VARCHAR, VARCHAR)';
    case 'frames':
      return `${frameType}[]`;
    default:
      return type satisfies never;
  }
}

/** A snapshot and how its files are read. */
export interface Reading {
  readonly plan: SnapshotPlan;
  readonly locate: Locate;
  /**
   * Whether all files are taken to have the columns of today, which saves opening each of them twice (a third of the time
   * with 3,000 files). Where one lacks a column that is an error (isMixedSchema), and the columns are united by name instead.
   */
  readonly uniform: boolean;
}

/** Views and macros by name, as SQL may use them; each with what it is made of. */
const definitions: Readonly<Record<string, { readonly needs: readonly string[]; readonly sql: (reading: Reading) => string }>> = {
  samples: { needs: [], sql: (reading) => `CREATE TEMP VIEW samples AS ${samplesQuery(reading)}` },
  stacks: { needs: [], sql: (reading) => `CREATE TEMP VIEW stacks AS ${stacksQuery(reading)}` },
  ...Object.fromEntries(Object.entries(macros).map(([name, macro]) => [name, { needs: macro.needs, sql: () => macro.sql }])),
};

export const allViews: ReadonlySet<string> = new Set(Object.keys(definitions));

/** Statements that make the views and macros of these names, in order; making one opens files, so only what is used is made. */
export function viewStatements(names: ReadonlySet<string>, reading: Reading): string[] {
  const made = new Set<string>();
  const make = (name: string): string[] => {
    const definition = Object.hasOwn(definitions, name) ? definitions[name]! : undefined;
    if (!definition || made.has(name)) return [];
    made.add(name);
    return [...definition.needs.flatMap(make), definition.sql(reading)];
  };
  return [...names].flatMap(make);
}

const knownColumns = new Set<string>([...sampleColumns, ...stackColumns].map((column) => column.name));

/** Whether a reading that was taken to be uniform met a file without a column of today. */
export function isMixedSchema(error: unknown): boolean {
  const message = error instanceof Error ? error.message : '';
  const [, missing] = /Referenced column "([^"]+)" not found/.exec(message) ?? [];
  return message.includes('schema mismatch in glob') || (missing !== undefined && knownColumns.has(missing));
}

export function samplesQuery(reading: Reading): string {
  const { plan } = reading;
  const parts = [emptyTable(sampleColumns), ...recordParts('samples', reading), ...hotParts('samples', reading)];
  return `SELECT * FROM (${parts.join(' UNION ALL BY NAME ')}) ${timeFilter(plan.range)}`;
}

/** A hot stack may be in the lake already, or in another hot object: each (date, id) is shown once, the lake's first. */
export function stacksQuery(reading: Reading): string {
  const { records, hot } = stacksParts(reading);
  const filter = dateFilter(reading.plan.range);
  if (hot.length === 0) return `SELECT * FROM (${records.join(' UNION ALL BY NAME ')}) ${filter}`;
  const known = 'SELECT "date", stack_id FROM record_stacks WHERE ("date", stack_id) IN (SELECT "date", stack_id FROM hot_stacks)';
  return `WITH record_stacks AS NOT MATERIALIZED (SELECT * FROM (${records.join(' UNION ALL BY NAME ')}) ${filter}),
    hot_stacks AS (SELECT DISTINCT ON ("date", stack_id) * FROM (${hot.join(' UNION ALL BY NAME ')}) ${filter}),
    known_stacks AS (${known})
    SELECT * FROM record_stacks UNION ALL BY NAME SELECT * FROM hot_stacks ANTI JOIN known_stacks USING ("date", stack_id)`;
}

/** All stacks, some of them more than once: for questions that take any row of an id. */
export function repeatedStacksQuery(reading: Reading): string {
  const { records, hot } = stacksParts(reading);
  return `SELECT * FROM (${[...records, ...hot].join(' UNION ALL BY NAME ')}) ${dateFilter(reading.plan.range)}`;
}

function stacksParts(reading: Reading): { records: string[]; hot: string[] } {
  return { records: [emptyTable(stackColumns), ...recordParts('stacks', reading)], hot: hotParts('stacks', reading) };
}

/** No rows, but every column with its type: an empty lake answers with empty tables, and an older file's missing column is NULL. */
function emptyTable(columns: readonly Column[]): string {
  const nulls = columns.map((column) => `CAST(NULL AS ${sqlType(column.type)}) AS "${column.name}"`);
  return `SELECT ${nulls.join(', ')}, CAST(NULL AS DATE) AS "date", CAST(NULL AS INTEGER) AS shard WHERE false`;
}

/** Public columns by name, or, where files differ, all that they have; columns that begin with '_' are private. */
const publicColumns = (table: LakeTable, uniform: boolean): string =>
  uniform ? (table === 'samples' ? sampleColumns : stackColumns).map((column) => `"${column.name}"`).join(', ') : "COLUMNS(lambda c: NOT starts_with(c, '_'))";

function recordParts(name: LakeTable, { plan, locate, uniform }: Reading): string[] {
  const table = plan[name];
  const columns = publicColumns(name, uniform);
  const parts: string[] = [];
  if (table.published.length > 0) {
    // The newest first: where columns are taken by name, it is the one that must have them all.
    const files = sqlList(table.published.toReversed().map(locate));
    const from = `read_parquet(${files}, union_by_name = ${!uniform}, hive_partitioning = true, hive_types = {date: DATE, shard: INTEGER})`;
    parts.push(uniform ? `SELECT ${columns}, "date", shard FROM ${from}` : `SELECT * FROM ${from}`);
  }
  for (const [date, shard, keys] of groupStaged(table.staged)) {
    parts.push(`SELECT ${columns}, DATE ${sqlString(date)} AS "date", ${shard} AS shard FROM ${readPrivate(keys, locate, uniform)}`);
  }
  if (table.carry.length > 0) parts.push(hotSelect(name, readPrivate(table.carry, locate, uniform), uniform));
  return parts;
}

function hotParts(name: LakeTable, { plan, locate, uniform }: Reading): string[] {
  return hotReads(plan[name].hot, locate, uniform).map((from) => hotSelect(name, from, uniform));
}

const hotSelect = (name: LakeTable, from: string, uniform: boolean) =>
  `SELECT ${publicColumns(name, uniform)}, CAST(${name === 'samples' ? '"time"' : '"_date"'} AS DATE) AS "date", CAST(_shard AS INTEGER) AS shard FROM ${from}`;

/** Rows of slices with all their columns, as hot objects have them. */
export function hotRows(slices: readonly HotSlice[], locate: Locate): string {
  return hotReads(slices, locate, false)
    .map((from) => `SELECT * FROM ${from}`)
    .join(' UNION ALL BY NAME ');
}

/** What is taken whole in one reading, what is cut each by itself. */
function hotReads(slices: readonly HotSlice[], locate: Locate, uniform: boolean): string[] {
  const whole = slices.filter((slice) => slice.whole).map((slice) => slice.key);
  const cut = slices
    .filter((slice) => !slice.whole)
    .map((slice) => `(FROM ${readPrivate([slice.key], locate, uniform)} WHERE _offset >= ${slice.from} AND _offset < ${slice.to})`);
  return whole.length > 0 ? [readPrivate(whole.toReversed(), locate, uniform), ...cut] : cut;
}

const readPrivate = (keys: readonly string[], locate: Locate, uniform: boolean) =>
  `read_parquet(${sqlList(keys.map(locate))}, union_by_name = ${!uniform}, hive_partitioning = false)`;

function groupStaged(staged: readonly StagedFile[]): [string, number, string[]][] {
  const groups = new Map<string, [string, number, string[]]>();
  for (const { date, shard, key } of staged) {
    const group = groups.get(`${date}/${shard}`);
    if (group) group[2].push(key);
    else groups.set(`${date}/${shard}`, [date, shard, [key]]);
  }
  return [...groups.values()];
}

function timeFilter(range: TimeRange): string {
  return where([
    range.fromMillis === null ? null : `"time" >= ${timestamp(range.fromMillis)}`,
    range.toMillis === null ? null : `"time" < ${timestamp(range.toMillis)}`,
  ]);
}

function dateFilter(range: TimeRange): string {
  return where([
    range.fromMillis === null ? null : `"date" >= DATE '${isoDate(range.fromMillis)}'`,
    range.toMillis === null ? null : `"date" <= DATE '${isoDate(range.toMillis - 1)}'`,
  ]);
}

const where = (conditions: readonly (string | null)[]) => {
  const given = conditions.filter((condition) => condition !== null);
  return given.length === 0 ? '' : `WHERE ${given.join(' AND ')}`;
};
const isoDate = (millis: number) => new Date(millis).toISOString().slice(0, 10);
export const timestamp = (millis: number) => `TIMESTAMPTZ '${new Date(millis).toISOString()}'`;

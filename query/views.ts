// SQL of a snapshot: the views `samples` and `stacks` as users know them (docs/lake.md), over exactly
// the files of the plan, and the macros that people need first. Text only; engine.ts runs it.
import { type Column, type ColumnType, frameColumns, sampleColumns, stackColumns } from '../schemas/lake/columns.ts';
import type { LakeTable } from '../schemas/lake/paths.ts';
import type { SnapshotPlan, StagedFile, TablePlan, TimeRange } from './snapshot.ts';
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

/** What `SELECT * FROM …` and expressions of users may call beside DuckDB's own; README.md lists them. */
export const macros = {
  frame_name: {
    table: false,
    needs: [],
    sql: `CREATE TEMP MACRO frame_name(f) AS coalesce(nullif(f."function", ''),
      CASE WHEN f.mapping IS NOT NULL AND f.mapping <> '' THEN
        regexp_extract(f.mapping, '[^/]*$') || coalesce('+' || f.address, ' [no symbol]') END,
      f.address, '[unknown]')`,
  },
  stack_text: {
    table: false,
    needs: ['frame_name'],
    sql: `CREATE TEMP MACRO stack_text(frames) AS array_to_string(list_transform(list_reverse(frames), lambda f: replace(frame_name(f), ';', ':')), ';')`,
  },
  cpu_seconds: { table: false, needs: [], sql: 'CREATE TEMP MACRO cpu_seconds(value) AS sum(value) / 1e9' },
  frames: {
    table: true,
    needs: ['stacks', 'frame_name'],
    sql: `CREATE TEMP MACRO frames(id) AS TABLE
      SELECT u.position - 1 AS depth, frame_name(u.frame) AS name, ${frameColumns.map((column) => `u.frame."${column.name}"`).join(', ')} FROM
        (SELECT generate_subscripts(frames, 1) AS position, unnest(frames) AS frame FROM (SELECT frames FROM stacks WHERE stack_id = id LIMIT 1)) u
      ORDER BY depth`,
  },
  top_functions: {
    table: true,
    needs: ['samples', 'stacks', 'frame_name'],
    sql: `CREATE TEMP MACRO top_functions(kind := 'cpu') AS TABLE
      WITH weighed AS (SELECT stack_id, sum(value * weight) AS value FROM samples WHERE sample_type = kind GROUP BY ALL),
      named AS (SELECT w.value, list_transform(s.frames, lambda f: frame_name(f)) AS names
        FROM weighed w JOIN (SELECT stack_id, any_value(frames) AS frames FROM stacks GROUP BY stack_id) s USING (stack_id)),
      called AS (SELECT unnest(list_distinct(names)) AS name, names[1] AS leaf, value FROM named)
      SELECT name, coalesce(sum(value) FILTER (WHERE name = leaf), 0) AS self, sum(value) AS total,
        self / (SELECT sum(value) FROM weighed) AS self_share, total / (SELECT sum(value) FROM weighed) AS total_share
      FROM called GROUP BY name ORDER BY self DESC, total DESC, name`,
  },
  collapsed: {
    table: true,
    needs: ['samples', 'stacks', 'stack_text'],
    sql: `CREATE TEMP MACRO collapsed(kind := 'cpu') AS TABLE
      SELECT coalesce(w.process || ';', '') || stack_text(s.frames) AS stack, w.value, w.samples FROM
        (SELECT stack_id, replace(coalesce(process_executable_name, service_name), ';', ':') AS process, sum(value * weight) AS value, sum(count) AS samples
          FROM samples WHERE sample_type = kind GROUP BY ALL) w
        JOIN (SELECT stack_id, any_value(frames) AS frames FROM stacks GROUP BY stack_id) s USING (stack_id)
      ORDER BY w.value DESC`,
  },
  cpu_cores: {
    table: true,
    needs: ['samples'],
    sql: `CREATE TEMP MACRO cpu_cores(width := INTERVAL 1 MINUTE) AS TABLE
      SELECT time_bucket(width, "time") AS bucket, service_name, sum(value * weight) / 1e9 / epoch(width) AS cores
      FROM samples WHERE sample_type = 'cpu' GROUP BY ALL ORDER BY bucket, cores DESC`,
  },
  lost_samples: {
    table: true,
    needs: ['samples'],
    sql: `CREATE TEMP MACRO lost_samples(width := INTERVAL 1 MINUTE) AS TABLE
      SELECT time_bucket(width, "time") AS bucket, host_name, coalesce(attributes['flamelake.lost.reason'], 'unknown') AS reason, sum(value) AS lost
      FROM samples WHERE sample_type = 'lost' GROUP BY ALL ORDER BY bucket, lost DESC`,
  },
} as const;

/** Views and macros by name, as SQL may use them; each with what it is made of. */
const definitions: Readonly<Record<string, { readonly needs: readonly string[]; readonly sql: (plan: SnapshotPlan, locate: Locate) => string }>> = {
  samples: { needs: [], sql: (plan, locate) => `CREATE TEMP VIEW samples AS ${samplesQuery(plan, locate)}` },
  stacks: { needs: [], sql: (plan, locate) => `CREATE TEMP VIEW stacks AS ${stacksQuery(plan, locate)}` },
  ...Object.fromEntries(Object.entries(macros).map(([name, macro]) => [name, { needs: macro.needs, sql: () => macro.sql }])),
};

/**
 * Statements that make the views and macros of these names, in order. Each one costs a look at the footers of all files
 * behind it, so only what is used is made.
 */
export function viewStatements(names: ReadonlySet<string>, plan: SnapshotPlan, locate: Locate): string[] {
  const made = new Set<string>();
  const make = (name: string): string[] => {
    const definition = Object.hasOwn(definitions, name) ? definitions[name]! : undefined;
    if (!definition || made.has(name)) return [];
    made.add(name);
    return [...definition.needs.flatMap(make), definition.sql(plan, locate)];
  };
  return [...names].flatMap(make);
}

export const allViews: ReadonlySet<string> = new Set(Object.keys(definitions));

export function samplesQuery(plan: SnapshotPlan, locate: Locate): string {
  const parts = [emptyTable(sampleColumns), ...recordParts(plan.samples, 'samples', locate), ...hotParts(plan.samples, 'CAST("time" AS DATE)', locate)];
  return `SELECT * FROM (${parts.join(' UNION ALL BY NAME ')}) ${timeFilter(plan.range)}`;
}

/** A hot stack may be in the lake already, or in another hot object: each (date, id) is shown once, the lake's first. */
export function stacksQuery(plan: SnapshotPlan, locate: Locate): string {
  const { records, hot } = stacksParts(plan, locate);
  const filter = dateFilter(plan.range);
  if (hot.length === 0) return `SELECT * FROM (${records.join(' UNION ALL BY NAME ')}) ${filter}`;
  const known = 'SELECT "date", stack_id FROM record_stacks WHERE ("date", stack_id) IN (SELECT "date", stack_id FROM hot_stacks)';
  return `WITH record_stacks AS NOT MATERIALIZED (SELECT * FROM (${records.join(' UNION ALL BY NAME ')}) ${filter}),
    hot_stacks AS (SELECT DISTINCT ON ("date", stack_id) * FROM (${hot.join(' UNION ALL BY NAME ')}) ${filter}),
    known_stacks AS (${known})
    SELECT * FROM record_stacks UNION ALL BY NAME SELECT * FROM hot_stacks ANTI JOIN known_stacks USING ("date", stack_id)`;
}

/** All stacks, some of them more than once: for questions that take any row of an id. */
export function repeatedStacksQuery(plan: SnapshotPlan, locate: Locate): string {
  const { records, hot } = stacksParts(plan, locate);
  return `SELECT * FROM (${[...records, ...hot].join(' UNION ALL BY NAME ')}) ${dateFilter(plan.range)}`;
}

function stacksParts(plan: SnapshotPlan, locate: Locate): { records: string[]; hot: string[] } {
  return {
    records: [emptyTable(stackColumns), ...recordParts(plan.stacks, 'stacks', locate)],
    hot: hotParts(plan.stacks, 'CAST("_date" AS DATE)', locate),
  };
}

/** No rows, but every column with its type: an empty lake answers with empty tables, and an older file's missing column is NULL. */
function emptyTable(columns: readonly Column[]): string {
  const nulls = columns.map((column) => `CAST(NULL AS ${sqlType(column.type)}) AS "${column.name}"`);
  return `SELECT ${nulls.join(', ')}, CAST(NULL AS DATE) AS "date", CAST(NULL AS INTEGER) AS shard WHERE false`;
}

function recordParts(table: TablePlan, name: LakeTable, locate: Locate): string[] {
  const parts: string[] = [];
  if (table.published.length > 0) {
    const files = sqlList(table.published.map(locate));
    parts.push(`SELECT * FROM read_parquet(${files}, union_by_name = true, hive_partitioning = true, hive_types = {date: DATE, shard: INTEGER})`);
  }
  for (const [date, shard, keys] of groupStaged(table.staged)) {
    parts.push(`SELECT *, DATE ${sqlString(date)} AS "date", ${shard} AS shard FROM ${readPrivate(keys, locate)}`);
  }
  if (table.carry.length > 0) parts.push(hotSelect(name === 'samples' ? 'CAST("time" AS DATE)' : 'CAST("_date" AS DATE)', readPrivate(table.carry, locate)));
  return parts;
}

function hotParts(table: TablePlan, date: string, locate: Locate): string[] {
  const whole = table.hot.filter((slice) => slice.whole).map((slice) => slice.key);
  const parts = table.hot
    .filter((slice) => !slice.whole)
    .map((slice) => `${hotSelect(date, readPrivate([slice.key], locate))} WHERE _offset >= ${slice.from} AND _offset < ${slice.to}`);
  if (whole.length > 0) parts.unshift(hotSelect(date, readPrivate(whole, locate)));
  return parts;
}

/** Columns that begin with '_' are private to hot objects. */
const hotSelect = (date: string, from: string) =>
  `SELECT COLUMNS(lambda c: NOT starts_with(c, '_')), ${date} AS "date", CAST(_shard AS INTEGER) AS shard FROM ${from}`;

const readPrivate = (keys: readonly string[], locate: Locate) => `read_parquet(${sqlList(keys.map(locate))}, union_by_name = true, hive_partitioning = false)`;

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

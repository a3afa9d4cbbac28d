// Rows of a lake as the engines give them, held against the rows that were expected: as multisets of
// whole rows, each with its stack looked up. Stack ids are not compared with a copy of the function that
// makes them but by what is promised of them: equal where the stack is, different where it is not.
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { frameColumns, sampleColumns, stackColumns } from '../../schemas/lake/columns.ts';
import type { ExpectedRow, MapText } from '../otlp/expected.ts';
import { type Row, sql } from './flamelake.ts';

export interface LakeRows {
  readonly samples: readonly Row[];
  readonly stacks: readonly Row[];
}

/** The text form of test/engines/read_lake.py, by `flamelake sql`; `where` leaves samples out, and stacks that only they have. */
export async function rowsBySql(dataDir: string, where = 'true'): Promise<LakeRows> {
  const textOf = ({ name, type }: { name: string; type: string }): string => {
    if (type === 'timestamp') return `CAST(epoch_us("${name}") AS VARCHAR) AS "${name}"`;
    if (type === 'double') return `CAST(CAST("${name}" AS BIGINT) AS VARCHAR) AS "${name}"`;
    if (type === 'map') return `CAST(to_json(map_entries("${name}")) AS VARCHAR) AS "${name}"`;
    if (type === 'frames') return `CAST(to_json("${name}") AS VARCHAR) AS "${name}"`;
    return `CAST("${name}" AS VARCHAR) AS "${name}"`;
  };
  const partitions = 'CAST("date" AS VARCHAR) AS "date"';
  const samples = await sql(dataDir, `SELECT ${partitions}, ${sampleColumns.map(textOf).join(', ')} FROM samples WHERE ${where}`);
  const stacks = await sql(
    dataDir,
    `SELECT ${partitions}, ${stackColumns.map(textOf).join(', ')} FROM stacks${where === 'true' ? '' : ` SEMI JOIN (SELECT date, stack_id FROM samples WHERE ${where}) USING (date, stack_id)`}`,
  );
  return { samples: samples.map(fromJsonText), stacks: stacks.map(fromJsonText) };
}

function fromJsonText(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      if (name === 'frames')
        return [name, (JSON.parse(value as string) as Row[]).map((frame) => mapValues(frame, (inner) => (typeof inner === 'number' ? String(inner) : inner)))];
      if (name === 'attributes' || name === 'resource_attributes') return [name, entriesText(value as string | null)];
      return [name, value];
    }),
  );
}

function entriesText(value: string | null): MapText {
  if (value === null) return null;
  const entries = JSON.parse(value) as { key: string; value: string }[];
  return entries.map(({ key, value: inner }) => [key, inner] as const).toSorted(([left], [right]) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
}

const mapValues = (row: Row, change: (value: unknown) => unknown): Row => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, change(value)]));

/** Sample rows in public files, by a plain listing with DuckDB. */
export async function publishedRows(lakeDir: string): Promise<number> {
  if (!existsSync(join(lakeDir, 'samples'))) return 0;
  const connection = await (await DuckDBInstance.create()).connect();
  try {
    const files = globSync('samples/*/*/*.parquet', { cwd: lakeDir });
    if (files.length === 0) return 0;
    const list = files.map((name) => `'${join(lakeDir, name)}'`).join(', ');
    const reader = await connection.runAndReadAll(`SELECT count(*) FROM read_parquet([${list}], union_by_name = true)`);
    return Number(reader.getRows()[0]![0]);
  } finally {
    connection.closeSync();
  }
}

const shownMax = 5;

/** Lines that say where the lake is not what was expected; none when it is exactly that. */
export function differences(lake: LakeRows, expected: readonly ExpectedRow[]): string[] {
  const stacks = stacksById(lake);
  const found: string[] = [...stacks.problems];
  const byKey = new Map<string, { expected: ExpectedRow[]; rows: Row[] }>();
  const entry = (key: string) => {
    const known = byKey.get(key) ?? { expected: [], rows: [] };
    byKey.set(key, known);
    return known;
  };
  for (const row of expected) entry(expectedKey(row)).expected.push(row);
  for (const row of lake.samples) {
    if (row.time === null || String(row.date) !== dateOf(row.time)) found.push(`date ${row.date} with time ${row.time}`);
    const stack = stacks.find(row);
    if (stack === undefined) found.push(`stack ${row.stack_id} of a sample of ${row.date} is not in stacks`);
    entry(rowKey(row, stack)).rows.push(row);
  }
  found.push(...idProblems(byKey.values()), ...unusedStacks(lake));
  const missing = [...byKey].flatMap(([key, { expected: wanted, rows }]) => (wanted.length > rows.length ? [{ key, times: wanted.length - rows.length }] : []));
  const surplus = [...byKey].flatMap(([key, { expected: wanted, rows }]) => (rows.length > wanted.length ? [{ key, times: rows.length - wanted.length }] : []));
  if (missing.length > 0) found.push(`${missing.length} kinds of rows are missing`);
  for (const { key, times } of missing.slice(0, shownMax)) found.push(`${times} x missing: ${nearest(key, surplus)}`);
  if (surplus.length > 0) found.push(`${surplus.length} kinds of rows are too many`);
  if (missing.length === 0) found.push(...surplus.slice(0, shownMax).map(({ key, times }) => `${times} x too many: ${key}`));
  return found;
}

/** A missing row is best understood by the row that came in its place. */
function nearest(key: string, candidates: readonly { readonly key: string }[]): string {
  const cellsOf = (text: string): string[] => {
    const [sample, stack] = JSON.parse(text) as [unknown[], unknown[] | null];
    return [...sample, ...(stack ?? stackCompared.map(() => null))].map((cell) => JSON.stringify(cell));
  };
  const wanted = cellsOf(key);
  const names = [...comparedColumns, ...stackCompared.map((name) => `stack ${name}`)];
  const changes = candidates.map(({ key: candidate }) => {
    const cells = cellsOf(candidate);
    return names.flatMap((name, index) => (cells[index] === wanted[index] ? [] : [`${name}: found ${cells[index]}, expected ${wanted[index]}`]));
  });
  const [best] = changes.sort((left, right) => left.length - right.length);
  return best === undefined ? key : best.join('; ');
}

const dateOf = (micros: unknown): string => new Date(Number(BigInt(micros as string) / 1000n)).toISOString().slice(0, 10);

const comparedColumns = sampleColumns.map((column) => column.name).filter((name) => name !== 'stack_id');
const stackCompared = stackColumns.map((column) => column.name).filter((name) => name !== 'stack_id');
const frameNames = frameColumns.map((column) => column.name);

const isTimeReplaced = (attributes: unknown): boolean => ((attributes ?? []) as [string, string][]).some(([key]) => key === 'flamelake.time_original');

function expectedKey({ sample, stack }: ExpectedRow): string {
  return JSON.stringify([comparedColumns.map((name) => sample[name] ?? null), stackCells(stack as unknown as Row)]);
}

/** Where the log append time took the place of the sample's, nobody knows it before. */
function rowKey(row: Row, stack: Row | undefined): string {
  const cells = comparedColumns.map((name) => (name === 'time' && isTimeReplaced(row.attributes) ? null : (row[name] ?? null)));
  return JSON.stringify([cells, stack === undefined ? null : stackCells(stack)]);
}

function stackCells(stack: Row): unknown {
  return stackCompared.map((name) =>
    name === 'frames' ? (stack.frames as Row[]).map((frame) => frameNames.map((inner) => frame[inner] ?? null)) : (stack[name] ?? null),
  );
}

function stacksById(lake: LakeRows): { find(sample: Row): Row | undefined; problems: string[] } {
  const problems: string[] = [];
  const byId = new Map<string, Row>();
  for (const stack of lake.stacks) {
    const key = `${stack.date}/${stack.stack_id}`;
    if (byId.has(key)) problems.push(`stack ${key} twice`);
    byId.set(key, stack);
    if (!/^[0-9a-f]{32}$/.test(String(stack.stack_id))) problems.push(`stack id ${stack.stack_id} is not 32 hex digits`);
  }
  return { find: (sample) => byId.get(`${sample.date}/${sample.stack_id}`), problems };
}

function unusedStacks(lake: LakeRows): string[] {
  const used = new Set(lake.samples.map((row) => `${row.date}/${row.stack_id}`));
  const unused = lake.stacks.filter((stack) => !used.has(`${stack.date}/${stack.stack_id}`));
  return unused.length === 0 ? [] : [`${unused.length} stacks that no sample uses, e.g. ${unused[0]!.date}/${unused[0]!.stack_id}`];
}

/** One id for each stack, one beginning for each service, and never the same for two. */
function idProblems(entries: Iterable<{ expected: readonly ExpectedRow[]; rows: readonly Row[] }>): string[] {
  const ids = new Map<string, Set<string>>();
  const services = new Map<string, Set<string>>();
  const add = (map: Map<string, Set<string>>, key: string, value: string) => map.set(key, (map.get(key) ?? new Set()).add(value));
  for (const { expected, rows } of entries) {
    const [wanted] = expected;
    if (wanted === undefined) continue;
    for (const row of rows) {
      add(ids, wanted.stackKey, String(row.stack_id));
      add(services, wanted.serviceKey, String(row.stack_id).slice(0, 8));
    }
  }
  return [...oneToOne('stack', ids), ...oneToOne('service', services)];
}

function* oneToOne(what: string, map: ReadonlyMap<string, ReadonlySet<string>>): Generator<string> {
  const owners = new Map<string, string>();
  for (const [key, values] of map) {
    if (values.size > 1) yield `one ${what} has the ids ${[...values].join(', ')}: ${key}`;
    for (const value of values) {
      const owner = owners.get(value);
      if (owner !== undefined && owner !== key) yield `the id ${value} stands for two of ${what}: ${owner} and ${key}`;
      owners.set(value, key);
    }
  }
}

// The stacks of a time range with their weight, as columns: what flame graphs and tables are made of.
// DuckDB adds up and numbers the frames, so that a frame crosses into JavaScript once and a stack is
// a run of integers.
import { DuckDBDoubleVector, DuckDBIntegerVector } from '@duckdb/node-api';
import { PipelineError } from '../lib/errors.ts';
import type { Session } from './engine.ts';
import { defaultType, type Filter, filterWhere } from './filter.ts';
import { limits } from './limits.ts';
import type { SampleSource } from './source.ts';

/** How the first level under the root is cut. */
export const groupings = ['process', 'service', 'host', 'none'] as const;
export type Grouping = (typeof groupings)[number];

/** One entry per distinct frame. Frames without a name are told apart by address; named ones are not. */
export interface FrameTable {
  readonly length: number;
  readonly function: readonly (string | null)[];
  readonly file: readonly (string | null)[];
  readonly mapping: readonly (string | null)[];
  /** profile.frame.type: native, kernel, jvm, … */
  readonly type: readonly (string | null)[];
  readonly inlined: readonly boolean[];
  /** Only where there is no function. */
  readonly address: readonly (string | null)[];
}

/** Index into WeightedStacks.stacks for samples whose stack is in no file (a damaged lake): shown, never dropped. */
export const missingStack = -1;

export interface WeightedStacks {
  readonly type: string;
  readonly unit: string;
  readonly frames: FrameTable;
  /** Stack i is frame[start[i] .. start[i + 1]), leaf first. */
  readonly stacks: { readonly length: number; readonly start: Int32Array; readonly frame: Int32Array; readonly cut: readonly (string | null)[] };
  readonly groups: readonly string[];
  /** One row for each (stack, group). */
  readonly rows: {
    readonly length: number;
    readonly stack: Int32Array;
    readonly group: Int32Array;
    readonly value: Float64Array;
    readonly samples: Float64Array;
  };
  /** What did not fit under limits.stacksMax, by weight the smallest. */
  readonly omitted: { readonly stacks: number; readonly value: number; readonly samples: number };
}

const groupColumns: Record<Grouping, string> = {
  process: "coalesce(process_executable_name, service_name, '[unknown process]')",
  service: "coalesce(service_name, '[unknown service]')",
  host: "coalesce(host_name, host_id, '[unknown host]')",
  none: "''",
};

export interface StacksQuestion {
  readonly samples: SampleSource;
  /** All stacks of the snapshot, repeated or not (repeatedStacksQuery). */
  readonly stacks: string;
  readonly filter: Filter;
  readonly grouping: Grouping;
}

/** Leaves its temporary tables to the session; asked again in one session it makes them anew. */
export async function loadWeightedStacks(session: Session, question: StacksQuestion): Promise<WeightedStacks> {
  const typed = { ...question.filter, type: question.filter.type ?? defaultType };
  const { where, values } = filterWhere(typed);
  await session.run(
    `CREATE OR REPLACE TEMP TABLE weighed AS SELECT min("date") AS "date", stack_id, ${groupColumns[question.grouping]} AS grp, any_value(sample_unit) AS unit,
      sum(weighted) AS value, sum(events) AS samples FROM ${question.samples} ${where} GROUP BY stack_id, grp, sample_unit`,
    values,
  );
  const unit = await unitOf(session, typed.type);
  const omitted = await pickStacks(session, question.stacks);
  const [[frameCount] = [0]] = await session.rows('SELECT count(*)::DOUBLE FROM flat');
  if (Number(frameCount) > limits.framesMax) {
    throw new PipelineError(
      'query_failed',
      `${String(frameCount)} frames are asked for, at most ${limits.framesMax} are added up at once; narrow the time range or the filter`,
    );
  }
  const frames = await readFrames(session);
  const stacks = await readStacks(session);
  const groups = await session.rows('SELECT grp FROM (SELECT DISTINCT grp FROM weighed) ORDER BY grp');
  const rows = await readRows(session);
  return { type: typed.type, unit, frames, stacks, groups: groups.map(([group]) => String(group)), rows, omitted };
}

/** A type has one unit; where senders disagree, values cannot be added up. */
async function unitOf(session: Session, type: string): Promise<string> {
  const units = (await session.rows('SELECT DISTINCT unit FROM weighed ORDER BY unit')).map(([unit]) => String(unit));
  if (units.length > 1) {
    throw new PipelineError('query_failed', `samples of type ${type} have the units ${units.join(', ')} here, which cannot be added up; narrow the filter`);
  }
  return units[0] ?? (type === defaultType ? 'nanoseconds' : 'count');
}

/** Makes `picked` (id, stack_id, cut) and `flat` (their frames), the heaviest stacks first, and says what was left out. */
async function pickStacks(session: Session, stacksQuery: string): Promise<WeightedStacks['omitted']> {
  await session.run(`CREATE OR REPLACE TEMP TABLE ranked AS SELECT stack_id, sum(value) AS value, sum(samples) AS samples FROM weighed GROUP BY stack_id
    ORDER BY value DESC, stack_id OFFSET ${limits.stacksMax}`);
  const [left] = await session.rows('SELECT count(*)::DOUBLE, coalesce(sum(value), 0), coalesce(sum(samples), 0) FROM ranked');
  const [stacks, value, samples] = left!.map(Number) as [number, number, number];
  if (stacks > 0) await session.run('DELETE FROM weighed WHERE stack_id IN (SELECT stack_id FROM ranked)');
  // A stack is stored once a date: one of its dates is enough.
  const wanted = `FROM (${stacksQuery}) WHERE ("date", stack_id) IN (SELECT min("date"), stack_id FROM weighed GROUP BY stack_id)`;
  await session.run(`CREATE OR REPLACE TEMP TABLE picked AS SELECT CAST(row_number() OVER (ORDER BY stack_id) - 1 AS INTEGER) AS id, stack_id, cut FROM
    (SELECT stack_id, max(nullif(cut, '')) AS cut ${wanted} GROUP BY stack_id)`);
  // The lists of frames are taken apart while they are read: to sort or compare them whole costs three times as much.
  await session.run(`CREATE OR REPLACE TEMP TABLE flat AS SELECT occurrence, stack_id, position, ${frameKey} FROM
    (SELECT row_number() OVER () AS occurrence, stack_id, generate_subscripts(frames, 1) AS position, unnest(frames) AS frame ${wanted})`);
  return { stacks, value, samples };
}

/** Frames without a name are told apart by address, the others not. */
const frameKey = `nullif(frame."function", '') AS fn, nullif(frame.file, '') AS file, nullif(frame.mapping, '') AS mapping, nullif(frame.type, '') AS type,
  coalesce(frame.inlined, false) AS inlined, CASE WHEN nullif(frame."function", '') IS NULL THEN nullif(frame.address, '') END AS address`;
const frameFields = ['fn', 'file', 'mapping', 'type', 'inlined', 'address'] as const;

async function readFrames(session: Session): Promise<FrameTable> {
  const fields = frameFields.join(', ');
  await session.run(
    `CREATE OR REPLACE TEMP TABLE numbered AS SELECT CAST(row_number() OVER () - 1 AS INTEGER) AS frame_id, * FROM (SELECT DISTINCT ${fields} FROM flat)`,
  );
  const rows = await session.rows(`SELECT ${fields} FROM numbered ORDER BY frame_id`);
  const text = (column: number) => rows.map((row) => (row[column] === null ? null : String(row[column])));
  return {
    length: rows.length,
    function: text(0),
    file: text(1),
    mapping: text(2),
    type: text(3),
    inlined: rows.map((row) => row[4] === true),
    address: text(5),
  };
}

async function readStacks(session: Session): Promise<WeightedStacks['stacks']> {
  const cuts = await session.rows('SELECT cut FROM picked ORDER BY id');
  const same = frameFields.map((name) => `n.${name} IS NOT DISTINCT FROM f.${name}`).join(' AND ');
  // A stack may be there twice (in hot and in the lake): the first occurrence of each is taken.
  const [ids, frame] = await readIntegers(
    session,
    `SELECT p.id, n.frame_id FROM flat f SEMI JOIN (SELECT min(occurrence) AS occurrence FROM flat GROUP BY stack_id) USING (occurrence)
      JOIN picked p USING (stack_id) JOIN numbered n ON ${same} ORDER BY p.id, f.position`,
    2,
  );
  const start = new Int32Array(cuts.length + 1);
  for (const id of ids!) start[id + 1]!++;
  for (let stack = 0; stack < cuts.length; stack++) start[stack + 1]! += start[stack]!;
  return { length: cuts.length, start, frame: frame!, cut: cuts.map(([cut]) => (cut === null ? null : String(cut))) };
}

async function readRows(session: Session): Promise<WeightedStacks['rows']> {
  const from = `weighed w LEFT JOIN picked p USING (stack_id) JOIN (SELECT grp, CAST(row_number() OVER (ORDER BY grp) - 1 AS INTEGER) AS group_id
    FROM (SELECT DISTINCT grp FROM weighed)) g USING (grp)`;
  await session.run(`CREATE OR REPLACE TEMP TABLE weighed_rows AS SELECT coalesce(p.id, ${missingStack}) AS id, group_id, w.value, w.samples FROM ${from}`);
  const order = 'ORDER BY id, group_id, value, samples';
  const [stack, group] = await readIntegers(session, `SELECT id, group_id FROM weighed_rows ${order}`, 2);
  const [value, samples] = await readDoubles(session, `SELECT value, samples FROM weighed_rows ${order}`, 2);
  return { length: stack!.length, stack: stack!, group: group!, value: value!, samples: samples! };
}

const readIntegers = (session: Session, sql: string, columns: number): Promise<Int32Array[]> =>
  readColumns(session, sql, columns, Int32Array, DuckDBIntegerVector);
const readDoubles = (session: Session, sql: string, columns: number): Promise<Float64Array[]> =>
  readColumns(session, sql, columns, Float64Array, DuckDBDoubleVector);

/** Columns without NULLs straight into typed arrays. */
async function readColumns<T extends { [index: number]: number }>(
  session: Session,
  sql: string,
  columns: number,
  Lane: new (length: number) => T,
  Vector: abstract new (...values: never[]) => { getItem(index: number): number | null },
): Promise<T[]> {
  const chunks = await session.guard(async () => (await session.connection.run(sql)).fetchAllChunks());
  const length = chunks.reduce((sum, chunk) => sum + chunk.rowCount, 0);
  const lanes = Array.from({ length: columns }, () => new Lane(length));
  let row = 0;
  for (const chunk of chunks) {
    for (const [column, lane] of lanes.entries()) {
      const vector = chunk.getColumnVector(column);
      if (!(vector instanceof Vector)) throw new TypeError(`column ${column} of ${sql} has another type than its reader`);
      for (let index = 0; index < chunk.rowCount; index++) (lane as { [index: number]: number })[row + index] = vector.getItem(index) as number;
    }
    row += chunk.rowCount;
  }
  return lanes;
}

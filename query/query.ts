// The query stage as a library: what the `flamelake` command and the HTTP server ask. Each question
// takes a fresh snapshot of the lake's names and reads exactly those files; where one went away in
// between (retention, an old hot object), it starts anew.
import { type DuckDBPreparedStatement, StatementType } from '@duckdb/node-api';
import { PipelineError } from '../lib/errors.ts';
import { openStore } from '../lib/store/open.ts';
import type { Store } from '../lib/store/store.ts';
import { type Activity, readActivity } from './activity.ts';
import { Session } from './engine.ts';
import { checkFilter, type Filter, filterRange } from './filter.ts';
import { buildFlameGraph, type FlameGraph } from './flamegraph.ts';
import { type Labels, readLabels } from './labels.ts';
import { isVanished, readSnapshot, vanishedError } from './lake-listing.ts';
import { limits } from './limits.ts';
import { plannedKeys, type SnapshotPlan, type TimeRange } from './snapshot.ts';
import { buildTop, type TopResult } from './top.ts';
import { checkUserSql } from './user-sql.ts';
import { type Json, toJson } from './values.ts';
import { repeatedStacksQuery, viewStatements } from './views.ts';
import { type Grouping, loadWeightedStacks } from './weighted-stacks.ts';

export interface SqlResult {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly Json[])[];
  /** More rows were there than were asked for. */
  readonly truncated: boolean;
}

export interface AskOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface SqlOptions extends AskOptions {
  /** Rows outside of [from, to) are not in the views at all. */
  readonly fromMillis?: number | undefined;
  readonly toMillis?: number | undefined;
  /** Default limits.rowsDefault. */
  readonly rowsMax?: number | undefined;
}

export interface TopAskOptions extends AskOptions {
  readonly byProcess?: boolean | undefined;
}

export interface FlameGraphAskOptions extends AskOptions {
  /** What stands under the root; default process. */
  readonly groupBy?: Grouping | undefined;
  /** Default limits.nodesDefault. */
  readonly nodesMax?: number | undefined;
}

/** Errors are PipelineError: `query_failed` for what the asker can mend, `lake_version`, and those of the store. */
export interface Query {
  sql(text: string, options?: SqlOptions): Promise<SqlResult>;
  /** Functions by self time, heaviest first. */
  top(filter: Filter, limit?: number, options?: TopAskOptions): Promise<TopResult>;
  flamegraph(filter: Filter, options?: FlameGraphAskOptions): Promise<FlameGraph>;
  /** Hosts, services, processes and types that there are, each under the other fields of the filter. */
  labels(filter: Filter, options?: AskOptions): Promise<Labels>;
  /** How much arrives, how fresh it is, what is lost. */
  activity(range: { fromMillis: number; toMillis: number }, options?: AskOptions): Promise<Activity>;
  /** For `lake check` and `lake stats`. */
  readonly store: Store;
  close(): Promise<void>;
}

export async function openQuery(options: { store: string }): Promise<Query> {
  const store = await openStore(options.store, { readOnly: true });
  return {
    store,
    sql: (text, ask = {}) => runSql(store, text, ask),
    top: (filter, limit = limits.topDefault, ask = {}) => readTop(store, filter, limit, ask),
    flamegraph: (filter, ask = {}) => readFlameGraph(store, filter, ask),
    labels: (filter, ask = {}) => {
      checkFilter(filter);
      return withSnapshot(store, filterRange(filter), limits.viewMillisMax, ask.signal, (session) => readLabels(session, filter));
    },
    activity: (range, ask = {}) => {
      checkFilter(range);
      return withSnapshot(store, range, limits.viewMillisMax, ask.signal, (session, plan) => readActivity(session, range, plan));
    },
    close: () => store.close(),
  };
}

/** Opens a session over a fresh snapshot, with its views; anew where a file went away meanwhile. */
async function withSnapshot<T>(
  store: Store,
  range: TimeRange,
  timeoutMillis: number,
  signal: AbortSignal | undefined,
  work: (session: Session, plan: SnapshotPlan) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      const plan = await readSnapshot(store, range);
      return await inSession(store, plan, timeoutMillis, signal, work);
    } catch (error) {
      if (!isVanished(error)) throw error;
      if (attempt >= limits.snapshotAttempts) throw vanishedError(error);
    }
  }
}

async function inSession<T>(
  store: Store,
  plan: SnapshotPlan,
  timeoutMillis: number,
  signal: AbortSignal | undefined,
  work: (session: Session, plan: SnapshotPlan) => Promise<T>,
): Promise<T> {
  const locate = (key: string) => store.locate(key);
  const session = await Session.open({ files: plannedKeys(plan).map(locate), timeoutMillis, signal });
  try {
    for (const statement of viewStatements(plan, locate)) await session.run(statement);
    return await work(session, plan);
  } finally {
    await session.close();
  }
}

async function runSql(store: Store, text: string, options: SqlOptions): Promise<SqlResult> {
  const range = { fromMillis: options.fromMillis ?? null, toMillis: options.toMillis ?? null };
  const rowsMax = Math.min(options.rowsMax ?? limits.rowsDefault, limits.rowsMax);
  return withSnapshot(store, range, limits.sqlMillisMax, options.signal, async (session) => {
    await checkUserSql(session, text);
    const statement = await session.prepare(text);
    const allowed = statement.statementType === StatementType.SELECT || statement.statementType === StatementType.EXPLAIN;
    if (!allowed || statement.parameterCount > 0) {
      throw new PipelineError('query_failed', allowed ? 'the SQL has parameters ($1, ?), but no values can be given here' : 'only SELECT is run here');
    }
    return session.guard(() => collectRows(statement, rowsMax));
  });
}

async function collectRows(statement: DuckDBPreparedStatement, rowsMax: number): Promise<SqlResult> {
  const result = await statement.stream();
  const columns = result.columnNames().map((name, index) => ({ name, type: result.columnType(index).toString() }));
  const rows: Json[][] = [];
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) return { columns, rows, truncated: false };
    for (const row of chunk.getRows()) {
      if (rows.length >= rowsMax) return { columns, rows, truncated: true };
      rows.push(row.map(toJson));
    }
  }
}

async function readTop(store: Store, filter: Filter, limit: number, options: TopAskOptions): Promise<TopResult> {
  const byProcess = options.byProcess ?? false;
  const stacks = await readStacks(store, filter, byProcess ? 'process' : 'none', options.signal);
  return buildTop(stacks, { ...filterSpan(filter), limit: Math.min(limit, limits.topMax), byProcess });
}

async function readFlameGraph(store: Store, filter: Filter, options: FlameGraphAskOptions): Promise<FlameGraph> {
  const groupedBy = options.groupBy ?? 'process';
  const stacks = await readStacks(store, filter, groupedBy, options.signal);
  return buildFlameGraph(stacks, { ...filterSpan(filter), groupedBy, nodesMax: Math.min(options.nodesMax ?? limits.nodesDefault, limits.nodesMax) });
}

function readStacks(store: Store, filter: Filter, grouping: Grouping, signal: AbortSignal | undefined) {
  checkFilter(filter);
  return withSnapshot(store, filterRange(filter), limits.viewMillisMax, signal, async (session, plan) => {
    await session.run(`CREATE TEMP VIEW repeated_stacks AS ${repeatedStacksQuery(plan, (key) => store.locate(key))}`);
    return loadWeightedStacks(session, filter, grouping);
  });
}

const filterSpan = ({ fromMillis, toMillis }: Filter) => ({ fromMillis, toMillis });

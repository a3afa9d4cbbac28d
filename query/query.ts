// The query stage as a library: what the `flamelake` command and the HTTP server ask. Each question
// takes a fresh snapshot of the lake's names and reads exactly those files; where one went away in
// between (retention, an old hot object), it starts anew.
import type { Logger } from '../lib/logger.ts';
import { openStore } from '../lib/store/open.ts';
import type { Store } from '../lib/store/store.ts';
import { type Activity, readActivity } from './activity.ts';
import { Session } from './engine.ts';
import { checkFilter, type Filter, filterRange } from './filter.ts';
import { buildFlameGraph, type FlameGraph } from './flamegraph.ts';
import { HotCache } from './hot-cache.ts';
import { type Labels, readLabels } from './labels.ts';
import { isVanished, readSnapshot, vanishedError } from './lake-listing.ts';
import { limits } from './limits.ts';
import { scratchPlace } from './scratch.ts';
import { plannedKeys, type SnapshotPlan, type TimeRange } from './snapshot.ts';
import { addUpSamples, type SampleSource, sampleRows } from './source.ts';
import { SqlProcesses } from './sql-processes.ts';
import { buildTop, type TopResult } from './top.ts';
import type { SqlColumn } from './user-query.ts';
import type { Json } from './values.ts';
import { isMixedSchema, type Locate, type Reading, repeatedStacksQuery } from './views.ts';
import { type Grouping, loadWeightedStacks, type WeightedStacks } from './weighted-stacks.ts';

export interface SqlResult {
  readonly columns: readonly SqlColumn[];
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
  /** Of the rows as JSON text; default limits.answerBytesMax. */
  readonly bytesMax?: number | undefined;
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

export interface Overview {
  readonly graph: FlameGraph;
  readonly top: TopResult;
  readonly labels: Labels;
  readonly activity: Activity;
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
  /** All of the above that a page shows, of one moment, for the price of one reading. */
  overview(filter: Filter, limit?: number, options?: FlameGraphAskOptions & TopAskOptions): Promise<Overview>;
  /** For `lake check` and `lake stats`. */
  readonly store: Store;
  close(): Promise<void>;
}

export interface OpenQueryOptions {
  /** URL. */
  readonly store: string;
  /** For who asks again and again: merges the local files that stand in for hot objects. */
  readonly keepHot?: boolean | undefined;
  readonly logger?: Logger | undefined;
}

export async function openQuery(options: OpenQueryOptions): Promise<Query> {
  const store = await openStore(options.store, { readOnly: true });
  const scratch = scratchPlace(store);
  const lake: Lake = {
    store,
    scratch,
    sqlProcesses: new SqlProcesses(options.logger),
    locate: (key) => (key.startsWith('/') ? key : store.locate(key)),
    hot: new HotCache({ store, place: scratch, merges: options.keepHot ?? false, logger: options.logger }),
    uniform: true,
  };
  return {
    store,
    sql: (text, ask = {}) => runSql(lake, text, ask),
    top: (filter, limit = limits.topDefault, ask = {}) =>
      inView(lake, filter, ask, async (view) => topOf(await weighted(view, ask.byProcess ? 'process' : 'none'), filter, limit, ask.byProcess ?? false)),
    flamegraph: (filter, ask = {}) => inView(lake, filter, ask, async (view) => graphOf(await weighted(view, ask.groupBy ?? 'process'), filter, ask)),
    labels: (filter, ask = {}) => inView(lake, filter, ask, async (view) => readLabels(view.session, await addUpSamples(view.session, view.samples), filter)),
    activity: (range, ask = {}) => inView(lake, range, ask, (view) => readActivity(view.session, view.samples, range, view.plan)),
    overview: (filter, limit = limits.topDefault, ask = {}) =>
      inView(lake, filter, ask, async (rows) => readOverview({ ...rows, samples: await addUpSamples(rows.session, rows.samples) }, filter, limit, ask)),
    close: async () => {
      lake.sqlProcesses.close();
      await lake.hot.close();
      await store.close();
    },
  };
}

/** A session over a snapshot, asked about the samples of a filter's time range. */
interface View {
  readonly session: Session;
  readonly plan: SnapshotPlan;
  readonly samples: SampleSource;
  readonly stacks: string;
  readonly filter: Filter;
}

/** Where questions go: the store, how a key becomes a path, merged hot objects where they are kept. */
interface Lake {
  readonly store: Store;
  readonly locate: Locate;
  readonly hot: HotCache;
  readonly scratch: string;
  readonly sqlProcesses: SqlProcesses;
  /** Until a file says otherwise. */
  uniform: boolean;
}

async function inView<T>(lake: Lake, filter: Filter, ask: AskOptions, work: (view: View) => Promise<T>): Promise<T> {
  checkFilter(filter);
  return withSnapshot(lake, filterRange(filter), (plan) =>
    inSession(lake, plan, ask.signal, (session, reading) =>
      work({ session, plan: reading.plan, filter, samples: sampleRows(reading), stacks: repeatedStacksQuery(reading) }),
    ),
  );
}

const weighted = ({ session, samples, stacks, filter }: View, grouping: Grouping) => loadWeightedStacks(session, { samples, stacks, filter, grouping });

function topOf(stacks: WeightedStacks, { fromMillis, toMillis }: Filter, limit: number, byProcess: boolean): TopResult {
  return buildTop(stacks, { fromMillis, toMillis, limit: Math.min(limit, limits.topMax), byProcess });
}

function graphOf(stacks: WeightedStacks, { fromMillis, toMillis }: Filter, ask: FlameGraphAskOptions): FlameGraph {
  const nodesMax = Math.min(ask.nodesMax ?? limits.nodesDefault, limits.nodesMax);
  return buildFlameGraph(stacks, { fromMillis, toMillis, groupedBy: ask.groupBy ?? 'process', nodesMax });
}

async function readOverview(view: View, filter: Filter, limit: number, ask: FlameGraphAskOptions & TopAskOptions): Promise<Overview> {
  const grouping = ask.groupBy ?? 'process';
  const byProcess = ask.byProcess ?? false;
  const stacks = await weighted(view, grouping);
  const graph = graphOf(stacks, filter, ask);
  const top = topOf(byProcess && grouping !== 'process' ? await weighted(view, 'process') : stacks, filter, limit, byProcess);
  const labels = await readLabels(view.session, view.samples, filter);
  return { graph, top, labels, activity: await readActivity(view.session, view.samples, filter, view.plan) };
}

/** Asks a fresh snapshot; anew where a file went away meanwhile. */
async function withSnapshot<T>(lake: Lake, range: TimeRange, ask: (plan: SnapshotPlan) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      const listed = await readSnapshot(lake.store, range);
      const plan = await lake.hot.localize(listed);
      const answer = await ask(plan);
      lake.hot.offer(listed);
      return answer;
    } catch (error) {
      if (lake.uniform && isMixedSchema(error)) {
        lake.uniform = false;
        continue;
      }
      if (!isVanished(error)) throw error;
      if (attempt >= limits.snapshotAttempts) throw vanishedError(error);
      lake.hot.forget();
    }
  }
}

async function inSession<T>(
  { locate, uniform, scratch }: Lake,
  plan: SnapshotPlan,
  signal: AbortSignal | undefined,
  work: (session: Session, reading: Reading) => Promise<T>,
): Promise<T> {
  const session = await Session.open({ files: plannedKeys(plan).map(locate), timeoutMillis: limits.viewMillisMax, signal, scratch });
  try {
    return await work(session, { plan, locate, uniform });
  } finally {
    await session.close();
  }
}

async function runSql(lake: Lake, text: string, options: SqlOptions): Promise<SqlResult> {
  const range = { fromMillis: options.fromMillis ?? null, toMillis: options.toMillis ?? null };
  const rowsMax = Math.min(options.rowsMax ?? limits.rowsDefault, limits.rowsMax);
  const query = { text, rowsMax, bytesMax: options.bytesMax ?? limits.answerBytesMax };
  const order = { store: lake.store.url, scratch: lake.scratch, query, timeoutMillis: limits.sqlMillisMax };
  return withSnapshot(lake, range, (plan) => lake.sqlProcesses.run({ ...order, plan, uniform: lake.uniform }, options.signal));
}

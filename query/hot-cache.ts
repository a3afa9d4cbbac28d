// Hot objects are row messages (schemas/hot), which DuckDB does not read: each is written once into local
// Parquet files, those that come with one question together (a run). A server that is asked again and
// again merges its small runs into few, since opening a file costs more than the rows in it.
import { mkdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { PipelineError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Store } from '../lib/store/store.ts';
import { type LakeTable, lakeTables } from '../schemas/lake/paths.ts';
import { Session } from './engine.ts';
import { tableFile, writeHotFiles } from './hot-files.ts';
import { type HotRun, type MergeWork, missingGroups, nextMerge, withRuns } from './hot-runs.ts';
import { limits } from './limits.ts';
import { makeScratch, type Scratch, spillRoom } from './scratch.ts';
import type { HotSlice, SnapshotPlan } from './snapshot.ts';
import { sqlString } from './sql-text.ts';
import { hotRows } from './views.ts';

interface Run extends HotRun {
  /** In the order in which they were made. */
  readonly number: number;
  readonly tables: readonly LakeTable[];
}

export interface HotCacheOptions {
  readonly store: Store;
  /** Where its folder is made. */
  readonly place: string;
  /** Whether small runs are merged: for who asks again and again. */
  readonly merges: boolean;
  readonly logger: Logger | undefined;
}

export class HotCache {
  readonly #options: HotCacheOptions;
  #scratch: Scratch | undefined;
  #runs: readonly Run[] = [];
  /** Questions make what they lack one after the other, so that none makes what another has made. */
  #making: Promise<unknown> = Promise.resolve();
  #merging: Promise<void> | undefined;
  #closed = false;
  #made = 0;

  constructor(options: HotCacheOptions) {
    this.#options = options;
  }

  /** The plan with local files in place of its hot objects. Fails with store_missing where one went away. */
  async localize(plan: SnapshotPlan): Promise<SnapshotPlan> {
    const work = this.#making.then(async () => {
      for (const group of missingGroups(withRuns(plan.samples.hot, this.#runs), this.#runs)) await this.#make(group);
      return this.#local(plan);
    });
    this.#making = work.catch(() => {});
    return work;
  }

  /** Merges in the background what this plan had to open one by one, and drops runs that it has no use for. */
  offer(plan: SnapshotPlan): void {
    if (!this.#options.merges || this.#merging !== undefined || this.#closed) return;
    const slices = withRuns(plan.samples.hot, this.#runs);
    const work = nextMerge(slices, this.#runs, limits.hotMergeLeast, limits.hotRunRowsMax);
    const used = new Set(slices.map((slice) => slice.key));
    if (work === null && this.#runs.every((run) => used.has(run.path))) return;
    this.#merging = (work === null ? this.#drop(used, this.#made) : this.#merge(work, used, this.#made))
      .catch((error: unknown) => this.#options.logger?.debug('hot objects were not merged', { error: error instanceof Error ? error.message : String(error) }))
      .finally(() => {
        this.#merging = undefined;
      });
  }

  /** After a file was not there: whatever happened to ours, the lake's own objects are read again. */
  forget(): void {
    this.#runs = [];
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#merging;
    await this.#making;
    await this.#scratch?.remove();
  }

  #local(plan: SnapshotPlan): SnapshotPlan {
    const runOf = new Map(this.#runs.map((run) => [run.path, run]));
    const slices = withRuns(plan.samples.hot, this.#runs);
    const [samples, stacks] = lakeTables.map((table) => ({
      ...plan[table],
      hot: slices.filter((slice) => runOf.get(slice.key)!.tables.includes(table)).map((slice) => ({ ...slice, key: tableFile(slice.key, table) })),
    }));
    return { ...plan, samples: samples!, stacks: stacks! };
  }

  async #make(slices: readonly HotSlice[]): Promise<void> {
    const room = Math.min(limits.hotCacheBytesMax, spillRoom(this.#options.place));
    const bytes = this.#runs.reduce((sum, run) => sum + run.bytes, 0);
    if (bytes > room) {
      throw new PipelineError(
        'query_failed',
        `rows that are not published yet take ${bytes} bytes of local files, at most ${room} are there for them; wait for the next publication`,
      );
    }
    const { number, folder } = await this.#newFolder();
    const files = await writeHotFiles(this.#options.store, slices, folder);
    this.#runs = [...this.#runs, { ...files, number, shard: slices[0]!.shard, path: folder, merged: false, sources: slices }];
  }

  async #newFolder(): Promise<{ number: number; folder: string }> {
    this.#scratch ??= await makeScratch(this.#options.place);
    const number = ++this.#made;
    const folder = path.join(this.#scratch.folder, `run-${number}`);
    await mkdir(folder, { recursive: true });
    return { number, folder };
  }

  async #merge(work: MergeWork, used: ReadonlySet<string>, madeBefore: number): Promise<void> {
    const { number, folder } = await this.#newFolder();
    const runOf = new Map(this.#runs.map((run) => [run.path, run]));
    const tables = lakeTables.filter((table) => work.read.some((slice) => runOf.get(slice.key)!.tables.includes(table)));
    let rows = 0;
    let bytes = 0;
    for (const table of tables) {
      const slices = work.read.filter((slice) => runOf.get(slice.key)!.tables.includes(table)).map((slice) => ({ ...slice, key: tableFile(slice.key, table) }));
      const file = tableFile(folder, table);
      const count = await copyRows(slices, file, this.#options.place);
      if (table === 'samples') rows = count;
      bytes += (await stat(file)).size;
    }
    const run: Run = { number, shard: work.shard, path: folder, rows, bytes, tables, merged: true, sources: work.sources };
    this.#runs = [...this.#runs, run];
    // What was read into the new one is of no use any more; who still reads one starts anew.
    const read = new Set(work.read.map((slice) => slice.key));
    await this.#drop(new Set([...used].filter((key) => !read.has(key))), madeBefore);
  }

  /** Drops runs that are not used; those made since, for a later plan, stay. */
  async #drop(used: ReadonlySet<string>, madeBefore: number): Promise<void> {
    const gone = this.#runs.filter((run) => !used.has(run.path) && run.number <= madeBefore);
    this.#runs = this.#runs.filter((run) => !gone.includes(run));
    for (const { path: folder } of gone) await rm(folder, { recursive: true, force: true });
  }
}

/** Rows of the slices as one file in the same shape; gives their number. */
async function copyRows(slices: readonly HotSlice[], file: string, scratch: string): Promise<number> {
  const session = await Session.open({ files: [...slices.map((slice) => slice.key), file], timeoutMillis: limits.viewMillisMax, scratch });
  try {
    await session.run(`COPY (${hotRows(slices, (key) => key)}) TO ${sqlString(file)} (FORMAT parquet, COMPRESSION lz4_raw)`);
    const [row] = await session.rows(`SELECT num_rows::DOUBLE FROM parquet_file_metadata(${sqlString(file)})`);
    return Number(row![0]);
  } finally {
    await session.close();
  }
}

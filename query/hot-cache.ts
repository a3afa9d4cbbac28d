// For a server that is asked again and again: hot objects, one every few seconds, are merged into few
// local files, since opening a file costs more than the rows in it. Measured with 300 + 300 objects: a
// question of the page takes a quarter of the CPU. A one-shot command reads the objects as they are.
import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '../lib/logger.ts';
import { type LakeTable, lakeTables } from '../schemas/lake/paths.ts';
import { Session } from './engine.ts';
import { type HotRun, type MergeWork, nextMerge, withRuns } from './hot-runs.ts';
import { limits } from './limits.ts';
import { makeScratch, type Scratch, spillRoom } from './scratch.ts';
import type { HotSlice, SnapshotPlan } from './snapshot.ts';
import { sqlString } from './sql-text.ts';
import { hotRows, type Locate } from './views.ts';

export class HotCache {
  readonly #place: string;
  readonly #scratch: Scratch;
  readonly #logger: Logger | undefined;
  #runs: Record<LakeTable, HotRun[]> = { samples: [], stacks: [] };
  #merging: Promise<void> | undefined;
  #closed = false;
  #made = 0;

  private constructor(place: string, scratch: Scratch, logger: Logger | undefined) {
    this.#place = place;
    this.#scratch = scratch;
    this.#logger = logger;
  }

  static async open(place: string, logger?: Logger): Promise<HotCache> {
    return new HotCache(place, await makeScratch(place), logger);
  }

  apply(plan: SnapshotPlan): SnapshotPlan {
    const [samples, stacks] = lakeTables.map((table) => ({ ...plan[table], hot: withRuns(plan[table].hot, this.#runs[table]) }));
    return { ...plan, samples: samples!, stacks: stacks! };
  }

  /** Merges in the background what this plan (after `apply`) had to open one by one. */
  offer(plan: SnapshotPlan, locate: Locate): void {
    if (this.#merging || this.#closed) return;
    for (const table of lakeTables) {
      const used = new Set(plan[table].hot.map((slice) => slice.key));
      const work = nextMerge(plan[table].hot, this.#runs[table], limits.hotMergeLeast, limits.hotRunRowsMax);
      if (!work || this.#bytes() > Math.min(limits.hotCacheBytesMax, spillRoom(this.#place))) continue;
      this.#merging = this.#merge(table, work, used, locate)
        .catch((error: unknown) => this.#logger?.debug('hot objects were not merged', { error: error instanceof Error ? error.message : String(error) }))
        .finally(() => {
          this.#merging = undefined;
        });
      return;
    }
  }

  /** After a file was not there: whatever happened to ours, the lake's own objects are read again. */
  forget(): void {
    this.#runs = { samples: [], stacks: [] };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#merging;
    await this.#scratch.remove();
  }

  #bytes(): number {
    return lakeTables.flatMap((table) => this.#runs[table]).reduce((sum, run) => sum + run.bytes, 0);
  }

  async #merge(table: LakeTable, work: MergeWork, used: ReadonlySet<string>, locate: Locate): Promise<void> {
    const file = path.join(this.#scratch.folder, `${table}-${++this.#made}.parquet`);
    const rows = await writeRun(work.read, file, locate, this.#place);
    const run: HotRun = { shard: work.shard, path: file, rows, bytes: (await stat(file)).size, sources: work.sources };
    const read = new Set(work.read.map((slice) => slice.key));
    // Runs that no plan of now uses, or that were read into the new one, go; who still reads one starts anew.
    const [kept, gone] = [[run] as HotRun[], [] as HotRun[]];
    for (const old of this.#runs[table]) (used.has(old.path) && !read.has(old.path) ? kept : gone).push(old);
    this.#runs = { ...this.#runs, [table]: kept };
    for (const old of gone) await rm(old.path, { force: true });
  }
}

/** Rows of the slices as one file in the shape of a hot object; gives their number. */
async function writeRun(slices: readonly HotSlice[], file: string, locate: Locate, scratch: string): Promise<number> {
  const session = await Session.open({ files: [...slices.map((slice) => locate(slice.key)), file], timeoutMillis: limits.viewMillisMax, scratch });
  try {
    await session.run(`COPY (${hotRows(slices, locate)}) TO ${sqlString(file)} (FORMAT parquet, COMPRESSION lz4_raw)`);
    const [row] = await session.rows(`SELECT num_rows::DOUBLE FROM parquet_file_metadata(${sqlString(file)})`);
    return Number(row![0]);
  } finally {
    await session.close();
  }
}

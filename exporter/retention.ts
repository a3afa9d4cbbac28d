// What is too old, or too much, leaves the lake: the floor moves up by a date, then what is staged below it
// is deleted, then samples, then stacks, so that no sample is ever seen without its stack. Every step may be repeated by
// anybody; after a crash the next pass goes on. The exporter of shard 0 does it for all shards.
import { PipelineError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Store, StoreEntry } from '../lib/store/store.ts';
import { floorDays, type LakeFloor, lateDaysMax, raiseFloor, readFloor, retainDaysMin } from '../schemas/lake/floor.ts';
import { dateDays, dateName, type LakeTable, lakeTables, parseLakeFileKey, parseStagingKey, stagingPrefix } from '../schemas/lake/paths.ts';
import type { Clock } from './clock.ts';
import { listAll } from './housekeeping.ts';
import { clockSteadyMillis, clockStepMillis, retentionMillis } from './limits.ts';

const dayMillis = 86_400_000;

export interface RetentionLimits {
  /** Dates this much older than today go; null or left out: none. */
  readonly retainMillis?: number | null;
  /** Of all public files; the oldest dates go while there is more. Null or left out: no bound. */
  readonly retainBytes?: number | null;
}

/** At start: one line instead of a lake that deletes rows as they come. */
export function checkRetention({ retainMillis = null }: RetentionLimits): void {
  if (retainMillis === null || retainMillis >= retainDaysMin * dayMillis) return;
  throw new PipelineError(
    'config_invalid',
    `retain-age is ${retainMillis / dayMillis} days; samples may come up to ${lateDaysMax} days late and old ones are published once a day: choose ${retainDaysMin}d or more, or forever`,
  );
}

export interface DateSize {
  /** Days since 1970-01-01. */
  readonly date: number;
  readonly bytes: number;
}

export interface FloorMove {
  readonly date: number;
  readonly reason: string;
}

/**
 * The next step of the floor: past the oldest date that is there, if that is too old or all together is too
 * much. One date at a time, so that a clock that is wrong for an hour takes little. Never today's date, nor
 * the newest that there is (today, too, if the clock is ahead).
 */
export function nextFloor(dates: readonly DateSize[], today: number, limits: RetentionLimits): FloorMove | null {
  const oldest = Math.min(...dates.map(({ date }) => date));
  const newest = Math.max(...dates.map(({ date }) => date));
  if (oldest >= Math.min(today, newest)) return null;
  const { retainMillis = null, retainBytes = null } = limits;
  const days = retainMillis === null ? Number.POSITIVE_INFINITY : Math.ceil(retainMillis / dayMillis);
  if (oldest < today - days) return { date: oldest + 1, reason: `older than ${days} days` };
  const bytes = dates.reduce((sum, each) => sum + each.bytes, 0);
  if (retainBytes !== null && bytes > retainBytes) return { date: oldest + 1, reason: `${bytes} bytes, at most ${retainBytes} are kept` };
  return null;
}

export interface RetentionPass {
  readonly floor: LakeFloor | null;
  readonly moved: boolean;
  readonly files: number;
  readonly bytes: number;
}

export async function retain(store: Store, limits: RetentionLimits, moment: { nowMillis: number; writer: string }): Promise<RetentionPass> {
  let floor = await readFloor(store);
  const kept = (await listTables(store)).filter(({ date }) => date >= floorDays(floor));
  const move = kept.length === 0 ? null : nextFloor(kept, Math.floor(moment.nowMillis / dayMillis), limits);
  if (move !== null) floor = await raiseFloor(store, { date: dateName(move.date), movedMillis: moment.nowMillis, reason: move.reason, writer: moment.writer });
  return { floor, moved: move !== null, ...(await deleteBelow(store, floor)) };
}

async function listTables(store: Store): Promise<DateSize[]> {
  const files: DateSize[] = [];
  for (const table of lakeTables) {
    for (const { key, bytes } of await listAll(store, `lake/${table}/`)) {
      const name = parseLakeFileKey(key);
      if (name !== null) files.push({ date: dateDays(name.date), bytes });
    }
  }
  return files;
}

async function deleteBelow(store: Store, floor: LakeFloor | null): Promise<{ files: number; bytes: number }> {
  const deleted = { files: 0, bytes: 0 };
  if (floor === null) return deleted;
  const remove = async ({ key, bytes }: StoreEntry) => {
    await store.delete(key);
    deleted.files++;
    deleted.bytes += bytes;
  };
  // What is staged under such a date gets no public name any more, also from who read the floor before it moved.
  for (const { key } of await listAll(store, stagingPrefix)) if ((parseStagingKey(key)?.date ?? floor.date) < floor.date) await store.delete(key);
  for (const entry of await below(store, 'samples', floor)) await remove(entry);
  const stacks = await below(store, 'stacks', floor);
  // An exporter that was frozen since before the floor moved may have finished a record meanwhile. Its
  // samples are listed after its stacks were: what is seen here goes before them.
  for (const entry of await below(store, 'samples', floor)) await remove(entry);
  for (const entry of stacks) await remove(entry);
  return deleted;
}

/** Files of ours with dates below the floor; keys are in the order of dates. */
async function below(store: Store, table: LakeTable, floor: LakeFloor): Promise<StoreEntry[]> {
  const found: StoreEntry[] = [];
  const prefix = `lake/${table}/`;
  for (let after = ''; ; ) {
    const page = await store.list(prefix, { limit: pageKeys, ...(after === '' ? {} : { after }) });
    found.push(...page.filter(({ key }) => (parseLakeFileKey(key)?.date ?? floor.date) < floor.date));
    after = page.at(-1)?.key ?? '';
    if (page.length < pageKeys || after >= `${prefix}date=${floor.date}`) return found;
  }
}

const pageKeys = 1000;

export interface RetentionOptions {
  readonly store: Store;
  readonly shard: number;
  readonly limits: RetentionLimits;
  readonly clock: Clock;
  readonly writer: string;
  readonly logger: Logger;
  readonly metrics: { retained(files: number, bytes: number): void };
}

/** When it is time for a pass. One exporter for all shards, or a lake of many would be listed by each. */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #watch: ClockWatch;
  #passedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#watch = new ClockWatch(options.clock);
  }

  /** To be called with every sweep; mostly does nothing. */
  async pass(): Promise<void> {
    const { store, shard, limits, clock, writer, logger, metrics } = this.#options;
    const steady = this.#watch.isSteady();
    if (shard !== 0 || !steady || clock.monotonicMillis() - this.#passedAt < retentionMillis) return;
    this.#passedAt = clock.monotonicMillis();
    const { floor, moved, files, bytes } = await retain(store, limits, { nowMillis: clock.wallMillis(), writer });
    if (moved) logger.info('dates below this one leave the lake', { date: floor!.date, reason: floor!.reason });
    if (files > 0) logger.info('deleted by retention', { files, bytes });
    metrics.retained(files, bytes);
  }
}

/**
 * How long the wall clock has moved in step with the monotonic one. Nothing is deleted by a clock that has
 * just been set (or a machine that has just woken up): it may be wrong, or about to be set again.
 */
export class ClockWatch {
  readonly #clock: Clock;
  #offset: number;
  #since: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.monotonicMillis();
    this.#offset = clock.wallMillis() - this.#since;
  }

  /** To be asked often: a step back and forth between two calls is not seen. */
  isSteady(): boolean {
    const now = this.#clock.monotonicMillis();
    const offset = this.#clock.wallMillis() - now;
    if (Math.abs(offset - this.#offset) > clockStepMillis) this.#since = now;
    this.#offset = offset;
    return now - this.#since >= clockSteadyMillis;
  }
}

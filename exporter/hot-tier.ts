// The hot tier of one shard as its exporter keeps it: when objects are put and which go, by their names
// alone. hot-objects.ts makes their bytes.
import { randomUUID } from 'node:crypto';
import type { Logger } from '../lib/logger.ts';
import type { Store } from '../lib/store/store.ts';
import { type HotFileName, hotFileKey, hotLog, hotPrefix, parseHotFileKey } from '../schemas/lake/paths.ts';
import type { CommitRecord } from '../schemas/lake/record.ts';
import type { Builder, HotObject } from './builder.ts';
import type { Clock } from './clock.ts';
import { listAll } from './housekeeping.ts';
import { hotKeptMillis, hotPendingBytesMax } from './limits.ts';

export interface HotTierOptions {
  readonly store: Store;
  readonly builder: Builder;
  readonly shard: number;
  readonly limits: { readonly hotIntervalMillis: number };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: { hotWritten(shard: number, bytes: number): void };
}

export type ListedHot = HotFileName & { readonly key: string };

export class HotTier {
  readonly #options: HotTierOptions;
  #logId = '';
  /** Objects that the builder gave and the store has not taken yet. */
  #pending: HotObject[] = [];
  /** Since when something waits for its object. */
  #waitingSince: number | null = null;
  #objects = 0;
  /** Positions below which all is public, with the moment when they became so (monotonic), oldest first. */
  #publicSince: { position: number; since: number }[] = [];

  constructor(options: HotTierOptions) {
    this.#options = options;
  }

  /** How many there were when they were last looked at, and put since. */
  get objects(): number {
    return this.#objects;
  }

  async list(): Promise<readonly ListedHot[]> {
    const entries = await listAll(this.#options.store, hotPrefix(this.#options.shard));
    this.#objects = entries.length;
    return entries.flatMap(({ key }) => {
      const name = parseHotFileKey(key);
      return name === null ? [] : [{ ...name, key }];
    });
  }

  /**
   * Deletes what is of a log that is no more, and gives back the rest. `listed` must be from before the
   * log was asked for its id and its end: an object is put by one who has read from its log, so what was there by then and
   * is of another log, or lies beyond the end, is older. Listed later it could be of a log that came since.
   */
  async dropForeign(listed: readonly ListedHot[], logId: string, end: number): Promise<readonly ListedHot[]> {
    const own = hotLog(logId);
    const isForeign = ({ log, to }: ListedHot) => (log !== null && log !== own) || to > end;
    const foreign = listed.filter(isForeign);
    if (foreign.length > 0) this.#options.logger.warn('hot objects of another log are deleted', { shard: this.#options.shard, objects: foreign.length });
    await this.#delete(foreign);
    return listed.filter((object) => !isForeign(object));
  }

  /** Before another log is adopted: those that an older version named could be taken for the new one's. */
  dropNameless(listed: readonly ListedHot[]): Promise<void> {
    return this.#delete(listed.filter(({ log }) => log === null));
  }

  async #delete(objects: readonly ListedHot[]): Promise<void> {
    for (const { key } of objects) await this.#options.store.delete(key);
    this.#objects -= objects.length;
  }

  /** Everything is read anew from here on. */
  begin(logId: string): void {
    this.#logId = logId;
    this.#pending = [];
    this.#waitingSince = null;
  }

  /** Something came that is to be seen. */
  touch(): void {
    this.#waitingSince ??= this.#options.clock.monotonicMillis();
  }

  /** Until the next object is due; null: nothing waits for one. */
  get waitMillis(): number | null {
    if (this.#waitingSince === null) return null;
    const { limits, clock } = this.#options;
    return Math.max(0, Math.ceil(this.#waitingSince + limits.hotIntervalMillis - clock.monotonicMillis()));
  }

  isDue(waitingBytes: number): boolean {
    return waitingBytes >= hotPendingBytesMax || this.waitMillis === 0;
  }

  async write(): Promise<void> {
    const { builder, store, shard, metrics } = this.#options;
    // What an earlier turn could not put stays pending, and what came since is taken behind it.
    this.#pending.push(...(await builder.takeHot()));
    for (let object = this.#pending[0]; object !== undefined; object = this.#pending[0]) {
      await store.put(hotFileKey(shard, object.from, object.to, this.#logId, randomUUID()), object.bytes);
      this.#pending.shift();
      this.#objects++;
      metrics.hotWritten(shard, object.bytes.length);
    }
    this.#waitingSince = null;
  }

  rememberPublic(head: CommitRecord): void {
    const { clock } = this.#options;
    const age = Math.max(0, clock.wallMillis() - head.createdMillis);
    this.#publicSince = this.#publicSince.filter((entry) => entry.position < head.position);
    this.#publicSince.push({ position: head.position, since: clock.monotonicMillis() - age });
  }

  /** Deletes what has been public for long enough. */
  async sweep(): Promise<void> {
    const { clock } = this.#options;
    const longPublic = this.#publicSince.findLast((entry) => clock.monotonicMillis() - entry.since >= hotKeptMillis);
    if (longPublic === undefined) return;
    const own = hotLog(this.#logId);
    this.#publicSince = this.#publicSince.filter((entry) => entry.position >= longPublic.position);
    const listed = await this.list();
    await this.#delete(listed.filter(({ log, to }) => (log === null || log === own) && to <= longPublic.position));
  }
}

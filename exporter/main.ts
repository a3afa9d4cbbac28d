// The exporter: flamelake.rows -> hot/ within seconds, lake/ every quarter of an hour, each row once.
// Wiring only: one Shard (shard.ts) per partition that this member of the group holds.
import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { isPipelineError } from '../lib/errors.ts';
import { freeBytes } from '../lib/filesystem.ts';
import { headReserveBytesDefault, logBytesMaxDefault } from '../lib/log/limits.ts';
import type { Membership } from '../lib/log/log.ts';
import { openLog } from '../lib/log/open.ts';
import { errorFields, type Logger } from '../lib/logger.ts';
import type { StartStage } from '../lib/stage.ts';
import { openStore } from '../lib/store/open.ts';
import { ensureLakeSettings } from '../schemas/lake/settings.ts';
import { deadLetterTopic, exporterGroup, rowsTopic } from '../schemas/topics.ts';
import { BuilderWorker } from './builder-worker.ts';
import { systemClock } from './clock.ts';
import { assignmentMillis, defaultShards } from './limits.ts';
import { prepareDrafts } from './local-files.ts';
import { createMetrics } from './metrics.ts';
import { checkRetention, type RetentionLimits } from './retention.ts';
import { Shard, type ShardOptions } from './shard.ts';

export interface ExporterOptions extends RetentionLimits {
  /** URL of the log, e.g. file:///var/lib/flamelake/log. */
  readonly log: string;
  /** Bound of the whole embedded log on disk, where it is not the default. */
  readonly logBytesMax?: number;
  /** Room kept free on the disk of indexDir, where it is not the default: with less of it rows are published early. */
  readonly diskReserveBytes?: number;
  /** URL of the store that holds the lake. */
  readonly store: string;
  /** A local directory of this process alone: the index of stack ids and files in the making. */
  readonly indexDir: string;
  readonly publishIntervalMillis: number;
  /** Of row messages as they lie in the log. */
  readonly publishBytes: number;
  readonly publishRowsMax: number;
  readonly hotIntervalMillis: number;
}

export const startExporter: StartStage<ExporterOptions> = async (options, host) => {
  checkRetention(options);
  mkdirSync(options.indexDir, { recursive: true });
  const store = await openStore(options.store);
  const log = await openLog(options.log, { bytesMax: options.logBytesMax ?? logBytesMaxDefault });
  const settings = await ensureLakeSettings(store, { shards: defaultShards });
  await log.ensureTopic({ name: rowsTopic, partitions: settings.shards });
  await log.ensureTopic({ name: deadLetterTopic, partitions: 1 });
  const worker = new BuilderWorker({ store: options.store, settings, indexDir: options.indexDir });
  const metrics = createMetrics(host.meter);
  const common = {
    store,
    log,
    settings,
    metrics,
    limits: options,
    writer: `${hostname()}/${process.pid}`,
    drafts: prepareDrafts(options.indexDir),
    clock: systemClock,
    logger: host.logger,
    diskIsLow: () => freeBytes(options.indexDir) < (options.diskReserveBytes ?? headReserveBytesDefault),
  };
  const shards = new ShardSet(
    await log.join(exporterGroup, rowsTopic),
    host.logger,
    async (shard) => new Shard({ ...common, shard, builder: await worker.open(shard) } satisfies ShardOptions),
  );
  metrics.observe(() => Promise.all(shards.all().map((shard) => shard.gauges())));
  shards.start();
  return {
    status: () => shards.status(),
    stop: async () => {
      await shards.stop();
      await worker.close();
      await log.close();
      await store.close();
    },
  };
};

/** Holds a running Shard for each partition of this member; follows the group's changes. */
class ShardSet {
  readonly #membership: Membership;
  readonly #logger: Logger;
  readonly #open: (shard: number) => Promise<Shard>;
  readonly #shards = new Map<number, { readonly shard: Shard; readonly running: Promise<void> }>();
  readonly #stopping = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #looked = false;
  #trouble: string | null = null;

  constructor(membership: Membership, logger: Logger, open: (shard: number) => Promise<Shard>) {
    this.#membership = membership;
    this.#logger = logger;
    this.#open = open;
  }

  start(): void {
    this.#following = this.#followAll();
  }

  all(): Shard[] {
    return [...this.#shards.values()].map(({ shard }) => shard);
  }

  status(): { ready: boolean; text: string } {
    const shards = this.all();
    if (this.#trouble !== null) return { ready: false, text: this.#trouble };
    if (shards.length === 0) return { ready: this.#looked && this.#membership.assigned().length === 0, text: 'no shard assigned' };
    return { ready: shards.every((shard) => shard.ready), text: shards.map((shard) => shard.text).join(' · ') };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#following;
    await Promise.all([...this.#shards.keys()].map((shard) => this.#close(shard)));
    await this.#membership.leave();
  }

  async #followAll(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#follow();
      } catch (error) {
        if (!isPipelineError(error)) throw error;
        if (this.#trouble !== error.message) this.#logger.error(error.message, errorFields(error));
        this.#trouble = error.message;
      }
      await systemClock.sleep(assignmentMillis, this.#stopping.signal);
    }
  }

  async #follow(): Promise<void> {
    const assigned = new Set(this.#membership.assigned());
    for (const shard of this.#shards.keys()) if (!assigned.has(shard)) await this.#close(shard);
    for (const shard of assigned) if (!this.#shards.has(shard)) await this.#begin(shard);
    this.#looked = true;
    this.#trouble = null;
  }

  async #begin(number: number): Promise<void> {
    const shard = await this.#open(number);
    // Errors of the program itself end the process; operating errors stay inside the shard.
    this.#shards.set(number, { shard, running: shard.run() });
  }

  async #close(number: number): Promise<void> {
    const entry = this.#shards.get(number);
    if (entry === undefined) return;
    await entry.shard.stop();
    await entry.running;
    this.#shards.delete(number);
  }
}

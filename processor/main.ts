// The processor: otlp_profiles -> flamelake.rows. Decodes each message once, names native frames, gives
// each stack its id, sends every shard its rows. Wiring only: partition.ts is the loop, batch.ts and
// rows-from-profiles.ts the work.
import { setTimeout as sleep } from 'node:timers/promises';
import { headReserveBytesDefault, logBytesMaxDefault, rowsReserve } from '../lib/log/limits.ts';
import type { Log, Membership, TopicInfo } from '../lib/log/log.ts';
import { openLog } from '../lib/log/open.ts';
import type { StageHost, StageStatus, StartStage } from '../lib/stage.ts';
import { openStore } from '../lib/store/open.ts';
import { ensureLakeSettings } from '../schemas/lake/settings.ts';
import { deadLetterTopic, processorGroup, profilesTopic, rowsTopic } from '../schemas/topics.ts';
import { DeadLetters } from './dead-letters.ts';
import { KnownStacks } from './known-stacks.ts';
import { assignmentMillis, defaultShards, drainMillisMax, knownStacksMax } from './limits.ts';
import { createProcessorMetrics } from './metrics.ts';
import { Partition } from './partition.ts';
import { LocalSymbols, noSymbols } from './symbols.ts';

export interface ProcessorOptions {
  /** URL for openLog. */
  readonly log: string;
  /** URL for openStore: the lake, for its settings. */
  readonly store: string;
  /** Bound of the whole embedded log on disk, and room kept free there for who feeds it; where they are not the default. */
  readonly logBytesMax?: number;
  readonly diskReserveBytes?: number;
  /** Whether native frames are named from the files of this host. */
  readonly symbols: boolean;
}

export const startProcessor: StartStage<ProcessorOptions> = async (options, host) => {
  const shards = await readShards(options.store);
  const log = await openLog(options.log, {
    bytesMax: options.logBytesMax ?? logBytesMaxDefault,
    diskReserveBytes: rowsReserve(options.diskReserveBytes ?? headReserveBytesDefault),
  });
  try {
    const topic = await log.ensureTopic({ name: profilesTopic, partitions: 1 });
    await log.ensureTopic({ name: rowsTopic, partitions: shards });
    await log.ensureTopic({ name: deadLetterTopic, partitions: 1 });
    const partitions = new Partitions(log, topic, await log.join(processorGroup, profilesTopic), shards, options.symbols, host);
    partitions.start();
    return {
      status: () => partitions.status(),
      stop: async () => {
        await partitions.stop();
        await log.close();
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
};

async function readShards(url: string): Promise<number> {
  const store = await openStore(url);
  try {
    return (await ensureLakeSettings(store, { shards: defaultShards })).shards;
  } finally {
    await store.close();
  }
}

/** Holds a running Partition for each that this member of the group has. */
class Partitions {
  readonly #membership: Membership;
  readonly #make: (partition: number) => Partition;
  readonly #held = new Map<number, { readonly partition: Partition; readonly running: Promise<void> }>();
  readonly #stopping = new AbortController();
  readonly #closeSymbols: () => Promise<void>;
  #following: Promise<void> = Promise.resolve();
  #looked = false;

  constructor(log: Log, topic: TopicInfo, membership: Membership, shards: number, useSymbols: boolean, { meter, logger }: StageHost) {
    this.#membership = membership;
    const metrics = createProcessorMetrics(meter);
    metrics.observeLag(() => Promise.all(this.#all().map((partition) => partition.lag())));
    const symbols = useSymbols ? new LocalSymbols(logger) : noSymbols;
    this.#closeSymbols = () => symbols.close();
    const deadLetters = new DeadLetters(log, metrics.deadRemoved);
    const shared = { log, shards, deadLetters, known: new KnownStacks(knownStacksMax), symbols, metrics, logger };
    this.#make = (partition) => new Partition({ ...shared, source: { logId: topic.logId, topic: topic.name, partition } });
  }

  start(): void {
    this.#following = this.#follow();
  }

  status(): StageStatus {
    const partitions = this.#all();
    const trouble = partitions.find((partition) => partition.trouble !== null)?.trouble;
    if (trouble) return { ready: false, text: `waits for the log: ${trouble}` };
    // A member without a share is a standby that takes over at once.
    if (partitions.length === 0) return { ready: this.#looked && this.#membership.assigned().length === 0, text: `no partition of ${profilesTopic} assigned` };
    const behind = partitions.reduce((sum, partition) => sum + partition.behind, 0);
    const where = partitions.length === 1 ? profilesTopic : `${partitions.length} partitions of ${profilesTopic}`;
    return { ready: partitions.every(({ isStarted }) => isStarted), text: `reads ${where}, ${behind} messages behind` };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#following;
    await Promise.all([...this.#held.keys()].map((partition) => this.#release(partition, drainMillisMax)));
    await this.#membership.leave();
    await this.#closeSymbols();
  }

  #all(): Partition[] {
    return [...this.#held.values()].map(({ partition }) => partition);
  }

  async #follow(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const assigned = new Set(this.#membership.assigned());
      for (const partition of this.#held.keys()) if (!assigned.has(partition)) await this.#release(partition, null);
      for (const partition of assigned) if (!this.#held.has(partition)) this.#take(partition);
      this.#looked = true;
      await sleep(assignmentMillis, null, { signal: this.#stopping.signal }).catch(() => {});
    }
  }

  #take(number: number): void {
    const partition = this.#make(number);
    // Errors of the program itself end the process; what the log does is waited out inside.
    this.#held.set(number, { partition, running: partition.run() });
  }

  /** `drainMillis` null: the group gave it to another member. */
  async #release(number: number, drainMillis: number | null): Promise<void> {
    const held = this.#held.get(number);
    if (!held) return;
    if (drainMillis === null) held.partition.release();
    else held.partition.stop(drainMillis);
    await held.running;
    this.#held.delete(number);
  }
}

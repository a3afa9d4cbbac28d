// The processes of a run, made of the real core: a processor with a Partition for each input partition,
// an exporter with a Shard (and its builder and index) for each shard.
import { rmSync } from 'node:fs';
import path from 'node:path';
import type { Clock } from '../../exporter/clock.ts';
import { prepareDrafts } from '../../exporter/local-files.ts';
import { createMetrics } from '../../exporter/metrics.ts';
import { Shard } from '../../exporter/shard.ts';
import { ShardBuilder } from '../../exporter/shard-builder.ts';
import { isPipelineError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log/log.ts';
import type { Logger } from '../../lib/logger.ts';
import { DeadLetters } from '../../processor/dead-letters.ts';
import { KnownStacks } from '../../processor/known-stacks.ts';
import { createProcessorMetrics } from '../../processor/metrics.ts';
import { Partition } from '../../processor/partition.ts';
import { noSymbols } from '../../processor/symbols.ts';
import type { LakeSettings } from '../../schemas/lake/settings.ts';
import { profilesTopic } from '../../schemas/topics.ts';
import { noMeter, quietLogger } from './quiet.ts';
import type { Process, Scheduler } from './scheduler.ts';
import { runAs } from './take-over.ts';
import { logView, type Place, storeView } from './views.ts';

/** What a test may put in the place of a rule, and what its worlds must have (rules.test.ts); the product has no such switch. */
export interface Hooks {
  readonly log?: (log: Log) => Log;
  readonly shardsOfProcessor?: (process: Process, shards: number) => number;
  /** Row messages are compacted, as Kafka can: of one source only the newest stays. */
  readonly compactsRows?: boolean;
  readonly isHarmful?: boolean;
  readonly exportersLeast?: number;
}

const drainMillis = 5_000;

export interface ProcessPlace extends Place {
  readonly settings: LakeSettings;
  readonly directory: string;
  readonly hooks: Hooks;
  readonly partitions: number;
  readonly limits: {
    readonly publishIntervalMillis: number;
    readonly publishBytes: number;
    readonly publishRowsMax: number;
    readonly hotIntervalMillis: number;
    readonly retainBytes: number | null;
  };
  readonly knownStacksMax: number;
  /** An error of the program itself. */
  readonly failed: (error: unknown) => void;
}

export interface Running {
  readonly process: Process;
  /** Ends by itself, as on SIGTERM; once. */
  stop(): Promise<void>;
  isStopping: boolean;
}

export function startProcessor(place: ProcessPlace, process: Process): Running {
  const view = logView(place, process);
  const log = place.hooks.log?.(view) ?? view;
  const known = new KnownStacks(place.knownStacksMax);
  const deadLetters = new DeadLetters(log, () => {});
  const metrics = createProcessorMetrics(noMeter);
  const logger = loggerOf(place.scheduler, process);
  const shards = place.hooks.shardsOfProcessor?.(process, place.settings.shards) ?? place.settings.shards;
  const partitions: Partition[] = [];
  let isStopped = false;
  const runs = runAs(process, () =>
    Array.from({ length: place.partitions }, async (_unused, partition) => {
      const { logId } = await insist(() => log.topic(profilesTopic));
      const source = { logId, topic: profilesTopic, partition };
      partitions[partition] = new Partition({ log, source, shards, known, symbols: noSymbols, deadLetters, metrics, logger });
      if (isStopped) partitions[partition]!.stop(drainMillis);
      await partitions[partition]!.run();
    }),
  );
  for (const run of runs) run.catch(place.failed);
  return {
    process,
    isStopping: false,
    stop: async () => {
      isStopped = true;
      runAs(process, () => partitions.forEach((partition) => void partition.stop(drainMillis)));
      await Promise.all(runs);
    },
  };
}

export function startExporter(place: ProcessPlace, process: Process, indexDir: string): Running {
  const view = logView(place, process);
  const log = place.hooks.log?.(view) ?? view;
  const store = storeView(place, process);
  const { settings, limits } = place;
  const drafts = prepareDrafts(indexDir);
  const logger = loggerOf(place.scheduler, process);
  const metrics = createMetrics(noMeter);
  const builders = Array.from({ length: settings.shards }, (_unused, shard) => new ShardBuilder({ store, settings, shard, indexDir }));
  const common = { store, log, settings, limits, metrics, logger, drafts, writer: process.name, clock: clockOf(place.scheduler, process) };
  const shards = builders.map((builder, shard) => new Shard({ ...common, shard, builder }));
  // The operating system closes a dead process's files, and with them the lock on the index.
  process.onKill = () => {
    for (const builder of builders) void builder.close();
  };
  const runs = runAs(process, () => shards.map((shard) => shard.run()));
  for (const run of runs) run.catch(place.failed);
  return { process, isStopping: false, stop: async () => void (await runAs(process, () => Promise.all(shards.map((shard) => shard.stop())))) };
}

export function loseIndex(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

export const indexDirectory = (place: ProcessPlace, name: string): string => path.join(place.directory, name);

/** As the stage does: it looks again until the log answers. */
async function insist<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isPipelineError(error)) throw error;
    }
  }
}

function clockOf(scheduler: Scheduler, process: Process): Clock {
  const now = () => scheduler.nowMillis;
  return {
    wallMillis: now,
    monotonicMillis: now,
    sleep: (millis, signal) =>
      new Promise((resolve) => scheduler.wait(process, '', resolve, { dueMillis: scheduler.nowMillis + millis, isReady: () => signal.aborted })),
  };
}

function loggerOf(scheduler: Scheduler, process: Process): Logger {
  return quietLogger((line) => scheduler.note(`${process.name} says ${line}`));
}

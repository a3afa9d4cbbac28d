// What the exporter tells about itself. Names are a contract (docs/metrics.md).
import type { Meter } from '@opentelemetry/api';
import { instrumentsOf, type MetricTable } from '../lib/metric-table.ts';
import { exporterLossReasons } from '../schemas/lake/lost.ts';
import type { AppendCounts } from './builder.ts';

/** What the gauges ask a shard for. */
export interface ShardGauges {
  readonly shard: number;
  /** Messages between what is taken and the end of the log. */
  readonly lagRecords: number;
  /** How long the oldest of them has been waiting, at most. */
  readonly lagSeconds: number;
  /** Messages between the published position and the oldest one kept: below 0 retention has overtaken it. */
  readonly marginRecords: number;
  readonly heldBytes: number;
  readonly openRows: number;
  readonly hotObjects: number;
}

export interface ExporterMetrics {
  appended(shard: number, counts: AppendCounts): void;
  lost(shard: number, reason: string, count: number): void;
  malformed(shard: number, count: number): void;
  hotWritten(shard: number, bytes: number): void;
  published(shard: number, published: { files: number; samples: number; stacks: number; bytes: number; seconds: number }): void;
  /** Publications that somebody else's record overtook, attempts given up, stores and logs that did not answer. */
  retried(shard: number, reason: string): void;
  /** What retention has deleted, of all shards. */
  retained(files: number, bytes: number): void;
  observe(gauges: () => Promise<readonly ShardGauges[]>): void;
}

const shard = 'number of the shard';

export const exporterMetrics = {
  'flamelake.exporter.rows': { kind: 'counter', unit: '{row}', description: 'Sample rows taken from flamelake.rows', attributes: { shard } },
  'flamelake.exporter.stacks': { kind: 'counter', unit: '{stack}', description: 'New stacks taken from flamelake.rows', attributes: { shard } },
  'flamelake.exporter.repeated': { kind: 'counter', unit: '{row}', description: 'Rows that a processor had sent before', attributes: { shard } },
  'flamelake.exporter.duplicates': {
    kind: 'counter',
    unit: '{row}',
    description: 'Rows dropped because their profile had been seen in the window',
    attributes: { shard },
    alert: 'a steady rate: a sender repeats what was acknowledged, or sends the same profile on purpose',
  },
  'flamelake.exporter.duplicate_profiles': {
    kind: 'counter',
    unit: '{profile}',
    description: 'Profiles dropped because they had been seen in the window',
    attributes: { shard },
  },
  'flamelake.exporter.lost': {
    kind: 'counter',
    unit: '{item}',
    description: 'Lost, by reason; each is in the lake too, as rows of type lost',
    attributes: { shard, reason: exporterLossReasons },
    alert: 'any increase: something that was acknowledged is not in the lake; the log line has the range',
  },
  'flamelake.exporter.malformed': {
    kind: 'counter',
    unit: '{message}',
    description: 'Row messages that could not be decoded; they are kept in flamelake.dead',
    attributes: { shard },
    alert: 'any increase: the log is damaged, or processor and exporter are of versions that do not fit',
  },
  'flamelake.exporter.hot.objects': { kind: 'counter', unit: '{object}', description: 'Hot objects written', attributes: { shard } },
  'flamelake.exporter.hot.bytes': { kind: 'counter', unit: 'By', description: 'Bytes of hot objects written', attributes: { shard } },
  'flamelake.exporter.published.files': { kind: 'counter', unit: '{file}', description: 'Public files written', attributes: { shard } },
  'flamelake.exporter.published.samples': {
    kind: 'counter',
    unit: '{row}',
    description: 'Sample rows in public files',
    attributes: { shard },
    alert: 'no increase for twice the publish interval while flamelake.exporter.rows grows: the store does not take files',
  },
  'flamelake.exporter.published.stacks': { kind: 'counter', unit: '{stack}', description: 'Stacks in public files', attributes: { shard } },
  'flamelake.exporter.published.bytes': { kind: 'counter', unit: 'By', description: 'Bytes of public files written', attributes: { shard } },
  'flamelake.exporter.publish.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'From the cut of a batch to its confirmed files',
    attributes: { shard },
    bounds: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
  },
  'flamelake.exporter.retention.files': { kind: 'counter', unit: '{file}', description: 'Public files deleted because of their age, or of what all take' },
  'flamelake.exporter.retention.bytes': { kind: 'counter', unit: 'By', description: 'Bytes of those files' },
  'flamelake.exporter.retries': {
    kind: 'counter',
    unit: '{try}',
    description: 'Begun anew, by reason',
    attributes: { shard, reason: 'code of the error, or what overtook a publication' },
    alert: 'grows for 10 minutes: the log or the store does not answer',
  },
  'flamelake.exporter.lag.records': {
    kind: 'gauge',
    unit: '{message}',
    description: 'Messages of flamelake.rows not taken yet: end of the log less the position',
    attributes: { shard },
  },
  'flamelake.exporter.lag.seconds': {
    kind: 'gauge',
    unit: 's',
    description: 'How long the oldest of those messages has been waiting, at most; 0 where there is none',
    attributes: { shard },
    alert: 'above 30 s for 5 minutes: the exporter is too slow, its memory is full or the store does not answer',
  },
  'flamelake.exporter.retention.margin': {
    kind: 'gauge',
    unit: '{message}',
    description: 'Messages between the oldest one kept and the published position',
    attributes: { shard },
    alert: 'below 0: the log has removed messages that were not public yet; they are lost',
  },
  'flamelake.exporter.held.bytes': { kind: 'gauge', unit: 'By', description: 'Bytes of rows held in memory until they are published', attributes: { shard } },
  'flamelake.exporter.open.rows': { kind: 'gauge', unit: '{row}', description: 'Rows that wait for their publication', attributes: { shard } },
  'flamelake.exporter.hot.kept': { kind: 'gauge', unit: '{object}', description: 'Hot objects in the store', attributes: { shard } },
} as const satisfies MetricTable;

const gaugesOfShard = {
  'flamelake.exporter.lag.records': ({ lagRecords }) => lagRecords,
  'flamelake.exporter.lag.seconds': ({ lagSeconds }) => lagSeconds,
  'flamelake.exporter.retention.margin': ({ marginRecords }) => marginRecords,
  'flamelake.exporter.held.bytes': ({ heldBytes }) => heldBytes,
  'flamelake.exporter.open.rows': ({ openRows }) => openRows,
  'flamelake.exporter.hot.kept': ({ hotObjects }) => hotObjects,
} as const satisfies Partial<Record<keyof typeof exporterMetrics, (gauges: ShardGauges) => number>>;

export function createMetrics(meter: Meter): ExporterMetrics {
  const { counter, histogram, observable } = instrumentsOf(meter, exporterMetrics);
  const rows = counter('flamelake.exporter.rows');
  const stacks = counter('flamelake.exporter.stacks');
  const repeated = counter('flamelake.exporter.repeated');
  const duplicates = counter('flamelake.exporter.duplicates');
  const duplicateProfiles = counter('flamelake.exporter.duplicate_profiles');
  const losses = counter('flamelake.exporter.lost');
  const malformed = counter('flamelake.exporter.malformed');
  const hotObjects = counter('flamelake.exporter.hot.objects');
  const hotBytes = counter('flamelake.exporter.hot.bytes');
  const files = counter('flamelake.exporter.published.files');
  const publishedSamples = counter('flamelake.exporter.published.samples');
  const publishedStacks = counter('flamelake.exporter.published.stacks');
  const publishedBytes = counter('flamelake.exporter.published.bytes');
  const seconds = histogram('flamelake.exporter.publish.duration');
  const retries = counter('flamelake.exporter.retries');
  const retainedFiles = counter('flamelake.exporter.retention.files');
  const retainedBytes = counter('flamelake.exporter.retention.bytes');
  /** A loss that is the first of its series has not grown in the eyes of an alert. */
  const countFromZero = (held: number) => {
    for (const reason of exporterLossReasons) losses.add(0, { shard: held, reason });
    malformed.add(0, { shard: held });
  };
  return {
    appended(shard, counts) {
      const at = { shard };
      rows.add(counts.rows, at);
      stacks.add(counts.stacks, at);
      repeated.add(counts.repeated, at);
      duplicates.add(counts.duplicates, at);
      duplicateProfiles.add(counts.duplicateProfiles, at);
      for (const [reason, count] of Object.entries(counts.losses)) losses.add(count, { shard, reason });
    },
    lost: (shard, reason, count) => losses.add(count, { shard, reason }),
    malformed: (shard, count) => malformed.add(count, { shard }),
    hotWritten(shard, bytes) {
      hotObjects.add(1, { shard });
      hotBytes.add(bytes, { shard });
    },
    published(shard, published) {
      const at = { shard };
      files.add(published.files, at);
      publishedSamples.add(published.samples, at);
      publishedStacks.add(published.stacks, at);
      publishedBytes.add(published.bytes, at);
      seconds.record(published.seconds, at);
    },
    retained(files, bytes) {
      retainedFiles.add(files);
      retainedBytes.add(bytes);
    },
    retried: (shard, reason) => retries.add(1, { shard, reason }),
    observe(gauges) {
      const names = Object.keys(gaugesOfShard) as (keyof typeof gaugesOfShard)[];
      const observables = names.map((name) => [observable(name), gaugesOfShard[name]] as const);
      meter.addBatchObservableCallback(
        async (result) => {
          for (const each of await gauges()) {
            countFromZero(each.shard);
            for (const [handle, read] of observables) result.observe(handle, read(each), { shard: each.shard });
          }
        },
        observables.map(([handle]) => handle),
      );
    },
  };
}

// What the exporter tells about itself. Names are a contract (docs/metrics.md).
import type { Meter } from '@opentelemetry/api';
import type { AppendCounts } from './builder.ts';

/** What the gauges ask a shard for. */
export interface ShardGauges {
  readonly shard: number;
  /** Messages and seconds between what is taken and the end of the log. */
  readonly lagRecords: number;
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
  observe(gauges: () => readonly ShardGauges[]): void;
}

export function createMetrics(meter: Meter): ExporterMetrics {
  const counter = (name: string, unit: string, description: string) => meter.createCounter(`flamelake.exporter.${name}`, { unit, description });
  const rows = counter('rows', '{row}', 'Sample rows taken from flamelake.rows');
  const stacks = counter('stacks', '{stack}', 'New stacks taken from flamelake.rows');
  const repeated = counter('repeated', '{row}', 'Rows that a processor had sent before');
  const duplicates = counter('duplicates', '{row}', 'Rows dropped because their profile had been seen in the window');
  const duplicateProfiles = counter('duplicate_profiles', '{profile}', 'Profiles dropped because they had been seen in the window');
  const losses = counter('lost', '{item}', 'Lost, by reason');
  const malformed = counter('malformed', '{message}', 'Row messages that could not be decoded');
  const hotObjects = counter('hot.objects', '{object}', 'Hot objects written');
  const hotBytes = counter('hot.bytes', 'By', 'Bytes of hot objects written');
  const files = counter('published.files', '{file}', 'Public files written');
  const publishedSamples = counter('published.samples', '{row}', 'Sample rows in public files');
  const publishedStacks = counter('published.stacks', '{stack}', 'Stacks in public files');
  const publishedBytes = counter('published.bytes', 'By', 'Bytes of public files written');
  const seconds = meter.createHistogram('flamelake.exporter.publish.duration', { unit: 's', description: 'From the cut of a batch to its confirmed files' });
  const retries = counter('retries', '{try}', 'Begun anew, by reason');
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
    retried: (shard, reason) => retries.add(1, { shard, reason }),
    observe(gauges) {
      const gauge = (name: string, unit: string, description: string, of: (shard: ShardGauges) => number) =>
        meter
          .createObservableGauge(`flamelake.exporter.${name}`, { unit, description })
          .addCallback((result) => gauges().forEach((shard) => void result.observe(of(shard), { shard: shard.shard })));
      gauge('lag.records', '{message}', 'Messages of flamelake.rows not taken yet', (shard) => shard.lagRecords);
      gauge('lag.seconds', 's', 'Age of the newest message taken while others wait', (shard) => shard.lagSeconds);
      gauge('retention.margin', '{message}', 'Messages between the oldest one kept and the published position', (shard) => shard.marginRecords);
      gauge('held.bytes', 'By', 'Bytes of rows held in memory until they are published', (shard) => shard.heldBytes);
      gauge('open.rows', '{row}', 'Rows that wait for their publication', (shard) => shard.openRows);
      gauge('hot.kept', '{object}', 'Hot objects in the store', (shard) => shard.hotObjects);
    },
  };
}

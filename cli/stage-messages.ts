// What `flamelake up` and the processes of its stages say to each other over IPC. Plain JSON.
import type { ErrorCode } from '../lib/errors.ts';
import type { LogLevel } from '../lib/logger.ts';
import type { Metric } from '../lib/metrics.ts';
import type { MetricGroup } from '../lib/prometheus.ts';
import type { StageStatus } from '../lib/stage.ts';

/** In the order in which they start; they stop in the order of the way of a sample. */
export const stageNames = ['receiver', 'processor', 'exporter', 'query', 'agent'] as const;
export type StageName = (typeof stageNames)[number];
export const stopOrder: readonly StageName[] = ['agent', 'receiver', 'processor', 'exporter', 'query'];

/** As /readyz and the page show it. An agent that is off says why and counts as ready: nobody waits for it. */
export interface StageReport {
  readonly name: StageName | 'up';
  readonly ready: boolean;
  readonly text: string;
}

export type ToStage =
  | { readonly kind: 'start'; readonly options: unknown; readonly logLevel: LogLevel; readonly logFormat: 'text' | 'json' }
  | { readonly kind: 'stop' }
  /** Answer with the metrics of this process. */
  | { readonly kind: 'collect'; readonly id: number }
  /** To query alone: the state of all stages, whenever one changes. */
  | { readonly kind: 'reports'; readonly reports: readonly StageReport[] }
  /** To query alone: the answer to its `scrape`. */
  | { readonly kind: 'scraped'; readonly id: number; readonly groups: readonly MetricGroup[] };

export type FromStage =
  /** The stage's module is loaded and waits for `start`. */
  | { readonly kind: 'loaded' }
  | { readonly kind: 'started'; readonly addresses: StageAddresses; readonly status: StageStatus }
  | { readonly kind: 'failed'; readonly code: ErrorCode | null; readonly message: string }
  | { readonly kind: 'status'; readonly status: StageStatus }
  | { readonly kind: 'collected'; readonly id: number; readonly metrics: readonly Metric[] }
  /** From query alone: somebody asks for /metrics. */
  | { readonly kind: 'scrape'; readonly id: number };

/** Where a stage really listens; a port of 0 was asked for, perhaps. */
export type StageAddresses = Readonly<Record<string, string>>;

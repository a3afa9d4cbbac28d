// What `flamelake up` itself counts: its stages' state and restarts, and what the data directory takes.
import type { Meter } from '@opentelemetry/api';
import { instrumentsOf, type MetricTable } from '../lib/metric-table.ts';
import { type DataWatch, dataParts } from './data-size.ts';
import { type StageName, stageNames } from './stage-messages.ts';

export const upMetrics = {
  'flamelake.up.ready': {
    kind: 'gauge',
    unit: '1',
    description: '1 where a stage takes work, 0 where it does not; an agent that is off counts as ready',
    attributes: { name: stageNames },
    alert: '0 for 2 minutes: /readyz and the page say what the stage waits for',
  },
  'flamelake.up.restarts': {
    kind: 'counter',
    unit: '{restart}',
    description: 'Times that the process of a stage ended by itself and was started again',
    attributes: { name: stageNames },
    alert: 'any increase: the log line has the reason; nothing acknowledged is lost by it',
  },
  'flamelake.data.size': {
    kind: 'gauge',
    unit: 'By',
    description: 'What the folders of the data directory take on disk, as of the collection before or, where it is large, longer ago',
    attributes: { part: dataParts },
  },
  'flamelake.data.free': {
    kind: 'gauge',
    unit: 'By',
    description: 'Room on the file system of the data directory',
    alert: 'below what a day adds to flamelake.data.size: a full disk stops acknowledging, see docs/operations.md',
  },
} as const satisfies MetricTable;

export interface UpGauges {
  readonly data: DataWatch;
  readonly stages: () => readonly { readonly name: StageName; readonly ready: boolean; readonly restarts: number }[];
}

export function observeUp(meter: Meter, { data, stages }: UpGauges): void {
  const { observe } = instrumentsOf(meter, upMetrics);
  observe('flamelake.up.ready', (result) => {
    for (const { name, ready } of stages()) result.observe(ready ? 1 : 0, { name });
  });
  observe('flamelake.up.restarts', (result) => {
    for (const { name, restarts } of stages()) result.observe(restarts, { name });
  });
  observe('flamelake.data.size', (result) => {
    for (const [part, bytes] of data.latest()?.bytes ?? []) result.observe(bytes, { part });
  });
  observe('flamelake.data.free', (result) => {
    const latest = data.latest();
    if (latest !== null) result.observe(latest.freeBytes);
  });
}

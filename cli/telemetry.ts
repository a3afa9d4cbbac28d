// Pushes the metrics of all processes of a command as OTLP, where somebody asked for it. One process
// does it for all: a client in each would cost each its memory.

import type { Meter } from '@opentelemetry/api';
import { openTransport } from '../agent/send/open.ts';
import type { Transport } from '../agent/send/transport.ts';
import type { Logger } from '../lib/logger.ts';
import { instrumentsOf, type MetricTable } from '../lib/metric-table.ts';
import type { Metric, MetricLabels } from '../lib/metrics.ts';
import { type ResourceMetrics, writeMetricsRequest } from '../schemas/otlp/metrics-writer.ts';
import type { TelemetryOptions } from './telemetry-options.ts';

export const telemetryMetrics = {
  'flamelake.telemetry.pushes': {
    kind: 'counter',
    unit: '{push}',
    description: 'Attempts to push metrics as OTLP, by outcome; none where nobody asked for it',
    attributes: { outcome: ['accepted', 'failed'] },
  },
} as const satisfies MetricTable;

/** One process, under the name that its resource gets. */
export interface ProcessMetrics {
  readonly name: string;
  readonly startMillis: number;
  readonly metrics: readonly Metric[];
}

export interface TelemetryHost {
  readonly version: string;
  readonly hostName: string;
  readonly logger: Logger;
  readonly meter: Meter;
  readonly collect: () => Promise<readonly ProcessMetrics[]>;
}

export interface Telemetry {
  /** A last push, then nothing more. Takes no longer than `millisMax`. */
  stop(millisMax: number): Promise<void>;
}

const nothing: Telemetry = { stop: async () => {} };

export async function startTelemetry(options: TelemetryOptions | null, host: TelemetryHost): Promise<Telemetry> {
  const pushes = instrumentsOf(host.meter, telemetryMetrics).counter('flamelake.telemetry.pushes');
  if (options === null) return nothing;
  const { logger, version } = host;
  const transport = await openTransport({ ...options, userAgent: `flamelake/${version}`, signal: 'metrics' });
  logger.info(`pushes its metrics to ${transport.endpoint} every ${options.intervalMillis / 1000} s`);
  if (options.temporality !== 'cumulative')
    logger.warn(`metrics are pushed cumulative, not ${options.temporality}; a Collector's cumulativetodelta processor makes deltas of them`);
  let trouble: string | null = null;
  const push = async (signal: AbortSignal): Promise<void> => {
    const failed = await pushOnce(transport, options, host, signal);
    pushes.add(1, { outcome: failed === null ? 'accepted' : 'failed' });
    // Said when it begins and when it ends; the next push has all sums again, so nothing is lost meanwhile.
    if (failed !== null && trouble === null)
      logger.warn(`metrics are not taken by ${transport.endpoint}: ${failed}; they are pushed again every ${options.intervalMillis / 1000} s`);
    if (failed === null && trouble !== null) logger.info(`metrics are taken by ${transport.endpoint} again`);
    trouble = failed;
  };
  const stopping = new AbortController();
  let under: Promise<void> | null = null;
  const timer = setInterval(() => {
    under ??= push(stopping.signal).finally(() => {
      under = null;
    });
  }, options.intervalMillis);
  return {
    async stop(millisMax) {
      clearInterval(timer);
      const late = setTimeout(() => stopping.abort(), millisMax);
      await under;
      if (!stopping.signal.aborted) await push(stopping.signal);
      clearTimeout(late);
      transport.close();
    },
  };
}

/** What went wrong, in one line; null where all was taken. */
async function pushOnce(transport: Transport, options: TelemetryOptions, host: TelemetryHost, signal: AbortSignal): Promise<string | null> {
  const processes = await host.collect();
  const resources = processes.map((process): ResourceMetrics => ({ ...process, attributes: resourceOf(process.name, options, host) }));
  const result = await transport.send(writeMetricsRequest(resources, { name: 'flamelake', version: host.version }, Date.now()), signal);
  if (result.kind !== 'accepted') return result.message;
  return result.rejected === 0 ? null : `${result.rejected} data points were left out: ${result.message}`;
}

/** One resource for each process; what OTEL_RESOURCE_ATTRIBUTES says goes before, but for what tells the processes apart. */
function resourceOf(name: string, { resourceAttributes }: TelemetryOptions, { version, hostName }: TelemetryHost): MetricLabels {
  const instance = resourceAttributes['service.instance.id'] ?? hostName;
  return {
    'service.name': 'flamelake',
    'service.version': version,
    'host.name': hostName,
    ...resourceAttributes,
    'service.instance.id': `${instance}/${name}`,
    'flamelake.stage': name,
  };
}

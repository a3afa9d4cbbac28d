// docs/metrics.md, from the tables that the instruments are made of. Pure text.
import { agentMetrics } from '../agent/metrics.ts';
import { exporterMetrics } from '../exporter/metrics.ts';
import type { MetricSpec, MetricTable } from '../lib/metric-table.ts';
import { prometheusName } from '../lib/prometheus.ts';
import { runtimeMetrics } from '../lib/runtime-metrics.ts';
import { processorMetrics } from '../processor/metrics.ts';
import { queryMetrics } from '../query/metrics.ts';
import { receiverMetrics } from '../receiver/metrics.ts';
import { telemetryMetrics } from './telemetry.ts';
import { upMetrics } from './up-metrics.ts';

/** In the order of the way of a sample. */
export const metricGroups: readonly { readonly title: string; readonly note: string; readonly table: MetricTable }[] = [
  { title: 'Agent', note: 'Label `stage="agent"`. `flamelake agent` has no /metrics; it pushes them where it is asked to.', table: agentMetrics },
  { title: 'Receiver', note: 'Label `stage="receiver"`.', table: receiverMetrics },
  { title: 'Processor', note: 'Label `stage="processor"`.', table: processorMetrics },
  { title: 'Exporter', note: 'Label `stage="exporter"`.', table: exporterMetrics },
  { title: 'Query', note: 'Label `stage="query"`.', table: queryMetrics },
  { title: 'flamelake up', note: 'Of the command that holds the stages together, label `stage="up"`.', table: { ...upMetrics, ...telemetryMetrics } },
  { title: 'Every process', note: 'With the label `stage` of whose process it is.', table: runtimeMetrics },
];

const kindWords = { counter: 'counter', up_down_counter: 'up-down counter', gauge: 'gauge', histogram: 'histogram' } as const;

export function metricsPage(): string {
  return [
    '# Metrics',
    '',
    '<!-- Made by `npm run docs` from the tables in */metrics.ts that the instruments are made of; edit them there. -->',
    '',
    'What Flamelake says about itself. `GET /metrics` of `flamelake up` has all of it as Prometheus text, every stage together. Counters count since their process was started; one that was started again begins at 0, as Prometheus and OpenTelemetry expect.',
    '',
    'They are pushed as OTLP too (gRPC or HTTP with protobuf, every minute) where somebody asks for it, and nowhere else. One process of `flamelake up` does it for all; it takes 20 MB more for that.',
    '',
    '| | `flamelake up` | `flamelake agent` |',
    '|---|---|---|',
    '| `OTEL_METRICS_EXPORTER=none` or `prometheus` | not pushed, whatever else is set | the same |',
    '| `OTEL_METRICS_EXPORTER=otlp` | pushed | pushed |',
    '| `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, or `--metrics-endpoint` | pushed there | pushed there |',
    '| `OTEL_EXPORTER_OTLP_ENDPOINT` alone | pushed there, but not where it names this command itself | profiles go there, metrics do not |',
    '| `OTEL_SDK_DISABLED=true` | not pushed, whatever else is set | the same; profiles are sent |',
    '| none of them | not pushed | not pushed |',
    '',
    'In `flamelake up` the agent sends its profiles to the receiver of the same command, whatever these variables say. [configuration.md](configuration.md) has all options. Each process is a resource of its own: `service.name` is `flamelake` unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says otherwise, `service.instance.id` ends in the name of the stage, `flamelake.stage` is it. Of `OTEL_EXPORTER_OTLP_METRICS_*`, and of the same without `METRICS_`, these are read: `ENDPOINT` (with its scheme, so that `INSECURE` has nothing to say), `PROTOCOL` (grpc, http/protobuf), `HEADERS`, `COMPRESSION`, `TIMEOUT`, `CERTIFICATE`, `CLIENT_CERTIFICATE`, `CLIENT_KEY`; and `OTEL_METRIC_EXPORT_INTERVAL`. Sums are cumulative and histograms have fixed bounds, whatever `TEMPORALITY_PREFERENCE` and `DEFAULT_HISTOGRAM_AGGREGATION` prefer.',
    '',
    'Below, *name* is the name in OTLP, the line under it the one on /metrics; histograms have `_bucket`, `_sum` and `_count` there. A counter whose attributes have known values is there from the start, at 0.',
    '',
    '## What to watch first',
    '',
    '```',
    'min by (name) (flamelake_up_ready) == 0                                  # a stage takes no work',
    'sum by (stage, reason) (increase({__name__=~"flamelake_.*_lost_total"}[5m])) > 0   # something is lost for good',
    'max(flamelake_processor_lag_age_seconds) > 30 or max(flamelake_exporter_lag_seconds) > 30   # answers are old',
    'flamelake_receiver_log_size_bytes / flamelake_receiver_log_limit_bytes > 0.7   # senders will soon be told to wait',
    'predict_linear(flamelake_data_free_bytes[6h], 86400) < 0                 # the disk is full in a day',
    '```',
    ...metricGroups.flatMap(({ title, note, table }) => ['', `## ${title}`, '', note, '', ...rows(table)]),
    '',
  ].join('\n');
}

function rows(table: MetricTable): string[] {
  return [
    '| name | type | unit | attributes | meaning | alert on |',
    '|---|---|---|---|---|---|',
    ...Object.entries(table).map(([name, spec]) => row(name, spec)),
  ];
}

function row(name: string, spec: MetricSpec): string {
  const attributes = Object.entries(spec.attributes ?? {}).map(([key, values]) => `\`${key}\`: ${typeof values === 'string' ? values : values.join(', ')}`);
  const cells = [
    `\`${name}\`<br>\`${prometheusName({ name, unit: spec.unit, kind: spec.kind })}\``,
    kindWords[spec.kind],
    spec.unit,
    attributes.join('<br>'),
    spec.description,
    spec.alert ?? '',
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

// Metrics as Prometheus text (exposition format 0.0.4), named as OpenTelemetry's compatibility
// specification names them: dots become underscores, the unit and `_total` are appended.
import type { HistogramValue, Metric, MetricLabels } from './metrics.ts';

export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** Words for the units in use; a unit in braces ({sample}) is a note and is left out. */
const unitWords: Readonly<Record<string, string>> = {
  '': '',
  '1': '',
  '%': 'percent',
  By: 'bytes',
  d: 'days',
  h: 'hours',
  min: 'minutes',
  s: 'seconds',
  ms: 'milliseconds',
  us: 'microseconds',
  ns: 'nanoseconds',
};

/** One group of metrics with the labels that all of them get, e.g. `stage`. */
export interface MetricGroup {
  readonly labels: MetricLabels;
  readonly metrics: readonly Metric[];
}

/** Metrics of one name stand together, as the format demands, whichever group they come from. */
export function prometheusText(groups: readonly MetricGroup[]): string {
  const families = new Map<string, string[]>();
  for (const group of groups) {
    for (const metric of group.metrics) {
      const name = prometheusName(metric);
      const lines = families.get(name) ?? headLines(name, metric);
      families.set(name, lines);
      for (const point of metric.points) {
        const labels = { ...group.labels, ...point.labels };
        if (typeof point.value === 'number') lines.push(`${name}${labelText(labels)} ${numberText(point.value)}`);
        else pushHistogram(lines, name, labels, point.value);
      }
    }
  }
  return [...families.values()].map((lines) => `${lines.join('\n')}\n`).join('');
}

export function prometheusName(metric: Pick<Metric, 'name' | 'unit' | 'kind'>): string {
  const base = metric.name.replace(/[^a-zA-Z0-9_:]+/g, '_').replace(/^(?=\d)/, '_');
  const word = unitWords[metric.unit] ?? (metric.unit.startsWith('{') ? '' : metric.unit.replace(/[^a-zA-Z0-9]+/g, '_'));
  const named = word === '' || base.endsWith(`_${word}`) ? base : `${base}_${word}`;
  return metric.kind === 'counter' && !named.endsWith('_total') ? `${named}_total` : named;
}

function headLines(name: string, metric: Metric): string[] {
  const type = metric.kind === 'up_down_counter' ? 'gauge' : metric.kind;
  const help = metric.description.replace(/\\/g, '\\\\').replace(/\n/g, '\\n');
  return help === '' ? [`# TYPE ${name} ${type}`] : [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}

function pushHistogram(lines: string[], name: string, labels: MetricLabels, value: HistogramValue): void {
  let total = 0;
  value.counts.forEach((count, at) => {
    total += count;
    const bound = value.bounds[at];
    lines.push(`${name}_bucket${labelText({ ...labels, le: bound === undefined ? '+Inf' : numberText(bound) })} ${total}`);
  });
  lines.push(`${name}_sum${labelText(labels)} ${numberText(value.sum)}`, `${name}_count${labelText(labels)} ${total}`);
}

function labelText(labels: MetricLabels): string {
  const parts = Object.entries(labels).map(([key, value]) => `${key.replace(/[^a-zA-Z0-9_]+/g, '_').replace(/^(?=\d)/, '_')}="${escapeValue(String(value))}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function escapeValue(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}

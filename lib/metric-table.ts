// What a stage tells about itself, written down once: its instruments and docs/metrics.md are both made
// from the same table, so a metric cannot be there without its meaning or the other way round.
import type { Counter, Histogram, Meter, Observable, ObservableCallback, ObservableResult } from '@opentelemetry/api';
import type { MetricKind } from './metrics.ts';

export interface MetricSpec {
  readonly kind: MetricKind;
  readonly unit: string;
  /** One sentence without a full stop: `# HELP` on /metrics, and the meaning in the documentation. */
  readonly description: string;
  /** What each attribute holds, in words, or all values it can have. */
  readonly attributes?: Readonly<Record<string, string | readonly string[]>>;
  /** When somebody should be told, and why; left out where it is for looking at only. */
  readonly alert?: string;
  /** Of a histogram, where OpenTelemetry's own bounds do not fit. */
  readonly bounds?: readonly number[];
}

/** By full name. */
export type MetricTable = Readonly<Record<string, MetricSpec>>;

type NamesOf<Table extends MetricTable, Kind extends MetricKind> = { [Name in keyof Table]: Table[Name] extends { kind: Kind } ? Name : never }[keyof Table] &
  string;
type Observed = 'counter' | 'up_down_counter' | 'gauge';

export interface Instruments<Table extends MetricTable> {
  counter(name: NamesOf<Table, 'counter'>): Counter;
  histogram(name: NamesOf<Table, 'histogram'>): Histogram;
  /** Asked for its values whenever somebody collects. */
  observe(name: NamesOf<Table, Observed>, callback: ObservableCallback): void;
  observable(name: NamesOf<Table, Observed>): Observable;
}

export function instrumentsOf<const Table extends MetricTable>(meter: Meter, table: Table): Instruments<Table> {
  const optionsOf = (name: string) => {
    const { unit, description, bounds } = table[name]!;
    return { unit, description, ...(bounds && { advice: { explicitBucketBoundaries: [...bounds] } }) };
  };
  const observable = (name: string): Observable => {
    const { kind } = table[name]!;
    if (kind === 'counter') return meter.createObservableCounter(name, optionsOf(name));
    return kind === 'gauge' ? meter.createObservableGauge(name, optionsOf(name)) : meter.createObservableUpDownCounter(name, optionsOf(name));
  };
  return {
    counter(name) {
      const counter = meter.createCounter(name, optionsOf(name));
      // There from the start: what first appears with a value has not grown in the eyes of an alert.
      for (const attributes of closedSeries(table[name]!)) counter.add(0, attributes);
      return counter;
    },
    histogram: (name) => meter.createHistogram(name, optionsOf(name)),
    observe(name, callback) {
      const closed = table[name]!.kind === 'counter' ? closedSeries(table[name]!) : [];
      observable(name).addCallback((result: ObservableResult) => {
        for (const attributes of closed) result.observe(0, attributes);
        return callback(result);
      });
    },
    observable,
  };
}

/** Every combination of attributes, where all their values are known; none otherwise. */
function closedSeries({ attributes = {} }: MetricSpec): Record<string, string>[] {
  let series: Record<string, string>[] = [{}];
  for (const [name, values] of Object.entries(attributes)) {
    series = typeof values === 'string' ? [] : series.flatMap((one) => values.map((value) => ({ ...one, [name]: value })));
  }
  return series;
}

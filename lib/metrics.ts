// The Meter that stages count with (lib/stage.ts), and what `/metrics` is made from. It has the
// interface of @opentelemetry/api, as types only: the SDK behind it would cost each of five processes
// 22 MB of memory and 70 ms of start, measured with sdk-metrics 3.1.1. Sums since start, pulled on demand.
import type {
  Attributes,
  BatchObservableCallback,
  Counter,
  Gauge,
  Histogram,
  Meter,
  MetricOptions,
  Observable,
  ObservableCallback,
  UpDownCounter,
} from '@opentelemetry/api';

export type MetricKind = 'counter' | 'up_down_counter' | 'gauge' | 'histogram';
export type MetricLabels = Readonly<Record<string, string | number | boolean>>;

export interface HistogramValue {
  /** Upper bounds, inclusive; `counts` has one more, for what is above the last. */
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

export interface MetricPoint {
  readonly labels: MetricLabels;
  readonly value: number | HistogramValue;
}

/** Plain data: it crosses the process border as it is. */
export interface Metric {
  readonly name: string;
  readonly kind: MetricKind;
  readonly unit: string;
  readonly description: string;
  /** None where nothing was counted yet; it is named on /metrics all the same. */
  readonly points: readonly MetricPoint[];
}

export interface MetricRegistry {
  readonly meter: Meter;
  collect(): Promise<Metric[]>;
}

/** Label sets of one metric; OpenTelemetry's default. What comes after goes to one series marked as overflow. */
const seriesMax = 2000;
const overflowLabels: MetricLabels = { 'otel.metric.overflow': true };
/** OpenTelemetry's default bounds. */
const defaultBounds: readonly number[] = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000];

/** Those of its semantic conventions for durations in seconds. */
const secondsBounds: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

interface Series {
  readonly labels: MetricLabels;
  value: number;
  /** Of a histogram: one more than its bounds. */
  readonly counts: number[] | null;
}

interface Instrument {
  readonly name: string;
  readonly kind: MetricKind;
  readonly options: MetricOptions;
  readonly bounds: readonly number[];
  readonly series: Map<string, Series>;
  readonly callbacks: Set<ObservableCallback>;
}

interface Batch {
  readonly callback: BatchObservableCallback;
  readonly observables: readonly Observable[];
}

export function createMetricRegistry(onCallbackError: (error: unknown) => void = () => {}): MetricRegistry {
  const instruments = new Map<string, Instrument>();
  const batches: Batch[] = [];
  // An Observable is what a stage holds; its instrument is found through it.
  const observed = new Map<Observable, Instrument>();

  const instrument = (name: string, kind: MetricKind, options: MetricOptions = {}): Instrument => {
    const found = instruments.get(name);
    if (found) {
      if (found.kind !== kind) throw new Error(`metric ${name} is a ${found.kind} and was asked for as a ${kind}`);
      return found;
    }
    const bounds = options.advice?.explicitBucketBoundaries ?? (options.unit === 's' ? secondsBounds : defaultBounds);
    const made: Instrument = { name, kind, options, bounds, series: new Map(), callbacks: new Set() };
    instruments.set(name, made);
    return made;
  };

  const observable = (name: string, kind: MetricKind, options?: MetricOptions): Observable => {
    const target = instrument(name, kind, options);
    const handle: Observable = {
      addCallback: (callback) => void target.callbacks.add(callback as ObservableCallback),
      removeCallback: (callback) => void target.callbacks.delete(callback as ObservableCallback),
    };
    observed.set(handle, target);
    return handle;
  };

  const adder = (name: string, kind: 'counter' | 'up_down_counter', options?: MetricOptions): Counter & UpDownCounter => {
    const target = instrument(name, kind, options);
    return {
      add(value, attributes) {
        if (kind === 'counter' && !(value >= 0)) return;
        seriesOf(target, attributes).value += value;
      },
    };
  };

  const meter: Meter = {
    createCounter: (name, options) => adder(name, 'counter', options),
    createUpDownCounter: (name, options) => adder(name, 'up_down_counter', options),
    createGauge(name, options): Gauge {
      const target = instrument(name, 'gauge', options);
      return {
        record(value, attributes) {
          seriesOf(target, attributes).value = value;
        },
      };
    },
    createHistogram(name, options): Histogram {
      const target = instrument(name, 'histogram', options);
      return { record: (value, attributes) => recordInto(target.bounds, seriesOf(target, attributes), value) };
    },
    createObservableCounter: (name, options) => observable(name, 'counter', options),
    createObservableUpDownCounter: (name, options) => observable(name, 'up_down_counter', options),
    createObservableGauge: (name, options) => observable(name, 'gauge', options),
    addBatchObservableCallback(callback, observables) {
      batches.push({ callback: callback as BatchObservableCallback, observables: observables as Observable[] });
    },
    removeBatchObservableCallback(callback) {
      const at = batches.findIndex((batch) => batch.callback === (callback as BatchObservableCallback));
      if (at >= 0) batches.splice(at, 1);
    },
  };

  const collectNow = async (): Promise<Metric[]> => {
    await observeAll(instruments.values(), batches, observed, onCallbackError);
    return [...instruments.values()].map(toMetric);
  };
  let collecting: Promise<Metric[]> | null = null;
  return {
    meter,
    collect() {
      // A second one meanwhile would clear what the first has just observed: both get the same.
      collecting ??= collectNow().finally(() => {
        collecting = null;
      });
      return collecting;
    },
  };
}

/** Asks every callback anew; a series that a callback no longer names is gone. */
async function observeAll(
  instruments: Iterable<Instrument>,
  batches: readonly Batch[],
  observed: ReadonlyMap<Observable, Instrument>,
  onError: (error: unknown) => void,
): Promise<void> {
  const cleared = new Set<Instrument>();
  const observe = (target: Instrument, value: number, attributes?: Attributes) => {
    if (Number.isFinite(value)) seriesOf(target, attributes).value = value;
  };
  const clear = (target: Instrument) => {
    if (!cleared.has(target)) target.series.clear();
    cleared.add(target);
  };
  const waiting: Promise<void>[] = [];
  const call = (run: () => void | Promise<void>) => {
    waiting.push(
      (async () => {
        try {
          await run();
        } catch (error) {
          onError(error);
        }
      })(),
    );
  };
  for (const target of instruments) {
    if (target.callbacks.size > 0) clear(target);
    for (const callback of target.callbacks) call(() => callback({ observe: (value, attributes) => observe(target, value, attributes) }));
  }
  for (const { callback, observables } of batches) {
    for (const each of observables) clear(observed.get(each)!);
    call(() =>
      callback({
        observe: (each, value, attributes) => {
          const target = observed.get(each as Observable);
          if (target && observables.includes(each as Observable)) observe(target, value, attributes);
        },
      }),
    );
  }
  await Promise.all(waiting);
}

function seriesOf(target: Instrument, attributes: Attributes | undefined): Series {
  const labels = toLabels(attributes);
  const key = JSON.stringify(labels);
  const found = target.series.get(key);
  if (found) return found;
  if (target.series.size >= seriesMax - 1 && labels !== overflowLabels) return seriesOf(target, overflowLabels);
  const made: Series = { labels, value: 0, counts: target.kind === 'histogram' ? new Array<number>(target.bounds.length + 1).fill(0) : null };
  target.series.set(key, made);
  return made;
}

/** Sorted by name, so that two orders of the same attributes are one series. */
function toLabels(attributes: Attributes | undefined): MetricLabels {
  if (attributes === undefined) return {};
  if (attributes === overflowLabels) return overflowLabels;
  const labels: Record<string, string | number | boolean> = {};
  for (const name of Object.keys(attributes).sort()) {
    const value = attributes[name];
    if (value !== undefined && value !== null) labels[name] = typeof value === 'object' ? JSON.stringify(value) : (value as string | number | boolean);
  }
  return labels;
}

function recordInto(bounds: readonly number[], series: Series, value: number): void {
  if (!Number.isFinite(value)) return;
  let at = 0;
  while (at < bounds.length && value > bounds[at]!) at++;
  series.counts![at]! += 1;
  series.value += value;
}

function toMetric(target: Instrument): Metric {
  return {
    name: target.name,
    kind: target.kind,
    unit: target.options.unit ?? '',
    description: target.options.description ?? '',
    points: [...target.series.values()].map(({ labels, value, counts }) => ({
      labels,
      value: counts === null ? value : { bounds: target.bounds, counts: [...counts], sum: value },
    })),
  };
}

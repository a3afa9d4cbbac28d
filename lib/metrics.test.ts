import { describe, expect, test } from 'vitest';
import { instrumentsOf, type MetricTable } from './metric-table.ts';
import { createMetricRegistry } from './metrics.ts';
import { prometheusName, prometheusText } from './prometheus.ts';

describe('the registry', () => {
  test('adds up by attributes, whatever their order', async () => {
    const { meter, collect } = createMetricRegistry();
    const lost = meter.createCounter('flamelake.agent.lost', { unit: '{sample}' });
    lost.add(2, { reason: 'ring_full', cpu: 1 });
    lost.add(3, { cpu: 1, reason: 'ring_full' });
    lost.add(1, { reason: 'map_full' });
    lost.add(-5, { reason: 'map_full' });
    lost.add(Number.NaN, { reason: 'map_full' });
    expect(await collect()).toEqual([
      {
        name: 'flamelake.agent.lost',
        kind: 'counter',
        unit: '{sample}',
        description: '',
        points: [
          { labels: { cpu: 1, reason: 'ring_full' }, value: 5 },
          { labels: { reason: 'map_full' }, value: 1 },
        ],
      },
    ]);
  });

  test('is bounded: label sets above 2000 are one series marked as overflow', async () => {
    const { meter, collect } = createMetricRegistry();
    const counter = meter.createCounter('c');
    for (let i = 0; i < 5000; i++) counter.add(1, { i });
    const [metric] = await collect();
    expect(metric!.points).toHaveLength(2000);
    expect(metric!.points.at(-1)).toEqual({ labels: { 'otel.metric.overflow': true }, value: 3001 });
  });

  test('asks observers at each collection and forgets what they no longer name', async () => {
    const { meter, collect } = createMetricRegistry();
    const depth = new Map([['a', 1]]);
    meter.createObservableGauge('depth').addCallback(async (result) => {
      for (const [queue, value] of depth) result.observe(value, { queue });
    });
    const low = meter.createObservableGauge('low');
    const high = meter.createObservableUpDownCounter('high');
    meter.addBatchObservableCallback(
      (result) => {
        result.observe(low, 1);
        result.observe(high, 9);
      },
      [low, high],
    );
    expect((await collect()).map((metric) => [metric.name, metric.points])).toEqual([
      ['depth', [{ labels: { queue: 'a' }, value: 1 }]],
      ['low', [{ labels: {}, value: 1 }]],
      ['high', [{ labels: {}, value: 9 }]],
    ]);
    depth.delete('a');
    depth.set('b', 2);
    expect((await collect())[0]!.points).toEqual([{ labels: { queue: 'b' }, value: 2 }]);
  });

  test('an observer that throws costs its own value only', async () => {
    const errors: unknown[] = [];
    const { meter, collect } = createMetricRegistry((error) => errors.push(error));
    meter.createObservableGauge('bad').addCallback(() => {
      throw new Error('no');
    });
    meter.createObservableGauge('good').addCallback((result) => result.observe(1));
    expect((await collect()).map(({ name, points }) => [name, points.length])).toEqual([
      ['bad', 0],
      ['good', 1],
    ]);
    expect(errors).toHaveLength(1);
  });

  test('two collections at a time see the same, whole', async () => {
    const { meter, collect } = createMetricRegistry();
    const slow = Promise.withResolvers<void>();
    meter.createObservableGauge('slow').addCallback(async (result) => {
      await slow.promise;
      result.observe(1);
    });
    const both = [collect(), collect()];
    slow.resolve();
    expect((await Promise.all(both)).map(([metric]) => metric!.points.length)).toEqual([1, 1]);
  });

  test('one name is one kind', () => {
    const { meter } = createMetricRegistry();
    meter.createCounter('x');
    expect(() => meter.createGauge('x')).toThrow('metric x is a counter');
  });
});

describe('instruments of a table', () => {
  const table = {
    plain: { kind: 'counter', unit: '{sample}', description: 'Plain' },
    closed: { kind: 'counter', unit: '{sample}', description: 'Closed', attributes: { transport: ['grpc', 'http'], reason: ['full'] } },
    open: { kind: 'counter', unit: '{sample}', description: 'Open', attributes: { transport: ['grpc', 'http'], reason: 'any text' } },
    observed: { kind: 'counter', unit: '{sample}', description: 'Observed', attributes: { reason: ['full', 'empty'] } },
    took: { kind: 'histogram', unit: 's', description: 'Took', bounds: [1, 2] },
    size: { kind: 'gauge', unit: 'By', description: 'Size' },
  } as const satisfies MetricTable;

  test('counters whose series are all known are there from the start, at 0', async () => {
    const { meter, collect } = createMetricRegistry();
    const { counter, histogram, observe } = instrumentsOf(meter, table);
    counter('plain');
    counter('closed').add(2, { transport: 'http', reason: 'full' });
    counter('open').add(3, { transport: 'http', reason: 'x' });
    observe('observed', (result) => result.observe(4, { reason: 'full' }));
    histogram('took').record(1.5);
    observe('size', (result) => result.observe(5));
    const found = Object.fromEntries((await collect()).map(({ name, points }) => [name, points]));
    expect(found).toEqual({
      plain: [{ labels: {}, value: 0 }],
      closed: [
        { labels: { transport: 'grpc', reason: 'full' }, value: 0 },
        { labels: { transport: 'http', reason: 'full' }, value: 2 },
      ],
      open: [{ labels: { transport: 'http', reason: 'x' }, value: 3 }],
      observed: [
        { labels: { reason: 'full' }, value: 4 },
        { labels: { reason: 'empty' }, value: 0 },
      ],
      took: [{ labels: {}, value: { bounds: [1, 2], counts: [0, 1, 0], sum: 1.5 } }],
      size: [{ labels: {}, value: 5 }],
    });
  });
});

describe('Prometheus text', () => {
  test('names carry unit and _total once', () => {
    expect(prometheusName({ name: 'flamelake.log.size', unit: 'By', kind: 'gauge' })).toBe('flamelake_log_size_bytes');
    expect(prometheusName({ name: 'process.cpu.time', unit: 's', kind: 'counter' })).toBe('process_cpu_time_seconds_total');
    expect(prometheusName({ name: 'a.bytes', unit: 'By', kind: 'counter' })).toBe('a_bytes_total');
    expect(prometheusName({ name: 'lost', unit: '{sample}', kind: 'counter' })).toBe('lost_total');
    expect(prometheusName({ name: '9 lives', unit: '1', kind: 'gauge' })).toBe('_9_lives');
  });

  test('groups of one metric stand together, text is escaped, histograms add up', async () => {
    const one = createMetricRegistry();
    one.meter.createCounter('lost', { description: 'a\nb\\' }).add(1, { reason: 'say "no"\\\n' });
    const two = createMetricRegistry();
    two.meter.createHistogram('took', { unit: 's', advice: { explicitBucketBoundaries: [0.1, 1] } }).record(0.1);
    two.meter.createHistogram('took', { unit: 's' }).record(7);
    two.meter.createCounter('lost').add(2);
    const text = prometheusText([
      { labels: { stage: 'agent' }, metrics: await one.collect() },
      { labels: { stage: 'receiver' }, metrics: await two.collect() },
    ]);
    expect(text).toBe(
      [
        '# HELP lost_total a\\nb\\\\',
        '# TYPE lost_total counter',
        'lost_total{stage="agent",reason="say \\"no\\"\\\\\\n"} 1',
        'lost_total{stage="receiver"} 2',
        '# TYPE took_seconds histogram',
        'took_seconds_bucket{stage="receiver",le="0.1"} 1',
        'took_seconds_bucket{stage="receiver",le="1"} 1',
        'took_seconds_bucket{stage="receiver",le="+Inf"} 2',
        'took_seconds_sum{stage="receiver"} 7.1',
        'took_seconds_count{stage="receiver"} 2',
        '',
      ].join('\n'),
    );
  });
});

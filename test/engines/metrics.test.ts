// Our OTLP metrics, read by the classes of the OpenTelemetry project.
import { expect, test } from 'vitest';
import type { Metric } from '../../lib/metrics.ts';
import { writeMetricsRequest } from '../../schemas/otlp/metrics-writer.ts';
import { type MetricsResource, readMetrics } from './metrics.ts';
import { findPython } from './python.ts';

const python = findPython();

test.skipIf(python === null)('every kind of metric, value and attribute arrives as it was written', () => {
  const labels = { text: 'größer "x"', empty: '', yes: true, no: false, zero: 0, minus: -5, half: 0.5 };
  const metrics: Metric[] = [
    { name: 'a.counter', kind: 'counter', unit: '{sample}', description: 'Counts', points: [{ labels, value: 2 ** 52 }] },
    { name: 'a.zero', kind: 'counter', unit: '', description: '', points: [{ labels: {}, value: 0 }] },
    { name: 'up.down', kind: 'up_down_counter', unit: '1', description: 'd', points: [{ labels: {}, value: -3 }] },
    {
      name: 'a.gauge',
      kind: 'gauge',
      unit: 's',
      description: 'd',
      points: [
        { labels: { shard: 1 }, value: 0.25 },
        { labels: { shard: 2 }, value: -1e300 },
      ],
    },
    { name: 'took', kind: 'histogram', unit: 's', description: 'd', points: [{ labels: {}, value: { bounds: [0.1, 1], counts: [3, 0, 2], sum: 7.5 } }] },
    { name: 'nothing.yet', kind: 'counter', unit: '', description: '', points: [] },
  ];
  const body = writeMetricsRequest(
    [{ attributes: { 'service.name': 'flamelake' }, startMillis: 1_000, metrics }],
    { name: 'flamelake', version: '1.2.3' },
    61_000,
  );
  const times = { start: '1000000000', time: '61000000000' };
  const sum = (monotonic: boolean) => ({ kind: 'sum', temporality: 'cumulative', monotonic });
  expect(readMetrics(python!, [body])).toEqual([
    [
      {
        attributes: { 'service.name': 'flamelake' },
        scopes: [['flamelake', '1.2.3']],
        metrics: {
          'a.counter': { unit: '{sample}', description: 'Counts', ...sum(true), points: [{ attributes: labels, value: 2 ** 52, ...times }] },
          'a.zero': { unit: '', description: '', ...sum(true), points: [{ attributes: {}, value: 0, ...times }] },
          'up.down': { unit: '1', description: 'd', ...sum(false), points: [{ attributes: {}, value: -3, ...times }] },
          'a.gauge': {
            unit: 's',
            description: 'd',
            kind: 'gauge',
            temporality: null,
            monotonic: null,
            points: [
              { attributes: { shard: 1 }, value: 0.25, ...times },
              { attributes: { shard: 2 }, value: -1e300, ...times },
            ],
          },
          took: {
            unit: 's',
            description: 'd',
            kind: 'histogram',
            temporality: 'cumulative',
            monotonic: null,
            points: [{ attributes: {}, value: { count: 5, sum: 7.5, counts: [3, 0, 2], bounds: [0.1, 1] }, ...times }],
          },
        },
      },
    ],
  ] satisfies MetricsResource[][]);
});

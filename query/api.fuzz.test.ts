// Parameters and bodies that nobody would send on purpose: each is answered or refused in one line,
// and whatever reaches the lake's questions is inside their bounds.
import { expect, test } from 'vitest';
import { PipelineError } from '../lib/errors.ts';
import { type Answer, answerApi, apiPaths } from './api.ts';
import { checkFilter, type Filter } from './filter.ts';
import type { FlameGraph } from './flamegraph.ts';
import { limits } from './limits.ts';
import type { Query } from './query.ts';
import { seededRandom } from './testing-random.ts';

const runs = Number(process.env.FLAMELAKE_FUZZ_RUNS ?? 20_000);
const names = [
  'from',
  'to',
  'service',
  'process',
  'host',
  'type',
  'group',
  'format',
  'nodes',
  'limit',
  'by',
  'download',
  'q',
  'rows',
  'FROM',
  '__proto__',
  'constructor',
  '',
];
const values = [
  'now',
  '-15m',
  '-1h30m',
  '2026-11-24',
  '2026-11-24T10:00:00Z',
  '1795513119540',
  'cpu',
  'json',
  'svg',
  'html',
  'collapsed',
  'process',
  'none',
  '1',
  '0',
  '-1',
  '1e9',
  '999999999999',
  'NaN',
  '',
  ' ',
  '\u0000',
  '\ud800',
  "' OR 1=1",
  '<script>',
  'é'.repeat(600),
  'x'.repeat(1025),
  '-999999999999d',
  '9999-12-31T23:59:60Z',
];
const bodies = [
  '',
  '{',
  '[]',
  'null',
  '"q"',
  '{"q":1}',
  '{"q":"SELECT 1"}',
  '{"q":null}',
  '{"q":["a"]}',
  '{"q":"x","__proto__":{"a":1}}',
  '{"__proto__":"x"}',
  '{"q":"SELECT 1","rows":"5","from":"-1h"}',
  '{"q":"\\u0000"}',
];

const graph: FlameGraph = {
  version: 1,
  type: 'cpu',
  unit: 'nanoseconds',
  fromMillis: 0,
  toMillis: 1,
  groupedBy: 'process',
  total: 0,
  samples: 0,
  strings: ['', 'all'],
  frames: { label: [1], role: ['root'], type: [0], mapping: [0], file: [0], named: [1], inlined: [0] },
  nodes: { frame: [0], parent: [-1], value: [0], self: [0], samples: [0] },
  folded: 0,
};

/** Takes what is inside the bounds that the real one checks or relies on. */
function boundedQuery(): Query {
  const inside = (filter: Filter) => checkFilter(filter);
  const whole = (value: number | undefined, most: number) =>
    expect(value === undefined || (Number.isSafeInteger(value) && value >= 1 && value <= most)).toBe(true);
  const query: Partial<Query> = {
    flamegraph: async (filter, options) => {
      inside(filter);
      whole(options?.nodesMax, limits.nodesMax);
      return { ...graph, type: filter.type ?? 'cpu' };
    },
    top: async (filter, limit) => {
      inside(filter);
      whole(limit, limits.topMax);
      return { type: 'cpu', unit: '', fromMillis: 0, toMillis: 0, total: 0, samples: 0, rows: [], more: 0 };
    },
    labels: async (filter) => {
      inside(filter);
      return { hosts: [], services: [], processes: [], types: [] };
    },
    activity: async (range) => {
      inside(range);
      return { ...range, newestMillis: null, samples: 0, samplesPerSecond: 0, hosts: 0, lost: [], files: { published: 0, hot: 0 } };
    },
    sql: async (text, options) => {
      expect(text.trim()).not.toBe('');
      whole(options?.rowsMax, limits.rowsMax);
      for (const millis of [options?.fromMillis, options?.toMillis]) expect(millis === undefined || Number.isSafeInteger(millis)).toBe(true);
      return { columns: [], rows: [], truncated: false };
    },
  };
  const complete = query as Query;
  complete.overview = async (filter, limit, options) => ({
    graph: await complete.flamegraph(filter, options),
    top: await complete.top(filter, limit),
    labels: await complete.labels(filter),
    activity: await complete.activity(filter),
  });
  return complete;
}

test('the API under random parameters and bodies', async () => {
  const random = seededRandom(23);
  const context = { query: boundedQuery(), reports: () => [], nowMillis: () => 1_795_513_119_540 };
  const seen = new Map<number, number>();
  for (let run = 0; run < runs; run++) {
    const parameters = new URLSearchParams(Array.from({ length: random.below(4) }, (): [string, string] => [random.pick(names), random.pick(values)]));
    const path = random.below(20) === 0 ? random.pick(values) : random.pick(apiPaths);
    const method = random.below(4) === 0 ? 'POST' : 'GET';
    const contentType = random.below(3) === 0 ? random.pick(values) : 'application/json';
    const request = {
      method,
      path,
      parameters,
      contentType,
      body: method === 'POST' ? random.pick(bodies) : '',
      signal: new AbortController().signal,
    } as const;
    const answer = await answerApi(context, request).catch((error: unknown): Answer => {
      if (!(error instanceof PipelineError)) throw error;
      expect(['usage', 'query_failed'], `${path}?${parameters}`).toContain(error.code);
      expect(error.message, `${path}?${parameters}`).toMatch(/^[^\n]{5,1000}$/);
      return { status: 400, contentType: '', body: '' };
    });
    for (const value of Object.values(answer.headers ?? {})) expect(value).toMatch(/^[\x20-\x7e]+$/);
    seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
  }
  expect([...seen.keys()].sort()).toEqual([200, 400, 404, 405]);
  expect(seen.get(200)!).toBeGreaterThan(runs / 20);
});

import { readdir, rm, unlink } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sampleColumns } from '../schemas/lake/columns.ts';
import { raiseFloor } from '../schemas/lake/floor.ts';
import type { Filter } from './filter.ts';
import type { FlameGraph } from './flamegraph.ts';
import { openQuery, type Query } from './query.ts';
import { FixtureLake, type Row, sampleRow, stackId, stackRow } from './testing-lake.ts';

let lake: FixtureLake;
let query: Query;

beforeEach(async () => {
  lake = await FixtureLake.make();
  query = await openQuery({ store: lake.url });
});
afterEach(async () => {
  await query.close();
  await lake.remove();
});

const day: Filter = { fromMillis: Date.parse('2026-11-24T00:00:00Z'), toMillis: Date.parse('2026-11-25T00:00:00Z') };
const at = (second: number, minute = 0) => `2026-11-24T10:${String(minute).padStart(2, '0')}:${String(second).padStart(2, '0')}Z`;
const one = async (sql: string, options = {}) => (await query.sql(sql, options)).rows[0]![0];

/** A flame graph as a drawing: two spaces a level, then value and self in units of 50 ms samples. */
function drawing(graph: FlameGraph): string[] {
  const { nodes, frames, strings } = graph;
  const depth: number[] = [];
  return nodes.frame.map((frame, node) => {
    depth[node] = nodes.parent[node]! < 0 ? 0 : depth[nodes.parent[node]!]! + 1;
    return `${'  '.repeat(depth[node]!)}${strings[frames.label[frame]!]!} ${nodes.value[node]! / 50e6} ${nodes.self[node]! / 50e6}`;
  });
}

describe('the state of the lake', () => {
  test('without a lake, and with an empty one, the tables are there and empty', async () => {
    const none = await FixtureLake.make({ settings: false });
    const asked = await openQuery({ store: none.url });
    expect((await asked.sql('SELECT count(*) FROM samples')).rows).toEqual([[0]]);
    await asked.close();
    await none.remove();
    expect(await one('SELECT count(*) FROM stacks')).toBe(0);
    expect(await one('SELECT count(*) FROM samples JOIN stacks USING (date, stack_id)')).toBe(0);
    expect((await query.top(day)).rows).toEqual([]);
    expect(drawing(await query.flamegraph(day))).toEqual(['all 0 0']);
    expect(await query.labels(day)).toEqual({ hosts: [], services: [], processes: [], types: [] });
    expect(await query.activity(day)).toMatchObject({ newestMillis: null, samples: 0, samplesPerSecond: 0, lost: [] });
  });

  const stacks = [stackRow(stackId(1), ['leaf', 'main']), stackRow(stackId(2), ['other', 'main'])];
  const hotStacks = stacks.map((row): readonly [number, Row] => [0, { ...row, _date: '2026-11-24' }]);

  /** One sample per offset, with the offset as its thread id. */
  const sample = (offset: number) => sampleRow(at(offset % 60), stackId((offset % 2) + 1), { thread_id: offset });
  const hotSamples = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index): readonly [number, Row] => [from + index, sample(from + index)]);

  async function offsets(): Promise<unknown> {
    const { rows } = await query.sql(
      'SELECT thread_id, s.depth, s.date::VARCHAR FROM samples LEFT JOIN stacks s USING (date, stack_id) ORDER BY thread_id',
      {},
    );
    expect(rows.every(([, depth, date]) => depth === 2 && date === '2026-11-24')).toBe(true);
    return rows.map(([offset]) => offset);
  }
  const upTo = (end: number) => Array.from({ length: end }, (_, index) => index);

  test('a row is there once, from hot to public, at every step of a publication', async () => {
    await lake.hot(0, 4, hotSamples(0, 4), hotStacks);
    expect(await offsets()).toEqual(upTo(4));
    // A zombie's object over the same offsets and one more, and a second one over a part.
    await lake.hot(2, 6, hotSamples(2, 6), [[2, hotStacks[0]![1]]]);
    await lake.hot(1, 3, hotSamples(1, 3));
    expect(await offsets()).toEqual(upTo(6));

    const record = await lake.publish({ seq: 1, position: 4, samples: upTo(4).map(sample), stacks, progress: 'recorded' });
    expect(await offsets()).toEqual(upTo(6));
    await lake.finish(record, 'stacks');
    expect(await offsets()).toEqual(upTo(6));
    await lake.finish(record, 'finished');
    expect(await offsets()).toEqual(upTo(6));
    await lake.finish(record, 'swept');
    expect(await offsets()).toEqual(upTo(6));
    expect(await one('SELECT count(*) FROM stacks')).toBe(2);
  });

  test('a later record, files that are above the head, and files that nobody names', async () => {
    await lake.publish({ seq: 1, position: 2, samples: upTo(2).map(sample), stacks });
    const stray = await lake.publish({ seq: 3, position: 9, samples: [sample(8)] });
    await lake.store.delete(`commits/000/${String(999_999_999_999 - 3).padStart(12, '0')}.json`);
    expect(stray.files).toHaveLength(1);
    expect(await offsets()).toEqual(upTo(2));
    await lake.publish({ seq: 2, position: 4, samples: [2, 3].map(sample) });
    expect(await offsets()).toEqual(upTo(4));
  });

  test('carried rows are there while they wait, and once after they are published', async () => {
    const old = sampleRow('2026-11-20T10:00:00Z', stackId(3), { thread_id: 77 });
    const oldStack = stackRow(stackId(3), ['old']);
    await lake.publish({ seq: 1, position: 2, samples: upTo(2).map(sample), stacks, carrySamples: [old], carryStacks: [{ ...oldStack, _date: '2026-11-20' }] });
    const find = 'SELECT count(*), any_value(s.leaf_function), any_value(date)::VARCHAR FROM samples JOIN stacks s USING (date, stack_id) WHERE thread_id = 77';
    expect((await query.sql(find)).rows).toEqual([[1, 'old', '2026-11-20']]);
    await lake.publish({ seq: 2, position: 3, samples: [sample(2), old], stacks: [{ ...oldStack, date: '2026-11-20' }] });
    expect((await query.sql(find)).rows).toEqual([[1, 'old', '2026-11-20']]);
    expect(await one('SELECT count(*) FROM samples')).toBe(4);
  });

  test('a staged file that is swept while it is read does not fail the question', async () => {
    const record = await lake.publish({ seq: 1, position: 4, samples: upTo(4).map(sample), stacks, progress: 'recorded' });
    const head = lake.store.head.bind(lake.store);
    // The reader's own store finds the staged file, then the exporter finishes and sweeps before it is opened.
    let finished = false;
    query.store.head = async (key) => {
      const found = await head(key);
      if (!finished && key === record.files.at(-1)!.staging) {
        finished = true;
        await lake.finish(record, 'swept');
      }
      return found;
    };
    expect(await offsets()).toEqual(upTo(4));
    expect(finished).toBe(true);
  });

  test('files that retention takes while a question reads them are left out of its answer', async () => {
    const record = await lake.publish({ seq: 1, position: 4, samples: upTo(4).map(sample), stacks, progress: 'swept' });
    const younger = sampleRow('2026-11-25T10:00:00Z', stackId(1), { thread_id: 9 });
    await lake.publish({ seq: 2, position: 5, samples: [younger], stacks: [{ ...stacks[0]!, date: '2026-11-25' }], progress: 'swept' });
    const seen = async () => (await query.sql('SELECT thread_id FROM samples ORDER BY ALL')).rows.flat();
    expect(await seen()).toEqual([0, 1, 2, 3, 9]);
    const list = query.store.list.bind(query.store);
    let taken = false;
    query.store.list = async (prefix, options) => {
      const entries = await list(prefix, options);
      if (!taken && prefix.startsWith('lake/stacks')) {
        // All names are known to the question, none is open yet.
        taken = true;
        await raiseFloor(lake.store, { date: '2026-11-25', movedMillis: 0, reason: '', writer: '' });
        for (const file of record.files) await lake.store.delete(file.key);
      }
      return entries;
    };
    expect(await seen()).toEqual([9]);
    expect(taken).toBe(true);
  });

  test('dates below the floor are not seen, whether their files are still there or not, nor what is hot of them', async () => {
    await lake.publish({ seq: 1, position: 4, samples: upTo(4).map(sample), stacks });
    await raiseFloor(lake.store, { date: '2026-11-25', movedMillis: 0, reason: '', writer: '' });
    expect(await one('SELECT count(*) FROM samples')).toBe(0);
    expect(await one('SELECT count(*) FROM stacks')).toBe(0);
    await lake.hot(4, 6, [
      [4, sample(4)],
      [5, sample(5)],
    ]);
    expect(await one('SELECT count(*) FROM samples')).toBe(0);
  });

  test('a file that was listed and is gone for good is answered with its name', async () => {
    const record = await lake.publish({ seq: 1, position: 4, samples: upTo(4).map(sample), stacks });
    const list = query.store.list.bind(query.store);
    const key = record.files.at(-1)!.key;
    query.store.list = async (prefix, options) => {
      const entries = await list(prefix, options);
      return prefix.startsWith('lake/samples') ? [{ key, bytes: 1, modifiedMillis: 0 }] : entries;
    };
    await unlink(lake.path(key));
    await expect(query.sql('SELECT count(*) FROM samples')).rejects.toThrow(/h10-000000001-0\.parquet/);
  });

  test('shards have heads of their own', async () => {
    const two = await FixtureLake.make({ shards: 2 });
    await two.publish({ seq: 1, position: 1, samples: [sample(0)], stacks, shard: 0 });
    await two.hot(0, 1, [[0, sample(0)]], [], 0);
    await two.hot(0, 1, [[0, sample(1)]], [], 1);
    const asked = await openQuery({ store: two.url });
    expect((await asked.sql('SELECT thread_id, shard FROM samples ORDER BY ALL')).rows).toEqual([
      [0, 0],
      [1, 1],
    ]);
    await asked.close();
    await two.remove();
  });

  test('a directory whose name looks like a pattern is read all the same', async () => {
    const odd = await FixtureLake.make({ parent: lake.directory });
    const { rename } = await import('node:fs/promises');
    await odd.publish({ seq: 1, position: 1, samples: [sample(0)], stacks });
    const renamed = lake.path("it's [a] *lake?");
    await rename(odd.directory, renamed);
    const { pathToFileURL } = await import('node:url');
    const asked = await openQuery({ store: pathToFileURL(renamed).href });
    expect((await asked.sql('SELECT count(*) FROM samples JOIN stacks USING (date, stack_id)')).rows).toEqual([[1]]);
    await asked.close();
    await rename(renamed, odd.directory);
    await odd.remove();
  });
});

describe('a server that keeps hot objects', () => {
  const stack = stackRow(stackId(1), ['main']);
  const sampleAt = (offset: number): readonly [number, Row] => [
    offset,
    sampleRow(at(offset % 60, Math.floor(offset / 60)), stackId(1), { thread_id: offset, attributes: { 'a.b': 'c' } }),
  ];

  test('reads them from local files, and answers the same while objects come and go', async () => {
    const kept = await openQuery({ store: lake.url, keepHot: true });
    const sql = 'SELECT thread_id, attributes, date::VARCHAR, samples.shard, s.frames FROM samples JOIN stacks s USING (date, stack_id) ORDER BY thread_id';
    const opened = async () => (await kept.activity(day)).files.hot;
    for (let offset = 0; offset < 30; offset++) await lake.hot(offset, offset + 1, [sampleAt(offset)], offset === 0 ? [[0, stack]] : []);
    expect(await opened()).toBe(1);
    expect(await kept.sql(sql)).toEqual(await query.sql(sql));

    await lake.publish({ seq: 1, position: 10, samples: Array.from({ length: 10 }, (_, offset) => sampleAt(offset)[1]), stacks: [stack] });
    for (let offset = 30; offset < 33; offset++) await lake.hot(offset, offset + 1, [sampleAt(offset)]);
    // A zombie's object over what was merged.
    await lake.hot(20, 22, [sampleAt(20), sampleAt(21)]);
    const answer = await kept.sql(sql);
    expect(answer.rows.map(([offset]) => offset)).toEqual(Array.from({ length: 33 }, (_, offset) => offset));
    expect(answer).toEqual(await query.sql(sql));
    // Somebody clears the folder for temporary files: the lake's own objects are read again.
    for (const name of await readdir(lake.path('tmp'))) await rm(lake.path(path.join('tmp', name)), { recursive: true });
    expect(await kept.sql(sql)).toEqual(answer);
    await kept.close();
  });
});

describe('files of other versions', () => {
  const samples = [sampleRow(at(1), stackId(1)), sampleRow(at(2), stackId(1))];
  const stack = stackRow(stackId(1), ['main']);

  test('a file without a column of today, and one with a column of tomorrow, in any order', async () => {
    await lake.publish({ seq: 1, position: 1, samples: [samples[0]!], stacks: [stack] });
    const second = await lake.publish({ seq: 2, position: 2, samples: [samples[1]!] });
    const key = second.files[0]!.key;
    const older = sampleColumns.filter((column) => column.name !== 'scope_name' && column.name !== 'attributes');
    const newer = [...sampleColumns, { name: 'brand_new', type: 'string', nullable: true } as const];
    const sql = 'SELECT time, scope_name, attributes, service_name FROM samples ORDER BY time';
    const expected = await query.sql(sql);
    for (const columns of [older, newer, [...older, newer.at(-1)!]]) {
      for (const table of [key, (await lake.store.list('lake/samples/'))[0]!.key]) {
        const rows = table === key ? [samples[1]!] : [samples[0]!];
        await unlink(lake.path(table));
        await lake.parquet(table, columns, rows);
        const asked = await openQuery({ store: lake.url });
        expect(await asked.sql(sql)).toEqual(expected);
        expect((await asked.flamegraph(day)).total).toBe(100_000_000);
        await asked.close();
        await unlink(lake.path(table));
        await lake.parquet(table, sampleColumns, rows);
      }
    }
  });

  test('a column that no file has is said to be missing, not looked for again and again', async () => {
    await lake.publish({ seq: 1, position: 1, samples, stacks: [stack] });
    await expect(query.sql('SELECT scope_nam FROM samples')).rejects.toThrow('Referenced column "scope_nam" not found');
    await expect(query.sql('SELECT frames FROM samples')).rejects.toThrow('Referenced column "frames" not found');
  });
});

describe('the time range', () => {
  test('cuts rows exactly, and opens no file that its names exclude', async () => {
    const samples = ['2026-11-23T23:59:59.999Z', '2026-11-24T00:00:00Z', '2026-11-24T10:30:00Z', '2026-11-24T11:00:00Z'].map((time) =>
      sampleRow(time, stackId(1)),
    );
    const stack = stackRow(stackId(1), ['main']);
    const record = await lake.publish({
      seq: 1,
      position: 1,
      samples,
      stacks: [{ ...stack, date: '2026-11-23' }, stack, { ...stack, date: '2026-11-24' }].slice(0, 1),
    });
    await lake.publish({ seq: 2, position: 2, stacks: [{ ...stack, date: '2026-11-24' }] });
    const range = { fromMillis: Date.parse('2026-11-24T00:00:00Z'), toMillis: Date.parse('2026-11-24T11:00:00Z') };
    expect((await query.sql('SELECT time FROM samples ORDER BY time', range)).rows).toEqual([['2026-11-24T00:00:00.000Z'], ['2026-11-24T10:30:00.000Z']]);
    expect(await one('SELECT count(*) FROM stacks', range)).toBe(1);
    for (const file of record.files) if (file.key.includes('2026-11-23') || file.key.includes('/h11-')) await unlink(lake.path(file.key));
    expect(await one('SELECT count(*) FROM samples', range)).toBe(2);
  });
});

describe('flame graph and top', () => {
  const kernel = { function: 'vfs_read', type: 'kernel', mapping: 'vmlinux' };
  const bare = { mapping: '/usr/lib/libfoo.so', address: '0x1234' };

  beforeEach(async () => {
    const stacks = [
      stackRow(stackId(1), [kernel, 'read', 'main']),
      stackRow(stackId(2), ['fib', 'fib', 'fib', 'main']),
      stackRow(stackId(3), [bare, 'main']),
      stackRow(stackId(4), ['fib', 'work'], { cut: 'depth' }),
      stackRow(stackId(5), []),
      stackRow(stackId(6), [{ function: '[lost: ring_full]', type: null, mapping: null }]),
    ];
    const app = { process_executable_name: 'app', process_pid: 41, host_name: 'node-1', host_id: 'aa' };
    const job = { process_executable_name: 'job', process_pid: 42, host_name: 'node-2', host_id: 'bb', service_name: 'batch' };
    await lake.publish({
      seq: 1,
      position: 1,
      stacks,
      samples: [
        sampleRow(at(1), stackId(1), app),
        sampleRow(at(2), stackId(1), app),
        sampleRow(at(3), stackId(2), { ...app, weight: 5 }),
        sampleRow(at(4), stackId(3), app),
        sampleRow(at(5), stackId(1), job),
        sampleRow(at(6), stackId(4), job),
        sampleRow(at(7), stackId(5), { service_name: 'kernel' }),
        sampleRow(at(8), stackId(99), job),
        sampleRow(at(9), stackId(6), { sample_type: 'lost', sample_unit: 'count', value: 7, count: 7, attributes: { 'flamelake.lost.reason': 'ring_full' } }),
        sampleRow(at(10), stackId(1), { ...app, sample_type: 'off_cpu' }),
      ],
    });
  });

  test('the tree has the root first, the kernel over the user, and nothing left out', async () => {
    const graph = await query.flamegraph(day);
    expect(drawing(graph)).toEqual([
      'all 12 0',
      '  app 8 0',
      '    main 8 0',
      '      fib 5 0',
      '        fib 5 0',
      '          fib 5 5',
      '      libfoo.so+0x1234 1 1',
      '      read 2 0',
      '        vfs_read 2 2',
      '  job 3 0',
      '    [cut: depth] 1 0',
      '      work 1 0',
      '        fib 1 1',
      '    main 1 0',
      '      read 1 0',
      '        vfs_read 1 1',
      '    [stack missing] 1 1',
      '  kernel 1 0',
      '    [no frames] 1 1',
    ]);
    expect(graph).toMatchObject({ type: 'cpu', unit: 'nanoseconds', total: 12 * 50e6, samples: 8, folded: 0, groupedBy: 'process' });
  });

  test('by service, by host, and in one', async () => {
    const second = async (groupBy: 'service' | 'host' | 'none') =>
      drawing(await query.flamegraph(day, { groupBy }))
        .filter((line) => /^ {2}\S/.test(line))
        .map((line) => line.trim());
    expect(await second('service')).toEqual(['batch 3 0', 'checkout 8 0', 'kernel 1 0']);
    expect(await second('host')).toEqual(['[unknown host] 1 0', 'node-1 8 0', 'node-2 3 0']);
    expect(await second('none')).toEqual(['[cut: depth] 1 0', 'main 9 0', '[no frames] 1 1', '[stack missing] 1 1']);
  });

  test('filters', async () => {
    const total = async (more: Partial<Filter>) => (await query.flamegraph({ ...day, ...more })).total / 50e6;
    expect(await total({ service: 'batch' })).toBe(3);
    expect(await total({ process: 'app' })).toBe(8);
    expect(await total({ process: '42' })).toBe(3);
    expect(await total({ host: 'node-1' })).toBe(8);
    expect(await total({ host: 'bb' })).toBe(3);
    expect(await total({ host: "' OR 1=1 --" })).toBe(0);
    expect(await total({ type: 'off_cpu' })).toBe(1);
    expect(await total({ fromMillis: Date.parse(at(4)), toMillis: Date.parse(at(6)) })).toBe(2);
    const lost = await query.flamegraph({ ...day, type: 'lost' });
    expect([lost.unit, lost.total]).toEqual(['count', 7]);
  });

  test('too many nodes are folded into notes, and every value stays', async () => {
    const graph = await query.flamegraph(day, { nodesMax: 6 });
    expect(drawing(graph)).toEqual([
      'all 12 0',
      '  app 8 0',
      '    main 8 0',
      '      fib 5 0',
      '        fib 5 0',
      '          fib 5 5',
      '      [3 smaller frames] 3 3',
      '  [10 smaller frames] 4 4',
    ]);
    expect(graph.folded).toBe(13);
    expect(graph.nodes.self.reduce((a, b) => a + b)).toBe(graph.total);
  });

  test('top: self and total per function, recursion once, unnamed code by its file', async () => {
    const top = await query.top(day);
    expect(top.rows.map(({ name, self, total, selfSamples, totalSamples }) => [name, self / 50e6, total / 50e6, selfSamples, totalSamples])).toEqual([
      ['fib', 6, 6, 2, 2],
      ['vfs_read', 3, 3, 3, 3],
      ['[no frames]', 1, 1, 1, 1],
      ['[stack missing]', 1, 1, 1, 1],
      ['libfoo.so [no symbols]', 1, 1, 1, 1],
      ['main', 0, 9, 0, 5],
      ['read', 0, 3, 0, 3],
      ['work', 0, 1, 0, 1],
    ]);
    expect(top).toMatchObject({ total: 12 * 50e6, samples: 8, more: 0 });
    expect(top.rows.find((row) => row.name === 'vfs_read')).toMatchObject({ type: 'kernel', mapping: 'vmlinux', named: true });
    expect(await query.top(day, 2)).toMatchObject({ rows: [{ name: 'fib' }, { name: 'vfs_read' }], more: 6 });
  });

  test('top by process', async () => {
    const rows = (await query.top(day, 7, { byProcess: true })).rows;
    expect(rows.map(({ name, process, self }) => [name, process, self / 50e6])).toEqual([
      ['fib', 'app', 5],
      ['vfs_read', 'app', 2],
      ['[no frames]', 'kernel', 1],
      ['[stack missing]', 'job', 1],
      ['fib', 'job', 1],
      ['libfoo.so [no symbols]', 'app', 1],
      ['vfs_read', 'job', 1],
    ]);
  });

  test('labels: each under the other choices', async () => {
    expect(await query.labels({ ...day, host: 'node-2' })).toEqual({
      hosts: [
        { value: 'node-1', samples: 4 },
        { value: 'node-2', samples: 3 },
      ],
      services: [{ value: 'batch', samples: 3 }],
      processes: [{ value: 'job', samples: 3 }],
      types: [{ value: 'cpu', samples: 3, unit: 'nanoseconds' }],
    });
    expect((await query.labels(day)).types).toEqual([
      { value: 'cpu', samples: 8, unit: 'nanoseconds' },
      { value: 'lost', samples: 7, unit: 'count' },
      { value: 'off_cpu', samples: 1, unit: 'nanoseconds' },
    ]);
  });

  test('activity: fresh, counted, and what was lost', async () => {
    expect(await query.activity(day)).toMatchObject({
      newestMillis: Date.parse(at(10)),
      samples: 9,
      samplesPerSecond: 1,
      hosts: 2,
      lost: [{ reason: 'ring_full', count: 7 }],
      files: { published: 1, hot: 0 },
    });
  });

  test('an overview is all of it, of one moment', async () => {
    const overview = await query.overview(day, 3, { groupBy: 'host', byProcess: true });
    expect(overview.graph).toEqual(await query.flamegraph(day, { groupBy: 'host' }));
    expect(overview.top).toEqual(await query.top(day, 3, { byProcess: true }));
    expect(overview.labels).toEqual(await query.labels(day));
    expect(overview.activity).toEqual(await query.activity(day));
    expect((await query.overview({ ...day, service: 'batch' })).graph.total).toBe(3 * 50e6);
  });

  test('macros say the same as the library', async () => {
    const names = await query.sql("SELECT name, self / 50e6, total / 50e6, round(self_share, 6) FROM top_functions() WHERE name IN ('fib', 'main')", {});
    expect(names.rows).toEqual([
      ['fib', 6, 6, 0.5],
      ['main', 0, 9, 0],
    ]);
    expect((await query.sql(`SELECT depth, name, type FROM frames($$${stackId(1)}$$)`)).rows).toEqual([
      [0, 'vfs_read', 'kernel'],
      [1, 'read', 'native'],
      [2, 'main', 'native'],
    ]);
    expect((await query.sql('SELECT stack, value / 50e6, samples FROM collapsed() ORDER BY stack LIMIT 2')).rows).toEqual([
      ['app;main;fib;fib;fib', 5, 1],
      ['app;main;libfoo.so+0x1234', 1, 1],
    ]);
    expect(
      (await query.sql("SELECT service_name, cpu_seconds(value * weight) FROM samples WHERE sample_type = 'cpu' GROUP BY ALL ORDER BY 2 DESC")).rows,
    ).toEqual([
      ['checkout', 0.4],
      ['batch', 0.15],
      ['kernel', 0.05],
    ]);
    expect((await query.sql('SELECT bucket, service_name, cores FROM cpu_cores(INTERVAL 1 HOUR) LIMIT 1')).rows).toEqual([
      ['2026-11-24T10:00:00.000Z', 'checkout', 0.4 / 3600],
    ]);
    expect((await query.sql('SELECT reason, lost FROM lost_samples()')).rows).toEqual([['ring_full', 7]]);
  });
});

describe('answers', () => {
  test('values of every kind as JSON without loss', async () => {
    const { columns, rows } = await query.sql(`SELECT 9007199254740993::BIGINT AS big, 7::BIGINT AS small, sum(x) AS huge, 1.5 AS decimal, 'NaN'::DOUBLE AS nan,
      TIMESTAMPTZ '2026-11-24 10:00:00.123456Z' AS t, TIMESTAMP '1969-12-31 23:59:59.999999' AS before, DATE '2026-11-24' AS d, MAP {'a.b': 'c', '__proto__': 'd'} AS m,
      {'x': [1, NULL]} AS s, NULL AS n, true AS yes, 'ab'::BLOB AS bytes FROM range(3) r(x)`);
    expect(rows).toEqual([
      [
        '9007199254740993',
        7,
        3,
        1.5,
        'NaN',
        '2026-11-24T10:00:00.123456Z',
        '1969-12-31T23:59:59.999999Z',
        '2026-11-24',
        Object.fromEntries([
          ['a.b', 'c'],
          ['__proto__', 'd'],
        ]),
        { x: [1, null] },
        null,
        true,
        '6162',
      ],
    ]);
    expect(columns.slice(0, 3)).toEqual([
      { name: 'big', type: 'BIGINT' },
      { name: 'small', type: 'BIGINT' },
      { name: 'huge', type: 'HUGEINT' },
    ]);
  });

  test('rows are bounded, and it is said', async () => {
    expect(await query.sql('SELECT * FROM range(10)', { rowsMax: 3 })).toMatchObject({ rows: [[0], [1], [2]], truncated: true });
    expect(await query.sql('SELECT * FROM range(3)', { rowsMax: 3 })).toMatchObject({ truncated: false });
  });

  test('a query that its asker gave up ends', async () => {
    const abort = new AbortController();
    const asked = query.sql('SELECT sum(hash(i)) FROM range(1000000000000) t(i)', { signal: abort.signal });
    setTimeout(() => abort.abort(), 100);
    await expect(asked).rejects.toThrow('given up');
  });

  test('a wrong filter is one line', async () => {
    await expect(query.top({ fromMillis: 5, toMillis: 5 })).rejects.toThrow('the time range is empty');
    await expect(query.top({ ...day, host: 'x'.repeat(2000) })).rejects.toThrow('at most 1024');
    await expect(query.top({ fromMillis: Number.NaN, toMillis: 5 })).rejects.toThrow('expected milliseconds');
  });
});

// The public files, read back row by row by DuckDB and by hyparquet.
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { DuckDBInstance, DuckDBListValue, DuckDBMapValue, DuckDBStructValue, DuckDBTimestampTZValue } from '@duckdb/node-api';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sampleColumns, schemaVersionKey, stackColumns } from '../schemas/lake/columns.ts';
import { MessageAppender } from './append.ts';
import { Batch } from './batch.ts';
import { groupSamples, groupStacks } from './order.ts';
import { finish, writeTable } from './tables.ts';
import { dateOfMicros, lakeSample, lakeStack, type PlainSample, type PlainStack, rowsMessage } from './testing.ts';

const noon = 1_795_521_600_000_000n; // 2026-11-24T12:00:00Z
const hex = (number: number) => number.toString(16).padStart(32, '0');

const stacks: PlainStack[] = [
  {
    id: 'ffff0000aaaa1111bbbb2222cccc3333',
    serviceName: 'größe-日本-🔥',
    frames: [
      {
        function: 'leaf "quoted"\n',
        systemName: '_ZN4leafEv',
        file: '/a b.c',
        line: 2n ** 40n,
        column: 7n,
        inlined: true,
        type: 'native',
        mapping: 'libc.so',
        buildId: 'ab12',
        address: 0x1000n,
      },
      { type: 'kernel', address: 0xffffffff81000000n, mapping: '[kernel.kallsyms]' },
      { function: 'main', line: 1n },
    ],
  },
  { id: hex(0xabc), serviceName: 'svc', cut: 'depth', frames: [{ buildId: 'cd', address: 1n }] },
  { id: hex(1), frames: [] },
];

const samples: PlainSample[] = [
  {
    time: noon + 1n,
    value: 9_007_199_254_740_993n,
    count: 3n,
    weight: 12.5,
    duration: 60_000_000_000n,
    type: 'alloc_space',
    unit: 'bytes',
    stack: stacks[0]!,
    link: ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331', 'thread_context'],
    resource: {
      service_name: 'größe-日本-🔥',
      service_namespace: 'n',
      service_instance_id: 'i',
      service_version: 'v',
      deployment_environment_name: 'd',
      host_id: 'h',
      host_name: 'hn',
      container_id: 'c',
      container_name: 'cn',
      k8s_namespace_name: 'kn',
      k8s_pod_name: 'kp',
      k8s_container_name: 'kc',
      k8s_node_name: 'kno',
      k8s_deployment_name: 'kd',
      nomad_job_name: 'nj',
      nomad_task_name: 'nt',
      systemd_unit: 's.service',
      process_executable_name: 'exe',
      process_executable_path: '/bin/exe',
    },
    processPid: 4_294_967_297n,
    threadId: 2n ** 62n,
    threadName: 'worker/1',
    cpu: 127,
    scopeName: 'scope',
    profileId: hex(77),
    resourceAttributes: { 'cloud.region': 'eu-1', 'a.b.c': '' },
    attributes: { 'flamelake.lost.reason': 'x', 'key with "quote"': 'välue', __proto__x: '1' },
  },
  { time: noon, value: -5n, stack: stacks[2]!, resource: { service_name: 'svc' } },
  { time: -1n, value: -(2n ** 62n), count: 0n, weight: 0, stack: stacks[1]!, resource: { service_name: 'svc' }, processPid: 0n, threadId: 0n, cpu: 0 },
  { time: noon - 1n, value: 2n ** 63n - 1n, stack: stacks[1]!, resource: { service_name: 'svc' }, threadName: 'x'.repeat(300) },
];

let directory: string;
let duckdb: DuckDBInstance;
beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'tables-'));
  duckdb = await DuckDBInstance.create(':memory:');
});
afterAll(() => {
  duckdb.closeSync();
  rmSync(directory, { recursive: true });
});

function batchOf(rows: readonly PlainSample[]): Batch {
  const batch = new Batch();
  const dated = rows.map((sample) => ({ stack: sample.stack, date: dateOfMicros(sample.time) }));
  const unique = [...new Map(dated.map((entry) => [entry.stack.id, entry])).values()];
  const message = rowsMessage({
    from: 0,
    to: 1,
    segments: [{ offset: 1, appendTimeMillis: Number(noon / 1000n), profiles: [{ digest: hex(1), samples: rows }], stacks: unique }],
  });
  const appender = new MessageAppender(batch, message);
  for (const row of unique.keys()) appender.addStack(row, 0);
  appender.addRows(0, rows.length, 0, () => {});
  batch.spans.push({ offset: 41, rowStart: 0, rowEnd: rows.length, stackStart: 0, stackEnd: unique.length });
  return batch;
}

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const connection = await duckdb.connect();
  try {
    await connection.run("SET TimeZone = 'UTC'");
    return (await (await connection.runAndReadAll(sql)).getRowObjects()).map((row) =>
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])),
    );
  } finally {
    connection.closeSync();
  }
}

function plain(value: unknown): unknown {
  if (value instanceof DuckDBTimestampTZValue) return value.micros;
  if (value instanceof DuckDBMapValue) return value.entries.map((entry) => [entry.key, entry.value]).sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  if (value instanceof DuckDBListValue) return value.items.map(plain);
  if (value instanceof DuckDBStructValue) return Object.fromEntries(Object.entries(value.entries).map(([name, entry]) => [name, plain(entry)]));
  return value;
}

async function readHyparquet(file: string): Promise<Record<string, unknown>[]> {
  const bytes = readFileSync(file);
  const rows = await parquetReadObjects({
    file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
    compressors: { ZSTD: (input) => zstdDecompressSync(input) },
    parsers: { timestampFromMicroseconds: (micros: bigint) => micros },
  });
  const maps = new Set(['resource_attributes', 'attributes']);
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        maps.has(name) && value != null ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)) : (value ?? null),
      ]),
    ),
  );
}

const byTime = (a: Record<string, unknown>, b: Record<string, unknown>) => Number((a.time as bigint) - (b.time as bigint));
const byId = (a: Record<string, unknown>, b: Record<string, unknown>) => (String(a.stack_id) < String(b.stack_id) ? -1 : 1);

describe('public files', () => {
  test('every column of samples comes back exactly, in DuckDB and in hyparquet', async () => {
    const file = path.join(directory, 'samples.parquet');
    const batch = batchOf(samples);
    finish(writeTable('samples', file, batch, Uint32Array.from(samples.keys()), null));
    const expected = samples.map(lakeSample).sort(byTime);
    expect((await query(`SELECT * FROM read_parquet('${file}')`)).sort(byTime)).toEqual(expected);
    expect((await readHyparquet(file)).sort(byTime)).toEqual(expected);
  });

  test('every column of stacks comes back exactly, a stack without frames included', async () => {
    const file = path.join(directory, 'stacks.parquet');
    const batch = batchOf(samples);
    finish(
      writeTable(
        'stacks',
        file,
        batch,
        Uint32Array.from({ length: batch.stacks }, (_unused, index) => index),
        null,
      ),
    );
    const expected = stacks.map(lakeStack).sort(byId);
    expect((await query(`SELECT * FROM read_parquet('${file}')`)).sort(byId)).toEqual(expected);
    expect((await readHyparquet(file)).sort(byId)).toEqual(expected);
  });

  test('types are the ones that docs/lake.md names', async () => {
    const describeFile = async (name: string) =>
      Object.fromEntries(
        (await query(`DESCRIBE SELECT * FROM read_parquet('${path.join(directory, name)}')`)).map((row) => [row.column_name, row.column_type]),
      );
    const types = await describeFile('samples.parquet');
    expect(Object.keys(types)).toEqual(sampleColumns.map((column) => column.name));
    expect(types).toMatchObject({
      time: 'TIMESTAMP WITH TIME ZONE',
      value: 'BIGINT',
      weight: 'DOUBLE',
      cpu_logical_number: 'INTEGER',
      stack_id: 'VARCHAR',
      attributes: 'MAP(VARCHAR, VARCHAR)',
    });
    const stackTypes = await describeFile('stacks.parquet');
    expect(Object.keys(stackTypes)).toEqual(stackColumns.map((column) => column.name));
    expect(String(stackTypes.frames).replaceAll('"', '')).toBe(
      'STRUCT(function VARCHAR, system_name VARCHAR, file VARCHAR, line BIGINT, column BIGINT, inlined BOOLEAN, type VARCHAR, mapping VARCHAR, build_id VARCHAR, address VARCHAR)[]',
    );
  });

  test('a file says its schema version, its time is delta encoded, its bytes and hash are those told', async () => {
    const file = path.join(directory, 'told.parquet');
    const told = finish(writeTable('samples', file, batchOf(samples), Uint32Array.from(samples.keys()), null));
    const bytes = readFileSync(file);
    expect(told).toMatchObject({ rows: samples.length, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
    const metadata = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer);
    expect(metadata.key_value_metadata).toEqual([{ key: schemaVersionKey, value: '1' }]);
    const time = metadata.row_groups[0]!.columns.find((column) => column.meta_data!.path_in_schema[0] === 'time')!.meta_data!;
    expect(time.encodings).toEqual(['DELTA_BINARY_PACKED']);
    expect(time.codec).toBe('ZSTD');
  });

  test('a lookup by trace id, stack id or service finds every row through filters and statistics', async () => {
    const prefix = 'a-service-name-with-a-long-common-prefix-of-its-fleet-';
    const many = Array.from({ length: 3000 }, (_unused, index): PlainSample => {
      const stack: PlainStack = { id: hex(index % 700), frames: [] };
      const resource = { service_name: `${prefix}${index % 7}\u{10ffff}` };
      return {
        time: noon + BigInt(index),
        value: 1n,
        stack,
        resource,
        ...(index % 3 === 0 ? { link: [hex(index * 7919), 'b7ad6b7169203331', 'otlp'] as const } : {}),
      };
    });
    const file = path.join(directory, 'many.parquet');
    const batch = batchOf(many);
    finish(writeTable('samples', file, batch, groupSamples(batch, () => true)[0]!.rows, null));
    const connection = await duckdb.connect();
    const count = async (column: string, value: string) => {
      const answer = await connection.runAndReadAll(`SELECT count(*)::INT AS n FROM read_parquet('${file}') WHERE ${column} = $1`, [value]);
      return answer.getRowObjects()[0]!.n;
    };
    for (let index = 0; index < 3000; index += 51) {
      expect(await count('stack_id', hex(index % 700))).toBe(many.filter((sample) => sample.stack.id === hex(index % 700)).length);
      expect(await count('trace_id', hex(index * 7919))).toBe(index % 3 === 0 ? 1 : 0);
    }
    for (let service = 0; service < 7; service++)
      expect(await count('service_name', `${prefix}${service}\u{10ffff}`)).toBe(many.filter((_unused, index) => index % 7 === service).length);
    connection.closeSync();
  });

  test('private objects say where each row came from', async () => {
    const batch = batchOf(samples);
    const origin = { shard: 3, offsetOf: (row: number) => batch.offsetOfRow(row) };
    const file = path.join(directory, 'hot.parquet');
    finish(writeTable('samples', file, batch, Uint32Array.from(samples.keys()), origin));
    const rows = await query(`SELECT * FROM read_parquet('${file}')`);
    expect(rows.sort(byTime)).toEqual(samples.map((sample) => ({ ...lakeSample(sample), _shard: 3, _offset: 41n })).sort(byTime));
  });
});

describe('order', () => {
  test('samples lie by hour, then service, type, host, pid, thread, time', () => {
    const random = seeded(7);
    const rows = Array.from(
      { length: 2000 },
      (): PlainSample => ({
        time: noon + BigInt(Math.floor(random() * 3)) * 3_600_000_000n + BigInt(Math.floor(random() * 1000)),
        value: 1n,
        type: random() < 0.5 ? 'cpu' : 'wall',
        stack: stacks[2]!,
        resource: { service_name: `s${Math.floor(random() * 3)}`, host_id: `h${Math.floor(random() * 2)}` },
        processPid: BigInt(Math.floor(random() * 3)),
        threadId: BigInt(Math.floor(random() * 12)),
        threadName: `t${Math.floor(random() * 2)}`,
      }),
    );
    const key = (sample: PlainSample) =>
      [
        sample.resource.service_name,
        sample.type,
        sample.resource.host_id,
        String(sample.processPid),
        String(sample.threadId).padStart(2, '0'),
        String(sample.time),
      ].join(' ');
    const groups = groupSamples(batchOf(rows), () => true);
    expect(groups.map((group) => group.hour)).toEqual([12, 13, 14]);
    expect(groups.reduce((sum, group) => sum + group.rows.length, 0)).toBe(2000);
    for (const group of groups) {
      const keys = Array.from(group.rows, (row) => key(rows[row]!));
      // What is equal stays as it came, so that a file's bytes depend on its rows alone.
      for (let at = 1; at < keys.length; at++) if (keys[at] === keys[at - 1]) expect(group.rows[at]).toBeGreaterThan(group.rows[at - 1]!);
      expect(keys).toEqual([...keys].sort());
      for (const row of group.rows) expect(Number(rows[row]!.time / 3_600_000_000n) % 24).toBe(group.hour);
    }
  });

  test('stacks lie by id', () => {
    const batch = batchOf(samples.slice(0, 2));
    const [group] = groupStacks(batch, () => true);
    expect(Array.from(group!.stacks, (stack) => batch.stackIdText(batch.stackId.get(stack)))).toEqual([stacks[2]!.id, stacks[0]!.id]);
  });
});

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

// What a user's SQL can do to the host: nothing. Each statement is run against a real lake, and what it
// would have changed is looked at afterwards.
import { readdirSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openQuery, type Query } from './query.ts';
import { FixtureLake, sampleRow, stackId, stackRow } from './testing-lake.ts';

let lake: FixtureLake;
let query: Query;
let before: string[];

const tree = async () => (await readdir(lake.directory, { recursive: true })).sort();

beforeAll(async () => {
  lake = await FixtureLake.make();
  await lake.publish({ seq: 1, position: 1, samples: [sampleRow('2026-11-24T10:00:00Z', stackId(1))], stacks: [stackRow(stackId(1), ['main'])] });
  await writeFile(lake.path('secret.txt'), 'secret');
  before = await tree();
  query = await openQuery({ store: pathToFileURL(lake.directory).href });
});
afterAll(async () => {
  await query.close();
  await lake.remove();
});

const file = (key: string) => `'${lake.path(key)}'`;

describe('refused', () => {
  const published = 'lake/samples/date=2026-11-24/shard=000/h10-000000001-0.parquet';
  const statements: [string, () => string][] = [
    ['COPY to a new file', () => `COPY (SELECT 1) TO ${file('x.parquet')}`],
    ['COPY over a file of the lake', () => `COPY (SELECT 1) TO ${file(published)}`],
    ['EXPLAIN ANALYZE of a COPY', () => `EXPLAIN ANALYZE COPY (SELECT 1) TO ${file(published)}`],
    ['ATTACH', () => `ATTACH ${file('x.db')}`],
    ['ATTACH of a file of the lake', () => `ATTACH ${file(published)}`],
    ['INSTALL', () => 'INSTALL httpfs'],
    ['LOAD', () => 'LOAD httpfs'],
    ['EXPORT', () => `EXPORT DATABASE ${file('x')}`],
    ['SET', () => "SET memory_limit = '100GB'"],
    ['SET of the lock', () => 'SET enable_external_access = true'],
    ['RESET', () => 'RESET allowed_paths'],
    ['PRAGMA', () => "PRAGMA profiling_output = '/tmp/x'"],
    ['CREATE TABLE', () => 'CREATE TABLE t AS SELECT 1'],
    ['CREATE VIEW', () => 'CREATE OR REPLACE TEMP VIEW samples AS SELECT 1'],
    ['CREATE MACRO', () => 'CREATE MACRO m() AS 1'],
    ['CREATE SECRET', () => "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')"],
    ['DROP', () => 'DROP VIEW samples'],
    ['INSERT', () => 'INSERT INTO samples SELECT * FROM samples'],
    ['DELETE', () => 'DELETE FROM samples'],
    ['CALL', () => "CALL enable_logging(storage := 'file')"],
    ['logging by a table function', () => `SELECT * FROM enable_logging(storage := 'file', storage_config := {'path': ${file('logs')}})`],
    ['logging in another case and schema', () => 'FROM system.main."Enable_Logging"()'],
    ['logging in a subquery', () => 'SELECT (SELECT count(*) FROM enable_logging())'],
    ['logging in a CTE that is not used', () => 'WITH x AS MATERIALIZED (FROM enable_logging()) SELECT 1'],
    ['logging under DESCRIBE', () => 'DESCRIBE FROM enable_logging()'],
    ['logging under EXPLAIN', () => 'EXPLAIN SELECT * FROM enable_logging()'],
    ['SQL from a text', () => "SELECT * FROM query('SELECT * FROM enable_logging()')"],
    ['SQL from JSON', () => "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))"],
    ['two statements', () => 'SELECT 1; SELECT 2'],
    ['a statement hidden behind another', () => `SELECT 1; COPY (SELECT 1) TO ${file('x.parquet')}`],
    ['reading a file', () => "SELECT * FROM read_text('/etc/passwd')"],
    ['reading a file by its name', () => "SELECT * FROM '/etc/passwd.csv'"],
    ['reading a file beside the lake', () => `SELECT * FROM ${file('secret.txt')}`],
    ['reading blobs', () => "SELECT * FROM read_blob('/proc/self/environ')"],
    ['listing files', () => "SELECT * FROM glob('/etc/*')"],
    ['the network', () => "SELECT * FROM read_parquet('https://example.org/x.parquet')"],
    ['the network by a name', () => "SELECT * FROM 's3://bucket/x.parquet'"],
    ['parameters', () => 'SELECT $1'],
    ['a prepared statement', () => 'PREPARE x AS SELECT 1'],
    ['a transaction', () => 'BEGIN'],
    ['a name of any length', () => `SELECT ${'x'.repeat(50_000)} FROM samples`],
    ['a function of any length', () => `SELECT ${'f'.repeat(50_000)}(1)`],
    ['nothing', () => ''],
    ['no SQL', () => 'what is this'],
    ['far too much', () => `SELECT ${'1,'.repeat(100_000)}1`],
    ['far too deep', () => `SELECT ${'('.repeat(40_000)}1${')'.repeat(40_000)}`],
    ['deep operators', () => `SELECT ${'-'.repeat(3)} 1 ${'+ 1 '.repeat(20_000)}`],
    ['deep calls', () => `SELECT ${'abs('.repeat(15_000)}1${')'.repeat(15_000)}`],
    ['deep subqueries', () => `SELECT * FROM ${'(SELECT * FROM '.repeat(5_000)}samples${')'.repeat(5_000)}`],
  ];
  test.each(statements)('%s', async (_name, sql) => {
    const error = await query.sql(sql()).then(
      (result) => new Error(`answered ${JSON.stringify(result.rows).slice(0, 200)}`),
      (refused: Error) => refused,
    );
    expect(error).toMatchObject({ code: 'query_failed' });
    expect(error.message).not.toContain('\n');
    expect(error.message).not.toMatch(/root:|secret$/);
    expect(error.message.length).toBeLessThan(1100);
  });

  test('after all that the lake is what it was, and is still answered from', async () => {
    expect(await tree()).toEqual(before);
    expect((await query.sql('SELECT count(*) FROM samples')).rows).toEqual([[1]]);
  });
});

describe('run', () => {
  test.each([
    ['FROM first', 'FROM samples SELECT count(*)'],
    ['a comment and a semicolon', '-- why\nSELECT count(*) FROM samples;'],
    ['a window', 'SELECT row_number() OVER (ORDER BY time) FROM samples'],
    ['recursion', 'WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t WHERE x < 1) FROM t'],
    ['EXPLAIN', 'EXPLAIN SELECT * FROM samples'],
    ['EXPLAIN ANALYZE', 'explain analyze SELECT count(*) FROM samples'],
    ['unnest', 'SELECT unnest(frames).function FROM stacks'],
    ['ASOF', 'SELECT 1 FROM samples a ASOF JOIN samples b ON a.service_name = b.service_name AND a.time >= b.time'],
    ['PIVOT with names', "FROM (PIVOT samples ON sample_type IN ('cpu') USING count(*)) SELECT cpu"],
    ['a macro', 'SELECT * FROM top_functions()'],
    ['VALUES', 'VALUES (1)'],
  ])('%s', async (_name, sql) => {
    expect((await query.sql(sql)).rows).toHaveLength(1);
  });

  test('DESCRIBE, SUMMARIZE and SHOW', async () => {
    expect((await query.sql('DESCRIBE samples')).rows.map(([name]) => name)).toEqual(expect.arrayContaining(['time', 'stack_id', 'date', 'shard']));
    expect((await query.sql('SUMMARIZE stacks')).rows.map(([name]) => name)).toContain('frames');
    expect((await query.sql('SHOW TABLES')).rows.map(([name]) => name)).toEqual(['samples', 'stacks']);
  });

  test('a sort that does not fit in memory spills beside the data, and leaves nothing behind', async () => {
    const sql = `SELECT count(*) FROM (SELECT hash(i)::VARCHAR || repeat('x', 300) AS h FROM range(2000000) t(i) ORDER BY h)`;
    const spilled = new Set<string>();
    const watch = setInterval(() => {
      for (const name of readdirSync(lake.path('tmp'), { recursive: true }).map(String)) if (/duckdb_temp/.test(name)) spilled.add(name);
    }, 20);
    try {
      expect((await query.sql(sql)).rows).toEqual([[2_000_000]]);
    } finally {
      clearInterval(watch);
    }
    expect([...spilled]).not.toEqual([]);
    expect(await readdir(lake.path('tmp'))).toEqual([]);
  });
});

describe('more memory than there is for one query', () => {
  test.each([
    ['a text of two gigabytes', "SELECT length(repeat('x', 2000000000))"],
    ['many texts in one', "SELECT length(string_agg(repeat('x', 1000), '')) FROM range(3000000)"],
    ['many texts in a list', "SELECT sum(length(x)) FROM (SELECT list(repeat('abc', 100)) AS x FROM range(20000000))"],
    ['a list joined', "SELECT length(array_to_string(list_transform(range(3000000), lambda x: repeat('a', 500)), ''))"],
    ['a text doubled again and again', `SELECT length(${'repeat('.repeat(4)}'x'${', 230)'.repeat(4)})`],
    ['a format of a width', "SELECT length(format('{:>2000000000}', 'x'))"],
    ['one value that no answer holds', "SELECT repeat('x', 200000000)"],
    ['an answer of many rows', "SELECT repeat('x', 1000) FROM range(200000)"],
  ])('%s is one line, and the next query is answered', async (_name, sql) => {
    const error = await query.sql(sql, { rowsMax: 1_000_000 }).then(
      (result) => new Error(`answered ${JSON.stringify(result.rows).slice(0, 200)}`),
      (refused: Error) => refused,
    );
    expect(error).toMatchObject({ code: 'query_failed' });
    expect(error.message).toMatch(/more memory than one may take|the answer is larger than/);
    expect(error.message).not.toContain('\n');
    expect((await query.sql('SELECT count(*) FROM samples')).rows).toEqual([[1]]);
  });
});

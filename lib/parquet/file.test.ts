// Files of random columns, beside files of the same rows by hyparquet-writer: read back by DuckDB and by
// hyparquet they are the same rows, and their bounds are the same. Engines of others read our files in
// test/e2e/exact.test.ts.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import { parquetMetadata, parquetReadObjects, type SchemaElement } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isDeltaExact, putDelta } from './delta.ts';
import { ParquetFile } from './file.ts';
import { GrowingBytes } from './growing-bytes.ts';
import { codeTexts, ListSlots, mapColumns } from './nested.ts';
import { type Column, doubles, ints, longs, optionalTexts, optionalWords, required, tableDigits, tableTexts } from './values.ts';

let directory: string;
let duckdb: DuckDBInstance;
beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'parquet-file-'));
  duckdb = await DuckDBInstance.create(':memory:', { threads: '1' });
});
afterAll(() => {
  duckdb.closeSync();
  rmSync(directory, { recursive: true });
});

const text = (name: string, repetition_type: 'OPTIONAL' | 'REQUIRED'): SchemaElement => ({ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type });
const schema: SchemaElement[] = [
  { name: 'schema', num_children: 9 },
  { name: 'time', type: 'INT64', repetition_type: 'REQUIRED' },
  { name: 'long', type: 'INT64', repetition_type: 'OPTIONAL' },
  { name: 'int', type: 'INT32', repetition_type: 'OPTIONAL' },
  { name: 'double', type: 'DOUBLE', repetition_type: 'REQUIRED' },
  text('name', 'OPTIONAL'),
  text('id', 'REQUIRED'),
  text('linked', 'OPTIONAL'),
  { name: 'map', repetition_type: 'OPTIONAL', converted_type: 'MAP', num_children: 1 },
  { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
  text('key', 'REQUIRED'),
  text('value', 'OPTIONAL'),
  { name: 'list', repetition_type: 'REQUIRED', converted_type: 'LIST', num_children: 1 },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', repetition_type: 'REQUIRED', num_children: 2 },
  text('function', 'OPTIONAL'),
  { name: 'inlined', type: 'BOOLEAN', repetition_type: 'REQUIRED' },
];

const nullLong = -(2n ** 63n);
const nullInt = -(2 ** 31);

interface Rows {
  readonly time: bigint[];
  readonly long: (bigint | null)[];
  readonly int: (number | null)[];
  readonly double: number[];
  readonly name: (string | null)[];
  readonly id: string[];
  readonly linked: (string | null)[];
  readonly map: ({ key: string; value: string }[] | null)[];
  readonly list: { function: string | null; inlined: boolean }[][];
}

type Random = (below: number) => number;
function seeded(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const words = ['main', 'größe', '日本', '🔥 hot', '', 'x'.repeat(300), '\u{10ffff}', '\uffff', 'a b\n"c"', `${'p'.repeat(70)}1`, `${'p'.repeat(70)}2`];

function randomRows(random: Random, length: number): Rows {
  const distinct = 1 + random(random(2) === 0 ? 3 : 2 * length + 1);
  const nulls = random(3); // none, half, all
  const orNull = <T>(make: () => T): T | null => (nulls === 2 || (nulls === 1 && random(2) === 0) ? null : make());
  const column = <T>(make: () => T): T[] => Array.from({ length }, make);
  const hex = () => random(distinct).toString(16).padStart(32, '0');
  const wide = random(4) === 0;
  let time = BigInt(random(2 ** 32)) * 419_430n - (wide ? 2n ** 62n : 0n);
  return {
    time: column(() => {
      time += BigInt(random(20) === 0 ? -random(2 ** 31) : random(1000)) * (wide ? 2n ** 25n : 1n);
      return time;
    }),
    long: column(() => orNull(() => BigInt(random(distinct)) * (wide ? -(2n ** 40n) : 1n))),
    int: column(() => orNull(() => random(distinct) - 5)),
    double: column(() => random(distinct) / 8),
    name: column(() => orNull(() => words[random(Math.min(distinct, words.length))] || 'none')),
    id: column(hex),
    linked: column(() => (random(10) === 0 ? hex() : null)),
    map: column(() => orNull(() => Array.from({ length: 1 + random(3) }, (_, index) => ({ key: `key ${index}`, value: words[random(words.length)]! })))),
    list: column(() => Array.from({ length: random(5) }, () => ({ function: orNull(() => words[random(4)] || 'none'), inlined: random(2) === 0 }))),
  };
}

/** What the exporter does: numbers of texts, sentinels for NULL. */
function* columnsOf(rows: Rows): Generator<Column> {
  const { length } = rows.time;
  const all = Uint32Array.from({ length }, (_, row) => row);
  const texts = (of: readonly (string | null)[]) => codeTexts(all, (row) => of[row] ?? '');
  const times = Float64Array.from(rows.time, Number);
  yield required('time', length, isDeltaExact(times) ? { kind: 'deltas', values: times } : longs(BigInt64Array.from(rows.time)));
  yield optionalWords('long', longs(BigInt64Array.from(rows.long, (value) => value ?? nullLong)), [0, 0x8000_0000]);
  yield optionalWords('int', ints(Int32Array.from(rows.int, (value) => value ?? nullInt)), [0x8000_0000]);
  yield required('double', length, doubles(Float64Array.from(rows.double)));
  const name = texts(rows.name);
  yield optionalTexts('name', tableTexts(name.codes, name.table));
  const id = texts(rows.id);
  yield required('id', length, tableDigits(id.codes, id.table));
  const linked = texts(rows.linked);
  yield { ...optionalTexts('linked', tableDigits(linked.codes, linked.table)), bloom: true };
  const maps = [[], ...rows.map.map((map) => map ?? [])];
  yield* mapColumns(
    'map',
    Uint32Array.from(rows.map, (map, row) => (map === null ? 0 : row + 1)),
    maps,
  );
  const elements = rows.list.flat();
  let end = 0;
  const starts = rows.list.map((list) => {
    end += list.length;
    return end - list.length;
  });
  const list = new ListSlots(
    length,
    elements.length,
    elements.length,
    (row) => rows.list[row]!.length,
    (row, position) => starts[row]! + position,
  );
  const functions = codeTexts(Uint32Array.from(elements.keys()), (element) => elements[element]!.function ?? '');
  yield list.optional(
    ['list', 'list', 'element', 'function'],
    (element) => functions.codes[element]!,
    (codes) => tableTexts(codes, functions.table),
  );
  yield list.required(
    ['list', 'list', 'element', 'inlined'],
    (element) => Number(elements[element]!.inlined),
    (values) => ({ kind: 'booleans', values }),
  );
}

function writeOurs(file: string, groups: readonly Rows[]): void {
  const parquet = new ParquetFile(file, { schema, metadata: [{ key: 'k', value: 'v' }], level: 1, statistics: true, statisticsBytesMax: 64 });
  for (const rows of groups) parquet.writeRowGroup(columnsOf(rows), rows.time.length);
  parquet.finish();
}

function writeLibrary(file: string, groups: readonly Rows[]): void {
  const writer = new ByteWriter();
  const parquet = new ParquetWriter({ writer, schema, codec: 'UNCOMPRESSED', statistics: true, statisticsTruncateLength: 64 });
  for (const rows of groups) {
    const columnData = Object.entries(rows).map(([name, data]) => ({ name, data: data as unknown[], statistics: name !== 'map' && name !== 'list' }));
    void parquet.write({ rowGroupSize: rows.time.length, columnData });
  }
  void parquet.finish();
  writeFileSync(file, writer.getBytes());
}

const bytesOf = (file: string) => {
  const bytes = readFileSync(file);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
};

async function readHyparquet(file: string): Promise<unknown[]> {
  return parquetReadObjects({ file: bytesOf(file), compressors: { ZSTD: (input) => zstdDecompressSync(input) } });
}

const bounds = (file: string) =>
  parquetMetadata(bytesOf(file)).row_groups.map((group) =>
    group.columns.map(({ meta_data: meta }) => ({ path: meta!.path_in_schema, values: meta!.num_values, statistics: meta!.statistics })),
  );

/** One column of texts, read by both readers; gives its encodings. */
async function roundTrip(codes: Uint32Array, textOf: (code: number) => string, values: typeof tableTexts): Promise<readonly string[]> {
  const file = path.join(directory, 'column.parquet');
  rmSync(file, { force: true });
  const one: SchemaElement[] = [{ name: 'schema', num_children: 1 }, text('column', 'REQUIRED')];
  const parquet = new ParquetFile(file, { schema: one, metadata: [], level: 1, statistics: true, statisticsBytesMax: 64 });
  const table = Array.from({ length: codes.length === 0 ? 0 : Math.max(...new Set(codes)) + 1 }, (_, code) => textOf(code));
  parquet.writeRowGroup([required('column', codes.length, values(codes, table))], codes.length);
  parquet.finish();
  const expected = Array.from(codes, textOf);
  expect(((await readHyparquet(file)) as { column: string }[]).map((row) => row.column)).toEqual(expected);
  const connection = await duckdb.connect();
  const answer = await connection.runAndReadAll(`SELECT "column" FROM read_parquet('${file}')`);
  connection.closeSync();
  expect(answer.getRows().map(([value]) => value)).toEqual(expected);
  return parquetMetadata(bytesOf(file)).row_groups[0]!.columns[0]!.meta_data!.encodings;
}

async function differenceInDuckDB(left: string, right: string): Promise<unknown> {
  const connection = await duckdb.connect();
  const [a, b] = [left, right].map((file) => `SELECT * FROM read_parquet('${file}')`);
  const answer = await connection.runAndReadAll(
    `SELECT (SELECT count(*) FROM (${a})) AS rows, (SELECT count(*) FROM (${a} EXCEPT ALL ${b})) AS ours, (SELECT count(*) FROM (${b} EXCEPT ALL ${a})) AS theirs`,
  );
  connection.closeSync();
  return answer.getRowsJson()[0];
}

/** Rows as runs, each up to its place in `ends`; 0 is NULL. Seed 0 has no NULL and seed 1 nothing else. */
function randomRuns(seed: number): { codes: Uint32Array; ends: Uint32Array; rows: Uint32Array } {
  const random = seeded(seed);
  const codes: number[] = [];
  const ends: number[] = [];
  const lengthMax = [1, 3, 8, 40, 300][seed % 5]!;
  for (let run = 0, end = 0; run < 1 + random(120); run++) {
    codes.push(seed === 1 ? 0 : seed === 0 ? 1 + random(9) : random(10)); // neighbours may be equal
    end += 1 + random(lengthMax);
    ends.push(end);
  }
  const rows = codes.flatMap((code, run) => new Array<number>(ends[run]! - (ends[run - 1] ?? 0)).fill(code));
  return { codes: Uint32Array.from(codes), ends: Uint32Array.from(ends), rows: Uint32Array.from(rows) };
}

/** Texts, words and maps of the codes; with `ends` each for a run. */
function* columnsOfCodes(codes: Uint32Array, ends: Uint32Array | undefined): Generator<Column> {
  const rows = ends?.at(-1) ?? codes.length;
  const table = Array.from({ length: 10 }, (_, code) => `text ${code}`);
  const maps = table.map((value, code) => Array.from({ length: code % 4 || 1 }, (_, entry) => ({ key: `key ${entry}`, value: `${value} ${entry % code}` })));
  yield optionalTexts('text', tableTexts(codes, table, ends));
  yield required('all', rows, tableDigits(codes, table, ends));
  yield optionalWords('long', { ...longs(BigInt64Array.from(codes, (code) => 2n ** 40n * BigInt(code))), ends }, [0, 0]);
  yield required('double', rows, { ...doubles(Float64Array.from(codes, (code) => code / 4)), ends });
  yield* mapColumns('map', codes, maps, ends);
}

const runsSchema: SchemaElement[] = [
  { name: 'schema', num_children: 5 },
  text('text', 'OPTIONAL'),
  text('all', 'REQUIRED'),
  { name: 'long', type: 'INT64', repetition_type: 'OPTIONAL' },
  { name: 'double', type: 'DOUBLE', repetition_type: 'REQUIRED' },
  ...schema.slice(8, 12),
];

describe('a file', () => {
  test('of runs is, row for row, the one of rows', async () => {
    for (let seed = 0; seed < 40; seed++) {
      const { codes, ends, rows } = randomRuns(seed);
      const [byRuns, byRows] = [codes, rows].map((of, index) => {
        const file = path.join(directory, `runs-${seed}-${index}.parquet`);
        const parquet = new ParquetFile(file, { schema: runsSchema, metadata: [], level: 1, statistics: true, statisticsBytesMax: 64 });
        parquet.writeRowGroup(columnsOfCodes(of, index === 0 ? ends : undefined), rows.length);
        parquet.finish();
        return file;
      }) as [string, string];
      expect(await readHyparquet(byRuns), `seed ${seed}`).toEqual(await readHyparquet(byRows));
      expect(await differenceInDuckDB(byRuns, byRows), `seed ${seed}`).toEqual([String(rows.length), '0', '0']);
      expect(bounds(byRuns), `seed ${seed}`).toEqual(bounds(byRows));
    }
  });

  // Around the eight values of a packed group, the 32 and 128 of a delta block, and what is not.
  test.each([1, 2, 7, 8, 9, 31, 33, 127, 129, 130, 400, 1500])('of %d rows is what the library writes', async (length) => {
    for (let seed = 1; seed <= 2; seed++) {
      const random = seeded(1000 * length + seed);
      const groups = Array.from({ length: 1 + random(2) }, () => randomRows(random, length));
      const [ours, theirs] = ['ours', 'theirs'].map((name) => path.join(directory, `${name}-${length}-${seed}.parquet`)) as [string, string];
      writeOurs(ours, groups);
      writeLibrary(theirs, groups);
      expect(await readHyparquet(ours), `seed ${seed}`).toEqual(await readHyparquet(theirs));
      expect(await differenceInDuckDB(ours, theirs), `seed ${seed}`).toEqual([String(length * groups.length), '0', '0']);
      expect(bounds(ours), `seed ${seed}`).toEqual(bounds(theirs));
    }
  });

  test('finds by its filter and its bounds what it has', async () => {
    const rows = randomRows(seeded(5), 1500);
    const file = path.join(directory, 'lookup.parquet');
    writeOurs(file, [rows]);
    const connection = await duckdb.connect();
    for (const column of ['linked', 'name', 'id'] as const) {
      for (const value of new Set(rows[column].slice(0, 200))) {
        if (value === null) continue;
        const answer = await connection.runAndReadAll(`SELECT count(*)::INT AS n FROM read_parquet('${file}') WHERE ${column} = $1`, [value]);
        expect(answer.getRows()[0]![0], `${column} ${value}`).toBe(rows[column].filter((other) => other === value).length);
      }
    }
    connection.closeSync();
  });

  // Around the widths of its indexes: none, bits of half a byte, one, two and three bytes. Values come in runs that
  // begin anywhere, since runs and packed groups take turns.
  test.each([1, 2, 3, 16, 17, 256, 257, 65_536, 65_537])('with a dictionary of %d texts gives them back', async (distinct) => {
    const random = seeded(distinct);
    const codes: number[] = Array.from({ length: distinct }, (_, code) => code);
    while (codes.length < 2 * distinct + 300) for (let left = random(80), code = random(distinct); left >= 0; left--) codes.push(code);
    expect(await roundTrip(Uint32Array.from(codes), (code) => `text ${code}`, tableTexts)).toContain('RLE_DICTIONARY');
  });

  test.each([1, 2, 33, 130, 1000])('with %d ids, each another, gives them back', async (length) => {
    const codes = Uint32Array.from({ length }, (_, code) => code);
    expect(await roundTrip(codes, (code) => code.toString(16).padStart(32, '0'), tableDigits)).toContain('DELTA_LENGTH_BYTE_ARRAY');
    // Ids of others may have any length.
    expect(await roundTrip(codes, (code) => `${code} ${'é'.repeat(code % 7)}`, tableDigits)).toContain('DELTA_LENGTH_BYTE_ARRAY');
  });

  test('with a column that its schema does not have there is an error of the program', () => {
    const file = new ParquetFile(path.join(directory, 'wrong.parquet'), { schema, metadata: [], level: 1, statistics: true, statisticsBytesMax: 64 });
    expect(() => file.writeRowGroup([required('long', 1, longs(BigInt64Array.of(1n)))], 1)).toThrow(/long/);
    file.abandon();
  });
});

test('deltas beyond what numbers hold exactly are refused', () => {
  expect(isDeltaExact(Float64Array.of())).toBe(true);
  expect(isDeltaExact(Float64Array.of(-(2 ** 50), 2 ** 50))).toBe(true);
  expect(isDeltaExact(Float64Array.of(-(2 ** 51), 2 ** 51))).toBe(false);
  expect(isDeltaExact(Float64Array.of(2 ** 53))).toBe(false);
});

test('deltas take their width, not eight bytes', () => {
  const out = new GrowingBytes();
  putDelta(
    out,
    Float64Array.from({ length: 1281 }, (_, row) => 1.7e15 + 100 * row + (row % 3)),
  );
  expect(out.length).toBeLessThan(1280 * 0.5);
});

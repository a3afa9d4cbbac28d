// The Parquet writer in use beside parquetjs-lite, which was looked at first: time, size, and what of
// the rows can be found again. `node bench/parquet-writers.bench.ts [--small]`
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { type IdRow, idRows, writeByHyparquet, writeByParquetjsLite } from '../test/parquet/writers.ts';
import { type Bench, cpuMicros, figure, main } from './measure.ts';

const counts = { small: 2_000, large: 100_000 } as const;
const rounds = { small: 1, large: 3 } as const;
const lookups = { small: 50, large: 500 } as const;

const writers: readonly (readonly [name: string, write: (path: string, rows: readonly IdRow[]) => void | Promise<void>])[] = [
  ['hyparquet-writer', writeByHyparquet],
  ['parquetjs-lite', writeByParquetjsLite],
];

export const bench: Bench = async (size) => {
  const rows = idRows(11, counts[size]);
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
  const times = new Map<string, number[]>();
  const notes: string[] = [];
  const hash = createHash('sha256');
  try {
    for (let round = 0; round < rounds[size]; round++) {
      for (const [name, write] of writers) {
        const micros = await cpuMicros(() => write(join(folder, `${name}.parquet`), rows));
        times.set(name, [...(times.get(name) ?? []), micros / rows.length]);
      }
    }
    for (const [name] of writers) {
      const path = join(folder, `${name}.parquet`);
      const { changed, lost, asked } = await compare(path, rows, lookups[size]);
      const line = `  ${name}: ${(statSync(path).size / rows.length).toFixed(1)} B a row; ${changed} of ${rows.length} times changed; ${lost} of ${asked} trace ids not found by DuckDB`;
      notes.push(line);
      hash.update(line);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return {
    input: `${rows.length.toLocaleString('en')} rows of a time, a binary trace id, the id in hex, a name; row groups of 100`,
    resultHash: hash.digest('hex').slice(0, 16),
    figures: [...times].map(([name, values]) => figure(name, 'us CPU a row', values)),
    notes,
  };
};

async function compare(path: string, rows: readonly IdRow[], lookupsMax: number): Promise<{ changed: number; lost: number; asked: number }> {
  const connection = await (await DuckDBInstance.create()).connect();
  try {
    const times = (await connection.runAndReadAll(`SELECT time FROM '${path}'`)).getRows();
    const changed = rows.filter((row, index) => times[index]![0] !== row.timeNanos).length;
    const asked = rows.filter((_, index) => index % Math.ceil(rows.length / lookupsMax) === 0);
    let lost = 0;
    for (const row of asked) {
      const query = `SELECT count(*) FROM '${path}' WHERE trace_id = from_hex('${Buffer.from(row.traceId).toString('hex')}')`;
      if (Number((await connection.runAndReadAll(query)).getRows()[0]![0]) === 0) lost++;
    }
    return { changed, lost, asked: asked.length };
  } finally {
    connection.closeSync();
  }
}

await main(import.meta, 'parquet-writers', bench);

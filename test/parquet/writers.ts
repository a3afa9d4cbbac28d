// The same rows by two Parquet writers: the one that the exporter uses, and parquetjs-lite, which was
// looked at first. Only the test beside it and bench/parquet-writers.bench.ts use this.
import { writeFileSync } from 'node:fs';
import { parquetWriteBuffer } from 'hyparquet-writer';
// @ts-expect-error it has no types
import parquetjs from 'parquetjs-lite';
import { createRandom } from '../otlp/random.ts';

export interface IdRow {
  readonly timeNanos: bigint;
  readonly traceId: Uint8Array;
  readonly name: string;
}

/** Rows as profiles have them: nanoseconds since 1970, trace ids of random bytes, names in many scripts. */
export function idRows(seed: number, count: number): IdRow[] {
  const random = createRandom(seed);
  const names = ['main', 'größe', 'функция', '名前', '🔥flame', '\u{10ffff}last', '￿bmp'];
  const start = 1_790_000_000_000_000_000n;
  return Array.from({ length: count }, (_, index) => ({
    timeNanos: start + BigInt(index) * 1_000_003n + BigInt(random.below(1000)),
    traceId: random.bytes(16),
    name: `${random.pick(names)}_${random.below(50)}`,
  }));
}

const rowGroupRows = 100;

export function writeByHyparquet(path: string, rows: readonly IdRow[]): void {
  const bytes = parquetWriteBuffer({
    columnData: [
      { name: 'time', data: BigInt64Array.from(rows, (row) => row.timeNanos), type: 'INT64' },
      { name: 'trace_id', data: rows.map((row) => row.traceId), type: 'BYTE_ARRAY' },
      { name: 'trace_id_hex', data: rows.map((row) => Buffer.from(row.traceId).toString('hex')), type: 'STRING' },
      { name: 'name', data: rows.map((row) => row.name), type: 'STRING' },
    ],
    rowGroupSize: rowGroupRows,
  });
  writeFileSync(path, Buffer.from(bytes));
}

export async function writeByParquetjsLite(path: string, rows: readonly IdRow[]): Promise<void> {
  const schema = new parquetjs.ParquetSchema({
    time: { type: 'INT64' },
    trace_id: { type: 'BYTE_ARRAY' },
    trace_id_hex: { type: 'UTF8' },
    name: { type: 'UTF8' },
  });
  const writer = await parquetjs.ParquetWriter.openFile(schema, path);
  writer.setRowGroupSize(rowGroupRows);
  for (const row of rows) {
    await writer.appendRow({
      // A BigInt is the only JavaScript number that holds nanoseconds; parquetjs-lite passes it through parseInt.
      time: row.timeNanos,
      trace_id: Buffer.from(row.traceId),
      trace_id_hex: Buffer.from(row.traceId).toString('hex'),
      name: row.name,
    });
  }
  await writer.close();
}

// Public files from a batch by our own column encoder, beside hyparquet-writer alone with the same rows as
// JavaScript values, whose making is not counted: `node bench/parquet-columns.bench.ts [--small]`
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { parquetReadObjects } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { MessageAppender } from '../exporter/append.ts';
import { Batch } from '../exporter/batch.ts';
import { groupSamples, groupStacks } from '../exporter/order.ts';
import { finish, writeTable } from '../exporter/tables.ts';
import { shapes } from '../schemas/lake/parquet-shapes.ts';
import { type LakeTable, lakeTables } from '../schemas/lake/paths.ts';
import { decodeRows } from '../schemas/rows/codec.ts';
import { type Bench, cpuMicros, type Figure, figure, main } from './measure.ts';
import { generateFleet } from './rows-load.ts';

const counts = { small: 2_000, large: 120_000 } as const;
/** The large form's first rounds warm up and are not counted: an exporter runs for months. */
const rounds = { small: { warm: 0, counted: 1 }, large: { warm: 6, counted: 6 } } as const;
const rowsPerMessage = 2_000;

export const bench: Bench = async (size) => {
  const batch = batchOf(counts[size]);
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
  const hash = createHash('sha256');
  const figures: Figure[] = [];
  const notes: string[] = [];
  try {
    for (const table of lakeTables) {
      const [ours, theirs] = [join(folder, `${table}.parquet`), join(folder, `${table}-library.parquet`)];
      const rows = table === 'samples' ? groupSamples(batch, () => true)[0]!.rows : groupStacks(batch, () => true)[0]!.stacks;
      const times: Record<'ours' | 'library', number[]> = { ours: [], library: [] };
      const { warm, counted } = rounds[size];
      const measure = async (work: () => unknown, into: number[]) => {
        for (let round = -warm; round < counted; round++) {
          rmSync(ours, { force: true });
          const micros = (await cpuMicros(work)) / rows.length;
          if (round >= 0) into.push(micros);
        }
      };
      await measure(() => finish(writeTable(table, ours, batch, rows, null)), times.ours);
      const columns = await readColumns(ours);
      await measure(() => writeByLibrary(theirs, table, columns, rows.length), times.library);
      finish(writeTable(table, ours, batch, rows, null));
      figures.push(figure(`${table}, our columns`, 'us CPU a row', times.ours), figure(`${table}, the library's`, 'us CPU a row', times.library));
      const bytes = (path: string) => (statSync(path).size / rows.length).toFixed(2);
      notes.push(`  ${table}: ${rows.length.toLocaleString('en')} rows, ${bytes(ours)} B a row, the library's ${bytes(theirs)}`);
      hash.update(readFileSync(ours));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return { input: `${counts[size].toLocaleString('en')} samples of 24 hosts`, resultHash: hash.digest('hex').slice(0, 16), figures, notes };
};

function batchOf(rows: number): Batch {
  const batch = new Batch();
  const load = generateFleet({
    seed: 3,
    hosts: 24,
    services: 20,
    stacksPerService: 100,
    newStacks: 0.02,
    rowsPerMessage,
    millisPerMessage: 5_000,
    startMillis: Date.UTC(2026, 0, 15, 12),
  });
  while (batch.rows < rows) {
    const message = decodeRows(load.next().value!.value);
    const appender = new MessageAppender(batch, message);
    for (let stack = 0; stack < message.stacks.length; stack++) appender.addStack(stack, 0);
    appender.addRows(0, message.samples.length, 0, () => {});
  }
  return batch;
}

type Values = Readonly<Record<string, unknown[]>>;

async function readColumns(path: string): Promise<Values> {
  const bytes = readFileSync(path);
  const rows = await parquetReadObjects({
    file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
    compressors: { ZSTD: (input) => zstdDecompressSync(input) },
    parsers: { timestampFromMicroseconds: (micros: bigint) => micros },
  });
  return Object.fromEntries(Object.keys(rows[0]!).map((name) => [name, rows.map((row) => row[name] ?? null)]));
}

function writeByLibrary(path: string, table: LakeTable, columns: Values, rows: number): void {
  const { schema, level, statisticsBytesMax } = shapes[table].public;
  const writer = new ByteWriter();
  const parquet = new ParquetWriter({
    writer,
    schema,
    codec: 'ZSTD',
    compressors: { ZSTD: (bytes) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level } }) },
    statisticsTruncateLength: statisticsBytesMax,
  });
  const nested = new Set(['frames', 'resource_attributes', 'attributes']);
  void parquet.write({
    rowGroupSize: rows,
    columnData: Object.entries(columns).map(([name, data]) => ({
      name,
      data,
      statistics: !nested.has(name),
      ...(name === 'time' ? { encoding: 'DELTA_BINARY_PACKED' as const } : {}),
      ...(name === 'trace_id' ? { bloomFilter: true } : {}),
    })),
  });
  void parquet.finish();
  writeFileSync(path, writer.getBytes());
}

await main(import.meta, 'parquet-columns', bench);

// Parquet bytes as plain rows, read by a reader that is not the exporter's.
import { zstdDecompressSync } from 'node:zlib';
import { parquetReadObjects } from 'hyparquet';

export function readParquet(bytes: Uint8Array, columns?: string[]): Promise<Record<string, unknown>[]> {
  return parquetReadObjects({
    file: new Uint8Array(bytes).buffer,
    compressors: { ZSTD: (input) => zstdDecompressSync(input) },
    parsers: { timestampFromMicroseconds: (micros: bigint) => micros },
    ...(columns === undefined ? {} : { columns }),
  });
}

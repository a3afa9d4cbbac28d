// One Parquet file in the making: row groups go to disk as they are done and into the hash, so that a
// file of 128 MB holds one row group in memory.
import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import type { DecodedArray, SchemaElement } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { schemaVersion, schemaVersionKey } from '../schemas/lake/columns.ts';
import { statisticsBytesMax } from './limits.ts';

/** One top-level column of a row group. `data` is asked for when its turn comes and let go afterwards. */
export interface ColumnPart {
  readonly name: string;
  readonly data: () => DecodedArray;
  readonly delta?: boolean;
  readonly bloom?: boolean;
  readonly statistics?: boolean;
}

export interface TableShape {
  readonly schema: SchemaElement[];
  /** Hot and carried objects live for minutes: the cheapest level that still saves disk. */
  readonly fast: boolean;
}

export interface WrittenFile {
  readonly bytes: number;
  readonly sha256: string;
}

export class ParquetFile {
  readonly #sink: FileSink | MemorySink;
  readonly #writer: ParquetWriter;
  readonly #statistics: boolean;

  /** To a new file at `path`, or to memory where it is null. */
  constructor(path: string | null, shape: TableShape) {
    this.#sink = path === null ? new MemorySink() : new FileSink(path);
    this.#statistics = !shape.fast;
    this.#writer = new ParquetWriter({
      writer: this.#sink,
      schema: shape.schema,
      codec: 'ZSTD',
      compressors: { ZSTD: shape.fast ? zstdFast : zstd },
      statistics: this.#statistics,
      statisticsTruncateLength: statisticsBytesMax,
      kvMetadata: [{ key: schemaVersionKey, value: String(schemaVersion) }],
      createdBy: 'flamelake',
    });
  }

  writeRowGroup(columns: readonly ColumnPart[], rows: number): void {
    void this.#writer.write({
      rowGroupSize: rows,
      columnData: columns.map((column) => ({
        name: column.name,
        // The writer reads `data` once a column (and of the first one its length), so that only one
        // column of a row group is in memory as JavaScript values.
        get data() {
          return column.data();
        },
        statistics: this.#statistics && column.statistics !== false,
        ...(column.delta === true ? { encoding: 'DELTA_BINARY_PACKED' as const } : {}),
        ...(column.bloom === true && this.#statistics ? { bloomFilter: true } : {}),
      })),
    });
  }

  finish(): WrittenFile {
    void this.#writer.finish();
    return { bytes: this.#sink.offset, sha256: this.#sink.sha256() };
  }

  /** What was written to memory. */
  contents(): Uint8Array {
    return this.#sink.getBytes();
  }

  /** Closes the file of a publication that is given up; nothing where it was finished. */
  abandon(): void {
    this.#sink.close();
  }
}

/** Level 3 is zstd's own default; 12 gave the same size on these columns, which are encoded before. */
function zstd(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
}

function zstdFast(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
}

class MemorySink extends ByteWriter {
  sha256(): string {
    return createHash('sha256').update(this.getBytes()).digest('hex');
  }

  close(): void {}
}

class FileSink extends ByteWriter {
  readonly #hash = createHash('sha256');
  #file: number | null;

  constructor(path: string) {
    super(1024 * 1024);
    this.#file = openSync(path, 'wx');
  }

  /** Called by the writer after each row group: what is complete leaves the memory. */
  flush(): void {
    const bytes = new Uint8Array(this.buffer, 0, this.index);
    this.#hash.update(bytes);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file!, bytes, at);
    this.index = 0;
  }

  override finish(): void {
    this.flush();
    this.close();
  }

  override getBytes(): Uint8Array<ArrayBuffer> {
    throw new Error('the bytes of a file sink are in its file');
  }

  sha256(): string {
    return this.#hash.digest('hex');
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}

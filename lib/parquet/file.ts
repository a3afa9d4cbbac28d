// One Parquet file in the making. Columns are encoded here, from numbers of texts and typed arrays, since
// hyparquet-writer goes value by value; its thrift, its footer and its filters are in use. Row groups go
// to disk as they are done and into the hash, so that a file of 128 MB holds one row group in memory.
import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import type { KeyValue, SchemaElement } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { ChunkWriter } from './chunk.ts';
import type { Column } from './values.ts';

export interface FileShape {
  /** The root first, as in the footer. */
  readonly schema: SchemaElement[];
  readonly metadata: readonly KeyValue[];
  /** zstd. */
  readonly level: number;
  /** Bounds and filters that readers skip row groups by. */
  readonly statistics: boolean;
  /** Statistics keep so much of a text. */
  readonly statisticsBytesMax: number;
}

export interface WrittenFile {
  readonly bytes: number;
  readonly sha256: string;
}

export class ParquetFile {
  readonly #sink: FileSink;
  readonly #writer: ParquetWriter;
  readonly #chunks: ChunkWriter;
  readonly #leaves: readonly Leaf[];

  /** To a new file at `path`. */
  constructor(path: string, shape: FileShape) {
    this.#sink = new FileSink(path);
    this.#leaves = leavesOf(shape.schema);
    this.#chunks = new ChunkWriter({ compress, level: shape.level, statistics: shape.statistics });
    this.#writer = new ParquetWriter({
      writer: this.#sink,
      schema: shape.schema,
      statisticsTruncateLength: shape.statisticsBytesMax,
      kvMetadata: [...shape.metadata],
      createdBy: 'flamelake',
    });
  }

  /** `columns` are asked for one after the other, in the schema's order, so that one at a time is in memory. */
  writeRowGroup(columns: Iterable<Column>, rows: number): void {
    const start = this.#sink.offset;
    const chunks = [];
    for (const column of columns) {
      const leaf = this.#leaves[chunks.length];
      if (leaf?.path !== column.path.join('.')) throw new Error(`column ${column.path.join('.')} where the schema has ${leaf?.path}`);
      const { chunk, bloomFilter } = this.#chunks.write(this.#sink, column, leaf.element);
      chunks.push(chunk);
      if (bloomFilter !== undefined) this.#writer.pendingIndexes.push({ chunk, bloomFilter });
    }
    if (chunks.length !== this.#leaves.length) throw new Error(`${chunks.length} columns of ${this.#leaves.length}`);
    const total = chunks.reduce((sum, chunk) => sum + chunk.meta_data!.total_uncompressed_size, 0n);
    this.#writer.row_groups.push({
      columns: chunks,
      total_byte_size: total,
      num_rows: BigInt(rows),
      total_compressed_size: BigInt(this.#sink.offset - start),
    });
    this.#writer.num_rows += BigInt(rows);
    this.#sink.flush();
  }

  finish(): WrittenFile {
    void this.#writer.finish();
    return { bytes: this.#sink.offset, sha256: this.#sink.sha256() };
  }

  /** Closes the file of a publication that is given up; nothing where it was finished. */
  abandon(): void {
    this.#sink.close();
  }
}

interface Leaf {
  readonly path: string;
  readonly element: SchemaElement;
}

function leavesOf([root, ...elements]: readonly SchemaElement[]): Leaf[] {
  const leaves: Leaf[] = [];
  let at = 0;
  const walk = (path: readonly string[], children: number) => {
    for (let child = 0; child < children; child++) {
      const element = elements[at++]!;
      const own = [...path, element.name];
      if (element.num_children === undefined) leaves.push({ path: own.join('.'), element });
      else walk(own, element.num_children);
    }
  };
  walk([], root!.num_children!);
  return leaves;
}

const compress = (bytes: Uint8Array, level: number) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level } });

class FileSink extends ByteWriter {
  readonly #hash = createHash('sha256');
  #file: number | null;

  constructor(path: string) {
    super(1024 * 1024);
    this.#file = openSync(path, 'wx');
  }

  /** What is complete leaves the memory. */
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

// One column chunk: at most a dictionary page and one data page, what they say about themselves, and the
// bounds that readers skip by.
//   chunk  = [header zstd(dictionary)] header zstd([levels: repetition] [levels: definition] values)
//   levels = bytes:u32 hybrid
// Data pages are v1, whose levels are compressed too: a list of structs repeats its levels in each field,
// which in v2 pages was a quarter of a stack's bytes.
import type { ColumnChunk, CompressionCodec, Encoding, SchemaElement, Statistics } from 'hyparquet';
import type { ByteWriter } from 'hyparquet-writer';
import { BloomBuilder } from 'hyparquet-writer/src/bloom.js';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { putDelta } from './delta.ts';
import { type Dictionary, DictionaryMaker, prefixBytes, textAt, textBounds } from './dictionary.ts';
import { GrowingBytes } from './growing-bytes.ts';
import { bitWidth, indexWidth, putHybrid, putHybridRuns } from './hybrid.ts';
import { type CodedTexts, type Column, type FixedWords, type Levels, wordsOf } from './values.ts';

/** Chunks of so few bytes are not compressed: the frame alone takes a dozen, and a call 10 us. */
const compressBytesMin = 64;
/**
 * Random digits repeat by chance only. Level 3 takes these repetitions, which saves less than it costs: 18.3 B for a
 * trace id of 32 digits and its length, 17.5 at level 1 in a third of the time, 16.0 without the length.
 */
const digitsLevel = 1;

export interface ChunkOptions {
  readonly compress: (bytes: Uint8Array, level: number) => Uint8Array;
  /** zstd. */
  readonly level: number;
  readonly statistics: boolean;
}

export interface WrittenChunk {
  readonly chunk: ColumnChunk;
  readonly bloomFilter: Uint32Array | undefined;
}

/** What the values of a chunk became. */
interface Encoded {
  readonly encoding: Encoding;
  readonly dictionary: Dictionary | null;
  readonly bounds: Partial<Statistics>;
  readonly bloomFilter: Uint32Array | undefined;
}

export class ChunkWriter {
  readonly #options: ChunkOptions;
  readonly #maker = new DictionaryMaker();
  readonly #body = new GrowingBytes();
  readonly #sharedLevels = new WeakMap<Uint32Array, Uint8Array>();

  constructor(options: ChunkOptions) {
    this.#options = options;
  }

  write(writer: ByteWriter, column: Column, element: SchemaElement): WrittenChunk {
    const statistics = this.#options.statistics && column.statistics !== false;
    const start = writer.offset;
    this.#body.clear();
    this.#putLevels(column);
    const encoded = this.#encode(column, element, statistics);
    const { dictionary, encoding } = encoded;
    const small = this.#body.length + (dictionary?.bytes.length ?? 0) < compressBytesMin;
    const { level } = this.#options;
    const valuesLevel = column.values.kind === 'texts' && column.values.digits === true ? digitsLevel : level;
    const compress = (bytes: Uint8Array, at: number) => (small ? bytes : this.#options.compress(bytes, at));
    const codec: CompressionCodec = small ? 'UNCOMPRESSED' : 'ZSTD';
    let uncompressed = 0;
    if (dictionary !== null) uncompressed += writeDictionary(writer, dictionary, compress(dictionary.bytes.view(), valuesLevel));
    const dataOffset = writer.offset;
    const body = compress(this.#body.view(), dictionary === null ? valuesLevel : level);
    const header = { num_values: column.slots, encoding, definition_level_encoding: 'RLE', repetition_level_encoding: 'RLE' } as const;
    const sizes = { uncompressed_page_size: this.#body.length, compressed_page_size: body.length };
    writePageHeader(writer, { type: 'DATA_PAGE', ...sizes, data_page_header: header });
    uncompressed += writer.offset - dataOffset + sizes.uncompressed_page_size;
    writer.appendBytes(body);
    const chunk: ColumnChunk = {
      file_offset: BigInt(start),
      meta_data: {
        type: element.type!,
        encodings: [...(dictionary === null ? [] : (['PLAIN'] as const)), encoding, ...(column.levels.definitionMax > 0 ? (['RLE'] as const) : [])],
        path_in_schema: [...column.path],
        codec,
        num_values: BigInt(column.slots),
        total_compressed_size: BigInt(writer.offset - start),
        total_uncompressed_size: BigInt(uncompressed),
        data_page_offset: BigInt(dataOffset),
        ...(dictionary === null ? {} : { dictionary_page_offset: BigInt(start) }),
        ...(statistics ? { statistics: { ...encoded.bounds, null_count: BigInt(column.nulls) }, encoding_stats: pagesOf(encoded) } : {}),
      },
    };
    return { chunk, bloomFilter: encoded.bloomFilter };
  }

  #putLevels({ levels, slots }: Column): void {
    const { repetition, definition, definitionMax } = levels;
    if (repetition !== null) this.#putSized(repetition, levels, slots, 1);
    if (definition !== null) this.#putSized(definition, levels, slots, bitWidth(definitionMax));
  }

  #putSized(levels: Uint32Array, { shared, ends }: Levels, length: number, width: number): void {
    const isShared = shared?.includes(levels) === true;
    const known = isShared ? this.#sharedLevels.get(levels) : undefined;
    const body = this.#body;
    if (known !== undefined) {
      body.room(known.length).set(known, body.length);
      body.length += known.length;
      return;
    }
    const at = body.length;
    body.uint32(0);
    if (ends === undefined) putHybrid(body, levels, length, width);
    else putHybridRuns(body, levels, ends, width);
    body.data.writeUInt32LE(body.length - at - 4, at);
    if (isShared) this.#sharedLevels.set(levels, new Uint8Array(body.view(at)));
  }

  #encode(column: Column, element: SchemaElement, statistics: boolean): Encoded {
    const { values } = column;
    switch (values.kind) {
      case 'texts':
        return this.#encodeTexts(values, element, statistics, column.bloom === true && this.#options.statistics);
      case 'words':
        return this.#encodeWords(values, statistics);
      case 'deltas':
        putDelta(this.#body, values.values);
        return { encoding: 'DELTA_BINARY_PACKED', dictionary: null, bounds: statistics ? deltaBounds(values.values) : {}, bloomFilter: undefined };
      case 'booleans':
        return this.#encodeBooleans(values.values, statistics);
      default:
        return values satisfies never;
    }
  }

  #encodeTexts(values: CodedTexts, element: SchemaElement, statistics: boolean, bloom: boolean): Encoded {
    const dictionary = this.#maker.texts(values);
    const bounds = statistics && dictionary.length > 0 ? boundsOfTexts(dictionary) : {};
    const bloomFilter = bloom ? bloomOf(dictionary, element) : undefined;
    // Where most values are there once, a dictionary is the column and its indexes on top.
    if (dictionary.length > 0 && 2 * dictionary.length <= dictionary.rows) return { ...this.#putIndexes(dictionary), bounds, bloomFilter };
    if (values.digits === true && dictionary.length > 0) {
      this.#putLengthsAndTexts(dictionary);
      return { encoding: 'DELTA_LENGTH_BYTE_ARRAY', dictionary: null, bounds, bloomFilter };
    }
    this.#putPlainTexts(dictionary);
    return { encoding: 'PLAIN', dictionary: null, bounds, bloomFilter };
  }

  #encodeWords(values: FixedWords, statistics: boolean): Encoded {
    const { type } = values;
    const rows = values.places?.length ?? values.ends?.at(-1) ?? values.words.length / wordsOf[type];
    const dictionary = this.#maker.words(values, Math.floor(rows / 2));
    if (dictionary !== null && dictionary.length > 0) {
      const bytes = new Uint8Array(dictionary.bytes.view());
      const bounds = statistics ? boundsOfWords({ kind: 'words', type, words: new Uint32Array(bytes.buffer) }) : {};
      return { ...this.#putIndexes(dictionary), bounds, bloomFilter: undefined };
    }
    const words = eachWord(values, rows);
    const bytes = Buffer.from(words.buffer, words.byteOffset, words.byteLength);
    this.#body.room(bytes.length).set(bytes, this.#body.length);
    this.#body.length += bytes.length;
    return { encoding: 'PLAIN', dictionary: null, bounds: statistics ? boundsOfWords({ kind: 'words', type, words }) : {}, bloomFilter: undefined };
  }

  #encodeBooleans(values: Uint32Array, statistics: boolean): Encoded {
    const data = this.#body.room(Math.ceil(values.length / 8));
    for (let at = 0; at < values.length; at += 8) {
      let bits = 0;
      for (let bit = 0; bit < 8 && at + bit < values.length; bit++) bits |= values[at + bit]! << bit;
      data[this.#body.length++] = bits;
    }
    const bounds = statistics && values.length > 0 ? { min_value: !values.includes(0), max_value: values.includes(1) } : {};
    return { encoding: 'PLAIN', dictionary: null, bounds, bloomFilter: undefined };
  }

  #putIndexes(dictionary: Dictionary): Pick<Encoded, 'encoding' | 'dictionary'> {
    const width = indexWidth(dictionary.length - 1);
    this.#body.byte(width);
    const { indexes, runEnds } = dictionary;
    if (runEnds === undefined) putHybrid(this.#body, indexes, indexes.length, width);
    else putHybridRuns(this.#body, indexes, runEnds, width);
    return { encoding: 'RLE_DICTIONARY', dictionary };
  }

  #putPlainTexts(dictionary: Dictionary): void {
    const body = this.#body;
    const { bytes, ends } = dictionary;
    const indexes = eachIndex(dictionary);
    if (dictionary.length === indexes.length) {
      // Each once: the dictionary is the column.
      body.room(bytes.length).set(bytes.view(), body.length);
      body.length += bytes.length;
      return;
    }
    for (let row = 0; row < indexes.length; row++) {
      const entry = indexes[row]!;
      this.#copy(bytes, entry === 0 ? 0 : ends[entry - 1]!, ends[entry]!);
    }
  }

  /** DELTA_LENGTH_BYTE_ARRAY: the lengths, which ids have in common, and all texts behind them. */
  #putLengthsAndTexts(dictionary: Dictionary): void {
    const { bytes, ends } = dictionary;
    const indexes = eachIndex(dictionary);
    const start = (entry: number) => (entry === 0 ? 0 : ends[entry - 1]!) + prefixBytes;
    putDelta(
      this.#body,
      Float64Array.from(indexes, (entry) => ends[entry]! - start(entry)),
    );
    for (let row = 0; row < indexes.length; row++) this.#copy(bytes, start(indexes[row]!), ends[indexes[row]!]!);
  }

  #copy(bytes: GrowingBytes, from: number, to: number): void {
    const body = this.#body;
    bytes.data.copy(body.room(to - from), body.length, from, to);
    body.length += to - from;
  }
}

/** An index for each row. */
function eachIndex({ indexes, runEnds, rows }: Dictionary): Uint32Array {
  if (runEnds === undefined) return indexes;
  const each = new Uint32Array(rows);
  for (let run = 0; run < runEnds.length; run++) each.fill(indexes[run]!, run === 0 ? 0 : runEnds[run - 1]!, runEnds[run]!);
  return each;
}

/** The words of each row. */
function eachWord({ words, type, places, ends }: FixedWords, rows: number): Uint32Array {
  if (places === undefined && ends === undefined) return words;
  const stride = wordsOf[type];
  const each = new Uint32Array(rows * stride);
  for (let row = 0, run = 0; row < rows; row++) {
    while (ends !== undefined && ends[run]! <= row) run++;
    const from = (places === undefined ? run : places[row]!) * stride;
    for (let word = 0; word < stride; word++) each[row * stride + word] = words[from + word]!;
  }
  return each;
}

function writeDictionary(writer: ByteWriter, { bytes, length }: Dictionary, compressed: Uint8Array): number {
  const start = writer.offset;
  const sizes = { uncompressed_page_size: bytes.length, compressed_page_size: compressed.length };
  writePageHeader(writer, { type: 'DICTIONARY_PAGE', ...sizes, dictionary_page_header: { num_values: length, encoding: 'PLAIN' } });
  const headerBytes = writer.offset - start;
  writer.appendBytes(compressed);
  return headerBytes + bytes.length;
}

function pagesOf({ dictionary, encoding }: Encoded) {
  const data = { page_type: 'DATA_PAGE' as const, encoding, count: 1 };
  return dictionary === null ? [data] : [{ page_type: 'DICTIONARY_PAGE' as const, encoding: 'PLAIN' as const, count: 1 }, data];
}

function boundsOfTexts(dictionary: Dictionary): Partial<Statistics> {
  const { least, most } = textBounds(dictionary);
  return { min_value: textAt(dictionary, least), max_value: textAt(dictionary, most) };
}

function deltaBounds(values: Float64Array): Partial<Statistics> {
  if (values.length === 0) return {};
  let [least, most] = [values[0]!, values[0]!];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return { min_value: BigInt(least), max_value: BigInt(most) };
}

function boundsOfWords({ words, type }: FixedWords): Partial<Statistics> {
  if (words.length === 0) return {};
  const bytes = words.byteOffset % 8 === 0 ? words : words.slice();
  switch (type) {
    case 'INT64': {
      const values = new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
      return leastAndMost(values);
    }
    case 'INT32':
      return leastAndMost(new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length));
    case 'DOUBLE': {
      const { min_value, max_value } = leastAndMost(new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 2).filter((value) => !Number.isNaN(value)));
      // The format asks for it: a reader may compare by bits.
      return { ...(min_value === undefined ? {} : { min_value: min_value || -0, max_value: max_value || 0 }) };
    }
    default:
      return type satisfies never;
  }
}

function leastAndMost<T extends number | bigint>(values: Iterable<T>): { min_value?: T; max_value?: T } {
  let least: T | undefined;
  let most: T | undefined;
  for (const value of values) {
    if (least === undefined || value < least) least = value;
    if (most === undefined || value > most) most = value;
  }
  return least === undefined || most === undefined ? {} : { min_value: least, max_value: most };
}

function bloomOf(dictionary: Dictionary, element: SchemaElement): Uint32Array | undefined {
  const builder = new BloomBuilder(element);
  const { data } = dictionary.bytes;
  let start = 0;
  for (let entry = 0; entry < dictionary.length; entry++) {
    builder.insert(data.toString('utf8', start + 4, dictionary.ends[entry]!));
    start = dictionary.ends[entry]!;
  }
  return builder.finalize();
}

// The sample rows of one row group, column by column, as the Parquet writer takes them: numbers of texts
// and words, so that no value of a row becomes a JavaScript value. Rows lie thread by thread, so what rows of
// a thread share (30 columns of 38) is made once for each run of them.

import { isDeltaExact } from '../lib/parquet/delta.ts';
import type { GrowingBytes } from '../lib/parquet/growing-bytes.ts';
import { codeTexts, mapColumns } from '../lib/parquet/nested.ts';
import {
  type CodedTexts,
  type Column,
  type FixedWords,
  ints,
  longs,
  optionalTexts,
  optionalWords,
  required,
  tableDigits,
  tableTexts,
} from '../lib/parquet/values.ts';
import { nullInt32, resourceStringColumns } from '../schemas/rows/message.ts';
import { type Batch, resourceAttributesAt, resourcePidAt, seriesWords } from './batch.ts';
import type { Lane64 } from './lanes.ts';
import type { WordTable } from './words.ts';

export const hexDigits = Buffer.from('0123456789abcdef');
const nullLong = [0, 0x8000_0000] as const;
const nullInt = [nullInt32 >>> 0] as const;
const serviceName = resourceStringColumns.indexOf('service_name');
const executableName = resourceStringColumns.indexOf('process_executable_name');

/** In the order of schemas/lake/columns.ts. `rows` are batch rows in file order. */
export function* sampleColumns(batch: Batch, rows: Uint32Array): Generator<Column> {
  const { length } = rows;
  const { strings } = batch;
  const series = runsOf(batch.seriesOf.gather(rows));
  const resource = through(batch.series, seriesWords.resource, series);
  const type = through(batch.series, seriesWords.type, series);
  const text = (name: string, { values, ends }: Runs) => required(name, length, tableTexts(values, strings, ends));
  const optional = (name: string, { values, ends }: Runs) => optionalTexts(name, tableTexts(values, strings, ends));
  const resourceText = (position: number) => optional(resourceStringColumns[position]!, through(batch.resources, position, resource));

  yield time(batch, rows);
  yield optionalWords('duration_ns', longsOf(batch.duration, rows), nullLong);
  yield text('sample_type', through(batch.types, 0, type));
  yield text('sample_unit', through(batch.types, 1, type));
  yield required('value', length, longsOf(batch.value, rows));
  yield required('count', length, longsOf(batch.count, rows));
  yield required('weight', length, { ...longsOf(batch.weight, rows), type: 'DOUBLE' });
  yield required('stack_id', length, stackIdTexts(batch, batch.stack.gather(rows)));
  yield* linkColumns(batch, batch.link.isEmpty ? oneRun(length) : { values: batch.link.gather(rows), ends: undefined });
  yield text('service_name', through(batch.resources, serviceName, resource));
  for (let position = serviceName + 1; position < executableName; position++) yield resourceText(position);
  yield optionalWords('process_pid', longsThrough(batch.resources, resourcePidAt, resource), nullLong);
  yield optionalWords('thread_id', longsThrough(batch.series, seriesWords.threadId, series), nullLong);
  yield optionalWords('cpu_logical_number', { kind: 'words', type: 'INT32', words: batch.cpu.gather(rows) }, nullInt);
  for (let position = executableName; position < resourceStringColumns.length; position++) yield resourceText(position);
  yield optional('thread_name', through(batch.series, seriesWords.threadName, series));
  const profile = through(batch.series, seriesWords.profileId, series);
  yield optionalTexts('profile_id', tableDigits(profile.values, strings, profile.ends));
  yield optional('scope_name', through(batch.series, seriesWords.scopeName, series));
  const resourceMaps = through(batch.resources, resourceAttributesAt, resource);
  yield* mapColumns('resource_attributes', resourceMaps.values, batch.maps, resourceMaps.ends);
  const maps = batch.attributes.isEmpty ? oneRun(length) : runsOf(batch.attributes.gather(rows));
  yield* mapColumns('attributes', maps.values, batch.maps, maps.ends);
}

/** The hex digits of each stack's id. */
export function stackIdTexts({ stackIds }: Batch, codes: Uint32Array): CodedTexts {
  const put = (stack: number, out: GrowingBytes) => {
    const data = out.room(8 * stackIds.stride);
    let at = out.length;
    for (let position = 0; position < stackIds.stride; position++) {
      const word = stackIds.word(stack, position);
      for (let shift = 0; shift < 32; shift += 8) {
        data[at++] = hexDigits[(word >>> (shift + 4)) & 15]!;
        data[at++] = hexDigits[(word >>> shift) & 15]!;
      }
    }
    out.length = at;
  };
  return { kind: 'texts', codes, codesMax: stackIds.length, put, digits: true };
}

/** Sorted by thread, time goes up in small steps: deltas are a quarter of its 8 bytes. */
function time(batch: Batch, rows: Uint32Array): Column {
  const values = batch.time.gatherNumbers(rows);
  if (isDeltaExact(values)) return required('time', rows.length, { kind: 'deltas', values });
  return required('time', rows.length, { kind: 'words', type: 'INT64', words: batch.time.gather(rows) });
}

function* linkColumns(batch: Batch, links: Runs): Generator<Column> {
  const column = (name: string, of: (link: number) => string, texts = tableDigits) => {
    const { codes, table } = codeTexts(links.values, of);
    return optionalTexts(name, texts(codes, table, links.ends));
  };
  // A trace's samples are looked up by its id, which no order helps: the filter does. One on stack_id
  // would cost half of the whole file's time and answer nothing that its service prefix does not.
  yield { ...column('trace_id', (link) => batch.traceIds[link]!), bloom: true };
  yield column('span_id', (link) => batch.spanIds[link]!);
  yield column('link_source', (link) => batch.strings[batch.linkSources[link]!]!, tableTexts);
}

/** What hot and carried objects have beside the public columns. */
export function* originColumns(shard: number, rows: Uint32Array, offsetOf: (row: number) => number): Generator<Column> {
  yield required('_shard', rows.length, ints(new Int32Array(rows.length).fill(shard)));
  yield required('_offset', rows.length, longs(BigInt64Array.from(rows, (row) => BigInt(offsetOf(row)))));
}

/** Values of rows that follow each other and have the same, up to each place in `ends`; without `ends` of each row. */
interface Runs {
  readonly values: Uint32Array;
  readonly ends: Uint32Array | undefined;
}

const oneRun = (rows: number): Runs => ({ values: new Uint32Array(1), ends: Uint32Array.of(rows) });

/** Row by row where runs are so short that they save nothing. */
function runsOf(rows: Uint32Array): Runs {
  let count = 0;
  for (let row = 0; row < rows.length; row++) if (row === 0 || rows[row] !== rows[row - 1]) count++;
  if (2 * count > rows.length) return { values: rows, ends: undefined };
  const [values, ends] = [new Uint32Array(count), new Uint32Array(count)];
  let run = -1;
  for (let row = 0; row < rows.length; row++) {
    if (row === 0 || rows[row] !== rows[row - 1]) values[++run] = rows[row]!;
    ends[run] = row + 1;
  }
  return { values, ends };
}

/** One word of each run's tuple; neighbours that have the same are one run. */
function through(table: WordTable, position: number, { values: of, ends }: Runs): Runs {
  const words = new Uint32Array(of.length);
  if (ends === undefined) {
    for (let row = 0; row < of.length; row++) words[row] = table.word(of[row]!, position);
    return { values: words, ends };
  }
  const wordEnds = new Uint32Array(of.length);
  let count = 0;
  for (let run = 0; run < of.length; run++) {
    const word = table.word(of[run]!, position);
    if (count === 0 || words[count - 1] !== word) words[count++] = word;
    wordEnds[count - 1] = ends[run]!;
  }
  return { values: words.subarray(0, count), ends: wordEnds.subarray(0, count) };
}

function longsThrough(table: WordTable, position: number, { values: of, ends }: Runs): FixedWords {
  const words = new Uint32Array(2 * of.length);
  for (let run = 0; run < of.length; run++) {
    words[2 * run] = table.word(of[run]!, position);
    words[2 * run + 1] = table.word(of[run]!, position + 1);
  }
  return { kind: 'words', type: 'INT64', words, ends };
}

function longsOf(lane: Lane64<bigint> | Lane64<number>, rows: Uint32Array): FixedWords {
  if (!lane.isEmpty) return { kind: 'words', type: 'INT64', words: lane.gather(rows) };
  return { kind: 'words', type: 'INT64', words: lane.gather(rows.subarray(0, 1)), ends: Uint32Array.of(rows.length) };
}

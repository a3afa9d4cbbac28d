// The sample rows of one row group, column by column, as the Parquet writer takes them: numbers of texts
// and words, so that no value of a row becomes a JavaScript value.

import { isDeltaExact } from '../lib/parquet/delta.ts';
import { codeTexts, mapColumns } from '../lib/parquet/nested.ts';
import { type Column, ints, longs, optionalTexts, optionalWords, required, tableDigits, tableTexts } from '../lib/parquet/values.ts';
import { nullInt32, resourceStringColumns } from '../schemas/rows/message.ts';
import { type Batch, resourceAttributesAt, resourcePidAt, seriesWords } from './batch.ts';
import type { WordTable } from './words.ts';

const nullLong = [0, 0x8000_0000] as const;
const nullInt = [nullInt32 >>> 0] as const;
const serviceName = resourceStringColumns.indexOf('service_name');
const executableName = resourceStringColumns.indexOf('process_executable_name');

/** In the order of schemas/lake/columns.ts. `rows` are batch rows in file order. */
export function* sampleColumns(batch: Batch, rows: Uint32Array): Generator<Column> {
  const { length } = rows;
  const { strings } = batch;
  const series = batch.seriesOf.gather(rows);
  const resource = through(batch.series, seriesWords.resource, series);
  const type = through(batch.series, seriesWords.type, series);
  const text = (name: string, codes: Uint32Array) => required(name, length, tableTexts(codes, strings));
  const optional = (name: string, codes: Uint32Array) => optionalTexts(name, tableTexts(codes, strings));
  const resourceText = (position: number) => optional(resourceStringColumns[position]!, through(batch.resources, position, resource));

  yield time(batch, rows);
  yield optionalWords('duration_ns', { kind: 'words', type: 'INT64', words: batch.duration.gather(rows) }, nullLong);
  yield text('sample_type', through(batch.types, 0, type));
  yield text('sample_unit', through(batch.types, 1, type));
  yield required('value', length, { kind: 'words', type: 'INT64', words: batch.value.gather(rows) });
  yield required('count', length, { kind: 'words', type: 'INT64', words: batch.count.gather(rows) });
  yield required('weight', length, { kind: 'words', type: 'DOUBLE', words: batch.weight.gather(rows) });
  yield required('stack_id', length, tableDigits(batch.stack.gather(rows), batch.stackIds));
  yield* linkColumns(batch, batch.link.gather(rows));
  yield text('service_name', through(batch.resources, serviceName, resource));
  for (let position = serviceName + 1; position < executableName; position++) yield resourceText(position);
  yield optionalWords('process_pid', longsThrough(batch.resources, resourcePidAt, resource), nullLong);
  yield optionalWords('thread_id', longsThrough(batch.series, seriesWords.threadId, series), nullLong);
  yield optionalWords('cpu_logical_number', { kind: 'words', type: 'INT32', words: batch.cpu.gather(rows) }, nullInt);
  for (let position = executableName; position < resourceStringColumns.length; position++) yield resourceText(position);
  yield optional('thread_name', through(batch.series, seriesWords.threadName, series));
  yield optionalTexts('profile_id', tableDigits(through(batch.series, seriesWords.profileId, series), strings));
  yield optional('scope_name', through(batch.series, seriesWords.scopeName, series));
  yield* mapColumns('resource_attributes', through(batch.resources, resourceAttributesAt, resource), batch.maps);
  yield* mapColumns('attributes', batch.attributes.gather(rows), batch.maps);
}

/** Sorted by thread, time goes up in small steps: deltas are a quarter of its 8 bytes. */
function time(batch: Batch, rows: Uint32Array): Column {
  const values = batch.time.gatherNumbers(rows);
  if (isDeltaExact(values)) return required('time', rows.length, { kind: 'deltas', values });
  return required('time', rows.length, { kind: 'words', type: 'INT64', words: batch.time.gather(rows) });
}

function* linkColumns(batch: Batch, links: Uint32Array): Generator<Column> {
  const column = (name: string, of: (link: number) => string, texts = tableDigits) => {
    const { codes, table } = codeTexts(links, of);
    return optionalTexts(name, texts(codes, table));
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

/** One word of each row's tuple. */
export function through(table: WordTable, position: number, of: Uint32Array): Uint32Array {
  const words = new Uint32Array(of.length);
  for (let row = 0; row < of.length; row++) words[row] = table.word(of[row]!, position);
  return words;
}

function longsThrough(table: WordTable, position: number, of: Uint32Array) {
  const words = new Uint32Array(2 * of.length);
  for (let row = 0; row < of.length; row++) {
    words[2 * row] = table.word(of[row]!, position);
    words[2 * row + 1] = table.word(of[row]!, position + 1);
  }
  return { kind: 'words', type: 'INT64', words } as const;
}

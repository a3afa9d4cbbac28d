// The sample rows of one row group, column by column, as values for the Parquet writer.
import type { DecodedArray } from 'hyparquet';
import { nullInt32, nullInt64, type ResourceStringColumn, resourceStringColumns } from '../schemas/rows/message.ts';
import { type Batch, seriesWords } from './batch.ts';
import type { ColumnPart } from './parquet-file.ts';

/** `rows` are batch rows in file order. */
export function sampleParts(batch: Batch, rows: Uint32Array): ColumnPart[] {
  const series = Uint32Array.from(rows, (row) => batch.seriesOf.get(row));
  const resource = Uint32Array.from(series, (index) => batch.series.word(index, seriesWords.resource));
  const strings = new Map<string, () => DecodedArray>(
    resourceStringColumns.map((name, position) => [name, () => values(resource, (index) => optionalString(batch, batch.resourceString(index, position)))]),
  );
  const resourceColumn = (name: ResourceStringColumn): ColumnPart => ({ name, data: strings.get(name)! });
  const seriesString = (name: string, word: number): ColumnPart => ({
    name,
    data: () => values(series, (index) => optionalString(batch, batch.series.word(index, word))),
  });
  const link = (name: string, of: (link: number) => string, bloom: boolean): ColumnPart => ({
    name,
    bloom,
    data: () => values(rows, (row) => of(batch.link.get(row)) || null),
  });
  const typeOf = (index: number, word: number) => batch.strings[batch.types.word(batch.series.word(index, seriesWords.type), word)]!;
  return [
    // Sorted by thread, time goes up in small steps: deltas are a quarter of its 8 bytes.
    { name: 'time', delta: true, data: () => BigInt64Array.from(rows, (row) => batch.time.get(row)) },
    { name: 'duration_ns', data: () => values(rows, (row) => optionalLong(batch.duration.get(row))) },
    { name: 'sample_type', data: () => values(series, (index) => typeOf(index, 0)) },
    { name: 'sample_unit', data: () => values(series, (index) => typeOf(index, 1)) },
    { name: 'value', data: () => BigInt64Array.from(rows, (row) => batch.value.get(row)) },
    { name: 'count', data: () => BigInt64Array.from(rows, (row) => batch.count.get(row)) },
    { name: 'weight', data: () => Float64Array.from(rows, (row) => batch.weight.get(row)) },
    { name: 'stack_id', data: () => values(rows, (row) => batch.stackIds[batch.stack.get(row)]!) },
    // A trace's samples are looked up by its id, which no order helps: the filter does. One on stack_id
    // would cost half of the whole file's time and answer nothing that its service prefix does not.
    link('trace_id', (index) => batch.traceIds[index]!, true),
    link('span_id', (index) => batch.spanIds[index]!, false),
    link('link_source', (index) => batch.strings[batch.linkSources[index]!]!, false),
    {
      name: 'service_name',
      data: () => values(resource, (index) => batch.strings[batch.resourceString(index, resourceStringColumns.indexOf('service_name'))]!),
    },
    ...resourceStringColumns.slice(1, resourceStringColumns.indexOf('process_executable_name')).map(resourceColumn),
    { name: 'process_pid', data: () => values(resource, (index) => optionalLong(batch.resourcePid(index))) },
    { name: 'thread_id', data: () => values(series, (index) => optionalLong(batch.seriesThreadId(index))) },
    { name: 'cpu_logical_number', data: () => values(rows, (row) => (batch.cpu.get(row) === nullInt32 ? null : batch.cpu.get(row))) },
    resourceColumn('process_executable_name'),
    resourceColumn('process_executable_path'),
    seriesString('thread_name', seriesWords.threadName),
    seriesString('profile_id', seriesWords.profileId),
    seriesString('scope_name', seriesWords.scopeName),
    { name: 'resource_attributes', statistics: false, data: () => values(resource, (index) => optionalMap(batch, batch.resourceAttributes(index))) },
    { name: 'attributes', statistics: false, data: () => values(rows, (row) => optionalMap(batch, batch.attributes.get(row))) },
  ];
}

/** What hot and carried objects have beside the public columns. */
export function originParts(shard: number, offsets: readonly number[]): ColumnPart[] {
  return [
    { name: '_shard', data: () => new Int32Array(offsets.length).fill(shard) },
    { name: '_offset', data: () => BigInt64Array.from(offsets, (offset) => BigInt(offset)) },
  ];
}

export function values(of: Uint32Array, value: (index: number) => unknown): unknown[] {
  const result = new Array<unknown>(of.length);
  for (let i = 0; i < of.length; i++) result[i] = value(of[i]!);
  return result;
}

function optionalString(batch: Batch, index: number): string | null {
  return index === 0 ? null : batch.strings[index]!;
}

function optionalLong(value: bigint): bigint | null {
  return value === nullInt64 ? null : value;
}

function optionalMap(batch: Batch, index: number): unknown {
  return index === 0 ? null : batch.maps[index]!;
}

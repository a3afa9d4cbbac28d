// The lake's columns (schemas/lake/columns.ts) as Parquet schema elements: the plainest types that all
// engines share. Lists and maps are the three-level forms of the format's specification.
import type { SchemaElement } from 'hyparquet';
import type { FileShape } from '../../lib/parquet/file.ts';
import { type Column, frameColumns, hotColumns, hotStackDateColumn, sampleColumns, schemaVersion, schemaVersionKey, stackColumns } from './columns.ts';
import type { LakeTable } from './paths.ts';

/** Bounds keep so much of a name: 16 (what is usual) cuts names with one long common prefix alike. */
const statisticsBytesMax = 64;

/** `public`: as engines that are not ours read it. `private`: hot and carried objects, with where the row came from. */
export type ShapeKind = 'public' | 'private';

function tableColumns(table: LakeTable, kind: ShapeKind): readonly Column[] {
  const columns: readonly Column[] = table === 'samples' ? sampleColumns : stackColumns;
  if (kind === 'public') return columns;
  return table === 'samples' ? [...columns, ...hotColumns] : [...columns, ...hotColumns, hotStackDateColumn];
}

function tableSchema(table: LakeTable, kind: ShapeKind): SchemaElement[] {
  const columns = tableColumns(table, kind);
  return [{ name: 'schema', num_children: columns.length }, ...columns.flatMap(columnElements)];
}

function columnElements(column: Column): SchemaElement[] {
  const repetition_type = column.nullable ? 'OPTIONAL' : 'REQUIRED';
  if (column.type === 'map') return mapElements(column.name, repetition_type);
  if (column.type === 'frames') return frameElements(column.name, repetition_type);
  return [leaf(column.name, column.type, repetition_type)];
}

function leaf(name: string, type: string, repetition_type: 'OPTIONAL' | 'REQUIRED'): SchemaElement {
  switch (type) {
    case 'timestamp':
      // An instant. Both annotations: older readers know only the first.
      return {
        name,
        type: 'INT64',
        converted_type: 'TIMESTAMP_MICROS',
        logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
        repetition_type,
      };
    case 'string':
      return { name, type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' }, repetition_type };
    case 'int64':
      return { name, type: 'INT64', repetition_type };
    case 'int32':
      return { name, type: 'INT32', repetition_type };
    case 'double':
      return { name, type: 'DOUBLE', repetition_type };
    case 'boolean':
      return { name, type: 'BOOLEAN', repetition_type };
    default:
      throw new Error(`column ${name}: type ${type} has no Parquet form`);
  }
}

function mapElements(name: string, repetition_type: 'OPTIONAL' | 'REQUIRED'): SchemaElement[] {
  return [
    { name, repetition_type, converted_type: 'MAP', logical_type: { type: 'MAP' }, num_children: 1 },
    { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
    leaf('key', 'string', 'REQUIRED'),
    leaf('value', 'string', 'OPTIONAL'),
  ];
}

function frameElements(name: string, repetition_type: 'OPTIONAL' | 'REQUIRED'): SchemaElement[] {
  return [
    { name, repetition_type, converted_type: 'LIST', logical_type: { type: 'LIST' }, num_children: 1 },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', repetition_type: 'REQUIRED', num_children: frameColumns.length },
    ...frameColumns.map((column) => leaf(column.name, column.type, column.nullable ? 'OPTIONAL' : 'REQUIRED')),
  ];
}

const shape = (table: LakeTable, kind: ShapeKind): FileShape => ({
  schema: tableSchema(table, kind),
  metadata: [{ key: schemaVersionKey, value: String(schemaVersion) }],
  // Level 3 is zstd's own default; 12 gave the same size on these columns, which are encoded before. What lives for
  // a day at most gets the cheapest level that still saves disk, and no bounds.
  level: kind === 'public' ? 3 : 1,
  statistics: kind === 'public',
  statisticsBytesMax,
});

export const shapes = {
  samples: { public: shape('samples', 'public'), private: shape('samples', 'private') },
  stacks: { public: shape('stacks', 'public'), private: shape('stacks', 'private') },
} as const;

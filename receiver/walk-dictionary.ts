// The dictionary's part of the well-formedness walk. It is shared by all profiles of a message, so
// whatever is wrong in it makes the whole message wrong.
import type { Uint32List } from '../lib/lists.ts';
import { enter, leave, malformed, more, position, readBytes, readInt32, readTag, readText, skip } from '../lib/wire.ts';
import { attributeEntriesMax, attributesMax, stackDepthMax, stackEntriesMax, tableEntriesMax } from './limits.ts';
import { countFrames } from './walk-frames.ts';
import { inTable, once, passOther, readIndices, stray, strayIndex, type TableSizes, tooMany, walkAnyValue } from './walk-parts.ts';

const dictionaryFields = ['', 'mapping_table', 'location_table', 'function_table', 'link_table', 'string_table', 'attribute_table', 'stack_table'];

export function noTables(): TableSizes {
  return { mappings: 0, locations: 0, functions: 0, links: 0, strings: 0, attributes: 0, stacks: 0 };
}

/** Counts the entries of the tables, and adds the length of each string to `stringLengths`; the cursor stands in the dictionary. */
export function measureTables(stringLengths: Uint32List): TableSizes {
  const counts = new Uint32Array(dictionaryFields.length);
  while (more()) {
    const tag = readTag();
    const field = tag >>> 3;
    if (field < counts.length) {
      if ((tag & 7) !== 2) passOther(tag, 'ProfilesDictionary', dictionaryFields);
      counts[field]!++;
      if (counts[field]! > tableEntriesMax) throw tooMany(`entries in ${dictionaryFields[field]}`, tableEntriesMax);
    }
    if (field === 5) {
      const from = readBytes();
      stringLengths.push(position() - from);
    } else skip(tag);
  }
  const [, mappings = 0, locations = 0, functions = 0, links = 0, strings = 0, attributes = 0, stacks = 0] = counts;
  return { mappings, locations, functions, links, strings, attributes, stacks };
}

/** What is bounded in all entries of a table together. */
interface Sums {
  lines: number;
  linesOfOne: number;
  locationAttributes: number;
  mappingAttributes: number;
}

/** Walks every entry; the cursor stands in the dictionary, `rewind` brings it back to its start. */
export function walkDictionary(sizes: TableSizes, rewind: () => void): void {
  const sums: Sums = { lines: 0, linesOfOne: 1, locationAttributes: 0, mappingAttributes: 0 };
  let strings = 0;
  let stackEntries = 0;
  while (more()) {
    const tag = readTag();
    if (tag === 42) {
      const start = readText();
      if (strings === 0 && position() > start) throw malformed('text in string_table[0]', "'' there, for index 0 means none", start);
      strings++;
      continue;
    }
    if (tag >>> 3 > 7) {
      skip(tag);
      continue;
    }
    const outer = enter();
    if (tag === 58) {
      stackEntries += walkStack(sizes);
      if (stackEntries > stackEntriesMax) throw tooMany('location_indices', stackEntriesMax);
    } else entryWalks[tag >>> 3]!(sizes, sums);
    leave(outer);
  }
  if (stackEntries * sums.linesOfOne > stackEntriesMax && countFrames(sizes.locations, rewind) > stackEntriesMax) {
    throw tooMany('frames of stacks, inlined calls included,', stackEntriesMax);
  }
}

const mappingFields = ['', 'memory_start', 'memory_limit', 'file_offset', 'filename_strindex', 'attribute_indices'];

function walkMapping(sizes: TableSizes, sums: Sums): void {
  let attributes = 0;
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 8:
      case 16:
      case 24:
        skip(tag);
        break;
      case 32:
        demand(readInt32(), sizes.strings, 'Mapping.filename_strindex', 'string_table');
        break;
      case 40:
      case 42:
        attributes = demandAttributes(attributes, tag, sizes, 'Mapping');
        break;
      default:
        passOther(tag, 'Mapping', mappingFields);
    }
  }
  sums.mappingAttributes += attributes;
  if (sums.mappingAttributes > attributeEntriesMax) throw tooMany('attributes of mappings', attributeEntriesMax);
}

const locationFields = ['', 'mapping_index', 'address', 'lines', 'attribute_indices'];

function walkLocation(sizes: TableSizes, sums: Sums): void {
  let attributes = 0;
  let lines = 0;
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 8:
        demand(readInt32(), sizes.mappings, 'Location.mapping_index', 'mapping_table');
        break;
      case 16:
        skip(tag);
        break;
      case 26:
        walkLine(sizes);
        lines++;
        break;
      case 32:
      case 34:
        attributes = demandAttributes(attributes, tag, sizes, 'Location');
        break;
      default:
        passOther(tag, 'Location', locationFields);
    }
  }
  sums.lines += lines;
  sums.linesOfOne = Math.max(sums.linesOfOne, lines);
  if (sums.lines > stackEntriesMax) throw tooMany('lines of locations', stackEntriesMax);
  sums.locationAttributes += attributes;
  if (sums.locationAttributes > attributeEntriesMax) throw tooMany('attributes of locations', attributeEntriesMax);
}

const lineFields = ['', 'function_index', 'line', 'column'];

function walkLine(sizes: TableSizes): void {
  const outer = enter();
  while (more()) {
    const tag = readTag();
    if (tag === 8) demand(readInt32(), sizes.functions, 'Line.function_index', 'function_table');
    else if (tag === 16 || tag === 24) skip(tag);
    else passOther(tag, 'Line', lineFields);
  }
  leave(outer);
}

const functionFields = ['', 'name_strindex', 'system_name_strindex', 'filename_strindex', 'start_line'];

function walkFunction(sizes: TableSizes): void {
  while (more()) {
    const tag = readTag();
    if (tag === 8 || tag === 16 || tag === 24) demand(readInt32(), sizes.strings, `Function.${functionFields[tag >>> 3]}`, 'string_table');
    else if (tag === 32) skip(tag);
    else passOther(tag, 'Function', functionFields);
  }
}

const linkFields = ['', 'trace_id', 'span_id'];

function walkLink(): void {
  while (more()) {
    const tag = readTag();
    if (tag !== 10 && tag !== 18) {
      passOther(tag, 'Link', linkFields);
      continue;
    }
    const start = readBytes();
    const length = position() - start;
    const expected = tag === 10 ? 16 : 8;
    if (length !== 0 && length !== expected) throw malformed(`${length} bytes in Link.${linkFields[tag >>> 3]}`, `${expected} or none`, start);
  }
}

const attributeFields = ['', 'key_strindex', 'value', 'unit_strindex'];

function walkAttribute(sizes: TableSizes): void {
  let value = false;
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 8:
      case 24:
        demand(readInt32(), sizes.strings, `KeyValueAndUnit.${attributeFields[tag >>> 3]}`, 'string_table');
        break;
      case 18: {
        value = once(value, 'KeyValueAndUnit.value');
        const problem = walkAnyValue(sizes.strings, 0);
        if (problem !== null) throw malformed(`attribute_table: ${problem}`, 'an index inside the table');
        break;
      }
      default:
        passOther(tag, 'KeyValueAndUnit', attributeFields);
    }
  }
}

function walkStack(sizes: TableSizes): number {
  let depth = 0;
  while (more()) {
    const tag = readTag();
    if (tag !== 8 && tag !== 10) {
      passOther(tag, 'Stack', ['', 'location_indices']);
      continue;
    }
    depth += readIndices(tag, sizes.locations);
    if (strayIndex !== null) throw outside('Stack.location_indices', strayIndex, 'location_table', sizes.locations);
    if (depth > stackDepthMax) throw tooMany('locations in one stack', stackDepthMax);
  }
  return depth;
}

function demand(index: number, length: number, name: string, table: string): void {
  if (!inTable(index, length)) throw outside(name, index, table, length);
}

function demandAttributes(before: number, tag: number, sizes: TableSizes, message: string): number {
  const count = before + readIndices(tag, sizes.attributes);
  if (strayIndex !== null) throw outside(`${message}.attribute_indices`, strayIndex, 'attribute_table', sizes.attributes);
  if (count > attributesMax) throw tooMany(`attributes of one ${message}`, attributesMax);
  return count;
}

function outside(name: string, index: number, table: string, length: number) {
  return malformed(stray(name, index, table, length), 'an index inside the table');
}

/** By field number of the dictionary; strings and stacks have their own way in. */
const entryWalks: readonly ((sizes: TableSizes, sums: Sums) => void)[] = [
  noEntry,
  walkMapping,
  walkLocation,
  walkFunction,
  walkLink,
  noEntry,
  walkAttribute,
  noEntry,
];

function noEntry(): never {
  throw new Error('not a table of messages');
}

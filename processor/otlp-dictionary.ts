// Reads the dictionary of a profiles message into columns. Stands on the open cursor of lib/wire.ts.
import { Uint32List, Word64List } from '../lib/lists.ts';
import { enter, high, leave, low, malformed, more, position, readBytes, readInt32, readTag, readVarint64 } from '../lib/wire.ts';
import { attributeEntriesMax, stackDepthMax, stackEntriesMax, tableEntriesMax } from './limits.ts';
import { otherField, readIndices, tooMany } from './otlp-parts.ts';
import type { Dictionary } from './otlp-tables.ts';

/** The growing columns; frozen into a Dictionary when the message is read. */
export interface DictionaryLists {
  readonly stringStart: Uint32List;
  readonly stringEnd: Uint32List;
  readonly mappingAddresses: Word64List;
  readonly mappingFilename: Uint32List;
  readonly mappingAttributeStart: Uint32List;
  readonly mappingAttributes: Uint32List;
  readonly locationMapping: Uint32List;
  readonly locationAddress: Word64List;
  readonly locationLineStart: Uint32List;
  readonly locationAttributeStart: Uint32List;
  readonly locationAttributes: Uint32List;
  readonly lineFunction: Uint32List;
  readonly lineLine: Word64List;
  readonly lineColumn: Word64List;
  readonly functionName: Uint32List;
  readonly functionSystemName: Uint32List;
  readonly functionFilename: Uint32List;
  readonly functionStartLine: Word64List;
  readonly linkTraceStart: Uint32List;
  readonly linkTraceEnd: Uint32List;
  readonly linkSpanStart: Uint32List;
  readonly linkSpanEnd: Uint32List;
  readonly attributeKey: Uint32List;
  readonly attributeUnit: Uint32List;
  readonly attributeValueStart: Uint32List;
  readonly attributeValueEnd: Uint32List;
  readonly stackStart: Uint32List;
  readonly stackLocations: Uint32List;
}

/** Entries of the message before: senders repeat themselves, and lists that need not grow cost half. */
let usual = { strings: 64, mappings: 64, locations: 64, lines: 64, functions: 64, links: 64, attributes: 64, stacks: 64, stackEntries: 64 };

/** For a message of so many bytes: no real one has an entry for each 16, and a small one after a large one takes no more memory than that. */
export function newDictionaryLists(bytes: number): DictionaryLists {
  const capacity = (expected: number) => Math.min(expected + (expected >>> 3), bytes >>> 4);
  const list = (expected: number) => new Uint32List(capacity(expected));
  const wide = (expected: number) => new Word64List(capacity(expected));
  const { strings, mappings, locations, lines, functions, links, attributes, stacks, stackEntries } = usual;
  return {
    stringStart: list(strings),
    stringEnd: list(strings),
    mappingAddresses: wide(3 * mappings),
    mappingFilename: list(mappings),
    mappingAttributeStart: list(mappings),
    mappingAttributes: list(mappings),
    locationMapping: list(locations),
    locationAddress: wide(locations),
    locationLineStart: list(locations),
    locationAttributeStart: list(locations),
    locationAttributes: list(locations),
    lineFunction: list(lines),
    lineLine: wide(lines),
    lineColumn: wide(lines),
    functionName: list(functions),
    functionSystemName: list(functions),
    functionFilename: list(functions),
    functionStartLine: wide(functions),
    linkTraceStart: list(links),
    linkTraceEnd: list(links),
    linkSpanStart: list(links),
    linkSpanEnd: list(links),
    attributeKey: list(attributes),
    attributeUnit: list(attributes),
    attributeValueStart: list(attributes),
    attributeValueEnd: list(attributes),
    stackStart: list(stacks),
    stackLocations: list(stackEntries),
  };
}

/** The cursor stands in a ProfilesDictionary. */
export function readDictionary(lists: DictionaryLists): void {
  while (more()) {
    const tag = readTag();
    if (tag === 42) {
      lists.stringStart.push(readBytes());
      lists.stringEnd.push(position());
      checkEntries(lists.stringStart, 'string_table');
      continue;
    }
    const read = entryReaders[tag];
    if (read === undefined) {
      otherField(tag, 'ProfilesDictionary', 7);
      continue;
    }
    const outer = enter();
    read(lists);
    leave(outer);
  }
}

/** By tag, all of wire type 2. */
const entryReaders: Readonly<Record<number, (lists: DictionaryLists) => void>> = {
  10: readMapping,
  18: readLocation,
  26: readFunction,
  34: readLink,
  50: readAttribute,
  58: readStack,
};

function checkEntries(list: Uint32List, table: string): void {
  if (list.length > tableEntriesMax) throw tooMany(`entries in ${table}`, tableEntriesMax);
}

function readMapping(lists: DictionaryLists): void {
  const halves = [0, 0, 0, 0, 0, 0];
  let filename = 0;
  lists.mappingAttributeStart.push(lists.mappingAttributes.length);
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 8:
      case 16:
      case 24:
        readVarint64();
        halves[(tag >>> 3) * 2 - 2] = low;
        halves[(tag >>> 3) * 2 - 1] = high;
        break;
      case 32:
        filename = readInt32();
        break;
      case 40:
      case 42:
        readIndices(tag, lists.mappingAttributes);
        break;
      default:
        otherField(tag, 'Mapping', 5);
    }
  }
  for (let at = 0; at < 6; at += 2) lists.mappingAddresses.push(halves[at]!, halves[at + 1]!);
  lists.mappingFilename.push(filename);
  if (lists.mappingAttributes.length > attributeEntriesMax) throw tooMany('attributes of mappings', attributeEntriesMax);
  checkEntries(lists.mappingFilename, 'mapping_table');
}

function readLocation(lists: DictionaryLists): void {
  let [mapping, addressLow, addressHigh] = [0, 0, 0];
  lists.locationLineStart.push(lists.lineFunction.length);
  lists.locationAttributeStart.push(lists.locationAttributes.length);
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 8:
        mapping = readInt32();
        break;
      case 16:
        readVarint64();
        addressLow = low;
        addressHigh = high;
        break;
      case 26: {
        const outer = enter();
        readLine(lists);
        leave(outer);
        break;
      }
      case 32:
      case 34:
        readIndices(tag, lists.locationAttributes);
        break;
      default:
        otherField(tag, 'Location', 4);
    }
  }
  lists.locationMapping.push(mapping);
  lists.locationAddress.push(addressLow, addressHigh);
  if (lists.locationAttributes.length > attributeEntriesMax) throw tooMany('attributes of locations', attributeEntriesMax);
  checkEntries(lists.locationMapping, 'location_table');
}

function readLine(lists: DictionaryLists): void {
  let [functionIndex, lineLow, lineHigh, columnLow, columnHigh] = [0, 0, 0, 0, 0];
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 8:
        functionIndex = readInt32();
        break;
      case 16:
        readVarint64();
        lineLow = low;
        lineHigh = high;
        break;
      case 24:
        readVarint64();
        columnLow = low;
        columnHigh = high;
        break;
      default:
        otherField(tag, 'Line', 3);
    }
  }
  lists.lineFunction.push(functionIndex);
  lists.lineLine.push(lineLow, lineHigh);
  lists.lineColumn.push(columnLow, columnHigh);
  if (lists.lineFunction.length > stackEntriesMax) throw tooMany('lines of locations', stackEntriesMax);
}

function readFunction(lists: DictionaryLists): void {
  let [name, systemName, filename, startLow, startHigh] = [0, 0, 0, 0, 0];
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 8:
        name = readInt32();
        break;
      case 16:
        systemName = readInt32();
        break;
      case 24:
        filename = readInt32();
        break;
      case 32:
        readVarint64();
        startLow = low;
        startHigh = high;
        break;
      default:
        otherField(tag, 'Function', 4);
    }
  }
  lists.functionName.push(name);
  lists.functionSystemName.push(systemName);
  lists.functionFilename.push(filename);
  lists.functionStartLine.push(startLow, startHigh);
  checkEntries(lists.functionName, 'function_table');
}

function readLink(lists: DictionaryLists): void {
  let [traceStart, traceEnd, spanStart, spanEnd] = [0, 0, 0, 0];
  while (more()) {
    const tag = readTag();
    if (tag === 10) {
      traceStart = readBytes();
      traceEnd = checkIdBytes(traceStart, 16, 'trace_id');
    } else if (tag === 18) {
      spanStart = readBytes();
      spanEnd = checkIdBytes(spanStart, 8, 'span_id');
    } else otherField(tag, 'Link', 2);
  }
  lists.linkTraceStart.push(traceStart);
  lists.linkTraceEnd.push(traceEnd);
  lists.linkSpanStart.push(spanStart);
  lists.linkSpanEnd.push(spanEnd);
  checkEntries(lists.linkTraceStart, 'link_table');
}

function checkIdBytes(start: number, expected: number, name: string): number {
  const length = position() - start;
  if (length !== 0 && length !== expected) throw malformed(`${length} bytes in Link.${name}`, `${expected} or none`, start);
  return position();
}

function readAttribute(lists: DictionaryLists): void {
  let [key, unit, valueStart, valueEnd] = [0, 0, 0, 0];
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 8:
        key = readInt32();
        break;
      case 18:
        valueStart = readBytes();
        valueEnd = position();
        break;
      case 24:
        unit = readInt32();
        break;
      default:
        otherField(tag, 'KeyValueAndUnit', 3);
    }
  }
  lists.attributeKey.push(key);
  lists.attributeUnit.push(unit);
  lists.attributeValueStart.push(valueStart);
  lists.attributeValueEnd.push(valueEnd);
  checkEntries(lists.attributeKey, 'attribute_table');
}

function readStack(lists: DictionaryLists): void {
  const start = lists.stackLocations.length;
  lists.stackStart.push(start);
  while (more()) {
    const tag = readTag();
    if (tag === 10 || tag === 8) readIndices(tag, lists.stackLocations);
    else otherField(tag, 'Stack', 1);
  }
  if (lists.stackLocations.length - start > stackDepthMax) throw tooMany('locations in one stack', stackDepthMax);
  if (lists.stackLocations.length > stackEntriesMax) throw tooMany('location_indices', stackEntriesMax);
  checkEntries(lists.stackStart, 'stack_table');
}

export function dictionaryOf(lists: DictionaryLists): Dictionary {
  // Every list of starts gets the end of its last entry, so that entry i ends where i + 1 starts.
  lists.mappingAttributeStart.push(lists.mappingAttributes.length);
  lists.locationLineStart.push(lists.lineFunction.length);
  lists.locationAttributeStart.push(lists.locationAttributes.length);
  lists.stackStart.push(lists.stackLocations.length);
  const dictionary: Dictionary = {
    strings: { length: lists.stringStart.length, start: lists.stringStart.done(), end: lists.stringEnd.done() },
    mappings: {
      length: lists.mappingFilename.length,
      addresses: lists.mappingAddresses.halves(),
      filename: lists.mappingFilename.done(),
      attributeStart: lists.mappingAttributeStart.done(),
      attributes: lists.mappingAttributes.done(),
    },
    locations: {
      length: lists.locationMapping.length,
      mapping: lists.locationMapping.done(),
      address: lists.locationAddress.halves(),
      lineStart: lists.locationLineStart.done(),
      attributeStart: lists.locationAttributeStart.done(),
      attributes: lists.locationAttributes.done(),
    },
    lines: { function: lists.lineFunction.done(), line: lists.lineLine.halves(), column: lists.lineColumn.halves() },
    functions: {
      length: lists.functionName.length,
      name: lists.functionName.done(),
      systemName: lists.functionSystemName.done(),
      filename: lists.functionFilename.done(),
      startLine: lists.functionStartLine.halves(),
    },
    links: {
      length: lists.linkTraceStart.length,
      traceStart: lists.linkTraceStart.done(),
      traceEnd: lists.linkTraceEnd.done(),
      spanStart: lists.linkSpanStart.done(),
      spanEnd: lists.linkSpanEnd.done(),
    },
    attributes: {
      length: lists.attributeKey.length,
      key: lists.attributeKey.done(),
      unit: lists.attributeUnit.done(),
      valueStart: lists.attributeValueStart.done(),
      valueEnd: lists.attributeValueEnd.done(),
    },
    stacks: { length: lists.stackStart.length - 1, start: lists.stackStart.done(), locations: lists.stackLocations.done() },
  };
  const { strings, mappings, locations, lines, functions, links, attributes, stacks } = dictionary;
  usual = {
    strings: strings.length,
    mappings: mappings.length,
    locations: locations.length,
    lines: lines.function.length,
    functions: functions.length,
    links: links.length,
    attributes: attributes.length,
    stacks: stacks.length,
    stackEntries: stacks.locations.length,
  };
  return dictionary;
}

// What the walks over the dictionary and over the profiles share: index lists, attribute values,
// fields that are not expected. Stands on the open cursor of lib/wire.ts.
import { PipelineError } from '../lib/errors.ts';
import { Uint32List } from '../lib/lists.ts';
import {
  enter,
  leave,
  malformed,
  more,
  moveBack,
  packedMax,
  passPacked,
  position,
  readBytes,
  readInt32,
  readPacked,
  readTag,
  readText,
  skip,
} from '../lib/wire.ts';
import { anyValueDepthMax, nestedBytesMax } from './limits.ts';

/** Entries of each dictionary table; index 0 means none and is good in an empty one too. */
export interface TableSizes {
  mappings: number;
  locations: number;
  functions: number;
  links: number;
  strings: number;
  attributes: number;
  stacks: number;
}

export function inTable(index: number, length: number): boolean {
  return index === 0 || (index > 0 && index < length);
}

/** The first index of the last list read that is outside its table; null where all are inside. */
export let strayIndex: number | null = null;

/** Reads a repeated int32 of table indices, packed (wire type 2) or one entry of it; returns how many. */
export function readIndices(tag: number, tableLength: number): number {
  strayIndex = null;
  if ((tag & 7) === 0) {
    const index = readInt32();
    if (!inTable(index, tableLength)) strayIndex = index;
    return 1;
  }
  const start = position();
  const count = passPacked();
  if (packedMax > 0 && packedMax >= tableLength) strayIndex = firstStray(start, tableLength);
  return count;
}

/** The same field once more, whose greatest index is known to be outside. */
function firstStray(start: number, tableLength: number): number {
  const list = new Uint32List();
  moveBack(start);
  readPacked(list);
  return list.done().find((index) => !inTable(index | 0, tableLength))! | 0;
}

/**
 * Passes over a field that has no case of its own. `known` are the message's field names by number: a
 * known field that comes with a wire type it cannot have, or a second time where a second is no list,
 * is not passed over, for a reader would take it for something else.
 */
export function passOther(tag: number, message: string, known: readonly string[]): void {
  const name = known[tag >>> 3];
  if (name) throw malformed(`wire type ${tag & 7}`, `another for ${message}.${name}`);
  skip(tag);
}

/** A submessage field that may come once; merging two is a trick of protobuf that no sender needs. */
export function once(seen: boolean, name: string): true {
  if (seen) throw malformed(`a second ${name}`, 'at most one');
  return true;
}

const keyValueFields = ['', 'key', 'value', 'key_strindex'];
const anyValueFields = ['', 'string_value', 'bool_value', 'int_value', 'double_value', 'array_value', 'kvlist_value', 'bytes_value', 'string_value_strindex'];

/** Walks a KeyValue; says what is wrong with its references, or null. */
export function walkKeyValue(strings: number, depth: number): string | null {
  let problem: string | null = null;
  let value = false;
  const outer = enter();
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 10:
        passNested(readText(), depth);
        break;
      case 18:
        value = once(value, 'KeyValue.value');
        problem = walkAnyValue(strings, depth) ?? problem;
        break;
      case 24:
        problem = referTo('key_strindex', strings, depth) ?? problem;
        break;
      default:
        passOther(tag, 'KeyValue', keyValueFields);
    }
  }
  leave(outer);
  return problem;
}

/** What a value without any text counts for: `null,` and its place in a list. */
const nestedValueBytes = 8;
/** Lengths of the string table's entries, and what nested values came to so far. */
let stringLengths: ArrayLike<number> = [];
let nestedBytes = 0;

/** Once for a message, before its attributes are walked. */
export function beginAttributes(lengths: ArrayLike<number>): void {
  stringLengths = lengths;
  nestedBytes = 0;
}

/** Counts the bytes of a text within a list or a map. */
function nest(bytes: number, depth: number): void {
  if (depth === 0) return;
  nestedBytes += bytes;
  if (nestedBytes > nestedBytesMax) throw tooMany('bytes in lists and maps of attribute values', nestedBytesMax);
}

function passNested(start: number, depth: number): void {
  nest(position() - start, depth);
}

function referTo(name: string, strings: number, depth: number): string | null {
  const index = readInt32();
  nest(stringLengths[index] ?? 0, depth);
  return strayString(name, index, strings);
}

/** Walks an AnyValue at this depth (0 = an attribute's own value). */
export function walkAnyValue(strings: number, depth: number): string | null {
  if (depth >= anyValueDepthMax) throw tooMany('values nested in an attribute', anyValueDepthMax);
  nest(nestedValueBytes, depth);
  let problem: string | null = null;
  const outer = enter();
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 10:
        passNested(readText(), depth);
        break;
      case 42:
        problem = walkNested('ArrayValue', strings, depth, walkAnyValue) ?? problem;
        break;
      case 50:
        problem = walkNested('KeyValueList', strings, depth, walkKeyValue) ?? problem;
        break;
      case 58:
        passNested(readBytes(), depth);
        break;
      case 64:
        problem = referTo('string_value_strindex', strings, depth) ?? problem;
        break;
      case 16:
      case 24:
      case 33:
        skip(tag);
        break;
      default:
        passOther(tag, 'AnyValue', anyValueFields);
    }
  }
  leave(outer);
  return problem;
}

function walkNested(message: string, strings: number, depth: number, walk: (strings: number, depth: number) => string | null): string | null {
  let problem: string | null = null;
  const outer = enter();
  while (more()) {
    const tag = readTag();
    if (tag === 10) problem = walk(strings, depth + 1) ?? problem;
    else passOther(tag, message, ['', 'values']);
  }
  leave(outer);
  return problem;
}

export function strayString(name: string, index: number, strings: number): string | null {
  return inTable(index, strings) ? null : stray(name, index, 'string_table', strings);
}

export function stray(name: string, index: number, table: string, length: number): string {
  return `${name} is ${index}, ${table} has ${length} entries`;
}

export function tooMany(what: string, max: number): PipelineError {
  return new PipelineError('message_too_large', `OTLP message, byte ${position()}: more ${what} than the ${max} allowed; send it in parts`, {
    context: { offset: position(), max },
  });
}

// Attribute values: from the wire, with both ways of writing a string (in place, or as a reference into
// the string table, at any depth), to the text that the lake's MAPs hold and to the digest's bytes.
import { ByteSink } from '../lib/byte-sink.ts';
import { enter, enterSpan, lastInt64, leave, more, openWire, position, readBytes, readFixed64, readInt32, readTag, readVarint64 } from '../lib/wire.ts';
import { type ByteRange, putAttributes, valueKinds } from '../schemas/lake/digest.ts';
import { beginPart, endPart } from '../schemas/lake/part.ts';
import { anyValueDepthMax } from './limits.ts';
import type { MessageTexts } from './message-texts.ts';
import { otherField, tooMany } from './otlp-parts.ts';
import type { Span } from './otlp-tables.ts';

/** null: an AnyValue without a value. bigint: int_value. number: double_value. Pairs: kvlist_value. */
export type AttributeValue = string | boolean | bigint | number | Uint8Array | null | AttributeList | AttributePairs;
export interface AttributeList {
  readonly kind: 'list';
  readonly values: readonly AttributeValue[];
}
export interface AttributePairs {
  readonly kind: 'pairs';
  readonly entries: readonly Attribute[];
}
export type Attribute = readonly [key: string, value: AttributeValue];

/** A span that holds a KeyValue. */
export function readKeyValue(texts: MessageTexts, span: Span): Attribute {
  openWire(texts.bytes);
  enterSpan(span.start, span.end - span.start);
  return keyValue(texts, 0);
}

/** A span that holds an AnyValue; an empty one is no value. */
export function readAnyValue(texts: MessageTexts, span: Span): AttributeValue {
  if (span.start === span.end) return null;
  openWire(texts.bytes);
  enterSpan(span.start, span.end - span.start);
  return anyValue(texts, 0);
}

function keyValue(texts: MessageTexts, depth: number): Attribute {
  let [key, reference] = ['', 0];
  let value: AttributeValue = null;
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 10:
        key = textHere(texts);
        break;
      case 18: {
        const outer = enter();
        value = anyValue(texts, depth);
        leave(outer);
        break;
      }
      case 24:
        reference = readInt32();
        break;
      default:
        otherField(tag, 'KeyValue', 3);
    }
  }
  return [reference === 0 ? key : texts.text(reference), value];
}

function anyValue(texts: MessageTexts, depth: number): AttributeValue {
  if (depth >= anyValueDepthMax) throw tooMany('values nested in an attribute', anyValueDepthMax);
  let value: AttributeValue = null;
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 10:
        value = textHere(texts);
        break;
      case 16:
        readVarint64();
        value = lastInt64() !== 0n;
        break;
      case 24:
        readVarint64();
        value = lastInt64();
        break;
      case 33:
        readFixed64();
        value = doubleOf(lastInt64());
        break;
      case 42:
        value = { kind: 'list', values: readEach(() => anyValue(texts, depth + 1)) };
        break;
      case 50:
        value = { kind: 'pairs', entries: readEach(() => keyValue(texts, depth + 1)) };
        break;
      case 58: {
        const start = readBytes();
        value = Uint8Array.prototype.slice.call(texts.bytes, start, position());
        break;
      }
      case 64:
        value = texts.text(readInt32());
        break;
      default:
        otherField(tag, 'AnyValue', 8);
    }
  }
  return value;
}

/** An ArrayValue or KeyValueList: repeated messages in field 1. */
function readEach<T>(read: () => T): T[] {
  const values: T[] = [];
  const outer = enter();
  while (more()) {
    const tag = readTag();
    if (tag !== 10) {
      otherField(tag, 'ArrayValue or KeyValueList', 1);
      continue;
    }
    const inner = enter();
    values.push(read());
    leave(inner);
  }
  leave(outer);
  return values;
}

function textHere(texts: MessageTexts): string {
  const start = readBytes();
  return texts.slice(start, position());
}

const halves = new DataView(new ArrayBuffer(8));

function doubleOf(bits: bigint): number {
  halves.setBigInt64(0, bits);
  return halves.getFloat64(0);
}

/** As OpenTelemetry says for systems without such types: base64 for bytes, JSON for lists and maps, '' for no value. */
export function valueText(value: AttributeValue): string {
  if (typeof value === 'string') return value;
  if (value === null) return '';
  if (typeof value === 'number') return doubleText(value);
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return base64(value);
  return jsonText(value);
}

/** JSON with whole 64-bit integers, which JSON.stringify has not. */
function jsonText(value: AttributeValue): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return Number.isFinite(value) ? doubleText(value) : JSON.stringify(doubleText(value));
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return JSON.stringify(base64(value));
  if (value.kind === 'list') return `[${value.values.map(jsonText).join(',')}]`;
  // Keys are unique in OTLP; of two the last counts, as in the MAPs.
  const entries = [...new Map(value.entries)];
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${jsonText(inner)}`).join(',')}}`;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
const doubleText = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

/** One part of `attributes` in the digest's grammar (schemas/lake/digest.ts). */
export function putAttribute(sink: ByteSink, key: string, unit: string, value: AttributeValue): ByteRange {
  const start = sink.length;
  const begin = beginPart(sink);
  sink.text(key);
  sink.text(unit);
  putValue(sink, value);
  endPart(sink, begin);
  return { start, end: sink.length };
}

function putValue(sink: ByteSink, value: AttributeValue): void {
  if (value === null) sink.uint8(valueKinds.none);
  else if (typeof value === 'string') {
    sink.uint8(valueKinds.text);
    sink.text(value);
  } else if (typeof value === 'boolean') {
    sink.uint8(valueKinds.bool);
    sink.uint8(value ? 1 : 0);
  } else if (typeof value === 'bigint') {
    sink.uint8(valueKinds.int);
    sink.bigint64(value);
  } else if (typeof value === 'number') {
    halves.setFloat64(0, value);
    sink.uint8(valueKinds.double);
    sink.bigint64(halves.getBigInt64(0));
  } else if (value instanceof Uint8Array) {
    sink.uint8(valueKinds.bytes);
    sink.span(value, 0, value.length);
  } else if (value.kind === 'list') {
    sink.uint8(valueKinds.list);
    sink.uint32(value.values.length);
    for (const inner of value.values) putValue(sink, inner);
  } else {
    sink.uint8(valueKinds.map);
    const entries = new ByteSink();
    const ranges = value.entries.map(([key, inner]) => putAttribute(entries, key, '', inner));
    putAttributes(sink, entries, ranges);
  }
}

import { clone, create, createFileRegistry, type DescMessage, fromBinary, fromJson, type JsonValue } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { sampleColumns } from '../../schemas/lake/columns.ts';
import { file_opentelemetry_proto_common_v1_common } from '../../schemas/otlp/gen/opentelemetry/proto/common/v1/common_pb.ts';
import {
  file_opentelemetry_proto_profiles_v1development_profiles,
  ProfilesDataSchema,
} from '../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { file_opentelemetry_proto_resource_v1_resource } from '../../schemas/otlp/gen/opentelemetry/proto/resource/v1/resource_pb.ts';
import { encodeMessage } from './encode.ts';
import { encodeJson } from './json.ts';
import { countedLoad, countedMessages, rowCount, shapes } from './messages.ts';
import { identity, toTables } from './tables.ts';

const options = { seed: 7, nowMillis: Date.parse('2026-03-01T12:00:00Z') };
const messages = countedMessages(options);

/** OTLP 1.9 as classes: today's descriptors with the old numbers in Sample. */
function olderProfilesData(): DescMessage {
  // Those imported come first.
  const files = [
    file_opentelemetry_proto_common_v1_common,
    file_opentelemetry_proto_resource_v1_resource,
    file_opentelemetry_proto_profiles_v1development_profiles,
  ];
  const set = create(FileDescriptorSetSchema, { file: files.map((file) => clone(FileDescriptorProtoSchema, file.proto)) });
  const numbers = new Map([
    ['values', 2],
    ['attribute_indices', 3],
    ['link_index', 4],
  ]);
  const sample = set.file.at(-1)!.messageType.find((message) => message.name === 'Sample')!;
  for (const field of sample.field) field.number = numbers.get(field.name) ?? field.number;
  const name = 'opentelemetry.proto.profiles.v1development.ProfilesData';
  return createFileRegistry(set).getMessage(name)!;
}

/** Field by field, as plain data; what the classes do not know is left aside. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== '$unknown')
      .map(([key, inner]) => [key, plain(inner)]),
  );
}

test.each(shapes.map((shape, index) => ({ shape, message: messages[index]! })))('$shape.name: the bytes say what the model says', ({ shape, message }) => {
  const expected = create(ProfilesDataSchema, toTables(message.model, shape.tables));
  if (shape.json) {
    expect(plain(fromJson(ProfilesDataSchema, jsonInBase64(message.body)))).toEqual(plain(expected));
  } else {
    const schema = shape.protobuf?.layout === 'v1.9' ? olderProfilesData() : ProfilesDataSchema;
    expect(plain(fromBinary(schema, message.body))).toEqual(plain(expected));
  }
});

/** The generated classes follow protobuf's JSON mapping, where every id is base64. */
function jsonInBase64(body: Uint8Array): JsonValue {
  const hexFields = new Set(['traceId', 'spanId', 'trace_id', 'span_id', 'profileId']);
  return JSON.parse(Buffer.from(body).toString(), (key, value: unknown) => {
    const isHex = hexFields.has(key) && typeof value === 'string' && /^([0-9a-f]{16}){1,2}$/.test(value);
    return isHex ? Buffer.from(value, 'hex').toString('base64') : value;
  }) as JsonValue;
}

test('every column of the lake is filled in some row, and every one that can be empty is empty in some', () => {
  const rows = messages.flatMap((message) => message.rows.map((row) => row.sample));
  for (const column of sampleColumns) {
    if (column.name === 'stack_id') continue;
    expect(rows.some((row) => row[column.name] !== null && row[column.name] !== undefined) || column.name === 'time', `${column.name} filled`).toBe(true);
    if (column.nullable)
      expect(
        rows.some((row) => row[column.name] === null),
        `${column.name} empty`,
      ).toBe(true);
  }
  expect(new Set(rows.flatMap((row) => Object.keys(row)))).toEqual(new Set(sampleColumns.map((column) => column.name).filter((name) => name !== 'stack_id')));
});

test('both directions of each switch appear: shapes, links, types, cuts, inlined calls', () => {
  const rows = messages.flatMap((message) => message.rows);
  expect(new Set(rows.map((row) => row.sample.sample_type))).toEqual(new Set(['cpu', 'off_cpu', 'alloc_space', 'events', 'lost']));
  expect(new Set(rows.map((row) => row.sample.link_source))).toEqual(new Set([null, 'otlp', 'thread_context']));
  expect(new Set(rows.map((row) => row.stack.cut))).toEqual(new Set([null, 'depth', 'read_fault']));
  const frames = rows.flatMap((row) => row.stack.frames);
  expect(new Set(frames.map((frame) => frame.inlined))).toEqual(new Set([true, false]));
  expect(new Set(frames.map((frame) => frame.type))).toEqual(new Set(['native', 'go', 'cpython', 'ruby', 'kernel', 'v8js', 'jvm', null]));
  expect(rows.some((row) => row.stack.frames.length === 0)).toBe(true);
  expect(Math.max(...rows.map((row) => row.stack.frames.length))).toBeGreaterThan(300);
});

test('the same seed gives the same bytes, another seed others', () => {
  expect(countedMessages(options).map(({ body }) => Buffer.from(body).toString('base64'))).toEqual(
    messages.map(({ body }) => Buffer.from(body).toString('base64')),
  );
  expect(Buffer.compare(countedMessages({ ...options, seed: 8 })[0]!.body, messages[0]!.body)).not.toBe(0);
});

test('a load repeats no sample: a repeated one would be a retry', () => {
  const rows = [...countedLoad(options, 30)].flatMap((message) => message.rows.map((row) => identity(row.sample)));
  expect(rows.length).toBeGreaterThan(rowCount(messages));
  const linked = rows.filter((row) => row.includes('"sample_type":"cpu"'));
  expect(new Set(linked).size).toBeGreaterThan(linked.length * 0.99);
});

test('the encoder writes the two layouts and JSON differently', () => {
  const tables = toTables(messages[0]!.model, { references: false, duplicates: false });
  const [today, older] = (['v1.10', 'v1.9'] as const).map((layout) =>
    encodeMessage(tables, { layout, packed: true, dictionaryFirst: false, unknownFields: false }),
  );
  expect(Buffer.compare(today!, older!)).not.toBe(0);
  expect(today!.length).toBe(older!.length);
  expect(encodeJson(tables).length).toBeGreaterThan(today!.length);
});

// The bytes of a message, by an encoder of our own that the generated classes cannot be: it writes the
// field numbers of OTLP 1.9 as well as today's, packed numbers or single ones, the dictionary before or
// after what uses it, and fields that nobody knows yet.
import type { WireAnyValue, WireDictionary, WireKeyValue, WireMessage, WireProfile, WireSample, WireValueType } from './tables.ts';

export interface EncodeOptions {
  /** Field numbers of Sample: values, attribute_indices and link_index moved in OTLP 1.10. */
  readonly layout: 'v1.9' | 'v1.10';
  readonly packed: boolean;
  readonly dictionaryFirst: boolean;
  /** Adds fields with numbers that no version uses, of every wire type. */
  readonly unknownFields: boolean;
}

export const currentEncoding: EncodeOptions = { layout: 'v1.10', packed: true, dictionaryFirst: false, unknownFields: false };

export function encodeMessage(message: WireMessage, options: EncodeOptions = currentEncoding): Uint8Array {
  const writer = createWriter(options);
  const dictionary = () => writer.message(2, (inner) => writeDictionary(inner, message.dictionary));
  if (options.dictionaryFirst) dictionary();
  for (const { resource, scopeProfiles } of message.resourceProfiles) {
    writer.message(1, (resourceProfiles) => {
      resourceProfiles.message(1, (inner) => writeKeyValues(inner, 1, resource.attributes));
      for (const { scope, profiles } of scopeProfiles) {
        resourceProfiles.message(2, (scopeWriter) => {
          if (scope !== undefined) {
            scopeWriter.message(1, (inner) => {
              inner.text(1, scope.name);
              inner.text(2, scope.version);
            });
          }
          for (const profile of profiles) scopeWriter.message(2, (inner) => writeProfile(inner, profile, options));
        });
      }
    });
  }
  if (!options.dictionaryFirst) dictionary();
  return writer.bytes();
}

function writeProfile(writer: Writer, profile: WireProfile, options: EncodeOptions): void {
  writer.message(1, (inner) => writeValueType(inner, profile.sampleType));
  for (const sample of profile.samples) writer.message(2, (inner) => writeSample(inner, sample, options));
  writer.fixed64(3, profile.timeUnixNano);
  writer.varint(4, profile.durationNano);
  const periodType = profile.periodType;
  if (periodType !== undefined) writer.message(5, (inner) => writeValueType(inner, periodType));
  writer.varint(6, profile.period);
  writer.binary(7, profile.profileId);
  writer.varints(11, profile.attributeIndices);
}

function writeSample(writer: Writer, sample: WireSample, options: EncodeOptions): void {
  const numbers = options.layout === 'v1.9' ? { values: 2, attributes: 3, link: 4 } : { values: 4, attributes: 2, link: 3 };
  const fields: [number, () => void][] = [
    [1, () => writer.varint(1, sample.stackIndex)],
    [numbers.values, () => writer.varints(numbers.values, sample.values)],
    [numbers.attributes, () => writer.varints(numbers.attributes, sample.attributeIndices)],
    [numbers.link, () => writer.varint(numbers.link, sample.linkIndex)],
    [5, () => writer.fixed64s(5, sample.timestampsUnixNano)],
  ];
  for (const [, write] of fields.sort(([left], [right]) => left - right)) write();
}

function writeValueType(writer: Writer, type: WireValueType): void {
  writer.varint(1, type.typeStrindex);
  writer.varint(2, type.unitStrindex);
}

function writeDictionary(writer: Writer, dictionary: WireDictionary): void {
  for (const mapping of dictionary.mappingTable) {
    writer.message(1, (inner) => {
      inner.varint(1, mapping.memoryStart);
      inner.varint(2, mapping.memoryLimit);
      inner.varint(3, mapping.fileOffset);
      inner.varint(4, mapping.filenameStrindex);
      inner.varints(5, mapping.attributeIndices);
    });
  }
  for (const location of dictionary.locationTable) {
    writer.message(2, (inner) => {
      inner.varint(1, location.mappingIndex);
      inner.varint(2, location.address);
      for (const line of location.lines) {
        inner.message(3, (lineWriter) => {
          lineWriter.varint(1, line.functionIndex);
          lineWriter.varint(2, line.line);
          lineWriter.varint(3, line.column);
        });
      }
      inner.varints(4, location.attributeIndices);
    });
  }
  for (const entry of dictionary.functionTable) {
    writer.message(3, (inner) => {
      inner.varint(1, entry.nameStrindex);
      inner.varint(2, entry.systemNameStrindex);
      inner.varint(3, entry.filenameStrindex);
      inner.varint(4, entry.startLine);
    });
  }
  for (const link of dictionary.linkTable) {
    writer.message(4, (inner) => {
      inner.binary(1, link.traceId);
      inner.binary(2, link.spanId);
    });
  }
  for (const text of dictionary.stringTable) writer.binaryAlways(5, Buffer.from(text));
  for (const attribute of dictionary.attributeTable) {
    writer.message(6, (inner) => {
      inner.varint(1, attribute.keyStrindex);
      const value = attribute.value;
      if (value !== undefined) inner.message(2, (valueWriter) => writeAnyValue(valueWriter, value));
      inner.varint(3, attribute.unitStrindex);
    });
  }
  for (const stack of dictionary.stackTable) writer.message(7, (inner) => inner.varints(1, stack.locationIndices));
}

function writeKeyValues(writer: Writer, field: number, attributes: readonly WireKeyValue[]): void {
  for (const attribute of attributes) {
    writer.message(field, (inner) => {
      inner.text(1, attribute.key);
      inner.message(2, (valueWriter) => writeAnyValue(valueWriter, attribute.value));
      inner.varint(3, attribute.keyStrindex);
    });
  }
}

/** Fields of a oneof are written also where they hold the default: their presence is the value. */
function writeAnyValue(writer: Writer, { value }: WireAnyValue): void {
  switch (value.case) {
    case undefined:
      break;
    case 'stringValue':
      writer.binaryAlways(1, Buffer.from(value.value));
      break;
    case 'boolValue':
      writer.varintAlways(2, value.value ? 1n : 0n);
      break;
    case 'intValue':
      writer.varintAlways(3, value.value);
      break;
    case 'doubleValue':
      writer.double(4, value.value);
      break;
    case 'arrayValue':
      writer.message(5, (inner) => {
        for (const element of value.value.values) inner.message(1, (elementWriter) => writeAnyValue(elementWriter, element));
      });
      break;
    case 'kvlistValue':
      writer.message(6, (inner) => writeKeyValues(inner, 1, value.value.values));
      break;
    case 'bytesValue':
      writer.binaryAlways(7, value.value);
      break;
    case 'stringValueStrindex':
      writer.varintAlways(8, BigInt(value.value));
      break;
    default:
      throw new Error(`unknown value ${JSON.stringify(value satisfies never)}`);
  }
}

interface Writer {
  varint(field: number, value: bigint | number): void;
  varintAlways(field: number, value: bigint): void;
  varints(field: number, values: readonly (bigint | number)[]): void;
  fixed64(field: number, value: bigint): void;
  fixed64s(field: number, values: readonly bigint[]): void;
  double(field: number, value: number): void;
  text(field: number, value: string): void;
  binary(field: number, value: Uint8Array): void;
  binaryAlways(field: number, value: Uint8Array): void;
  message(field: number, write: (inner: Writer) => void): void;
  bytes(): Uint8Array;
}

const wireTypes = { varint: 0, fixed64: 1, length: 2, fixed32: 5 } as const;

function createWriter(options: EncodeOptions): Writer {
  const parts: Uint8Array[] = options.unknownFields ? [unknownFields()] : [];
  const tag = (field: number, type: number) => varintBytes(BigInt(field * 8 + type));
  const length = (field: number, value: Uint8Array) => {
    parts.push(tag(field, wireTypes.length), varintBytes(BigInt(value.length)), value);
  };
  const writer: Writer = {
    varint: (field, value) => {
      if (BigInt(value) !== 0n) writer.varintAlways(field, BigInt(value));
    },
    varintAlways: (field, value) => {
      parts.push(tag(field, wireTypes.varint), varintBytes(value));
    },
    varints: (field, values) => {
      if (values.length === 0) return;
      if (options.packed) length(field, Buffer.concat(values.map((value) => varintBytes(BigInt(value)))));
      else for (const value of values) writer.varintAlways(field, BigInt(value));
    },
    fixed64: (field, value) => {
      if (value !== 0n) parts.push(tag(field, wireTypes.fixed64), fixed64Bytes(value));
    },
    fixed64s: (field, values) => {
      if (values.length === 0) return;
      if (options.packed) length(field, Buffer.concat(values.map(fixed64Bytes)));
      else for (const value of values) parts.push(tag(field, wireTypes.fixed64), fixed64Bytes(value));
    },
    double: (field, value) => {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(value);
      parts.push(tag(field, wireTypes.fixed64), bytes);
    },
    text: (field, value) => writer.binary(field, Buffer.from(value)),
    binary: (field, value) => {
      if (value.length > 0) length(field, value);
    },
    binaryAlways: length,
    message: (field, write) => {
      const inner = createWriter(options);
      write(inner);
      length(field, inner.bytes());
    },
    bytes: () => Buffer.concat(parts),
  };
  return writer;
}

/** Negative numbers are written as their 64 bit two's complement, ten bytes long, as protobuf does. */
function varintBytes(value: bigint): Uint8Array {
  let rest = BigInt.asUintN(64, value);
  const bytes: number[] = [];
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

function fixed64Bytes(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}

/** Numbers 201 to 204, one of each wire type that a future version could use. */
function unknownFields(): Uint8Array {
  return Buffer.concat([
    varintBytes(BigInt(201 * 8 + wireTypes.varint)),
    varintBytes(2n ** 63n),
    varintBytes(BigInt(202 * 8 + wireTypes.fixed64)),
    fixed64Bytes(5n),
    varintBytes(BigInt(203 * 8 + wireTypes.length)),
    varintBytes(3n),
    Buffer.from('new'),
    varintBytes(BigInt(204 * 8 + wireTypes.fixed32)),
    Buffer.alloc(4, 7),
  ]);
}

// For tests of whoever reads OTLP: encodes a message with the sample field numbers of either layout,
// with lists packed or not, the dictionary before or after the rest. Independent of lib/wire.ts.
import { clone, create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import {
  file_opentelemetry_proto_profiles_v1development_profiles,
  type Profile,
  ProfileSchema,
  type ProfilesData,
  ProfilesDataSchema,
  ResourceProfilesSchema,
  type Sample,
  ScopeProfilesSchema,
} from './gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import type { SampleLayout } from './layout.ts';

export interface EncodeOptions {
  readonly layout?: SampleLayout;
  readonly packed?: boolean;
  readonly dictionaryFirst?: boolean;
}

/** Field numbers of [values, attribute_indices, link_index]. */
const numbers = { 'v1.9': [2, 3, 4], 'v1.10': [4, 2, 3] } as const;

export function encodeProfilesData(data: ProfilesData, options: EncodeOptions = {}): Uint8Array {
  const dictionary = toBinary(ProfilesDataSchema, create(ProfilesDataSchema, data.dictionary === undefined ? {} : { dictionary: data.dictionary }));
  const writer = new BinaryWriter();
  if (options.dictionaryFirst) writer.raw(dictionary);
  for (const resourceProfiles of data.resourceProfiles) {
    const inner = new BinaryWriter().raw(toBinary(ResourceProfilesSchema, { ...resourceProfiles, scopeProfiles: [] }));
    for (const scopeProfiles of resourceProfiles.scopeProfiles) {
      const scope = new BinaryWriter().raw(toBinary(ScopeProfilesSchema, { ...scopeProfiles, profiles: [] }));
      for (const profile of scopeProfiles.profiles) scope.tag(2, WireType.LengthDelimited).bytes(encodeProfile(profile, options));
      inner.tag(2, WireType.LengthDelimited).bytes(scope.finish());
    }
    writer.tag(1, WireType.LengthDelimited).bytes(inner.finish());
  }
  if (!options.dictionaryFirst) writer.raw(dictionary);
  return writer.finish();
}

function encodeProfile(profile: Profile, options: EncodeOptions): Uint8Array {
  const writer = new BinaryWriter().raw(toBinary(ProfileSchema, { ...profile, samples: [] }));
  for (const sample of profile.samples) writer.tag(2, WireType.LengthDelimited).bytes(encodeSample(sample, options));
  return writer.finish();
}

function encodeSample(sample: Sample, options: EncodeOptions): Uint8Array {
  const [values, attributes, link] = numbers[options.layout ?? 'v1.10'];
  const packed = options.packed ?? true;
  const writer = new BinaryWriter();
  if (sample.stackIndex !== 0) writer.tag(1, WireType.Varint).int32(sample.stackIndex);
  const fields: [number, () => void][] = [
    [values, () => list(writer, values, WireType.Varint, packed, sample.values, (to, value) => to.int64(value))],
    [attributes, () => list(writer, attributes, WireType.Varint, packed, sample.attributeIndices, (to, value) => to.int32(value))],
    [link, () => sample.linkIndex !== 0 && writer.tag(link, WireType.Varint).int32(sample.linkIndex)],
    [5, () => list(writer, 5, WireType.Bit64, packed, sample.timestampsUnixNano, (to, value) => to.fixed64(value))],
  ];
  for (const [, write] of fields.sort((one, other) => one[0] - other[0])) write();
  return writer.finish();
}

function list<T>(writer: BinaryWriter, field: number, type: WireType, packed: boolean, items: readonly T[], put: (to: BinaryWriter, item: T) => void): void {
  if (items.length === 0) return;
  if (packed) {
    writer.tag(field, WireType.LengthDelimited).fork();
    for (const item of items) put(writer, item);
    writer.join();
  } else {
    for (const item of items) put(writer.tag(field, type), item);
  }
}

/** Decodes a message of either layout with @bufbuild/protobuf, for tests to compare with. */
export function decodeProfilesData(bytes: Uint8Array, layout: SampleLayout): ProfilesData {
  return fromBinary(layout === 'v1.10' ? ProfilesDataSchema : schemaV19, bytes);
}

/** The generated schema with the sample's numbers of v1.9. */
const schemaV19 = (() => {
  const file = clone(FileDescriptorProtoSchema, file_opentelemetry_proto_profiles_v1development_profiles.proto);
  const [values, attributes, link] = numbers['v1.9'];
  const renumbered: Record<string, number> = { values, attribute_indices: attributes, link_index: link };
  for (const field of file.messageType.find((message) => message.name === 'Sample')!.field) field.number = renumbered[field.name] ?? field.number;
  const registry = createFileRegistry(file, (name) =>
    file_opentelemetry_proto_profiles_v1development_profiles.dependencies.find((other) => `${other.name}.proto` === name),
  );
  return registry.getMessage(ProfilesDataSchema.typeName) as typeof ProfilesDataSchema;
})();

// For tests: profiles of every shape a real profiler sends, by seed.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { AnyValueSchema, KeyValueSchema } from './gen/opentelemetry/proto/common/v1/common_pb.ts';
import { type ProfileSchema, type ProfilesData, ProfilesDataSchema, type SampleSchema } from './gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';

export type Random = () => number;

/** mulberry32: small, seeded, the same everywhere. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const below = (random: Random, bound: number): number => Math.floor(random() * bound);

const words = [
  'service.name',
  'shop',
  'main',
  'libc.so.6',
  'cpu',
  'nanoseconds',
  'thread.name',
  'größe',
  'spin',
  'a/b.go',
  'x',
  'profile.frame.type',
  'native',
];

export interface DataShape {
  readonly resources: number;
  readonly profilesPerScope: number;
  readonly samplesPerProfile: number;
  readonly attributesBy: 'plain' | 'reference';
}

export const smallShape: DataShape = { resources: 2, profilesPerScope: 2, samplesPerProfile: 3, attributesBy: 'plain' };

/** A message that a correct sender could send. */
export function someData(random: Random, shape: DataShape = smallShape): ProfilesData {
  const index = (length: number) => below(random, length);
  const indices = (most: number, length: number) => Array.from({ length: index(most + 1) }, () => 1 + index(length - 1));
  const bytes = (length: number) => Uint8Array.from({ length }, () => index(256));
  const strings = ['', ...words];
  const table = <T>(length: number, make: () => T): (T | Record<string, never>)[] => [{}, ...Array.from({ length: length - 1 }, make)];
  const int32 = () => index(2 ** 31);
  const value = (depth: number): MessageInitShape<typeof AnyValueSchema> => {
    switch (index(depth > 2 ? 6 : 8)) {
      case 0:
        return { value: { case: 'boolValue', value: random() < 0.5 } };
      case 1:
        return { value: { case: 'intValue', value: BigInt(int32()) * -4_000_000_007n } };
      case 2:
        return { value: { case: 'doubleValue', value: random() * 1e9 } };
      case 3:
        return { value: { case: 'bytesValue', value: bytes(index(5)) } };
      case 4:
        return { value: { case: 'stringValueStrindex', value: index(strings.length) } };
      case 5:
        return { value: { case: 'stringValue', value: words[index(words.length)]! } };
      case 6:
        return { value: { case: 'arrayValue', value: { values: Array.from({ length: index(3) }, () => value(depth + 1)) } } };
      default:
        return { value: { case: 'kvlistValue', value: { values: Array.from({ length: index(3) }, () => keyValue(depth + 1)) } } };
    }
  };
  const keyValue = (depth: number): MessageInitShape<typeof KeyValueSchema> =>
    shape.attributesBy === 'plain' ? { key: words[index(words.length)]!, value: value(depth) } : { keyStrindex: 1 + index(words.length), value: value(depth) };
  const attributes = () => Array.from({ length: index(4) }, () => keyValue(0));
  const sample = (): MessageInitShape<typeof SampleSchema> => {
    const kind = index(3);
    const count = 1 + index(4);
    return {
      stackIndex: index(6),
      attributeIndices: indices(3, 9),
      linkIndex: index(3),
      values: kind === 0 ? [] : Array.from({ length: kind === 1 ? 1 : count }, () => BigInt(int32()) * 1_000_003n),
      timestampsUnixNano: kind === 1 ? [] : Array.from({ length: count }, () => 1_790_000_000_000_000_000n + BigInt(int32())),
    };
  };
  const profile = (): MessageInitShape<typeof ProfileSchema> => ({
    sampleType: { typeStrindex: index(strings.length), unitStrindex: index(strings.length) },
    samples: Array.from({ length: shape.samplesPerProfile }, sample),
    timeUnixNano: 1_790_000_000_000_000_000n,
    durationNano: 5_000_000_000n,
    periodType: { typeStrindex: index(strings.length), unitStrindex: index(strings.length) },
    period: 50_000_000n,
    profileId: random() < 0.5 ? bytes(16) : new Uint8Array(0),
    droppedAttributesCount: index(3),
    originalPayloadFormat: random() < 0.2 ? 'pprof' : '',
    originalPayload: random() < 0.2 ? bytes(20) : new Uint8Array(0),
    attributeIndices: indices(2, 9),
  });
  return create(ProfilesDataSchema, {
    dictionary: {
      stringTable: strings,
      mappingTable: table(3, () => ({
        memoryStart: 4096n,
        memoryLimit: 2n ** 63n,
        fileOffset: 0n,
        filenameStrindex: index(strings.length),
        attributeIndices: indices(2, 9),
      })),
      functionTable: table(5, () => ({
        nameStrindex: index(strings.length),
        systemNameStrindex: index(strings.length),
        filenameStrindex: index(strings.length),
        startLine: 3n,
      })),
      locationTable: table(8, () => ({
        mappingIndex: index(3),
        address: BigInt(int32()) << 16n,
        lines: Array.from({ length: index(3) }, () => ({ functionIndex: index(5), line: BigInt(index(300)), column: BigInt(index(80)) })),
        attributeIndices: indices(1, 9),
      })),
      linkTable: table(3, () => ({ traceId: bytes(16), spanId: bytes(8) })),
      attributeTable: table(9, () => ({ keyStrindex: index(strings.length), value: value(0), unitStrindex: index(strings.length) })),
      stackTable: table(6, () => ({ locationIndices: Array.from({ length: index(9) }, () => index(8)) })),
    },
    resourceProfiles: Array.from({ length: shape.resources }, () => ({
      resource: {
        attributes: attributes(),
        droppedAttributesCount: index(2),
        entityRefs: [{ schemaUrl: 'u', type: 'host', idKeys: ['host.id'], descriptionKeys: ['x'] }],
      },
      schemaUrl: 'https://opentelemetry.io/schemas/1.44.0',
      scopeProfiles: [
        {
          scope: { name: 'profiler', version: '1', attributes: attributes() },
          schemaUrl: 'v',
          profiles: Array.from({ length: shape.profilesPerScope }, profile),
        },
      ],
    })),
  });
}

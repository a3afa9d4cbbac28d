import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { isPipelineError } from '../../lib/errors.ts';
import type { KeyValueSchema } from './gen/opentelemetry/proto/common/v1/common_pb.ts';
import { ProfilesDataSchema, type SampleSchema } from './gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { type SampleLayout, sampleLayout } from './layout.ts';
import { type EncodeOptions, encodeProfilesData } from './testing.ts';

type Sample = MessageInitShape<typeof SampleSchema>;
type Attributes = MessageInitShape<typeof KeyValueSchema>[];

/** String 1 is a key, attributes 1-3 are of frames and mappings, 4-7 of samples, links 1-3, stack 1 of two locations. */
function message(samples: Sample[], by: 'plain' | 'reference' | 'none' = 'plain') {
  const dictionary = {
    functionTable: [{}],
    stringTable: ['', 'key', 'text'],
    attributeTable: [{}, ...Array.from({ length: 7 }, () => ({ keyStrindex: 1, value: { value: { case: 'intValue' as const, value: 4n } } }))],
    linkTable: [{}, ...Array.from({ length: 3 }, () => ({ traceId: new Uint8Array(16).fill(1), spanId: new Uint8Array(8).fill(1) }))],
    locationTable: [{}, { address: 1n, attributeIndices: [1] }, { address: 2n, attributeIndices: [1, 2] }],
    mappingTable: [{}, { attributeIndices: [3] }],
    stackTable: [{}, { locationIndices: [1, 2] }],
  };
  const plain: Attributes = [{ key: 'service.name', value: { value: { case: 'stringValue', value: 'shop' } } }];
  const reference: Attributes = [{ keyStrindex: 1, value: { value: { case: 'stringValueStrindex', value: 2 } } }];
  return create(ProfilesDataSchema, {
    dictionary,
    resourceProfiles: [
      {
        resource: { attributes: by === 'plain' ? plain : by === 'reference' ? reference : [] },
        scopeProfiles: [{ scope: { name: 's' }, profiles: [{ samples }] }],
      },
    ],
  });
}

const times = (count: number): bigint[] => Array.from({ length: count }, (_, index) => 1_790_000_000_000_000_000n + BigInt(index));

const encodings: EncodeOptions[] = [
  { packed: true, dictionaryFirst: false },
  { packed: true, dictionaryFirst: true },
  { packed: false, dictionaryFirst: false },
  { packed: false, dictionaryFirst: true },
];
const layouts: SampleLayout[] = ['v1.9', 'v1.10'];

/** Every shape that real profilers send, with at least one sample that tells. */
const shapes: Record<string, Sample[]> = {
  'values, attributes, link': [{ stackIndex: 1, values: [50_000_000n], attributeIndices: [4, 5], linkIndex: 2 }],
  'values, attributes': [{ stackIndex: 1, values: [50_000_000n], attributeIndices: [4, 5] }],
  'values, link': [{ stackIndex: 1, values: [50_000_000n], linkIndex: 3 }],
  'values alone': [{ stackIndex: 1, values: [50_000_000n] }],
  'small values alone': [
    { stackIndex: 1, values: [5n] },
    { stackIndex: 1, values: [4n] },
  ],
  'several values': [{ stackIndex: 1, values: [1n, 2n, 3n] }],
  'negative values': [{ stackIndex: 1, values: [-5n] }],
  'timestamps, attributes': [{ stackIndex: 1, attributeIndices: [4, 5], timestampsUnixNano: times(1) }],
  'timestamps, one attribute': [
    { stackIndex: 1, attributeIndices: [4], timestampsUnixNano: times(1) },
    { stackIndex: 1, attributeIndices: [5], timestampsUnixNano: times(2) },
  ],
  'timestamps, attributes, link': [{ stackIndex: 1, attributeIndices: [4, 5], linkIndex: 1, timestampsUnixNano: times(1) }],
  'timestamps, values': [{ stackIndex: 1, values: [900n, 800n], timestampsUnixNano: times(2) }],
  'timestamps, values of 1': [{ stackIndex: 1, values: [1n, 1n], timestampsUnixNano: times(2) }],
  'timestamps, values, attributes, link': [{ stackIndex: 1, values: [2n, 3n], attributeIndices: [4, 5, 6], linkIndex: 3, timestampsUnixNano: times(2) }],
  'unlike samples': [
    { stackIndex: 1, timestampsUnixNano: times(3) },
    { timestampsUnixNano: times(1), attributeIndices: [4] },
    { stackIndex: 1, values: [7n], attributeIndices: [6], linkIndex: 1 },
  ],
};

describe.each(layouts)('%s', (layout) => {
  describe.each(Object.entries(shapes))('%s', (_name, samples) => {
    test.each(encodings)('%o', (encoding) => {
      expect(sampleLayout(encodeProfilesData(message(samples), { ...encoding, layout }))).toBe(layout);
    });
  });
});

describe('where the samples alone do not tell', () => {
  const pair: Sample[] = [{ stackIndex: 1, values: [4n, 5n], timestampsUnixNano: times(2) }];
  const set: Sample[] = [{ stackIndex: 1, attributeIndices: [4, 5], timestampsUnixNano: times(2) }];

  test('the two readings have the same bytes', () => {
    expect(encodeProfilesData(message(pair), { layout: 'v1.9' })).toEqual(encodeProfilesData(message(set), { layout: 'v1.10' }));
  });

  test('it is the current layout', () => {
    for (const encoding of encodings) expect(sampleLayout(encodeProfilesData(message(set), { ...encoding, layout: 'v1.10' }))).toBe('v1.10');
  });

  test('an index that frames use is a value: of a location, of a mapping', () => {
    for (const value of [1n, 2n, 3n]) {
      const samples: Sample[] = [{ stackIndex: 1, values: [value], timestampsUnixNano: times(1) }];
      for (const encoding of encodings) expect(sampleLayout(encodeProfilesData(message(samples), { ...encoding, layout: 'v1.9' }))).toBe('v1.9');
    }
  });

  test('attributes by reference speak for the current one', () => {
    const samples: Sample[] = [{ stackIndex: 1, values: [1n], timestampsUnixNano: times(1) }];
    for (const encoding of encodings) expect(sampleLayout(encodeProfilesData(message(samples, 'reference'), { ...encoding, layout: 'v1.9' }))).toBe('v1.10');
  });

  test('but not against the wire types of the samples', () => {
    const samples: Sample[] = [{ stackIndex: 1, values: [1n], attributeIndices: [4], timestampsUnixNano: times(1) }];
    expect(sampleLayout(encodeProfilesData(message(samples, 'reference'), { layout: 'v1.9' }))).toBe('v1.9');
  });

  test('timestamps alone, no samples, no dictionary, no bytes: the current one', () => {
    expect(sampleLayout(encodeProfilesData(message([{ stackIndex: 1, timestampsUnixNano: times(9) }], 'none'), { layout: 'v1.9' }))).toBe('v1.10');
    expect(sampleLayout(encodeProfilesData(message([]), { layout: 'v1.9' }))).toBe('v1.10');
    expect(sampleLayout(encodeProfilesData(create(ProfilesDataSchema, { resourceProfiles: [{}] })))).toBe('v1.10');
    expect(sampleLayout(new Uint8Array(0))).toBe('v1.10');
  });
});

test('one good sample tells for a message of doubtful ones, wherever it stands', () => {
  const doubtful: Sample[] = Array.from({ length: 50 }, () => ({ stackIndex: 1, values: [4n], timestampsUnixNano: times(1) }));
  const telling: Sample = { stackIndex: 1, values: [4n], linkIndex: 1, timestampsUnixNano: times(1) };
  for (const at of [0, 25, 50]) {
    const samples = doubtful.toSpliced(at, 0, telling);
    for (const layout of layouts) expect(sampleLayout(encodeProfilesData(message(samples), { layout }))).toBe(layout);
  }
});

test('cut bytes are refused or decided, never a loop or another error', () => {
  for (const layout of layouts) {
    const whole = encodeProfilesData(message(shapes['unlike samples']!), { layout });
    for (let length = 0; length < whole.length; length++) {
      try {
        sampleLayout(whole.subarray(0, length));
      } catch (error) {
        expect(isPipelineError(error, 'message_malformed')).toBe(true);
      }
    }
  }
});

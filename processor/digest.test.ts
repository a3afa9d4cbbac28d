// Digests of whole profiles. Frozen (schemas/lake/digest.ts): the expected values were computed by hand
// from the grammar (Python: hashlib over struct-packed fields), not by this code.
import { clone, create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import type { AnyValueSchema, KeyValueSchema } from '../schemas/otlp/gen/opentelemetry/proto/common/v1/common_pb.ts';
import { type ProfilesData, ProfilesDataSchema, SampleSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { encodeProfilesData } from '../schemas/otlp/testing.ts';
import { prepareMessage } from './prepared-message.ts';
import { rowsOf } from './testing-rows.ts';

type Any = MessageInitShape<typeof AnyValueSchema>;
type KeyValue = MessageInitShape<typeof KeyValueSchema>;
const text = (value: string): Any => ({ value: { case: 'stringValue', value } });
const int = (value: bigint): Any => ({ value: { case: 'intValue', value } });

const golden = 'a78285f4468ae5093f1d417c36109558';
const start = 1_790_000_000_000_000_000n;
const range = (from: number, length: number) => Uint8Array.from({ length }, (_, index) => from + index);

const strings = [
  '',
  'samples',
  'count',
  'cpu',
  'nanoseconds',
  'libc.so.6',
  'process.executable.build_id.gnu',
  'profile.frame.type',
  'größe',
  '_Z5g',
  'a.cc',
  'thread.id',
  'size',
  'By',
  'pprof.profile.comment',
];
const at = (name: string) => strings.indexOf(name);

/** The message of the golden digest. */
function goldenData(): ProfilesData {
  const resource: KeyValue[] = [
    { key: 'service.name', value: text('shop') },
    { key: 'process.pid', value: int(42n) },
    {
      key: 'a.list',
      value: {
        value: {
          case: 'arrayValue',
          value: { values: [text('x'), {}, { value: { case: 'arrayValue', value: { values: [{ value: { case: 'doubleValue', value: -0.5 } }] } } }] },
        },
      },
    },
    {
      key: 'a.map',
      value: {
        value: {
          case: 'kvlistValue',
          value: {
            values: [
              { key: 'z', value: { value: { case: 'boolValue', value: true } } },
              { key: 'b', value: { value: { case: 'bytesValue', value: Uint8Array.of(0, 255) } } },
            ],
          },
        },
      },
    },
    { key: 'long', value: text('L'.repeat(500)) },
  ];
  return create(ProfilesDataSchema, {
    dictionary: {
      stringTable: strings,
      mappingTable: [{}, { memoryStart: 0x1000n, memoryLimit: 0x2000n, fileOffset: 0x1000n, filenameStrindex: at('libc.so.6'), attributeIndices: [1] }],
      locationTable: [{}, { mappingIndex: 1, address: 0x1234n, attributeIndices: [2] }, { lines: [{ functionIndex: 1, line: -12n, column: 3n }] }],
      functionTable: [{}, { nameStrindex: at('größe'), systemNameStrindex: at('_Z5g'), filenameStrindex: at('a.cc'), startLine: 10n }],
      linkTable: [{}, { traceId: range(1, 16), spanId: range(1, 8) }],
      attributeTable: [
        {},
        { keyStrindex: at('process.executable.build_id.gnu'), value: text('00ff') },
        { keyStrindex: at('profile.frame.type'), value: text('native') },
        { keyStrindex: at('thread.id'), value: int(7n) },
        { keyStrindex: at('size'), value: int(-1n), unitStrindex: at('By') },
        { keyStrindex: at('pprof.profile.comment'), value: text('c') },
      ],
      stackTable: [{}, { locationIndices: [1, 2] }],
    },
    resourceProfiles: [
      {
        resource: { attributes: resource },
        scopeProfiles: [
          {
            scope: { name: 'prof', version: '1.2', attributes: [{ key: 'k', value: text('v') }] },
            profiles: [
              {
                sampleType: { typeStrindex: 1, unitStrindex: 2 },
                periodType: { typeStrindex: 3, unitStrindex: 4 },
                period: 50_000_000n,
                timeUnixNano: start,
                durationNano: 5_000_000_000n,
                profileId: range(16, 16),
                attributeIndices: [5],
                samples: [{ stackIndex: 1, attributeIndices: [3, 4], linkIndex: 1, timestampsUnixNano: [start, start + 1n] }, { values: [-5n] }],
              },
            ],
          },
        ],
      },
    ],
  });
}

const digestOf = (data: ProfilesData, options = {}): string => prepareMessage(encodeProfilesData(data, options)).profiles[0]!.digest;
type Change = (data: ProfilesData) => void;
const changed = (change: Change): ProfilesData => {
  const data = clone(ProfilesDataSchema, goldenData());
  change(data);
  return data;
};
const profileOf = (data: ProfilesData) => data.resourceProfiles[0]!.scopeProfiles[0]!.profiles[0]!;
const resourceOf = (data: ProfilesData) => data.resourceProfiles[0]!.resource!.attributes;

test('the golden one', () => expect(digestOf(goldenData())).toBe(golden));

test('of a profile with nothing in it', () => {
  const data = create(ProfilesDataSchema, { resourceProfiles: [{ scopeProfiles: [{ profiles: [{}] }] }] });
  expect(digestOf(data)).toBe('1751ac12e70e15b4f76c16775cd329ae');
});

describe('is the same', () => {
  test.each([{ layout: 'v1.9' }, { packed: false }, { dictionaryFirst: true }, { layout: 'v1.9', packed: false, dictionaryFirst: true }])(
    'encoded as %j',
    (options) => {
      expect(digestOf(goldenData(), options)).toBe(golden);
    },
  );

  test.each<[string, Change]>([
    ['attributes in another order', (data) => [resourceOf(data), profileOf(data).samples[0]!.attributeIndices].forEach((list) => void list.reverse())],
    ['map entries in another order', (data) => kvlist(data).reverse()],
    [
      'a link of zeros instead of none',
      (data) => {
        data.dictionary!.linkTable.push({ ...data.dictionary!.linkTable[1]!, traceId: new Uint8Array(16), spanId: new Uint8Array(8) });
        profileOf(data).samples[1]!.linkIndex = 2;
      },
    ],
    ['entry 0 among the attributes', (data) => profileOf(data).samples[1]!.attributeIndices.push(0)],
    [
      'schema URLs and dropped counts',
      (data) => {
        data.resourceProfiles[0]!.schemaUrl = 'https://opentelemetry.io/schemas/1.44.0';
        data.resourceProfiles[0]!.resource!.droppedAttributesCount = 3;
        profileOf(data).originalPayloadFormat = 'pprof';
      },
    ],
    [
      'references instead of strings',
      (data) => {
        const table = data.dictionary!.stringTable;
        for (const entry of resourceOf(data)) {
          entry.keyStrindex = table.push(entry.key) - 1;
          entry.key = '';
          const { value } = entry.value!;
          if (value.case === 'stringValue') entry.value!.value = { case: 'stringValueStrindex', value: table.push(value.value) - 1 };
        }
      },
    ],
    [
      'another dictionary with duplicates and orphans',
      (data) => {
        const { stringTable, functionTable, locationTable, stackTable } = data.dictionary!;
        stringTable.push('orphan', 'größe');
        functionTable.push({ ...functionTable[1]!, nameStrindex: stringTable.length - 1 });
        locationTable.push(locationTable[2]!, { ...locationTable[2]!, lines: [{ ...locationTable[2]!.lines[0]!, functionIndex: 2 }] });
        stackTable.unshift(stackTable[0]!);
        stackTable.push({ ...stackTable[0]!, locationIndices: [1, 4] });
        profileOf(data).samples[0]!.stackIndex = stackTable.length - 1;
      },
    ],
    ['other profiles beside it', (data) => data.resourceProfiles[0]!.scopeProfiles[0]!.profiles.push({ ...profileOf(data), period: 1n })],
  ])('with %s', (_, change) => {
    expect(digestOf(changed(change))).toBe(golden);
  });
});

const kvlist = (data: ProfilesData) => {
  const value = resourceOf(data)[3]!.value!.value;
  return value.case === 'kvlistValue' ? value.value.values : [];
};

const stringAt =
  (name: string, other: string): Change =>
  (data) =>
    void data.dictionary!.stringTable.splice(at(name), 1, other);

describe('is the same for what tells no stack id from another, with the same rows: another', () => {
  const rowsIn = (data: ProfilesData) =>
    rowsOf(encodeProfilesData(data), { appendTimeMillis: Number(start / 1_000_000n) }).rows.map((row) => ({ ...row, stack: null }));
  const changes: [string, Change][] = [
    [
      'column',
      (data) => {
        data.dictionary!.locationTable[2]!.lines[0]!.column = 4n;
      },
    ],
    [
      'start line',
      (data) => {
        data.dictionary!.functionTable[1]!.startLine = 11n;
      },
    ],
    ['system name', stringAt('_Z5g', '_Z6g')],
    ['mapping name', stringAt('libc.so.6', 'libc.so.7')],
    [
      'memory limit',
      (data) => {
        data.dictionary!.mappingTable[1]!.memoryLimit += 1n;
      },
    ],
    [
      'frame type',
      (data) => {
        data.dictionary!.attributeTable[2]!.value!.value = { case: 'stringValue', value: 'kernel' };
      },
    ],
  ];
  test.each(changes)('%s', (_, change) => {
    const data = changed(change);
    expect(digestOf(data)).toBe(golden);
    expect(rowsIn(data)).toEqual(rowsIn(goldenData()));
  });
});

describe('is another', () => {
  const changes: [string, Change][] = [
    ['resource attribute', (data) => void resourceOf(data).pop()],
    [
      'resource value',
      (data) => {
        resourceOf(data)[1]!.value!.value = { case: 'intValue', value: 43n };
      },
    ],
    [
      'kind of a resource value',
      (data) => {
        resourceOf(data)[1]!.value!.value = { case: 'stringValue', value: '42' };
      },
    ],
    [
      'long value',
      (data) => {
        resourceOf(data)[4]!.value!.value = { case: 'stringValue', value: `${'L'.repeat(499)}M` };
      },
    ],
    ['nested value', (data) => void kvlist(data).pop()],
    [
      'scope name',
      (data) => {
        data.resourceProfiles[0]!.scopeProfiles[0]!.scope!.name = 'other';
      },
    ],
    ['scope attribute', (data) => void data.resourceProfiles[0]!.scopeProfiles[0]!.scope!.attributes.pop()],
    [
      'sample type',
      (data) => {
        profileOf(data).sampleType!.typeStrindex = 3;
      },
    ],
    [
      'sample unit',
      (data) => {
        profileOf(data).sampleType!.unitStrindex = 3;
      },
    ],
    [
      'period type',
      (data) => {
        profileOf(data).periodType!.typeStrindex = 1;
      },
    ],
    [
      'period',
      (data) => {
        profileOf(data).period = 1n;
      },
    ],
    [
      'time',
      (data) => {
        profileOf(data).timeUnixNano += 1n;
      },
    ],
    [
      'duration',
      (data) => {
        profileOf(data).durationNano += 1n;
      },
    ],
    [
      'profile id',
      (data) => {
        profileOf(data).profileId = range(17, 16);
      },
    ],
    [
      'profile attributes',
      (data) => {
        profileOf(data).attributeIndices = [];
      },
    ],
    ['one sample fewer', (data) => void profileOf(data).samples.pop()],
    ['samples in another order', (data) => void profileOf(data).samples.reverse()],
    ['sample attribute', (data) => void profileOf(data).samples[0]!.attributeIndices.pop()],
    ['attribute unit', stringAt('By', 'KiBy')],
    [
      'link',
      (data) => {
        profileOf(data).samples[0]!.linkIndex = 0;
      },
    ],
    [
      'span id',
      (data) => {
        data.dictionary!.linkTable[1]!.spanId = range(2, 8);
      },
    ],
    [
      'value',
      (data) => {
        profileOf(data).samples[1]!.values = [-6n];
      },
    ],
    [
      'timestamp',
      (data) => {
        profileOf(data).samples[0]!.timestampsUnixNano = [start, start + 2n];
      },
    ],
    ['timestamps in another order', (data) => void profileOf(data).samples[0]!.timestampsUnixNano.reverse()],
    [
      'stack',
      (data) => {
        profileOf(data).samples[0]!.stackIndex = 0;
      },
    ],
    ['frames in another order', (data) => void data.dictionary!.stackTable[1]!.locationIndices.reverse()],
    [
      'address',
      (data) => {
        data.dictionary!.locationTable[1]!.address += 1n;
      },
    ],
    [
      'line',
      (data) => {
        data.dictionary!.locationTable[2]!.lines[0]!.line = 12n;
      },
    ],
    ['function name', stringAt('größe', 'grösse')],
    ['file', stringAt('a.cc', 'b.cc')],
    [
      'mapping',
      (data) => {
        data.dictionary!.locationTable[1]!.mappingIndex = 0;
      },
    ],
    [
      'file offset',
      (data) => {
        data.dictionary!.mappingTable[1]!.fileOffset += 2n;
      },
    ],
    [
      'build id',
      (data) => {
        data.dictionary!.attributeTable[1]!.value!.value = { case: 'stringValue', value: '01ff' };
      },
    ],
  ];
  test.each(changes)('with another %s', (_, change) => {
    expect(digestOf(changed(change))).not.toBe(golden);
  });

  test('for each of these', () => {
    const all = changes.map(([, change]) => digestOf(changed(change)));
    expect(new Set(all).size).toBe(all.length);
  });
});

test('profiles of a hundred thousand samples are hashed in steps, to the same end', () => {
  const samples = Array.from({ length: 100_000 }, (_, index) => create(SampleSchema, { stackIndex: 1, timestampsUnixNano: [start + BigInt(index)] }));
  const large = changed((data) => {
    profileOf(data).samples = samples;
  });
  expect(digestOf(large)).toBe('8188876ef955e9892ad6040caf114114');
});

test('a huge attribute that every frame refers to costs no more than a small one', () => {
  const data = changed((change) => {
    const { attributeTable, locationTable, stackTable } = change.dictionary!;
    attributeTable[2]!.value!.value = { case: 'stringValue', value: 'x'.repeat(4 << 20) };
    for (let index = 0; index < 20_000; index++) locationTable.push({ ...locationTable[1]!, address: BigInt(index) });
    stackTable[1]!.locationIndices = Array.from({ length: 20_000 }, (_, index) => 3 + index);
  });
  // 80 GB of copies otherwise.
  expect(digestOf(data)).toHaveLength(32);
});

import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { type ProfilesData, ProfilesDataSchema } from '../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import type { LocationModel, MessageModel, Value } from '../otlp/model.ts';
import { toTables } from '../otlp/tables.ts';
import { profcheck } from './profcheck.ts';

const location: LocationModel = {
  mapping: { name: 'server', start: 0x1000n, limit: 0x9000n, offset: 0x1000n, gnu: 'ab'.repeat(20) },
  address: 0x1234n,
  lines: [{ function: 'main', file: 'main.c', line: 3n, column: 1n }],
  attributes: new Map([['profile.frame.type', 'native']]),
};

const model: MessageModel = {
  resources: [
    {
      attributes: new Map<string, Value>([
        ['service.name', 'shop'],
        ['list', ['a', new Map<string, Value>([['b', 'c']])]],
      ]),
      scope: { name: 'profiler', version: '1' },
      profiles: [
        {
          type: ['samples', 'count'],
          periodType: ['cpu', 'nanoseconds'],
          period: 50_000_000n,
          timeNanos: 1_000n,
          durationNanos: 100n,
          attributes: new Map(),
          samples: [
            {
              stack: [location, { ...location, address: 0x2345n }],
              attributes: new Map<string, Value>([['thread.id', 7n]]),
              link: { traceId: new Uint8Array(16).fill(1), spanId: new Uint8Array(8).fill(2) },
              values: [],
              timestamps: [1_000n, 1_099n],
            },
            { stack: [location], attributes: new Map(), values: [], timestamps: [1_001n] },
          ],
        },
      ],
    },
  ],
};

const good = (references = false): ProfilesData => create(ProfilesDataSchema, toTables(model, { references, duplicates: false }));

describe('a well-made message has no violation', () => {
  test('plain strings', () => expect(profcheck(good())).toEqual([]));
  test('references', () => expect(profcheck(good(true)).filter((line) => !line.startsWith('link_table[0]'))).toEqual([]));
});

test.each(['mappingTable', 'locationTable', 'functionTable', 'linkTable', 'stringTable', 'attributeTable', 'stackTable'] as const)(
  'an entry twice is found in %s',
  (table) => {
    const doubled = good();
    const entries: unknown[] = doubled.dictionary![table];
    entries.push(entries[1]);
    expect(profcheck(doubled)).toContain(`${table.replace('Table', '_table')}[${entries.length - 1}]: the same as [1]`);
  },
);

type Break = (data: ProfilesData) => void;
const profileOf = (data: ProfilesData) => data.resourceProfiles[0]!.scopeProfiles[0]!.profiles[0]!;
const sampleOf = (data: ProfilesData) => profileOf(data).samples[0]!;
const tableOf = (data: ProfilesData) => data.dictionary!;

const broken: readonly (readonly [name: string, broken: Break, line: RegExp])[] = [
  ['no dictionary', (data) => delete data.dictionary, /^dictionary: missing/],
  ['no resources', (data) => data.resourceProfiles.splice(0), /^resource_profiles: none/],
  ['no scopes', (data) => data.resourceProfiles[0]!.scopeProfiles.splice(0), /no scope_profiles/],
  ['no profiles', (data) => data.resourceProfiles[0]!.scopeProfiles[0]!.profiles.splice(0), /no profiles/],
  ['string 0 not empty', (data) => tableOf(data).stringTable.unshift('x'), /^string_table\[0\]/],
  ['empty string table', (data) => tableOf(data).stringTable.splice(0), /^string_table\[0\]/],
  ['mapping 0 set', (data) => tableOf(data).mappingTable.shift(), /^mapping_table\[0\]/],
  ['location 0 set', (data) => tableOf(data).locationTable.shift(), /^location_table\[0\]/],
  ['function 0 set', (data) => tableOf(data).functionTable.shift(), /^function_table\[0\]/],
  ['link 0 set', (data) => tableOf(data).linkTable.shift(), /^link_table\[0\]/],
  ['attribute 0 set', (data) => tableOf(data).attributeTable.shift(), /^attribute_table\[0\]/],
  ['stack 0 set', (data) => tableOf(data).stackTable.shift(), /^stack_table\[0\]/],
  ['stack out of range', (data) => Object.assign(sampleOf(data), { stackIndex: 99 }), /samples\[0\]\.stack_index: 99 is outside a table of 3/],
  ['stack below zero', (data) => Object.assign(sampleOf(data), { stackIndex: -1 }), /stack_index: -1/],
  ['link out of range', (data) => Object.assign(sampleOf(data), { linkIndex: 2 }), /link_index: 2/],
  ['attribute out of range', (data) => sampleOf(data).attributeIndices.push(50), /attribute_indices\[1\]: 50/],
  ['the same attribute twice', (data) => sampleOf(data).attributeIndices.push(sampleOf(data).attributeIndices[0]!), /"thread\.id" twice/],
  ['attribute 0 used', (data) => sampleOf(data).attributeIndices.push(0), /0 stands for no attribute/],
  ['location out of range', (data) => tableOf(data).stackTable[1]!.locationIndices.push(9), /location_indices\[2\]: 9/],
  ['mapping out of range', (data) => Object.assign(tableOf(data).locationTable[1]!, { mappingIndex: 7 }), /mapping_index: 7/],
  ['function out of range', (data) => Object.assign(tableOf(data).locationTable[1]!.lines[0]!, { functionIndex: 7 }), /function_index: 7/],
  ['name out of range', (data) => Object.assign(tableOf(data).functionTable[1]!, { nameStrindex: 999 }), /name_strindex: 999/],
  ['unit out of range', (data) => Object.assign(tableOf(data).attributeTable[1]!, { unitStrindex: 999 }), /unit_strindex: 999/],
  ['type out of range', (data) => Object.assign(profileOf(data).sampleType!, { typeStrindex: 999 }), /type_strindex: 999/],
  ['no type', (data) => delete profileOf(data).sampleType, /sample_type: missing/],
  ['line below zero', (data) => Object.assign(tableOf(data).locationTable[1]!.lines[0]!, { line: -1n }), /line -1, column 1/],
  ['start line below zero', (data) => Object.assign(tableOf(data).functionTable[1]!, { startLine: -5n }), /start_line: -5/],
  ['a function without names', (data) => tableOf(data).functionTable.push({ ...tableOf(data).functionTable[0]! }), /no name, system name or file name/],
  ['mapping ends before its start', (data) => Object.assign(tableOf(data).mappingTable[1]!, { memoryLimit: 5n }), /is not below memory_limit 0x5/],
  ['no build id', (data) => tableOf(data).mappingTable[1]!.attributeIndices.splice(0), /"server" has no build id/],
  ['address outside its mapping', (data) => Object.assign(tableOf(data).locationTable[1]!, { address: 5n }), /0x5 is outside its mapping \[0x1000, 0x9000\]/],
  ['short trace id', (data) => Object.assign(tableOf(data).linkTable[1]!, { traceId: new Uint8Array(3) }), /3 bytes, expected 16/],
  ['short span id', (data) => Object.assign(tableOf(data).linkTable[1]!, { spanId: new Uint8Array(16) }), /16 bytes, expected 8/],
  ['short profile id', (data) => Object.assign(profileOf(data), { profileId: new Uint8Array(8) }), /8 bytes, expected 16/],
  ['payload without format', (data) => Object.assign(profileOf(data), { originalPayload: new Uint8Array(8) }), /go together/],
  ['time before the profile', (data) => sampleOf(data).timestampsUnixNano.push(999n), /999 is outside \[1000, 1100\)/],
  ['time at its end', (data) => sampleOf(data).timestampsUnixNano.push(1_100n), /1100 is outside/],
  ['values for some timestamps', (data) => sampleOf(data).values.push(1n), /1 values for 2 timestamps/],
  ['many values without timestamps', (data) => Object.assign(sampleOf(data), { values: [1n, 2n], timestampsUnixNano: [] }), /2 values without timestamps/],
  ['neither', (data) => sampleOf(data).timestampsUnixNano.splice(0), /neither values nor timestamps/],
  ['two shapes', (data) => Object.assign(profileOf(data).samples[1]!, { values: [5n] }), /different shapes/],
  ['the same identity twice', (data) => profileOf(data).samples.push(sampleOf(data)), /those of an earlier sample/],
  ['a string nobody uses', (data) => tableOf(data).stringTable.push('orphan'), /^string_table\[\d+\]: nobody refers to it/],
  ['a stack nobody uses', (data) => Object.assign(profileOf(data).samples[1]!, { stackIndex: 0 }), /^stack_table\[2\]: nobody/],
  ['a link nobody uses', (data) => Object.assign(sampleOf(data), { linkIndex: 0 }), /^link_table\[1\]: nobody/],
  ['an attribute nobody uses', (data) => sampleOf(data).attributeIndices.splice(0), /^attribute_table\[\d+\]: nobody/],
  ['a location nobody uses', (data) => tableOf(data).stackTable[1]!.locationIndices.pop(), /^location_table\[2\]: nobody/],
  [
    'a resource key twice',
    (data) => data.resourceProfiles[0]!.resource!.attributes.push(data.resourceProfiles[0]!.resource!.attributes[0]!),
    /"service\.name" twice/,
  ],
  [
    'a resource key out of range',
    (data) => Object.assign(data.resourceProfiles[0]!.resource!.attributes[0]!, { key: '', keyStrindex: 999 }),
    /key_strindex: 999/,
  ],
];

test.each(broken)('found: %s', (_, breakIt, line) => {
  const data = good();
  breakIt(data);
  expect(profcheck(data).filter((violation) => line.test(violation))).not.toEqual([]);
});

import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { describe, expect, test } from 'vitest';
import { isPipelineError } from '../lib/errors.ts';
import { type Profile, type ProfilesData, ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { encodeProfilesData } from '../schemas/otlp/testing.ts';
import { below, seeded, smallShape, someData } from '../schemas/otlp/testing-data.ts';
import { withoutSpans } from './cut.ts';
import { anyValueDepthMax, attributesMax } from './limits.ts';
import { walkProfiles } from './walk.ts';

const allProfiles = (data: ProfilesData): Profile[] => data.resourceProfiles.flatMap((resource) => resource.scopeProfiles.flatMap((scope) => scope.profiles));
const encode = (data: ProfilesData): Uint8Array => toBinary(ProfilesDataSchema, data);

/** A message with this one thing done to it. */
function changed(change: (data: ProfilesData) => void, by: 'plain' | 'reference' = 'plain'): Uint8Array {
  const data = someData(seeded(7), { ...smallShape, attributesBy: by });
  change(data);
  return encode(data);
}

const firstProfile = (data: ProfilesData): Profile => allProfiles(data)[0]!;

function refusal(bytes: Uint8Array): { code: string; message: string } {
  try {
    walkProfiles(bytes);
  } catch (error) {
    if (isPipelineError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('was taken');
}

describe('takes and counts what a correct sender sends', () => {
  for (const layout of ['v1.9', 'v1.10'] as const) {
    for (const attributesBy of ['plain', 'reference'] as const) {
      // References came with 1.10; a v1.9 message has none.
      if (layout === 'v1.9' && attributesBy === 'reference') continue;
      for (const packed of [true, false]) {
        for (const dictionaryFirst of [true, false]) {
          test(`${layout}, attributes ${attributesBy}, ${packed ? '' : 'un'}packed, dictionary ${dictionaryFirst ? 'first' : 'last'}`, () => {
            const random = seeded(1);
            for (let run = 0; run < 50; run++) {
              const data = someData(random, {
                resources: below(random, 4),
                profilesPerScope: below(random, 4),
                samplesPerProfile: 1 + below(random, 5),
                attributesBy,
              });
              const samples = allProfiles(data).flatMap((profile) => profile.samples);
              const walked = walkProfiles(encodeProfilesData(data, { layout, packed, dictionaryFirst }));
              expect(walked).toEqual({
                layout: samples.length === 0 ? 'v1.10' : layout,
                resources: data.resourceProfiles.length,
                profiles: allProfiles(data).length,
                samples: samples.length,
                observations: samples.reduce((sum, sample) => sum + (sample.timestampsUnixNano.length || sample.values.length), 0),
                rejected: [],
                cuts: [],
              });
            }
          });
        }
      }
    }
  }

  test('no bytes, no dictionary, unknown fields', () => {
    expect(walkProfiles(new Uint8Array(0)).samples).toBe(0);
    expect(walkProfiles(changed((data) => data.resourceProfiles.splice(0)))).toMatchObject({ resources: 0, samples: 0 });
    const unknown = new BinaryWriter().raw(changed(() => {}));
    unknown
      .tag(1000, WireType.LengthDelimited)
      .string('later')
      .tag(9, WireType.Varint)
      .uint32(1)
      .tag(10, WireType.Bit32)
      .fixed32(1)
      .tag(11, WireType.Bit64)
      .fixed64(1);
    expect(walkProfiles(unknown.finish()).samples).toBe(12);
  });

  test('a sample of nothing: it holds no event, and its neighbours should not pay for it', () => {
    const walked = walkProfiles(changed((data) => Object.assign(firstProfile(data).samples[0]!, { values: [], timestampsUnixNano: [] })));
    expect(walked.rejected).toEqual([]);
  });
});

describe('rejects a profile alone', () => {
  const cases: Record<string, [(profile: Profile, data: ProfilesData) => void, string]> = {
    'stack outside': [(profile) => Object.assign(profile.samples[1]!, { stackIndex: 6 }), 'samples[1].stack_index is 6, stack_table has 6 entries'],
    'stack negative': [(profile) => Object.assign(profile.samples[0]!, { stackIndex: -1 }), 'samples[0].stack_index is -1, stack_table has 6 entries'],
    'link outside': [(profile) => Object.assign(profile.samples[0]!, { linkIndex: 3 }), 'samples[0].link_index is 3, link_table has 3 entries'],
    'sample attribute outside': [
      (profile) => Object.assign(profile.samples[0]!, { attributeIndices: [1, 9, 2] }),
      'samples[0].attribute_indices is 9, attribute_table has 9 entries',
    ],
    'values and timestamps of unlike length': [
      (profile) => Object.assign(profile.samples[2]!, { values: [1n, 2n], timestampsUnixNano: [1n, 2n, 3n] }),
      'samples[2].values has 2 entries, timestamps_unix_nano 3, expected as many',
    ],
    'sample type outside': [
      (profile) => Object.assign(profile.sampleType!, { typeStrindex: 99 }),
      'sample_type.type_strindex is 99, string_table has 14 entries',
    ],
    'period unit outside': [
      (profile) => Object.assign(profile.periodType!, { unitStrindex: 14 }),
      'period_type.unit_strindex is 14, string_table has 14 entries',
    ],
    'profile attribute outside': [(profile) => Object.assign(profile, { attributeIndices: [77] }), 'attribute_indices is 77, attribute_table has 9 entries'],
    'profile id of 15 bytes': [(profile) => Object.assign(profile, { profileId: new Uint8Array(15) }), 'profile_id has 15 bytes, expected 16 or none'],
  };
  test.each(Object.entries(cases))('%s', (_name, [change, problem]) => {
    const walked = walkProfiles(changed((data) => change(allProfiles(data)[2]!, data)));
    expect(walked).toMatchObject({ profiles: 4, samples: 12 });
    expect(walked.rejected.map(({ place, problem, samples }) => ({ place, problem, samples }))).toEqual([
      { place: 'resource_profiles[1].scope_profiles[0].profiles[0]', problem, samples: 3 },
    ]);
  });

  test.each(['resource', 'scope'] as const)("all profiles of a %s whose attributes' references lead nowhere", (where) => {
    const walked = walkProfiles(
      changed((data) => {
        const { resource, scopeProfiles } = data.resourceProfiles[0]!;
        const attributes = where === 'resource' ? resource!.attributes : scopeProfiles[0]!.scope!.attributes;
        attributes.splice(0, attributes.length, {
          $typeName: 'opentelemetry.proto.common.v1.KeyValue',
          key: '',
          keyStrindex: 1,
          value: { $typeName: 'opentelemetry.proto.common.v1.AnyValue', value: { case: 'stringValueStrindex', value: 40 } },
        });
      }, 'reference'),
    );
    expect(walked.rejected).toHaveLength(2);
    expect(walked.rejected[1]).toMatchObject({
      place: 'resource_profiles[0].scope_profiles[0].profiles[1]',
      problem: `${where}: string_value_strindex is 40, string_table has 14 entries`,
    });
  });

  test('and what is left of the message is the message without it, for any set of profiles', () => {
    const random = seeded(3);
    for (let run = 0; run < 200; run++) {
      const data = someData(random, {
        resources: 1 + below(random, 3),
        profilesPerScope: 1 + below(random, 3),
        samplesPerProfile: 1 + below(random, 60),
        attributesBy: 'plain',
      });
      const bad = new Set(allProfiles(data).filter(() => random() < 0.4));
      for (const profile of bad) profile.samples[0]!.stackIndex = 1000;
      const options = { dictionaryFirst: random() < 0.5 };
      const bytes = encodeProfilesData(data, options);
      const walked = walkProfiles(bytes);
      expect(walked.rejected).toHaveLength(bad.size);
      for (const resource of data.resourceProfiles)
        for (const scope of resource.scopeProfiles) scope.profiles = scope.profiles.filter((profile) => !bad.has(profile));
      const left = withoutSpans(bytes, walked.cuts);
      expect(fromBinary(ProfilesDataSchema, new Uint8Array(left))).toEqual(data);
      expect(Buffer.compare(left, encodeProfilesData(data, options))).toBe(0);
      expect(walkProfiles(left).rejected).toEqual([]);
    }
  });
});

describe('refuses the whole message', () => {
  const cases: Record<string, [(data: ProfilesData) => void, string]> = {
    'location outside': [(data) => data.dictionary!.stackTable[1]!.locationIndices.push(8), 'Stack.location_indices is 8, location_table has 8 entries'],
    'mapping outside': [
      (data) => Object.assign(data.dictionary!.locationTable[1]!, { mappingIndex: 3 }),
      'Location.mapping_index is 3, mapping_table has 3 entries',
    ],
    'function outside': [
      (data) =>
        Object.assign(data.dictionary!.locationTable[1]!, {
          lines: [{ $typeName: 'opentelemetry.proto.profiles.v1development.Line', functionIndex: 5, line: 0n, column: 0n }],
        }),
      'Line.function_index is 5, function_table has 5 entries',
    ],
    'function name outside': [
      (data) => Object.assign(data.dictionary!.functionTable[1]!, { systemNameStrindex: -5 }),
      'Function.system_name_strindex is -5, string_table has 14 entries',
    ],
    'file name outside': [
      (data) => Object.assign(data.dictionary!.mappingTable[1]!, { filenameStrindex: 14 }),
      'Mapping.filename_strindex is 14, string_table has 14 entries',
    ],
    'location attribute outside': [(data) => Object.assign(data.dictionary!.locationTable[1]!, { attributeIndices: [9] }), 'Location.attribute_indices is 9'],
    'attribute key outside': [(data) => Object.assign(data.dictionary!.attributeTable[1]!, { keyStrindex: 14 }), 'KeyValueAndUnit.key_strindex is 14'],
    'attribute value outside': [
      (data) =>
        Object.assign(data.dictionary!.attributeTable[1]!, {
          value: { $typeName: 'opentelemetry.proto.common.v1.AnyValue', value: { case: 'stringValueStrindex', value: 14 } },
        }),
      'string_value_strindex is 14',
    ],
    'trace id of 15 bytes': [
      (data) => Object.assign(data.dictionary!.linkTable[1]!, { traceId: new Uint8Array(15) }),
      '15 bytes in Link.trace_id, expected 16 or none',
    ],
    'span id of 9 bytes': [
      (data) => Object.assign(data.dictionary!.linkTable[1]!, { spanId: new Uint8Array(9) }),
      '9 bytes in Link.span_id, expected 8 or none',
    ],
    'string 0 not empty': [(data) => data.dictionary!.stringTable.splice(0, 1, 'main'), "text in string_table[0], expected ''"],
  };
  test.each(Object.entries(cases))('%s', (_name, [change, message]) => {
    expect(refusal(changed(change))).toEqual({ code: 'message_malformed', message: expect.stringContaining(message) });
  });

  const field = (number: number, type: WireType, write: (writer: BinaryWriter) => BinaryWriter): Uint8Array =>
    write(new BinaryWriter().tag(number, type)).finish();
  const nested = (path: number[], inner: Uint8Array): Uint8Array =>
    path.reduceRight((bytes, number) => field(number, WireType.LengthDelimited, (writer) => writer.bytes(bytes)), inner);
  const broken: Record<string, [Uint8Array, string]> = {
    'a known field of another wire type': [
      nested(
        [1, 2, 2, 2],
        field(1, WireType.Bit32, (writer) => writer.fixed32(1)),
      ),
      'wire type 5, expected another for Sample (v1.10).stack_index',
    ],
    'resource_profiles as a number': [field(1, WireType.Varint, (writer) => writer.uint32(1)), 'expected another for ProfilesData.resource_profiles'],
    'a group': [nested([1], Uint8Array.of(0x4b)), 'wire type 3'],
    'a cut timestamp': [
      nested(
        [1, 2, 2, 2],
        field(5, WireType.LengthDelimited, (writer) => writer.bytes(new Uint8Array(12))),
      ),
      '12 bytes in timestamps_unix_nano',
    ],
    'text that is not UTF-8': [
      nested(
        [2],
        field(5, WireType.LengthDelimited, (writer) => writer.bytes(Uint8Array.of(0xc3))),
      ),
      'not UTF-8',
    ],
    'two dictionaries': [Buffer.concat([nested([2], nested([5], new Uint8Array(0))), nested([2], new Uint8Array(0))]), 'a second dictionary'],
    'two resources': [nested([1], Buffer.concat([nested([1], new Uint8Array(0)), nested([1], new Uint8Array(0))])), 'a second ResourceProfiles.resource'],
    'a profile of OTLP 1.8': [
      nested(
        [1, 2, 2],
        field(8, WireType.LengthDelimited, (writer) => writer.bytes(new Uint8Array(16))),
      ),
      'where OTLP 1.8 had it',
    ],
    'text that reads as unknown fields': [new TextEncoder().encode('x'.repeat(100)), 'no field of ProfilesData'],
    text: [new TextEncoder().encode('{"resourceProfiles":[]}'), 'message_malformed'],
  };
  test.each(Object.entries(broken))('%s', (_name, [bytes, message]) => {
    const found = refusal(bytes);
    expect(found.code).toBe('message_malformed');
    if (message !== 'message_malformed') expect(found.message).toContain(message);
  });

  test('caps, as too large', () => {
    let deep: Uint8Array = new Uint8Array(0);
    for (let depth = 0; depth <= anyValueDepthMax; depth++) deep = nested([5, 1], deep);
    expect(refusal(nested([1, 1, 1, 2], deep))).toEqual({ code: 'message_too_large', message: expect.stringContaining('more values nested in an attribute') });
    const many = changed((data) => Object.assign(firstProfile(data).samples[0]!, { attributeIndices: Array(attributesMax + 1).fill(1) }));
    expect(refusal(many)).toEqual({ code: 'message_too_large', message: expect.stringContaining('more attributes of one sample than the 1024 allowed') });
  });

  test('at every cut', () => {
    const whole = changed(() => {});
    const ends = new Set<number>();
    for (let length = 0; length < whole.length; length++) {
      try {
        walkProfiles(whole.subarray(0, length));
        ends.add(length);
      } catch (error) {
        expect(isPipelineError(error, 'message_malformed')).toBe(true);
      }
    }
    // Between two resources every cut but these is inside a field; without the dictionary indices lead nowhere.
    expect([...ends].every((length) => walkProfiles(whole.subarray(0, length)).rejected.length === walkProfiles(whole.subarray(0, length)).profiles)).toBe(
      true,
    );
  });
});

import { toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { type ProfilesData, ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { encodeProfilesData } from '../schemas/otlp/testing.ts';
import { seeded, smallShape, someData } from '../schemas/otlp/testing-data.ts';
import { admit } from './admit.ts';

const spoil = (data: ProfilesData, resource: number, profile: number): void => {
  data.resourceProfiles[resource]!.scopeProfiles[0]!.profiles[profile]!.samples[0]!.stackIndex = 99;
};

test('a good message goes on as the very bytes', () => {
  const bytes = toBinary(ProfilesDataSchema, someData(seeded(1)));
  expect(admit(bytes)).toEqual({ forward: bytes, resources: 2, profiles: 4, samples: 12, rejectedProfiles: 0, rejectedSamples: 0, message: '' });
  expect(admit(bytes).forward).toBe(bytes);
});

test('a message without samples is not forwarded', () => {
  const bytes = toBinary(ProfilesDataSchema, someData(seeded(1), { ...smallShape, samplesPerProfile: 0 }));
  expect(admit(bytes)).toMatchObject({ forward: null, profiles: 4, samples: 0 });
});

test('a bad profile is named and costs no other', () => {
  const data = someData(seeded(1));
  spoil(data, 1, 0);
  const admission = admit(toBinary(ProfilesDataSchema, data));
  data.resourceProfiles[1]!.scopeProfiles[0]!.profiles.shift();
  expect(admission).toEqual({
    forward: Buffer.from(toBinary(ProfilesDataSchema, data)),
    resources: 2,
    profiles: 3,
    samples: 9,
    rejectedProfiles: 1,
    rejectedSamples: 3,
    message: '1 profile rejected: resource_profiles[1].scope_profiles[0].profiles[0]: samples[0].stack_index is 99, stack_table has 6 entries',
  });
});

test('nothing but bad profiles is a bad message, and few of many are named', () => {
  const data = someData(seeded(1), { ...smallShape, profilesPerScope: 4 });
  for (const resource of [0, 1]) for (const profile of [0, 1, 2, 3]) spoil(data, resource, profile);
  expect(() => admit(toBinary(ProfilesDataSchema, data))).toThrow(/^8 profiles rejected: .*; and 3 more$/);
});

test('a resource with wrong references and no profiles is left out without a word', () => {
  const data = someData(seeded(1));
  const whole = toBinary(ProfilesDataSchema, data);
  data.resourceProfiles.push({
    ...data.resourceProfiles[0]!,
    resource: { ...data.resourceProfiles[0]!.resource!, attributes: [{ $typeName: 'opentelemetry.proto.common.v1.KeyValue', key: '', keyStrindex: 88 }] },
    scopeProfiles: [],
  });
  expect(admit(toBinary(ProfilesDataSchema, data))).toMatchObject({ forward: Buffer.from(whole), rejectedProfiles: 0, message: '' });
});

test('what is left must read as it read in the whole', () => {
  // Only the bad profile shows v1.9; the good one alone would be read as v1.10, its values as attributes.
  const data = someData(seeded(1), { resources: 1, profilesPerScope: 2, samplesPerProfile: 1, attributesBy: 'plain' });
  const [bad, good] = data.resourceProfiles[0]!.scopeProfiles[0]!.profiles;
  Object.assign(bad!.samples[0]!, { stackIndex: 99, values: [1n], attributeIndices: [1], linkIndex: 0, timestampsUnixNano: [] });
  const used = new Set(data.dictionary!.locationTable.concat().flatMap((location) => location.attributeIndices));
  for (const mapping of data.dictionary!.mappingTable) for (const index of mapping.attributeIndices) used.add(index);
  const free = [1, 2, 3, 4, 5, 6, 7, 8].find((index) => !used.has(index))!;
  Object.assign(good!.samples[0]!, { stackIndex: 1, values: [BigInt(free)], attributeIndices: [], linkIndex: 0, timestampsUnixNano: [5n] });
  expect(() => admit(encodeProfilesData(data, { layout: 'v1.9' }))).toThrow(/1 profile rejected/);
  bad!.samples[0]!.stackIndex = 1;
  expect(admit(encodeProfilesData(data, { layout: 'v1.9' }))).toMatchObject({ samples: 2 });
});

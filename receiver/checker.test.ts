import { toBinary, toJsonString } from '@bufbuild/protobuf';
import { afterAll, expect, test } from 'vitest';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { seeded, smallShape, someData } from '../schemas/otlp/testing-data.ts';
import { checkHere, createChecker } from './checker.ts';
import { jsonHereBytesMax, protobufHereBytesMax } from './limits.ts';

const checker = createChecker();
afterAll(() => checker.close());

const large = someData(seeded(1), { ...smallShape, samplesPerProfile: 10_000 });
large.dictionary!.linkTable = [];
for (const resource of large.resourceProfiles) {
  for (const profile of resource.scopeProfiles[0]!.profiles) {
    profile.profileId = new Uint8Array(0);
    for (const sample of profile.samples) sample.linkIndex = 0;
  }
}
const protobuf = toBinary(ProfilesDataSchema, large);
const json = Buffer.from(toJsonString(ProfilesDataSchema, large));

test('the thread answers as this one would', async () => {
  expect(protobuf.length).toBeGreaterThan(protobufHereBytesMax);
  expect(json.length).toBeGreaterThan(jsonHereBytesMax);
  const small = toBinary(ProfilesDataSchema, someData(seeded(2)));
  for (const [body, isJson] of [
    [protobuf, false],
    [json, true],
    [small, false],
  ] as const) {
    const here = checkHere(body, isJson);
    const there = await checker.check(new Uint8Array(body), isJson);
    expect({ ...there, forward: Buffer.from(there.forward!).equals(here.forward!) }).toEqual({ ...here, forward: true });
  }
});

test('a body that is part of a larger buffer leaves the rest alone', async () => {
  const buffer = Buffer.concat([Buffer.from('before'), protobuf, Buffer.from('behind')]);
  const there = await checker.check(buffer.subarray(6, -6), false);
  expect(Buffer.from(there.forward!).equals(protobuf)).toBe(true);
  expect(buffer.subarray(0, 6).toString() + buffer.subarray(-6).toString()).toBe('beforebehind');
});

test('refusals come back as they are, with their place', async () => {
  const cut = protobuf.slice(0, -2);
  await expect(checker.check(cut, false)).rejects.toMatchObject({ code: 'message_malformed', context: { offset: expect.any(Number) } });
  const bad = Buffer.from(`{"resourceProfiles":7,"x":"${'x'.repeat(jsonHereBytesMax)}"}`);
  await expect(checker.check(bad, true)).rejects.toMatchObject({ code: 'message_malformed', context: { place: 'ProfilesData.resource_profiles' } });
});

test('answers come to whom they are for, whatever becomes of the others', async () => {
  const outcomes = await Promise.allSettled([
    checker.check(new Uint8Array(protobuf), false),
    checker.check(Buffer.alloc(2 * protobufHereBytesMax, 'x'), false),
    checker.check(new Uint8Array(json), true),
    checker.check(new Uint8Array(protobuf), false),
  ]);
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
});

// What the walk takes must decode, with all its indices inside their tables; what it refuses it must
// refuse as PipelineError. The decoder of @bufbuild/protobuf is the judge.
import { expect, test } from 'vitest';
import { isPipelineError } from '../lib/errors.ts';
import {
  type Profile,
  type ProfilesData,
  ProfilesDataSchema,
  type ProfilesDictionary,
} from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { decodeProfilesData, encodeProfilesData } from '../schemas/otlp/testing.ts';
import { below, type Random, seeded, someData } from '../schemas/otlp/testing-data.ts';
import { mutate } from '../schemas/otlp/testing-mutate.ts';
import { withoutSpans } from './cut.ts';
import { walkProfiles } from './walk.ts';

const runs = Number(process.env.FLAMELAKE_FUZZ_RUNS ?? 4_000);

/** Many changes may pass one by one; a message is changed up to three times. */
function someBytes(random: Random): Uint8Array {
  const data = someData(random, {
    resources: below(random, 3),
    profilesPerScope: below(random, 3),
    samplesPerProfile: below(random, 4),
    attributesBy: random() < 0.5 ? 'plain' : 'reference',
  });
  for (const profile of profilesOf(data)) if (random() < 0.15) spoil(profile, random);
  let bytes = encodeProfilesData(data, { layout: random() < 0.5 ? 'v1.9' : 'v1.10', packed: random() < 0.8, dictionaryFirst: random() < 0.5 });
  try {
    for (let changes = below(random, 4); changes > 0; changes--) bytes = mutate(bytes, ProfilesDataSchema, random);
  } catch {
    // A first change on the bytes can make the fields of the second unreadable; one change will do.
  }
  return bytes;
}

/** Something that is wrong within the profile alone, mostly. */
function spoil(profile: Profile, random: Random): void {
  const index = below(random, 30) - 2;
  const sample = profile.samples[below(random, Math.max(1, profile.samples.length))];
  switch (below(random, 6)) {
    case 0:
      profile.profileId = new Uint8Array(below(random, 20));
      break;
    case 1:
      profile.attributeIndices.push(index);
      break;
    case 2:
      sample?.attributeIndices.push(index);
      break;
    case 3:
      sample?.values.push(BigInt(index));
      break;
    case 4:
      if (sample !== undefined) sample.linkIndex = index;
      break;
    default:
      if (sample !== undefined) sample.stackIndex = index;
  }
}

const profilesOf = (data: ProfilesData): Profile[] => data.resourceProfiles.flatMap((resource) => resource.scopeProfiles.flatMap((scope) => scope.profiles));

/** The rules once more, on objects. */
function judge(data: ProfilesData): void {
  const tables = data.dictionary;
  const inside = (index: number, table: keyof Omit<ProfilesDictionary, '$typeName' | '$unknown'>): void => {
    if (index !== 0 && !(index > 0 && index < (tables?.[table].length ?? 0))) throw new Error(`${index} is outside ${table}`);
  };
  for (const stack of tables?.stackTable ?? []) for (const index of stack.locationIndices) inside(index, 'locationTable');
  for (const location of tables?.locationTable ?? []) {
    inside(location.mappingIndex, 'mappingTable');
    for (const line of location.lines) inside(line.functionIndex, 'functionTable');
    for (const index of location.attributeIndices) inside(index, 'attributeTable');
  }
  for (const { nameStrindex, systemNameStrindex, filenameStrindex } of tables?.functionTable ?? []) {
    for (const index of [nameStrindex, systemNameStrindex, filenameStrindex]) inside(index, 'stringTable');
  }
  for (const { keyStrindex, unitStrindex, value } of tables?.attributeTable ?? []) {
    for (const index of [keyStrindex, unitStrindex]) inside(index, 'stringTable');
    if (value?.value.case === 'stringValueStrindex') inside(value.value.value, 'stringTable');
  }
  for (const mapping of tables?.mappingTable ?? []) {
    inside(mapping.filenameStrindex, 'stringTable');
    for (const index of mapping.attributeIndices) inside(index, 'attributeTable');
  }
  for (const { resource } of data.resourceProfiles) for (const { keyStrindex } of resource?.attributes ?? []) inside(keyStrindex, 'stringTable');
  for (const profile of profilesOf(data)) {
    for (const type of [profile.sampleType, profile.periodType])
      for (const index of [type?.typeStrindex ?? 0, type?.unitStrindex ?? 0]) inside(index, 'stringTable');
    for (const index of profile.attributeIndices) inside(index, 'attributeTable');
    if (![0, 16].includes(profile.profileId.length)) throw new Error('profile id');
    for (const sample of profile.samples) {
      inside(sample.stackIndex, 'stackTable');
      inside(sample.linkIndex, 'linkTable');
      for (const index of sample.attributeIndices) inside(index, 'attributeTable');
      if (sample.values.length > 0 && sample.timestampsUnixNano.length > 0 && sample.values.length !== sample.timestampsUnixNano.length)
        throw new Error('values');
    }
  }
}

test(`${runs} changed messages`, () => {
  const random = seeded(20_261_124);
  const seen = { refused: 0, clean: 0, partly: 0, allRejected: 0 };
  for (let run = 0; run < runs; run++) {
    const bytes = someBytes(random);
    let walked: ReturnType<typeof walkProfiles>;
    try {
      walked = walkProfiles(bytes);
    } catch (error) {
      if (!isPipelineError(error, 'message_malformed') && !isPipelineError(error, 'message_too_large')) throw new Error(`run ${run}`, { cause: error });
      seen.refused++;
      continue;
    }
    const whole = decodeProfilesData(bytes, walked.layout);
    expect(walked.profiles).toBe(profilesOf(whole).length);
    expect(walked.samples).toBe(profilesOf(whole).reduce((sum, profile) => sum + profile.samples.length, 0));
    const kept = walked.cuts.length === 0 ? bytes : withoutSpans(bytes, walked.cuts);
    const left = decodeProfilesData(kept, walked.layout);
    expect(profilesOf(left).length).toBe(walked.profiles - walked.rejected.length);
    judge(left);
    if (walked.rejected.length === 0) seen.clean++;
    else if (walked.rejected.length < walked.profiles) seen.partly++;
    else seen.allRejected++;
  }
  // The changes must reach every outcome, or the test tests little.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(runs / 200);
});

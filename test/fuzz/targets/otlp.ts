// OTLP in protobuf: what the receiver's walk takes must decode, with all its indices inside their
// tables, and become sound rows in the processor. The generated code is the judge.
import { type BatchTarget, buildBatch, decode, wantedSymbols } from '../../../processor/batch.ts';
import { KnownStacks } from '../../../processor/known-stacks.ts';
import { nothingSent } from '../../../processor/position.ts';
import { danglingStacks, keptSegments } from '../../../processor/testing.ts';
import { admit } from '../../../receiver/admit.ts';
import { withoutSpans } from '../../../receiver/cut.ts';
import { walkProfiles } from '../../../receiver/walk.ts';
import {
  type Profile,
  type ProfilesData,
  ProfilesDataSchema,
  type ProfilesDictionary,
} from '../../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { decodeProfilesData, encodeProfilesData } from '../../../schemas/otlp/testing.ts';
import { below, type Random, someData } from '../../../schemas/otlp/testing-data.ts';
import { mutate } from '../../../schemas/otlp/testing-mutate.ts';
import { decodeRows } from '../../../schemas/rows/codec.ts';
import { refusedOr, type Target, type Verdict } from '../target.ts';

/** Many changes may pass one by one; a message is changed up to three times. */
export function someMessage(random: Random): Uint8Array {
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

export const walk: Target = {
  name: 'otlp-walk',
  shortRuns: 1000,
  weight: 3000,
  open: async () => ({ make: someMessage, feed: feedWalk }),
};

export function feedWalk(bytes: Uint8Array): Verdict {
  const walked = refusedOr(() => walkProfiles(bytes))?.value;
  if (walked === undefined) return 'refused';
  const whole = decodeProfilesData(bytes, walked.layout);
  const samples = profilesOf(whole).reduce((sum, profile) => sum + profile.samples.length, 0);
  if (walked.profiles !== profilesOf(whole).length) throw new Error(`${walked.profiles} profiles walked, ${profilesOf(whole).length} decoded`);
  if (walked.samples !== samples) throw new Error(`${walked.samples} samples walked, ${samples} decoded`);
  const kept = walked.cuts.length === 0 ? bytes : withoutSpans(bytes, walked.cuts);
  const left = decodeProfilesData(kept, walked.layout);
  if (profilesOf(left).length !== walked.profiles - walked.rejected.length) throw new Error('other profiles were cut out than were rejected');
  judge(left);
  return walked.rejected.length === 0 ? 'taken' : 'refused';
}

export const rowsFromProfiles: Target = {
  name: 'otlp-rows',
  shortRuns: 400,
  weight: 1500,
  open: async () => ({ make: someMessage, feed: feedRows }),
};

/** Whatever lies in the topic: refused, or rows that decode again. What the receiver let in is never refused. */
function feedRows(bytes: Uint8Array, random: Random): Verdict {
  const admitted = refusedOr(() => admit(bytes))?.value.forward ?? null;
  if (admitted !== null && !becomesRows(admitted, random)) throw new Error('the processor refuses what the receiver acknowledges');
  return becomesRows(bytes, random) ? 'taken' : 'refused';
}

function becomesRows(value: Uint8Array, random: Random): boolean {
  const decoded = decode({ offset: 1, appendTimeMillis: 1_790_000_100_000, key: null, value, headers: {} });
  if (decoded.message === null) return false;
  const target: BatchTarget = {
    source: { logId: 'l', topic: 't', partition: 0 },
    shards: 3,
    sent: nothingSent,
    known: new KnownStacks(100),
    nameOf: () => (random() < 0.5 ? null : 'named'),
  };
  wantedSymbols(decoded.message);
  const batch = buildBatch([decoded], target);
  const messages = batch.messages.map((message) => decodeRows(message.value));
  for (const message of messages) if (danglingStacks(keptSegments([message])).length > 0) throw new Error('a sample without its stack');
  // Samples without an event are told by one row of their own.
  const expected = batch.counts.rows + (batch.counts.samplesEmpty > 0 ? 1 : 0);
  const rows = messages.reduce((sum, message) => sum + message.samples.length, 0);
  if (rows !== expected) throw new Error(`${rows} rows, expected ${expected}`);
  return true;
}

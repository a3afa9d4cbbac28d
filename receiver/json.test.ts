import { create, fromBinary, type JsonValue, toBinary, toJson } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { isPipelineError } from '../lib/errors.ts';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { below, seeded, someData } from '../schemas/otlp/testing-data.ts';
import { profilesFromJson } from './json.ts';

const bytesOf = (json: unknown): Uint8Array => new TextEncoder().encode(typeof json === 'string' ? json : JSON.stringify(json));
const read = (json: unknown) => fromBinary(ProfilesDataSchema, profilesFromJson(bytesOf(json)));

function refusal(json: unknown): string {
  try {
    profilesFromJson(json instanceof Uint8Array ? json : bytesOf(json));
  } catch (error) {
    if (isPipelineError(error, 'message_malformed')) return error.message;
    throw error;
  }
  throw new Error('was taken');
}

/** proto3's JSON with the ids in hex, as a sender of OTLP/JSON writes it. */
function otlpJson(value: JsonValue, names: (name: string) => string): JsonValue {
  if (Array.isArray(value)) return value.map((item) => otlpJson(item, names));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, item]): [string, JsonValue] => {
    const id = ['traceId', 'spanId', 'profileId'].includes(name) && typeof item === 'string';
    return [names(name), id ? Buffer.from(item, 'base64').toString('hex').toUpperCase() : otlpJson(item, names)];
  });
  return Object.fromEntries(entries);
}

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

test.each([
  ['camelCase', (name: string) => name],
  ['snake_case', snakeCase],
])('what a sender writes in %s is the message', (_name, names) => {
  const random = seeded(11);
  for (let run = 0; run < 30; run++) {
    const data = someData(random, {
      resources: below(random, 3),
      profilesPerScope: 2,
      samplesPerProfile: 2,
      attributesBy: run % 2 === 0 ? 'plain' : 'reference',
    });
    expect(read(otlpJson(toJson(ProfilesDataSchema, data), names))).toEqual(fromBinary(ProfilesDataSchema, toBinary(ProfilesDataSchema, data)));
  }
});

test('64-bit numbers may be strings or numbers, and keep every digit', () => {
  const expected = create(ProfilesDataSchema, {
    resourceProfiles: [
      {
        scopeProfiles: [
          { profiles: [{ timeUnixNano: 1_790_000_000_123_456_789n, samples: [{ values: [-(2n ** 63n), 7n], timestampsUnixNano: [2n ** 64n - 1n] }] }] },
        ],
      },
    ],
  });
  const wrap = (time: string, values: string, timestamps: string) =>
    `{"resourceProfiles":[{"scopeProfiles":[{"profiles":[{"timeUnixNano":${time},"samples":[{"values":${values},"timestampsUnixNano":${timestamps}}]}]}]}]}`;
  expect(read(wrap('1790000000123456789', '[-9223372036854775808, 7]', '[ 18446744073709551615]'))).toEqual(expected);
  expect(read(wrap('"1790000000123456789"', '["-9223372036854775808","7"]', '["18446744073709551615"]'))).toEqual(expected);
});

test('a profile id may be hex, as Collectors write it, or base64, as proto3 says', () => {
  const id = Uint8Array.from({ length: 16 }, (_, index) => index * 16);
  for (const profileId of [Buffer.from(id).toString('hex'), Buffer.from(id).toString('base64'), Buffer.from(id).toString('base64url')]) {
    expect(
      read({ resourceProfiles: [{ scopeProfiles: [{ profiles: [{ profileId }] }] }] }).resourceProfiles[0]!.scopeProfiles[0]!.profiles[0]!.profileId,
    ).toEqual(id);
  }
});

test('unknown fields and null are passed over', () => {
  expect(read({ later: { x: [1] }, resourceProfiles: null, dictionary: { stringTable: ['', 'a'], newTable: [{}] } }).dictionary?.stringTable).toEqual([
    '',
    'a',
  ]);
  expect(profilesFromJson(bytesOf({}))).toHaveLength(0);
});

test.each(['0102030405060708090a0b0c0d0e0f10', 'AQIDBAUGBwgJCgsMDQ4PEA==', 'AQIDBAUGBwgJCgsMDQ4PEA'])('a profile id is hex or base64: %s', (profileId) => {
  const data = fromBinary(ProfilesDataSchema, profilesFromJson(bytesOf({ resourceProfiles: [{ scopeProfiles: [{ profiles: [{ profileId }] }] }] })));
  expect(Buffer.from(data.resourceProfiles[0]!.scopeProfiles[0]!.profiles[0]!.profileId).toString('hex')).toBe('0102030405060708090a0b0c0d0e0f10');
});

describe('says where it is wrong', () => {
  const cases: [unknown, RegExp][] = [
    ['{"resourceProfiles" 5}', /^OTLP JSON: found .*position 20.*expected JSON$/s],
    ['{"resourceProfiles":', /^OTLP JSON: found Unexpected end of JSON input, expected JSON$/],
    ['', /expected JSON/],
    [[], /found an array, expected an object/],
    ['5', /found a number, expected an object/],
    ['null', /found null, expected an object/],
    [{ dictionary: { linkTable: [{}, { traceId: 'xyz' }] } }, /^OTLP JSON, dictionary.linkTable\[1\].traceId: found "xyz", expected pairs of hex digits$/],
    [{ dictionary: { link_table: [{ span_id: '123' }] } }, /dictionary.linkTable\[0\].spanId/],
    [
      { resourceProfiles: [{ scopeProfiles: [{ profiles: [{ profileId: 'not base64!' }] }] }] },
      /^OTLP JSON, resourceProfiles\[0\].scopeProfiles\[0\].profiles\[0\].profileId: found "not base64!"/,
    ],
    [{ resourceProfiles: {} }, /^OTLP JSON, ProfilesData.resource_profiles: found expected Array, got object/],
    [{ dictionary: { stackTable: [{ locationIndices: [1, 1.5] }] } }, /^OTLP JSON, Stack.location_indices: found list item #2/],
    [{ dictionary: { stackTable: [{ locationIndices: [3e9] }] } }, /3000000000 out of range/],
    [{ dictionary: { stringTable: [7] } }, /ProfilesDictionary.string_table/],
    ['{"dictionary":{"stringTable":["\\udc00"]}}', /half a surrogate pair/],
    [Uint8Array.of(0x22, 0xff, 0x22), /not UTF-8/],
    ['['.repeat(200_000), /expected JSON/],
    [`{"dictionary":{"stringTable":["\\ud83d\\ude00"]},"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, /./],
  ];
  test.each(cases)('%j', (json, message) => {
    expect(refusal(json)).toMatch(message);
  });
});

test.each(['{},', '[],', '1,', '[{}],', '{"scopeProfiles":[]},'])('a body of nothing but %s is refused before it takes all memory', (part) => {
  const body = Buffer.from(`{"resourceProfiles":[${part.repeat((64 * 1024 * 1024) / part.length)}0]}`);
  let error: unknown;
  try {
    profilesFromJson(body);
  } catch (found) {
    error = found;
  }
  expect(isPipelineError(error, 'message_too_large') || isPipelineError(error, 'message_malformed')).toBe(true);
});

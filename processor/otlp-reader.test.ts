// The columnar reader against the generated code, on random messages in every encoding.
import { describe, expect, test } from 'vitest';
import { isPipelineError } from '../lib/errors.ts';
import type { ProfilesData } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { decodeProfilesData, encodeProfilesData } from '../schemas/otlp/testing.ts';
import { seeded, smallShape, someData } from '../schemas/otlp/testing-data.ts';
import { readProfiles } from './otlp-reader.ts';
import type { OtlpProfiles } from './otlp-tables.ts';

const encodings = [{}, { packed: false }, { dictionaryFirst: true }, { layout: 'v1.9' }, { layout: 'v1.9', packed: false, dictionaryFirst: true }] as const;

const slices = (starts: Uint32Array, list: ArrayLike<unknown>) =>
  Array.from({ length: starts.length - 1 }, (_, row) => Array.from(list as ArrayLike<number>).slice(starts[row], starts[row + 1]));
const wide = (halves: Uint32Array, signed = false) =>
  Array.from({ length: halves.length / 2 }, (_, row) => {
    const value = (BigInt(halves[2 * row + 1]!) << 32n) | BigInt(halves[2 * row]!);
    return signed ? BigInt.asIntN(64, value) : value;
  });
const hex = (message: OtlpProfiles, start: number, end: number) => Buffer.from(message.bytes.subarray(start, end)).toString('hex');

/** Both sides in one plain form. */
function plainOfColumns(message: OtlpProfiles) {
  const { strings, mappings, locations, lines, functions, links, attributes, stacks } = message.dictionary;
  const text = (index: number) => Buffer.from(message.bytes.subarray(strings.start[index], strings.end[index])).toString();
  const list = (column: ArrayLike<number>) => Array.from(column);
  const { samples } = message;
  const timestamps = wide(samples.timestamps);
  return {
    strings: Array.from({ length: strings.length }, (_, index) => text(index)),
    mappings: { addresses: wide(mappings.addresses), filename: list(mappings.filename), attributes: slices(mappings.attributeStart, mappings.attributes) },
    locations: {
      mapping: list(locations.mapping),
      address: wide(locations.address),
      lines: slices(locations.lineStart, list(lines.function)),
      attributes: slices(locations.attributeStart, locations.attributes),
    },
    lines: { line: wide(lines.line, true), column: wide(lines.column, true) },
    functions: { name: list(functions.name), system: list(functions.systemName), file: list(functions.filename), start: wide(functions.startLine, true) },
    links: Array.from({ length: links.length }, (_, row) => [
      hex(message, links.traceStart[row]!, links.traceEnd[row]!),
      hex(message, links.spanStart[row]!, links.spanEnd[row]!),
    ]),
    attributes: { key: list(attributes.key), unit: list(attributes.unit) },
    stacks: slices(stacks.start, stacks.locations),
    profiles: message.profiles.map((profile) => ({
      type: [profile.sampleType, profile.sampleUnit, profile.periodType, profile.periodUnit],
      numbers: [profile.period, profile.timeNanos, profile.durationNanos],
      id: hex(message, profile.profileId.start, profile.profileId.end),
      attributes: list(profile.attributes),
      scope: [profile.scope.name, profile.scope.version, profile.scope.attributes.length],
      resource: [profile.resourceIndex, profile.resource.length],
      samples: Array.from({ length: profile.sampleEnd - profile.sampleStart }, (_, index) => {
        const row = profile.sampleStart + index;
        return [
          samples.stack[row],
          samples.link[row],
          list(samples.attributes.subarray(samples.attributeStart[row], samples.attributeStart[row + 1])),
          Array.from(samples.values.subarray(samples.valueStart[row], samples.valueStart[row + 1])),
          timestamps.slice(samples.timestampStart[row], samples.timestampStart[row + 1]),
        ];
      }),
    })),
  };
}

function plainOfObjects(data: ProfilesData): ReturnType<typeof plainOfColumns> {
  const { stringTable, mappingTable, locationTable, functionTable, linkTable, attributeTable, stackTable } = data.dictionary!;
  const bytes = (value: Uint8Array) => Buffer.from(value).toString('hex');
  return {
    strings: stringTable,
    mappings: {
      addresses: mappingTable.flatMap(({ memoryStart, memoryLimit, fileOffset }) => [memoryStart, memoryLimit, fileOffset]),
      filename: mappingTable.map(({ filenameStrindex }) => filenameStrindex),
      attributes: mappingTable.map(({ attributeIndices }) => attributeIndices),
    },
    locations: {
      mapping: locationTable.map(({ mappingIndex }) => mappingIndex),
      address: locationTable.map(({ address }) => address),
      lines: locationTable.map(({ lines }) => lines.map(({ functionIndex }) => functionIndex)),
      attributes: locationTable.map(({ attributeIndices }) => attributeIndices),
    },
    lines: {
      line: locationTable.flatMap(({ lines }) => lines.map(({ line }) => line)),
      column: locationTable.flatMap(({ lines }) => lines.map(({ column }) => column)),
    },
    functions: {
      name: functionTable.map(({ nameStrindex }) => nameStrindex),
      system: functionTable.map(({ systemNameStrindex }) => systemNameStrindex),
      file: functionTable.map(({ filenameStrindex }) => filenameStrindex),
      start: functionTable.map(({ startLine }) => startLine),
    },
    links: linkTable.map(({ traceId, spanId }) => [bytes(traceId), bytes(spanId)]),
    attributes: { key: attributeTable.map(({ keyStrindex }) => keyStrindex), unit: attributeTable.map(({ unitStrindex }) => unitStrindex) },
    stacks: stackTable.map(({ locationIndices }) => locationIndices),
    profiles: data.resourceProfiles.flatMap(({ resource, scopeProfiles }, resourceIndex) =>
      scopeProfiles.flatMap(({ scope, profiles }) =>
        profiles.map((profile) => ({
          type: [profile.sampleType, profile.periodType].flatMap((type) => [type?.typeStrindex ?? 0, type?.unitStrindex ?? 0]),
          numbers: [profile.period, profile.timeUnixNano, profile.durationNano],
          id: bytes(profile.profileId),
          attributes: profile.attributeIndices,
          scope: [scope?.name ?? '', scope?.version ?? '', scope?.attributes.length ?? 0],
          resource: [resourceIndex, resource?.attributes.length ?? 0],
          samples: profile.samples.map((sample) => [sample.stackIndex, sample.linkIndex, sample.attributeIndices, sample.values, sample.timestampsUnixNano]),
        })),
      ),
    ),
  };
}

describe.each(encodings)('encoded as %j', (options) => {
  test('random messages read the same as by the generated code', () => {
    const random = seeded(20_261_124);
    for (let run = 0; run < 60; run++) {
      const data = someData(random, { ...smallShape, attributesBy: run % 2 === 0 ? 'plain' : 'reference' });
      const bytes = encodeProfilesData(data, options);
      const message = readProfiles(bytes);
      expect(message.layout).toBe('layout' in options ? options.layout : 'v1.10');
      expect(plainOfColumns(message)).toEqual(plainOfObjects(decodeProfilesData(bytes, message.layout)));
    }
  });
});

describe('is malformed', () => {
  const refused = (bytes: readonly number[]) => {
    try {
      readProfiles(Uint8Array.from(bytes));
      return null;
    } catch (error) {
      return isPipelineError(error) ? error.code : error;
    }
  };
  // A dictionary (field 2) of `tables`, behind resource profiles (field 1) with one sample.
  const sampleOf = (...sample: number[]) => [10, 6 + sample.length, 18, 4 + sample.length, 18, 2 + sample.length, 18, sample.length, ...sample];
  test.each<[string, number[], string | null]>([
    ['nothing at all', [], null],
    ['a sample that refers to nothing', sampleOf(42, 8, 0, 0, 0, 0, 0, 0, 0, 1), null],
    ['a stack outside its table', sampleOf(8, 1), 'message_malformed'],
    ['a negative stack', sampleOf(8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), 'message_malformed'],
    ['a link outside its table', sampleOf(34, 1, 1, 24, 1), 'message_malformed'],
    ['an attribute outside its table', sampleOf(34, 1, 1, 18, 1, 9), 'message_malformed'],
    ['two values and one timestamp', sampleOf(34, 2, 1, 1, 42, 8, 0, 0, 0, 0, 0, 0, 0, 1), 'message_malformed'],
    ['half a timestamp', sampleOf(42, 4, 0, 0, 0, 0), 'message_malformed'],
    ['text in string_table[0]', [18, 3, 42, 1, 65], 'message_malformed'],
    ['two dictionaries', [18, 0, 18, 0], 'message_malformed'],
    ['a location outside its table', [18, 4, 58, 2, 8, 3], 'message_malformed'],
    ['a function outside its table', [18, 6, 18, 4, 26, 2, 8, 3], 'message_malformed'],
    ['a trace id of 3 bytes', [18, 7, 34, 5, 10, 3, 1, 2, 3], 'message_malformed'],
    ['a profile id of 1 byte', [10, 7, 18, 5, 18, 3, 58, 1, 7], 'message_malformed'],
    ['a known field of another wire type', [10, 4, 18, 2, 16, 1], 'message_malformed'],
    ['a length past the end', [10, 200, 1, 2], 'message_malformed'],
    ['an unknown field', [250, 1, 1, 0], null],
  ])('%s: %j', (_, bytes, code) => {
    expect(refused(bytes)).toBe(code);
  });
});

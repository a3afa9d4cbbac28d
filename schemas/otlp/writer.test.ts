import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { createRandom } from '../../test/otlp/random.ts';
import { ProfilesDataSchema } from './gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { type AttributeValue, type ProfileHeader, ProfilesWriter, type SampleEntry } from './writer.ts';

const period = { type: ['cpu', 'nanoseconds'], value: 48_541_020n } as const;

function writeExample(): Uint8Array {
  const writer = new ProfilesWriter('https://opentelemetry.io/schemas/1.37.0');
  const native = writer.attribute('profile.frame.type', 'native');
  const buildId = writer.attribute('process.executable.build_id.gnu', 'ab'.repeat(20));
  const mapping = writer.mapping({ memoryStart: 0x1000n, memoryLimit: 0x9000n, fileOffset: 0x1000n, fileName: '/usr/bin/sérver', attributes: [buildId] });
  const main = writer.function('main', '', 'main.c');
  const leaf = writer.location(mapping, 0xffff_ffff_8000_0000n, [{ function: main, line: 7n, column: 0n }], [native]);
  const root = writer.location(mapping, 0x1000n, [], [native]);
  const stack = writer.stack([leaf, root]);
  const thread = writer.attribute('thread.id', 300n);
  const link = writer.link(new Uint8Array(16).fill(1), new Uint8Array(8).fill(2));
  writer.addResource(
    [
      ['process.pid', 12n],
      ['service.name', 'shop'],
      ['empty', ''],
      ['no', false],
    ],
    { name: 'flamelake.agent', version: '0' },
    [
      {
        header: { sampleType: ['samples', 'count'], period, timeNanos: 1_790_000_000_000_000_001n, durationNanos: 5n },
        samples: [
          { stack, attributes: [thread], link, values: [], timestampsNanos: [1_790_000_000_000_000_001n, 1_790_000_000_000_000_003n] },
          { stack, attributes: [], link: 0, values: [-1n], timestampsNanos: [] },
        ],
      },
    ],
  );
  return writer.finish();
}

test('what is written is what the generated code reads', () => {
  const data = fromBinary(ProfilesDataSchema, writeExample());
  const dictionary = data.dictionary!;
  expect(dictionary.stringTable[0]).toBe('');
  for (const table of [dictionary.mappingTable, dictionary.locationTable, dictionary.functionTable, dictionary.stackTable])
    expect(table).toHaveLength(table === dictionary.locationTable ? 3 : 2);
  const resource = data.resourceProfiles[0]!;
  expect(resource.resource!.attributes.map((attribute) => [attribute.key, attribute.value!.value.value])).toEqual([
    ['process.pid', 12n],
    ['service.name', 'shop'],
    ['empty', ''],
    ['no', false],
  ]);
  const profile = resource.scopeProfiles[0]!.profiles[0]!;
  expect(profile.period).toBe(48_541_020n);
  expect(profile.timeUnixNano).toBe(1_790_000_000_000_000_001n);
  expect(profile.samples[0]).toMatchObject({
    stackIndex: 1,
    attributeIndices: [3],
    linkIndex: 1,
    timestampsUnixNano: [1_790_000_000_000_000_001n, 1_790_000_000_000_000_003n],
  });
  expect(profile.samples[1]).toMatchObject({ stackIndex: 1, attributeIndices: [], linkIndex: 0, values: [-1n] });
  const mapping = dictionary.mappingTable[1]!;
  expect(dictionary.stringTable[mapping.filenameStrindex]).toBe('/usr/bin/sérver');
  expect(dictionary.locationTable[1]!.address).toBe(0xffff_ffff_8000_0000n);
  expect(dictionary.locationTable[1]!.lines[0]).toMatchObject({ functionIndex: 1, line: 7n });
});

test('equal entries are one entry', () => {
  const writer = new ProfilesWriter('');
  expect(writer.attribute('a', 'x')).toBe(writer.attribute('a', 'x'));
  expect(writer.attribute('a', '1')).not.toBe(writer.attribute('a', 1n));
  expect(writer.string('')).toBe(0);
  expect(writer.stack([])).toBe(0);
  expect(writer.location(1, 2n, [], [])).toBe(writer.location(1, 2n, [], []));
});

test('random dictionaries and samples come back as they were, each entry once', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = createRandom(seed);
    const writer = new ProfilesWriter('');
    const text = () => random.pick(['', 'a', 'é', '\u{1f525}', '\0', 'x'.repeat(random.below(3_000))]) + random.below(4);
    const int64 = () => BigInt.asIntN(64, random.pick([0n, 1n, -1n, 127n, 128n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), random.uint64()]));
    const value = (): AttributeValue => random.pick<() => AttributeValue>([text, int64, () => random.chance(0.5)])();
    const some = <T>(make: () => T): T[] => Array.from({ length: random.below(5) }, make);
    const attributes = Array.from({ length: 12 }, () => [`k${random.below(6)}`, value()] as const);
    const attributeAt = attributes.map(([key, held]) => writer.attribute(key, held));
    const attributeSet = () => [...new Set(some(() => random.pick(attributeAt)))].sort((a, b) => a - b);
    const functions = Array.from({ length: 6 }, () => [text(), text(), text()] as const);
    const functionAt = functions.map((names) => writer.function(...names));
    const mappings = Array.from({ length: 4 }, () => ({
      memoryStart: random.uint64(),
      memoryLimit: random.uint64(),
      fileOffset: random.uint64(),
      fileName: text(),
      attributes: attributeSet(),
    }));
    const mappingAt = mappings.map((mapping) => writer.mapping(mapping));
    const locations = Array.from({ length: 20 }, () => ({
      mapping: random.pick(mappingAt),
      address: random.uint64(),
      lines: some(() => ({ function: random.pick(functionAt), line: int64(), column: int64() })),
      attributes: attributeSet(),
    }));
    const locationAt = locations.map((each) => writer.location(each.mapping, each.address, each.lines, each.attributes));
    const stacks = Array.from({ length: 8 }, () => Array.from({ length: random.below(200) }, () => random.pick(locationAt)));
    const stackAt = stacks.map((stack) => writer.stack(stack));
    const samples: SampleEntry[] = Array.from({ length: 30 }, () => ({
      stack: random.pick(stackAt),
      attributes: attributeSet(),
      link: random.chance(0.5) ? 0 : writer.link(random.bytes(16), random.bytes(8)),
      values: some(int64),
      timestampsNanos: some(() => random.uint64()),
    }));
    const header: ProfileHeader = { sampleType: [text(), text()], period: null, timeNanos: random.uint64(), durationNanos: random.uint64() };
    const resource = new Map([...Array(5)].map((_, index) => [`r${index}`, value()] as const));
    writer.addResource(resource, { name: text(), version: '' }, [{ header, samples }]);
    const data = fromBinary(ProfilesDataSchema, writer.finish());
    const dictionary = data.dictionary!;
    const string = (index: number) => dictionary.stringTable[index]!;
    expect(new Set(dictionary.stringTable).size).toBe(dictionary.stringTable.length);
    attributes.forEach(([key, held], index) => {
      const entry = dictionary.attributeTable[attributeAt[index]!]!;
      expect([string(entry.keyStrindex), entry.value!.value.value]).toEqual([key, held]);
    });
    functions.forEach((names, index) => {
      const { nameStrindex, systemNameStrindex, filenameStrindex } = dictionary.functionTable[functionAt[index]!]!;
      expect([nameStrindex, systemNameStrindex, filenameStrindex].map(string)).toEqual([...names]);
    });
    mappings.forEach(({ fileName, attributes: attributeIndices, ...numbers }, index) => {
      const entry = dictionary.mappingTable[mappingAt[index]!]!;
      expect(entry).toMatchObject({ ...numbers, attributeIndices });
      expect(string(entry.filenameStrindex)).toBe(fileName);
    });
    locations.forEach(({ mapping, address, lines, attributes: attributeIndices }, index) => {
      expect(dictionary.locationTable[locationAt[index]!]).toMatchObject({
        mappingIndex: mapping,
        address,
        lines: lines.map(({ function: functionIndex, line, column }) => ({ functionIndex, line, column })),
        attributeIndices,
      });
    });
    expect(stackAt.map((index) => dictionary.stackTable[index]!.locationIndices)).toEqual(stacks);
    const [profile] = data.resourceProfiles[0]!.scopeProfiles[0]!.profiles;
    expect(profile).toMatchObject({ timeUnixNano: header.timeNanos, durationNano: header.durationNanos, period: 0n });
    profile!.samples.forEach(({ stackIndex, attributeIndices, linkIndex, values, timestampsUnixNano }, index) => {
      const { stack, attributes: expected, link, values: written, timestampsNanos } = samples[index]!;
      expect([stackIndex, attributeIndices, linkIndex, values, timestampsUnixNano]).toEqual([stack, expected, link, written, timestampsNanos]);
    });
    expect(new Map(data.resourceProfiles[0]!.resource!.attributes.map(({ key, value: held }) => [key, held!.value.value]))).toEqual(resource);
  }
});

import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ProfilesDataSchema } from './gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { ProfilesWriter } from './writer.ts';

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

import type { MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import type { AnyValueSchema, KeyValueSchema } from '../schemas/otlp/gen/opentelemetry/proto/common/v1/common_pb.ts';
import { type Init, message10, type Parts, type Profile, type Sample, textAttribute } from './testing.ts';
import { rowsOf } from './testing-rows.ts';

const nowMillis = Date.now();
const now = BigInt(nowMillis) * 1_000_000n;
const micros = now / 1000n;
const hour = 3_600_000_000_000n;

const base = [
  '',
  'samples',
  'count',
  'cpu',
  'nanoseconds',
  'profile.frame.type',
  'process.executable.build_id.gnu',
  'process.executable.build_id.go',
  'process.executable.build_id.htlhash',
  'process.executable.build_id.profiling',
  'flamelake.stack.cut',
  'leaf',
  'main',
  'native',
  'kernel',
];
type Any = Init<typeof AnyValueSchema>;
const text = (value: string): Any => ({ value: { case: 'stringValue', value } });
const int = (value: bigint): Any => ({ value: { case: 'intValue', value } });

const onCpu: Profile = { sampleType: { typeStrindex: 1, unitStrindex: 2 }, periodType: { typeStrindex: 3, unitStrindex: 4 }, period: 50n, timeUnixNano: now };

interface Given {
  readonly profile?: Profile;
  readonly sample?: Sample;
  readonly samples?: Sample[];
  /** Attributes of the first sample. */
  readonly attributes?: readonly (readonly [string, Any])[];
  readonly profileAttributes?: readonly (readonly [string, Any])[];
  readonly resource?: MessageInitShape<typeof KeyValueSchema>[];
  readonly scope?: Parts['scope'];
  readonly links?: Parts['links'];
}

/** One profile with one stack, leaf <- main, unless told otherwise. */
function made(given: Given, appendTimeMillis = nowMillis) {
  const strings = [...base];
  const table: NonNullable<Parts['attributes']> = [];
  const add = (entries: readonly (readonly [string, Any])[] = []) => entries.map(([key, value]) => table.push({ keyStrindex: strings.push(key) - 1, value }));
  const [indices, profileIndices] = [add(given.attributes), add(given.profileAttributes)];
  const sample = { stackIndex: 1, timestampsUnixNano: [now], attributeIndices: indices, ...given.sample };
  const value = message10({
    strings,
    attributes: table,
    functions: [{ nameStrindex: 11 }, { nameStrindex: 12 }],
    locations: [{ lines: [{ functionIndex: 1 }] }, { lines: [{ functionIndex: 2 }] }],
    stacks: [{ locationIndices: [1, 2] }],
    ...(given.links ? { links: given.links } : {}),
    ...(given.resource ? { resource: given.resource } : {}),
    ...(given.scope ? { scope: given.scope } : {}),
    profiles: [{ ...onCpu, attributeIndices: profileIndices, ...given.profile, samples: given.samples ?? [sample] }],
  });
  return rowsOf(value, { appendTimeMillis });
}
const first = (given: Given) => made(given).rows[0]!;

describe('events', () => {
  const typed = (type: number, unit: number): Profile => ({ ...onCpu, sampleType: { typeStrindex: type, unitStrindex: unit }, periodType: {}, period: 0n });

  test('of timestamps alone count one each, as CPU time where the period is CPU time', () => {
    const { rows } = made({ sample: { timestampsUnixNano: [now, now + 1000n] } });
    expect(rows.map(({ time, value, count, duration, type }) => [time, value, count, duration, type])).toEqual([
      [micros, 50n, 1n, null, 'cpu/nanoseconds'],
      [micros + 1n, 50n, 1n, null, 'cpu/nanoseconds'],
    ]);
  });

  test('of timestamps with values keep both', () => {
    const { rows } = made({ profile: typed(3, 4), sample: { timestampsUnixNano: [now, now], values: [7n, -9n] } });
    expect(rows.map(({ value, count, duration, type }) => [value, count, duration, type])).toEqual([
      [7n, 1n, null, 'cpu/nanoseconds'],
      [-9n, 1n, null, 'cpu/nanoseconds'],
    ]);
  });

  test('of values alone span the profile', () => {
    const row = first({ profile: { ...typed(3, 4), durationNano: 5n }, sample: { timestampsUnixNano: [], values: [7n] } });
    expect([row.time, row.duration, row.value, row.count]).toEqual([micros, 5n, 7n, 1n]);
  });

  test('that their source counted are counts, and CPU time by its period', () => {
    const counted = first({ profile: typed(1, 2), sample: { timestampsUnixNano: [], values: [7n] } });
    expect([counted.type, counted.value, counted.count]).toEqual(['samples/count', 7n, 7n]);
    const cpu = first({ sample: { timestampsUnixNano: [], values: [7n] } });
    expect([cpu.type, cpu.value, cpu.count]).toEqual(['cpu/nanoseconds', 350n, 7n]);
  });

  test('that no 64 bits hold stay at the end of them', () => {
    expect(first({ sample: { timestampsUnixNano: [], values: [2n ** 62n] } }).value).toBe(2n ** 63n - 1n);
    expect(first({ profile: { ...onCpu, durationNano: 2n ** 64n - 1n }, sample: { timestampsUnixNano: [], values: [1n] } }).duration).toBe(2n ** 63n - 1n);
  });

  test('are none for a sample without values and timestamps, which is counted, and told as lost', () => {
    const { rows, counts } = made({ sample: { timestampsUnixNano: [] } });
    expect([rows.length, counts.samples, counts.rows, counts.samplesEmpty]).toEqual([1, 1, 0, 1]);
    expect(rows[0]).toMatchObject({ type: 'lost/count', value: 1n, attributes: { 'flamelake.lost.reason': 'no_event' } });
  });

  test('are not CPU time twice: where a scope gives nanoseconds itself, its counts stay counts', () => {
    const sample = (values: bigint[]) => [{ stackIndex: 0, values }];
    const value = message10({
      strings: base,
      profiles: [
        { ...onCpu, samples: sample([3n]) },
        { ...onCpu, sampleType: { typeStrindex: 3, unitStrindex: 4 }, samples: sample([150n]) },
      ],
    });
    expect(rowsOf(value).rows.map(({ type, value: number, count }) => [type, number, count])).toEqual([
      ['samples/count', 3n, 3n],
      ['cpu/nanoseconds', 150n, 1n],
    ]);
  });

  test('without a type have one that says so', () => {
    expect(first({ profile: { ...onCpu, sampleType: {}, periodType: {} } }).type).toBe('unknown/unknown');
  });
});

describe('times', () => {
  const timeOf = (nanos: bigint) => {
    const { rows, counts } = made({ sample: { timestampsUnixNano: [nanos] } });
    return [rows[0]!.time - micros, rows[0]!.attributes['flamelake.time_original'], counts.timesReplaced];
  };
  test.each<[string, bigint, bigint]>([
    ['seven days before', -7n * 24n * hour, (-7n * 24n * hour) / 1000n],
    ['an hour after', hour, hour / 1000n],
  ])('%s the append time are believed', (_, offset, expected) => {
    expect(timeOf(now + offset)).toEqual([expected, undefined, 0]);
  });

  test.each<[string, bigint]>([
    ['before that', now - 7n * 24n * hour - 1_000_000n],
    ['after that', now + hour + 1_000_000n],
    ['at the end of time', 2n ** 64n - 1n],
    ['in 1970', 1n],
  ])('%s become the append time and keep their own', (_, time) => {
    const [difference, original, replaced] = timeOf(time);
    expect([difference, replaced]).toEqual([0n, 1]);
    const text = original as string;
    expect(BigInt(Date.parse(text)) * 1_000_000n + BigInt(text.slice(-7, -1))).toBe(time);
  });

  test('that are none at all have none to keep', () => {
    const { rows, counts } = made({ profile: { ...onCpu, timeUnixNano: 0n }, sample: { timestampsUnixNano: [], values: [1n] } });
    expect([rows[0]!.time, rows[0]!.attributes, counts.timesReplaced]).toEqual([micros, {}, 1]);
  });

  test('decide the date of the stack: one sample over midnight gives it twice', () => {
    const midnight = (now / (24n * hour)) * 24n * hour;
    const { rows, message } = made({ sample: { timestampsUnixNano: [midnight - 1n, midnight, midnight - 1n] } });
    expect([...message!.stacks.date]).toEqual([Number(midnight / (24n * hour)) - 1, Number(midnight / (24n * hour))]);
    expect(rows.map(({ stack }) => stack?.date)).toEqual([...message!.stacks.date, message!.stacks.date[0]]);
  });
});

describe('links', () => {
  const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);
  const links = [{ traceId: bytes(16, 0xab), spanId: bytes(8, 1) }, { traceId: bytes(16, 0), spanId: bytes(8, 0) }, {}, { traceId: bytes(16, 0xcd) }];
  const linkOf = (linkIndex: number, attributes: Given['attributes'] = []) => first({ links, sample: { linkIndex }, attributes }).link;
  test('are hex, with the mechanism that said so', () => {
    expect(linkOf(1)).toEqual(['ab'.repeat(16), '01'.repeat(8), 'otlp']);
    expect(linkOf(1, [['flamelake.link.source', text('thread_context')]])).toEqual(['ab'.repeat(16), '01'.repeat(8), 'thread_context']);
    expect(linkOf(4)).toEqual(['cd'.repeat(16), '', 'otlp']);
  });
  test.each([0, 2, 3])('of zeros or nothing (%i) are none', (index) => {
    expect(linkOf(index)).toBe(null);
  });
});

describe('sample attributes', () => {
  test('have columns or stand in the map', () => {
    const row = first({
      attributes: [
        ['thread.id', int(7n)],
        ['thread.name', text('worker')],
        ['cpu.logical_number', int(3n)],
        ['http.route', text('/x')],
        ['size', int(12n)],
      ],
    });
    expect([row.threadId, row.threadName, row.cpu, row.attributes]).toEqual([7n, 'worker', 3, { 'http.route': '/x', size: '12' }]);
  });

  test('that are no numbers where numbers belong stay readable in the map', () => {
    const row = first({
      attributes: [
        ['thread.id', text('main-thread')],
        ['cpu.logical_number', int(2n ** 40n)],
        ['process.pid', text('76')],
      ],
    });
    expect([row.threadId, row.cpu, row.pid, row.attributes]).toEqual([null, null, 76n, { 'thread.id': 'main-thread', 'cpu.logical_number': '1099511627776' }]);
  });

  test('win over the profile’s, and those over the scope’s', () => {
    const row = first({
      scope: { name: 's', attributes: [textAttribute('a', 'scope'), textAttribute('b', 'scope'), textAttribute('c', 'scope')] },
      profileAttributes: [
        ['b', text('profile')],
        ['c', text('profile')],
        ['thread.name', text('of the profile')],
      ],
      attributes: [['c', text('sample')]],
    });
    expect(row.attributes).toEqual({ a: 'scope', b: 'profile', c: 'sample' });
    expect([row.threadName, row.scope]).toEqual(['of the profile', 's']);
  });

  test('of the resource win over it for that sample alone (OTLP 1.9, Pyroscope)', () => {
    const { rows } = made({
      resource: [textAttribute('service.name', 'host-agent'), textAttribute('host.name', 'h'), textAttribute('rest', 'r')],
      attributes: [
        ['service.name', text('shop')],
        ['process.pid', int(9n)],
        ['process.executable.name', text('shopd')],
        ['host.name', text('')],
      ],
    });
    expect(rows[0]).toMatchObject({
      service_name: 'shop',
      pid: 9n,
      process_executable_name: 'shopd',
      host_name: 'h',
      resourceAttributes: { rest: 'r' },
      attributes: {},
    });
    expect(rows[0]!.stack!.service).toBe('shop');
    expect(rows[0]!.stackId.slice(0, 8)).toBe(first({ resource: [textAttribute('service.name', 'shop')] }).stackId.slice(0, 8));
  });
});

describe('service names', () => {
  const kernelStack = (resource: MessageInitShape<typeof KeyValueSchema>[], types: number[]) =>
    rowsOf(
      message10({
        strings: base,
        attributes: [13, 14].map((type) => ({ keyStrindex: 5, value: { value: { case: 'stringValueStrindex' as const, value: type } } })),
        functions: [{ nameStrindex: 11 }],
        locations: types.map((type) => ({ lines: [{ functionIndex: 1 }], attributeIndices: [type] })),
        stacks: [{ locationIndices: types.map((_, index) => index + 1) }],
        resource,
        profiles: [{ ...onCpu, samples: [{ stackIndex: 1, timestampsUnixNano: [now] }] }],
      }),
    ).rows[0]!.service_name;
  const pid = { key: 'process.pid', value: int(2n) };
  test.each<[string, MessageInitShape<typeof KeyValueSchema>[], number[], string]>([
    ['given', [textAttribute('service.name', 'shop'), pid], [2], 'shop'],
    ['empty, with an executable', [textAttribute('service.name', ''), textAttribute('process.executable.name', 'nginx'), pid], [2], 'unknown_service:nginx'],
    ['none, of a task with kernel frames alone', [pid], [2, 2], 'kernel'],
    ['none, with a user frame', [pid], [2, 1], 'unknown_service'],
    ['none, with a path', [pid, textAttribute('process.executable.path', '/x')], [2], 'unknown_service'],
    ['none, of no process', [], [2], 'unknown_service'],
    ['none, without frames', [pid], [], 'unknown_service'],
  ])('%s', (_, resource, types, expected) => {
    expect(kernelStack(resource, types)).toBe(expected);
  });
});

test('resource names that have a successor count where it is missing', () => {
  expect(first({ resource: [textAttribute('deployment.environment', 'prod')] })).toMatchObject({ deployment_environment_name: 'prod', resourceAttributes: {} });
  expect(first({ resource: [textAttribute('deployment.environment', 'old'), textAttribute('deployment.environment.name', 'new')] })).toMatchObject({
    deployment_environment_name: 'new',
    resourceAttributes: { 'deployment.environment': 'old' },
  });
});

describe('stacks', () => {
  interface Place {
    readonly scope?: string;
    readonly mapping?: NonNullable<Parts['mappings']>[number];
    readonly location?: NonNullable<Parts['locations']>[number];
    readonly more?: NonNullable<Parts['locations']>;
    readonly nameOf?: () => string | null;
  }
  // Attributes: 1 gnu, 2 native, 3 kernel, 4 cut, 5 go, 6 htlhash, 7 its old name, 8 abort-marker.
  const stackOf = ({ scope = 'other', mapping = {}, location = {}, more = [], nameOf }: Place) => {
    const strings = [...base, 'abort-marker', 'ABCD', 'go/id', 'ff00', '/usr/bin/app'];
    const value = message10({
      strings,
      attributes: [
        { keyStrindex: 6, value: text('ABCD') },
        { keyStrindex: 5, value: text('native') },
        { keyStrindex: 5, value: text('kernel') },
        { keyStrindex: 10, value: text('depth') },
        { keyStrindex: 7, value: text('go/id') },
        { keyStrindex: 8, value: text('FF00') },
        { keyStrindex: 9, value: text('ee11') },
        { keyStrindex: 5, value: text('abort-marker') },
      ],
      functions: [{ nameStrindex: 11 }, { systemNameStrindex: 12 }],
      mappings: [{ filenameStrindex: strings.indexOf('/usr/bin/app'), ...mapping }],
      locations: [{ mappingIndex: 1, ...location }, ...more],
      stacks: [{ locationIndices: [1, ...more.map((_, index) => index + 2)] }],
      scope: { name: scope },
      profiles: [{ ...onCpu, samples: [{ stackIndex: 1, timestampsUnixNano: [now] }] }],
    });
    const row = rowsOf(value, nameOf ? { nameOf } : {}).rows[0]!;
    return { id: row.stackId, ...row.stack! };
  };
  const elf = { memoryStart: 0x1000n, memoryLimit: 0x9000n, fileOffset: 0x1000n, attributeIndices: [1] };
  const loaded = { memoryStart: 0x7f0000001000n, memoryLimit: 0x7f0000009000n, fileOffset: 0x400n, attributeIndices: [1] };

  test.each<[string, Place, bigint]>([
    ['of the file stay (the mapping starts at its own offset)', { mapping: elf, location: { address: 0x1234n } }, 0x1234n],
    ['of a process become those of the file', { mapping: loaded, location: { address: 0x7f0000001234n } }, 0x634n],
    ['outside their mapping stay', { mapping: loaded, location: { address: 0x1234n } }, 0x1234n],
    ['of our agent stay', { scope: 'flamelake.agent', mapping: { ...elf, fileOffset: 0n }, location: { address: 0x1234n } }, 0x1234n],
    ['of the ebpf-profiler stay', { scope: 'go.opentelemetry.io/ebpf-profiler', mapping: loaded, location: { address: 0x7f0000001234n } }, 0x7f0000001234n],
    ['of memory without a build id say nothing', { mapping: { ...loaded, attributeIndices: [] }, location: { address: 0x7f0000001234n } }, 0n],
  ])('addresses %s', (_, place, address) => {
    expect(stackOf(place).frames[0]!.address).toBe(address);
  });

  test('of one file have one id wherever it was loaded', () => {
    const elsewhere = { ...loaded, memoryStart: 0x550000002000n, memoryLimit: 0x55000000a000n };
    expect(stackOf({ mapping: loaded, location: { address: 0x7f0000001234n } }).id).toBe(
      stackOf({ mapping: elsewhere, location: { address: 0x550000002234n } }).id,
    );
    expect(stackOf({ mapping: { attributeIndices: [] }, location: { address: 1n } }).id).toBe(
      stackOf({ mapping: { attributeIndices: [] }, location: { address: 2n } }).id,
    );
  });

  test.each<[string, number[], string]>([
    ['gnu first, in lower case', [6, 5, 1], 'abcd'],
    ['then go', [6, 5], 'go/id'],
    ['then the hash', [6], 'ff00'],
    ['also by its old name', [7], 'ee11'],
  ])('build ids: %s', (_, attributeIndices, buildId) => {
    expect(stackOf({ mapping: { ...elf, attributeIndices } }).frames[0]!.buildId).toBe(buildId);
  });

  test.each<[string, number, string]>([
    ['our marker', 4, 'depth'],
    ['another profiler’s', 8, 'abort-marker'],
  ])('cut: %s is no frame but the reason', (_, attribute, cut) => {
    const stack = stackOf({ more: [{ lines: [{ functionIndex: 1 }], attributeIndices: [attribute] }] });
    expect([stack.cut, stack.frames.length]).toEqual([cut, 1]);
    expect(stack.id).not.toBe(stackOf({}).id);
  });

  test('inlined calls are frames, the last of a location is not inlined', () => {
    const { frames } = stackOf({ mapping: elf, location: { address: 5n, lines: [{ functionIndex: 1, line: 3n }, { functionIndex: 2 }] } });
    expect(frames.map((frame) => [frame.function, frame.systemName, frame.inlined, frame.address, frame.line])).toEqual([
      ['leaf', '', true, 5n, 3n],
      ['main', 'main', false, 5n, 0n],
    ]);
  });

  test('names that are added never change an id, and never replace one that was sent', () => {
    const nameOf = () => 'from_symbols';
    const native = { mapping: elf, location: { address: 0x1234n, attributeIndices: [2] } };
    const [plain, named] = [stackOf(native), stackOf({ ...native, nameOf })];
    expect(named.id).toBe(plain.id);
    expect([plain.frames[0]!.function, named.frames[0]!.function, named.frames[0]!.systemName]).toEqual(['', 'from_symbols', 'from_symbols']);
    expect(stackOf({ mapping: elf, location: { lines: [{ functionIndex: 1 }] }, nameOf }).frames[0]!.function).toBe('leaf');
    expect(stackOf({ mapping: elf, location: { attributeIndices: [3] }, nameOf }).frames[0]!.function).toBe('');
  });

  test('entry 0 and an empty table are an empty stack', () => {
    const row = rowsOf(message10({ strings: base, profiles: [{ ...onCpu, samples: [{ timestampsUnixNano: [now] }] }] })).rows[0]!;
    expect(row.stack).toMatchObject({ frames: [], cut: '' });
  });
});

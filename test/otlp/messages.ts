// Counted messages: OTLP profiles of every shape that senders have, made from a seed, each with the
// rows that it must become. The same seed and time give the same bytes.
import { type EncodeOptions, encodeMessage } from './encode.ts';
import { type ExpectedRow, expectedRows } from './expected.ts';
import { createStacks, frameKinds, lostLocation } from './frames.ts';
import { encodeJson, type JsonOptions } from './json.ts';
import type { Attributes, LinkModel, LocationModel, MessageModel, ProfileModel, SampleModel, TypeModel, Value } from './model.ts';
import { createRandom, type Random } from './random.ts';
import { type TableOptions, toTables } from './tables.ts';

export interface CountedMessage {
  /** Which shape it has; part of a failing test's text. */
  readonly name: string;
  readonly contentType: 'application/x-protobuf' | 'application/json';
  readonly body: Uint8Array;
  readonly model: MessageModel;
  readonly rows: readonly ExpectedRow[];
}

interface Shape {
  readonly name: string;
  readonly tables: TableOptions;
  readonly protobuf?: EncodeOptions;
  readonly json?: JsonOptions;
}

const plain: TableOptions = { references: false, duplicates: false };
const references: TableOptions = { references: true, duplicates: false };
const current: EncodeOptions = { layout: 'v1.10', packed: true, dictionaryFirst: false, unknownFields: false };

export const shapes: readonly Shape[] = [
  { name: 'v1.10, plain strings', tables: plain, protobuf: current },
  { name: 'v1.10, references', tables: references, protobuf: current },
  { name: 'v1.10, references, dictionary first', tables: references, protobuf: { ...current, dictionaryFirst: true } },
  { name: 'v1.10, lists not packed', tables: plain, protobuf: { ...current, packed: false } },
  { name: 'v1.10, entries twice', tables: { references: true, duplicates: true }, protobuf: current },
  { name: 'v1.10, unknown fields', tables: plain, protobuf: { ...current, unknownFields: true } },
  { name: 'v1.9, plain strings', tables: plain, protobuf: { ...current, layout: 'v1.9' } },
  { name: 'v1.9, dictionary first', tables: plain, protobuf: { ...current, layout: 'v1.9', dictionaryFirst: true } },
  { name: 'v1.9, entries twice', tables: { references: false, duplicates: true }, protobuf: { ...current, layout: 'v1.9' } },
  { name: 'JSON, plain strings', tables: plain, json: { profileId: 'base64', protoNames: false } },
  { name: 'JSON, references, profile id in hex', tables: references, json: { profileId: 'hex', protoNames: false } },
  { name: 'JSON, names of the .proto files', tables: plain, json: { profileId: 'base64', protoNames: true } },
];

export interface MessageOptions {
  readonly seed: number;
  /** Time of the newest samples. */
  readonly nowMillis: number;
  /** Samples in each profile; every message has nine profiles. Default 6. */
  readonly samplesPerProfile?: number;
}

/** One message of each shape. Stacks and services repeat between them, samples never. */
export function countedMessages(options: MessageOptions): CountedMessage[] {
  const world = createWorld(options);
  return shapes.map((shape) => countedMessage(world, shape));
}

/** `count` messages with the shapes in turn, for loads. */
export function* countedLoad(options: MessageOptions, count: number): Generator<CountedMessage> {
  const world = createWorld(options);
  for (let index = 0; index < count; index++) yield countedMessage(world, shapes[index % shapes.length]!);
}

/** Samples of three days ago: believed, but of a date whose files are made once a day. */
export function oldMessage(options: MessageOptions): CountedMessage {
  const world = createWorld({ ...options, nowMillis: options.nowMillis - 3 * 86_400_000 });
  const model = { resources: [{ attributes: fullResource(world), profiles: [onCpu(world), allocations(world)] }] };
  return { name: 'three days old', ...encodeAs(model, shapes[0]!), model, rows: expectedRows(model, options.nowMillis) };
}

function countedMessage(world: World, shape: Shape): CountedMessage {
  const model = createMessage(world);
  return { name: shape.name, ...encodeAs(model, shape), model, rows: expectedRows(model, world.nowMillis) };
}

/** The same content in another shape: what a retry through another sender or a Collector looks like. */
export function reencode(message: CountedMessage, shape: Shape): CountedMessage {
  return { ...message, name: `${message.name}, again as ${shape.name}`, ...encodeAs(message.model, shape) };
}

function encodeAs(model: MessageModel, shape: Shape): Pick<CountedMessage, 'contentType' | 'body'> {
  const tables = toTables(model, shape.tables);
  if (shape.json) return { contentType: 'application/json', body: encodeJson(tables, shape.json) };
  return { contentType: 'application/x-protobuf', body: encodeMessage(tables, shape.protobuf) };
}

interface World {
  readonly random: Random;
  readonly nowMillis: number;
  readonly nowNanos: bigint;
  readonly stacks: readonly (readonly LocationModel[])[];
  readonly samplesPerProfile: number;
  /** Counts messages, so that no two profiles are equal: equal ones are a client's retry. */
  message: number;
}

function createWorld(options: MessageOptions): World {
  const random = createRandom(options.seed);
  return {
    random,
    nowMillis: options.nowMillis,
    nowNanos: BigInt(options.nowMillis) * 1_000_000n,
    stacks: createStacks(random, 40),
    samplesPerProfile: options.samplesPerProfile ?? 6,
    message: 0,
  };
}

function createMessage(world: World): MessageModel {
  world.message++;
  return {
    resources: [
      {
        attributes: fullResource(world),
        scope: { name: 'test.profiler', version: '1.2.3' },
        profiles: [onCpu(world), offCpu(world), allocations(world), dayOld(world)],
      },
      { attributes: ebpfProfilerResource(world), scope: { name: 'go.opentelemetry.io/ebpf-profiler', version: 'v0' }, profiles: [onCpu(world)] },
      { attributes: new Map<string, Value>([['process.pid', BigInt(world.random.between(2, 999))]]), profiles: [kernelThread(world)] },
      { attributes: new Map(), profiles: [events(world)] },
      { attributes: new Map<string, Value>([['service.name', 'agent']]), scope: { name: 'flamelake.agent', version: '' }, profiles: [losses(world)] },
      { attributes: new Map<string, Value>([['service.name', 'no-clock']]), profiles: [farOff(world)] },
    ],
  };
}

/** Every resource column, and an attribute of every kind that has none. */
function fullResource({ random, message }: World): Attributes {
  const service = random.below(3);
  return new Map<string, Value>([
    ['service.name', `shop-${service}`],
    ['service.namespace', 'shops'],
    ['service.instance.id', random.hex(16)],
    ['service.version', `1.${service}.0`],
    ['deployment.environment.name', 'production'],
    ['host.id', random.hex(32)],
    ['host.name', `node-${random.below(4)}.example`],
    ['container.id', random.hex(64)],
    ['container.name', 'shop'],
    ['k8s.namespace.name', 'default'],
    ['k8s.pod.name', `shop-${random.hex(5)}`],
    ['k8s.container.name', 'main'],
    ['k8s.node.name', 'node-1'],
    ['k8s.deployment.name', 'shop'],
    ['nomad.job.name', 'batch'],
    ['nomad.task.name', 'crunch'],
    ['systemd.unit', 'shop.service'],
    ['process.pid', BigInt(random.between(1, 4_194_304))],
    ['process.executable.name', 'shop'],
    ['process.executable.path', '/usr/bin/shop'],
    ['test.message', BigInt(message)],
    ['a.bool', true],
    ['another.bool', false],
    ['an.int', -(2n ** 63n) + BigInt(random.below(1000))],
    ['a.double', 0.1],
    ['some.bytes', Uint8Array.of(0, 255, 16)],
    ['a.list', ['x', 9007199254740993n, 2.5, false, null, ['deep']]],
    [
      'a.map',
      new Map<string, Value>([
        ['inner.key', 'ü"\\'],
        ['n', 1n],
        ['b', Uint8Array.of(1, 2)],
      ]),
    ],
    ['nothing', null],
    ['empty', ''],
    ['ключ.with "quotes"', 'line\nbreak\ttab'],
    ['byte.order.mark', '\ufeffkept'],
    ['nul', 'before\0after'],
  ]);
}

/** What the opentelemetry-ebpf-profiler says of a process: no service, no host. */
function ebpfProfilerResource({ random }: World): Attributes {
  return new Map<string, Value>([
    ['process.pid', BigInt(random.between(2, 99_999))],
    ['process.executable.name', 'sleeper'],
    ['process.executable.path', '/usr/bin/sleeper'],
    ['container.id', random.hex(64)],
  ]);
}

const fiveSeconds = 5_000_000_000n;

interface Window {
  readonly start: bigint;
  readonly duration: bigint;
}

/** A window of five seconds that ended up to two minutes ago; nanoseconds make each profile its own. */
function recentWindow({ random, nowNanos }: World): Window {
  return { start: nowNanos - fiveSeconds - (random.uint64() % 120_000_000_000n), duration: fiveSeconds };
}

function timestamps({ random }: World, { start, duration }: Window, count: number): bigint[] {
  return Array.from({ length: count }, () => start + (random.uint64() % duration)).sort((left, right) => (left < right ? -1 : 1));
}

function profile(world: World, type: TypeModel, window: Window, sample: () => Partial<SampleModel>, extra: Partial<ProfileModel> = {}): ProfileModel {
  const samples = Array.from({ length: world.samplesPerProfile }, () => ({
    stack: world.random.pick(world.stacks),
    attributes: threadAttributes(world),
    values: [],
    timestamps: [],
    ...sample(),
  }));
  return { type, period: 0n, timeNanos: window.start, durationNanos: window.duration, attributes: new Map(), samples, ...extra };
}

/** Timestamps alone, a linked sample now and then. */
function onCpu(world: World): ProfileModel {
  const { random } = world;
  const window = recentWindow(world);
  const sample = () => {
    const times = timestamps(world, window, random.between(1, 5));
    const link = linkModel(random);
    if (link === null) return { timestamps: times };
    const attributes = threadAttributes(world);
    return { timestamps: times, link, attributes: random.chance(0.5) ? attributes : new Map([...attributes, ['flamelake.link.source', 'thread_context']]) };
  };
  return profile(world, ['samples', 'count'], window, sample, { periodType: ['cpu', 'nanoseconds'], period: 50_000_000n + BigInt(random.below(1000)) });
}

/** Timestamps with values, and a profile id. */
function offCpu(world: World): ProfileModel {
  const { random } = world;
  const window = recentWindow(world);
  const sample = () => {
    const times = timestamps(world, window, random.between(1, 4));
    return { timestamps: times, values: times.map(() => 1n + (random.uint64() % 2n ** 40n)) };
  };
  return profile(world, ['off_cpu', 'nanoseconds'], window, sample, { profileId: random.bytes(16) });
}

/** Values alone, up to 2^62 and below zero; attributes on the profile. */
function allocations(world: World): ProfileModel {
  const { random } = world;
  const sample = () => ({ values: [(random.uint64() >> 2n) * (random.chance(0.2) ? -1n : 1n)] });
  return profile(world, ['alloc_space', 'bytes'], recentWindow(world), sample, {
    periodType: ['space', 'bytes'],
    period: 524_288n,
    attributes: new Map<string, Value>([['pprof.profile.comment', ['from a test']]]),
  });
}

/** Yesterday's: another date, and so another partition, with stacks that today has too. */
function dayOld(world: World): ProfileModel {
  const recent = recentWindow(world);
  const window = { ...recent, start: recent.start - 86_400_000_000_000n };
  return profile(world, ['samples', 'count'], window, () => ({ timestamps: timestamps(world, window, 2) }), {
    periodType: ['cpu', 'nanoseconds'],
    period: 50_000_000n,
  });
}

/** A kernel thread: a pid, and nothing but kernel frames. */
function kernelThread(world: World): ProfileModel {
  const window = recentWindow(world);
  const sample = () => ({ stack: [frameKinds.kernel!(world.random), frameKinds.kernel!(world.random)], timestamps: timestamps(world, window, 1) });
  return profile(world, ['samples', 'count'], window, sample, { periodType: ['cpu', 'nanoseconds'], period: 50_000_000n });
}

/** A type that nobody listed, counted by its source, without period; some stacks empty. */
function events(world: World): ProfileModel {
  const { random } = world;
  const sample = () => ({ values: [BigInt(random.between(1, 1_000_000))], ...(random.chance(0.3) ? { stack: [], attributes: new Map() } : {}) });
  return profile(world, ['events', 'count'], recentWindow(world), sample);
}

/** As our agent reports what it could not take. */
function losses(world: World): ProfileModel {
  const reason = () => world.random.pick(['ring_full', 'map_full', 'read_fault']);
  const sample = () => {
    const why = reason();
    return {
      stack: [lostLocation(why)],
      attributes: new Map<string, Value>([['flamelake.lost.reason', why]]),
      values: [BigInt(world.random.between(1, 99))],
    };
  };
  return profile(world, ['lost', 'count'], recentWindow(world), sample);
}

/** Clocks that are wrong by more than is believed: a month behind, or a day ahead. */
function farOff(world: World): ProfileModel {
  const recent = recentWindow(world);
  const offset = world.random.chance(0.5) ? -30n * 86_400_000_000_000n : 86_400_000_000_000n;
  const window = { ...recent, start: recent.start + offset };
  return profile(world, ['off_cpu', 'nanoseconds'], window, () => ({ timestamps: timestamps(world, window, 1), values: [1n] }));
}

function threadAttributes({ random }: World): Attributes {
  const entries: [string, Value][] = [
    ['thread.id', BigInt(random.between(1, 4_194_304))],
    ['thread.name', random.pick(['main', 'worker/1', 'gc "old"'])],
    ['cpu.logical_number', BigInt(random.below(256))],
  ];
  if (random.chance(0.3)) entries.push(['process.context.label.tenant.id', `t-${random.below(10)}`]);
  if (random.chance(0.1)) entries.push(['http.response.status_code', 200n]);
  return new Map(entries.slice(random.below(2)));
}

/** A third linked, now and then with a link of zeros (the table's entry 0 by another index): none. */
function linkModel(random: Random): LinkModel | null {
  if (random.chance(0.6)) return null;
  if (random.chance(0.2)) return { traceId: new Uint8Array(16), spanId: new Uint8Array(8) };
  return { traceId: random.bytes(16), spanId: random.bytes(8) };
}

export const rowCount = (messages: readonly CountedMessage[]): number => messages.reduce((sum, message) => sum + message.rows.length, 0);

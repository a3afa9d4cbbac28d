// OTLP as hosts really send it, made from a seed: some services, each with processes, threads and a
// set of stacks of which few are hot; one message for each host and five seconds, timestamps only, as
// our agent and the opentelemetry-ebpf-profiler write it. No message repeats another.
import { create, toBinary } from '@bufbuild/protobuf';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import type { Attributes, LocationModel, MappingModel, ProfileModel, ResourceModel, SampleModel, Value } from '../test/otlp/model.ts';
import { createRandom, type Random } from '../test/otlp/random.ts';
import { toTables } from '../test/otlp/tables.ts';

export interface LoadOptions {
  readonly seed: number;
  readonly hosts: number;
  readonly processesPerHost: number;
  /** Different stacks of each process that come again and again. */
  readonly stacksPerProcess: number;
  /** Share of events with a stack never seen before (0.01: steady servers; 0.6: a compile farm). */
  readonly newStacks: number;
  /** Events in one message. */
  readonly eventsPerMessage: number;
  readonly startMillis: number;
}

/** What is called steady in docs/measurements.md: 24 busy processes of two cores' worth of samples. */
export const steadyServer: Omit<LoadOptions, 'seed' | 'startMillis'> = {
  hosts: 1,
  processesPerHost: 24,
  stacksPerProcess: 200,
  newStacks: 0.02,
  eventsPerMessage: 2000,
};

export interface LoadMessage {
  readonly body: Uint8Array;
  readonly events: number;
}

const windowNanos = 5_000_000_000n;
const periodNanos = 50_000_000n;

interface ProcessState {
  readonly attributes: Attributes;
  readonly files: readonly MappingModel[];
  readonly threads: readonly (readonly [id: number, name: string])[];
  readonly stacks: LocationModel[][];
}

export function* generateLoad(options: LoadOptions): Generator<LoadMessage> {
  const random = createRandom(options.seed);
  const libraries = Array.from({ length: 30 }, (_, index) => createMapping(random, `lib${index}.so.1`));
  const hosts = Array.from({ length: options.hosts }, (_, host) =>
    Array.from({ length: options.processesPerHost }, (_, process) => createProcess(random, host, process, libraries, options)),
  );
  for (let window = 0; ; window++) {
    const start = BigInt(options.startMillis) * 1_000_000n + BigInt(window) * windowNanos;
    for (const processes of hosts) yield createMessage(random, processes, start, options);
  }
}

function createMapping(random: Random, name: string): MappingModel {
  return { name, start: 0x1000n, limit: 0x1000n + BigInt(random.between(20, 4000)) * 0x1000n, offset: 0x1000n, gnu: random.hex(40) };
}

function createProcess(random: Random, host: number, index: number, libraries: readonly MappingModel[], options: LoadOptions): ProcessState {
  const service = index % 12;
  const attributes = new Map<string, Value>([
    ['service.name', `service-${service}`],
    ['service.namespace', 'shop'],
    ['service.version', '2.4.1'],
    ['host.id', `host-id-${host}`],
    ['host.name', `node-${host}.internal`],
    ['container.id', random.hex(64)],
    ['process.pid', BigInt(random.between(300, 4_000_000))],
    ['process.executable.name', `service-${service}`],
    ['process.executable.path', `/usr/local/bin/service-${service}`],
  ]);
  const files = [createMapping(random, `service-${service}`), ...Array.from({ length: 6 }, () => random.pick(libraries))];
  const threads = Array.from({ length: 8 }, (_, thread) => [random.between(300, 4_000_000), thread === 0 ? 'main' : `worker-${thread}`] as const);
  const state: ProcessState = { attributes, files, threads, stacks: [] };
  state.stacks.push(...Array.from({ length: options.stacksPerProcess }, () => createStack(random, state.files)));
  return state;
}

const kernelNames = [
  'entry_SYSCALL_64_after_hwframe',
  'do_syscall_64',
  'ksys_read',
  'vfs_read',
  'tcp_recvmsg',
  'copy_user_generic',
  'schedule',
  '__fget_light',
];

/** 5 to 60 frames, a third of the stacks ending in the kernel; leaf first. */
function createStack(random: Random, files: readonly MappingModel[]): LocationModel[] {
  const stack: LocationModel[] = [];
  if (random.chance(0.33)) {
    for (let index = random.between(2, 6); index > 0; index--) {
      stack.push({
        mapping: { name: 'vmlinux', start: 0n, limit: 0n, offset: 0n },
        address: 0n,
        lines: [{ function: random.pick(kernelNames) }],
        attributes: new Map([['profile.frame.type', 'kernel']]),
      });
    }
  }
  for (let index = random.between(5, 60); index > 0; index--) {
    const file = random.pick(files);
    stack.push({
      mapping: file,
      address: file.start + (random.uint64() % (file.limit - file.start)),
      lines: [],
      attributes: new Map([['profile.frame.type', 'native']]),
    });
  }
  return stack;
}

function createMessage(random: Random, processes: readonly ProcessState[], start: bigint, options: LoadOptions): LoadMessage {
  const perProcess = Math.ceil(options.eventsPerMessage / processes.length);
  const resources = processes.map((process): ResourceModel => {
    return {
      attributes: process.attributes,
      scope: { name: 'flamelake.agent', version: '1' },
      profiles: [createProfile(random, process, start, perProcess, options)],
    };
  });
  const body = toBinary(ProfilesDataSchema, create(ProfilesDataSchema, toTables({ resources }, { references: false, duplicates: false })));
  return { body, events: perProcess * processes.length };
}

function createProfile(random: Random, process: ProcessState, start: bigint, events: number, options: LoadOptions): ProfileModel {
  const samples = new Map<string, { stack: readonly LocationModel[]; attributes: Attributes; timestamps: bigint[] }>();
  for (let event = 0; event < events; event++) {
    const isNew = random.chance(options.newStacks);
    // The square makes low indices, the hot stacks, frequent.
    const index = isNew ? process.stacks.length : Math.floor((random.uint32() / 2 ** 32) ** 2 * process.stacks.length);
    const stack = isNew ? createStack(random, process.files) : process.stacks[index]!;
    const thread = random.below(process.threads.length);
    const cpu = random.below(8);
    const key = isNew ? `new ${event}` : `${index} ${thread} ${cpu}`;
    const known = samples.get(key) ?? { stack, attributes: threadAttributes(process.threads[thread]!, cpu), timestamps: [] };
    known.timestamps.push(start + (random.uint64() % windowNanos));
    samples.set(key, known);
  }
  return {
    type: ['samples', 'count'],
    periodType: ['cpu', 'nanoseconds'],
    period: periodNanos,
    timeNanos: start,
    durationNanos: windowNanos,
    attributes: new Map(),
    samples: [...samples.values()].map((sample): SampleModel => ({ ...sample, values: [] })),
  };
}

function threadAttributes([id, name]: readonly [number, string], cpu: number): Attributes {
  return new Map<string, Value>([
    ['thread.id', BigInt(id)],
    ['thread.name', name],
    ['cpu.logical_number', BigInt(cpu)],
  ]);
}

/** Messages until at least so many events are there. */
export function takeEvents(load: Generator<LoadMessage>, events: number): LoadMessage[] {
  const messages: LoadMessage[] = [];
  for (let sum = 0; sum < events; sum += messages.at(-1)!.events) messages.push(load.next().value as LoadMessage);
  return messages;
}

export function describeMessages(messages: readonly LoadMessage[]): string {
  const events = messages.reduce((sum, message) => sum + message.events, 0);
  const bytes = messages.reduce((sum, message) => sum + message.body.length, 0);
  return `${events.toLocaleString('en')} samples in ${messages.length} messages, ${(bytes / 1e6).toFixed(1)} MB of OTLP (${(bytes / events).toFixed(0)} B a sample)`;
}

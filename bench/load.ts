// OTLP as hosts really send it, made from a seed: services, each with processes, threads and stacks of
// which few are hot; one message for each host and five seconds, timestamps only, written by the agent's
// own writer. Three inputs have names (docs/measurements.md). No message repeats another.
import { agentScopeName } from '../schemas/otlp/attributes.ts';
import { type AttributeValue, ProfilesWriter, type SampleEntry } from '../schemas/otlp/writer.ts';
import { createRandom, type Random } from '../test/otlp/random.ts';
import { createFile, createKernel, createProgram, createStack, type Kernel, type Place, type Program, type Runtime, skewed } from './load-programs.ts';

export interface LoadOptions {
  readonly seed: number;
  readonly hosts: number;
  readonly processesPerHost: number;
  /** Programs that the processes of all hosts run. */
  readonly services: number;
  readonly cpusPerHost: number;
  /** Different stacks of each service's program that come again and again. */
  readonly stacksPerProcess: number;
  /** Share of events with a stack never seen before. */
  readonly newStacks: number;
  /** Frames in user space. */
  readonly depth: readonly [least: number, most: number];
  /** Processes live for one message, have no service name, and run one of two native programs. */
  readonly isCompiling: boolean;
  /** Share of samples with a link to a span. */
  readonly linked: number;
  /** Events in one message. */
  readonly eventsPerMessage: number;
  readonly startMillis: number;
}

export type LoadShape = Omit<LoadOptions, 'seed' | 'startMillis'>;

/** One large server: 32 CPUs, 60 % busy, 20 samples a second. */
export const steadyServer: LoadShape = {
  hosts: 1,
  processesPerHost: 24,
  services: 12,
  cpusPerHost: 32,
  stacksPerProcess: 400,
  newStacks: 0.05,
  depth: [5, 40],
  isCompiling: false,
  linked: 0,
  eventsPerMessage: 1_920,
};

export const loads = {
  'steady-server': steadyServer,
  // All of 20 CPUs on compilers: deep stacks that hardly repeat, and processes that are gone in seconds.
  'compile-farm': {
    ...steadyServer,
    cpusPerHost: 20,
    processesPerHost: 60,
    services: 2,
    newStacks: 0.6,
    depth: [15, 80],
    isCompiling: true,
    eventsPerMessage: 2_000,
  },
  // 16 CPUs each, 30 % busy.
  '24-hosts': { ...steadyServer, hosts: 24, services: 60, cpusPerHost: 16, eventsPerMessage: 480 },
} as const satisfies Readonly<Record<string, LoadShape>>;

export type LoadName = keyof typeof loads;

export interface LoadMessage {
  readonly body: Uint8Array;
  readonly events: number;
}

const windowNanos = 5_000_000_000;
const periodNanos = 50_000_000n;
const schemaUrl = 'https://opentelemetry.io/schemas/1.37.0';
const runtimes: readonly Runtime[] = ['native', 'native', 'cpython', 'native', 'jvm', 'native'];

interface Service {
  readonly program: Program;
  /** Hottest first. */
  readonly stacks: readonly (readonly Place[])[];
}

interface ProcessState {
  readonly attributes: ReadonlyMap<string, AttributeValue>;
  readonly service: Service;
  readonly threads: readonly (readonly [id: number, name: string])[];
}

interface World {
  readonly random: Random;
  readonly options: LoadOptions;
  readonly kernel: Kernel;
  readonly services: readonly Service[];
}

export function* generateLoad(options: LoadOptions): Generator<LoadMessage> {
  const random = createRandom(options.seed);
  const kernel = createKernel(random);
  const libraries = Array.from({ length: 30 }, (_, index) => createFile(random, `lib${index}.so.1`));
  const services = Array.from({ length: options.services }, (_, index): Service => {
    const name = options.isCompiling ? ['cc1plus', 'ld'][index % 2]! : `service-${index}`;
    const runtime = options.isCompiling ? 'native' : runtimes[index % runtimes.length]!;
    const program = createProgram(random, { name, runtime, functions: 800, depth: options.depth, libraries });
    return { program, stacks: Array.from({ length: options.stacksPerProcess }, () => createWhole(random, kernel, program)) };
  });
  const world: World = { random, options, kernel, services };
  const createHost = (host: number) => Array.from({ length: options.processesPerHost }, (_, index) => createProcess(world, host, index));
  const hosts = Array.from({ length: options.hosts }, (_, host) => createHost(host));
  for (let message = 0; ; message++) {
    const host = message % options.hosts;
    const start = BigInt(options.startMillis) * 1_000_000n + BigInt(Math.floor(message / options.hosts)) * BigInt(windowNanos);
    yield createMessage(world, options.isCompiling ? createHost(host) : hosts[host]!, { number: message, start, host });
  }
}

/** A third of all stacks end in the kernel. */
function createWhole(random: Random, kernel: Kernel, program: Program): Place[] {
  const user = createStack(random, program);
  return random.chance(0.33) ? [...random.pick(kernel.paths), ...user] : user;
}

function createProcess({ random, options, services }: World, host: number, index: number): ProcessState {
  const service = services[(host * 7 + index) % services.length]!;
  const { name } = service.program;
  const own: [string, AttributeValue][] = options.isCompiling
    ? [['process.executable.path', `/usr/lib/gcc/${name}`]]
    : [
        ['service.name', name],
        ['service.namespace', 'shop'],
        ['service.version', '2.4.1'],
        ['container.id', random.hex(64)],
        ['k8s.namespace.name', 'shop'],
        ['k8s.pod.name', `${name}-${random.hex(10)}`],
        ['process.executable.path', `/usr/local/bin/${name}`],
      ];
  const attributes = new Map<string, AttributeValue>([
    ['host.id', `host-id-${host}`],
    ['host.name', `node-${host}.internal`],
    ['host.arch', 'amd64'],
    ['os.type', 'linux'],
    ['process.pid', BigInt(random.between(300, 4_000_000))],
    ['process.executable.name', name],
    ...own,
  ]);
  const thread = (number: number) => [random.between(300, 4_000_000), number === 0 ? name.slice(0, 15) : `worker-${number}`] as const;
  return { attributes, service, threads: Array.from({ length: options.isCompiling ? 1 : 8 }, (_, number) => thread(number)) };
}

interface MessageOptions {
  readonly number: number;
  readonly start: bigint;
  readonly host: number;
}

interface MessageState extends MessageOptions {
  readonly writer: ProfilesWriter;
}

const header = (start: bigint) => ({
  sampleType: ['samples', 'count'] as const,
  period: { type: ['cpu', 'nanoseconds'] as const, value: periodNanos },
  timeNanos: start,
  durationNanos: BigInt(windowNanos),
});

function createMessage(world: World, processes: readonly ProcessState[], options: MessageOptions): LoadMessage {
  const state: MessageState = { ...options, writer: new ProfilesWriter(schemaUrl) };
  const perProcess = Math.ceil(world.options.eventsPerMessage / processes.length);
  const written = processes.map((process) => ({ process, samples: createSamples(world, process, state, perProcess) }));
  const scope = { name: agentScopeName, version: '1' };
  for (const { process, samples } of written) state.writer.addResource(process.attributes, scope, [{ header: header(state.start), samples }]);
  return { body: state.writer.finish(), events: perProcess * processes.length };
}

/** Events of one stack, thread and CPU are one sample, as the agent sends them. */
function createSamples({ random, options, kernel }: World, process: ProcessState, state: MessageState, events: number): SampleEntry[] {
  const samples = new Map<string, SampleEntry & { readonly timestampsNanos: bigint[] }>();
  const { stacks, program } = process.service;
  for (let event = 0; event < events; event++) {
    const isNew = random.chance(options.newStacks);
    const index = isNew ? -1 - event : skewed(random, stacks.length);
    const thread = skewed(random, process.threads.length);
    const cpu = random.below(options.cpusPerHost);
    const key = `${index} ${thread} ${cpu}`;
    let sample = samples.get(key);
    if (sample === undefined) {
      const stack = writeStack(state, isNew ? createWhole(random, kernel, program) : stacks[index]!);
      const link = random.chance(options.linked) ? state.writer.link(random.bytes(16), random.bytes(8)) : 0;
      sample = { stack, attributes: threadAttributes(state.writer, process.threads[thread]!, cpu), link, values: [], timestampsNanos: [] };
      samples.set(key, sample);
    }
    sample.timestampsNanos.push(state.start + BigInt(Math.floor((random.uint32() / 2 ** 32) * windowNanos)));
  }
  return [...samples.values()];
}

function threadAttributes(writer: ProfilesWriter, [id, name]: readonly [number, string], cpu: number): number[] {
  const attributes = [writer.attribute('thread.id', BigInt(id)), writer.attribute('thread.name', name), writer.attribute('cpu.logical_number', BigInt(cpu))];
  return attributes.sort((left, right) => left - right);
}

function writeStack(state: MessageState, places: readonly Place[]): number {
  return state.writer.stack(
    places.map((place) => {
      if (place.written.message !== state.number) place.written = { message: state.number, index: writePlace(state.writer, place) };
      return place.written.index;
    }),
  );
}

function writePlace(writer: ProfilesWriter, { file, address, type, line }: Place): number {
  const types = [writer.attribute('profile.frame.type', type)];
  const lines = line === null ? [] : [{ function: writer.function(line.function, '', line.file), line: line.line, column: 0n }];
  if (file === null) return writer.location(0, 0n, lines, types);
  const attributes = [writer.attribute('process.executable.build_id.gnu', file.buildId)];
  const mapping = writer.mapping({ memoryStart: 4096n, memoryLimit: BigInt(4096 + file.bytes), fileOffset: 4096n, fileName: file.name, attributes });
  return writer.location(mapping, address, lines, types);
}

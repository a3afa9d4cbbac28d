// Row messages of a fleet, made from a seed without OTLP before them, for lakes too large to be sent through
// a processor: services with a set of stacks each, of which few are hot and some new ones keep coming.
import { RowsBuilder } from '../schemas/rows/builder.ts';
import { encodeRows } from '../schemas/rows/codec.ts';
import { profilesTopic } from '../schemas/topics.ts';
import { createRandom, type Random } from '../test/otlp/random.ts';

export interface FleetOptions {
  readonly seed: number;
  readonly hosts: number;
  readonly services: number;
  readonly stacksPerService: number;
  /** Share of rows with a stack never seen before. */
  readonly newStacks: number;
  readonly rowsPerMessage: number;
  /** Time that one message covers; the log append time is its end. */
  readonly millisPerMessage: number;
  readonly startMillis: number;
}

export interface FleetMessage {
  readonly value: Uint8Array;
  readonly appendTimeMillis: number;
}

interface FleetStack {
  readonly id: string;
  readonly frames: readonly number[];
  /** Date under which it was sent last. */
  sentDate: number;
}

interface Process {
  readonly host: number;
  readonly pid: bigint;
  readonly threads: readonly bigint[];
}

interface FleetService {
  readonly name: string;
  readonly idPart: string;
  readonly functions: readonly string[];
  readonly stacks: FleetStack[];
  readonly processes: readonly Process[];
}

const millisPerDay = 86_400_000;
const periodNanos = 50_000_000n;
const processesPerService = 4;
const threadsPerProcess = 8;
const functionsPerService = 2_000;

export function* generateFleet(options: FleetOptions): Generator<FleetMessage> {
  const random = createRandom(options.seed);
  const services = Array.from({ length: options.services }, (_, index) => createService(random, index, options));
  for (let message = 0; ; message++) {
    const start = options.startMillis + message * options.millisPerMessage;
    yield createMessage(random, services, message, start, options);
  }
}

function createService(random: Random, index: number, options: FleetOptions): FleetService {
  const service: FleetService = {
    name: `service-${index}`,
    idPart: random.hex(8),
    functions: Array.from({ length: functionsPerService }, (_, number) => `shop::module_${number % 97}::handler_${random.hex(6)}`),
    stacks: [],
    processes: Array.from({ length: processesPerService }, () => ({
      host: random.below(options.hosts),
      pid: BigInt(random.between(300, 4_000_000)),
      threads: Array.from({ length: threadsPerProcess }, () => BigInt(random.between(300, 4_000_000))),
    })),
  };
  for (let stack = 0; stack < options.stacksPerService; stack++) service.stacks.push(createStack(random, service));
  return service;
}

/** Calls fan out from a few roots, so that stacks share their lower frames. */
function createStack(random: Random, service: FleetService): FleetStack {
  const depth = random.between(5, 40);
  let place = random.below(4);
  const frames: number[] = [];
  for (let level = 0; level < depth; level++) {
    frames.push(place);
    place = (place * 3 + random.below(level < 8 ? 2 : 5) + 1) % functionsPerService;
  }
  return { id: service.idPart + random.hex(24), frames: frames.reverse(), sentDate: -1 };
}

function createMessage(random: Random, services: readonly FleetService[], message: number, startMillis: number, options: FleetOptions): FleetMessage {
  const appendTimeMillis = startMillis + options.millisPerMessage;
  const builder = new RowsBuilder({ logId: 'bench', topic: profilesTopic, partition: 0, shard: 0, routing: 1 });
  builder.beginSegment(message, appendTimeMillis);
  builder.beginProfile(random.hex(32));
  const type = builder.type('cpu', 'nanoseconds');
  const resources = new Map<Process, number>();
  for (let row = 0; row < options.rowsPerMessage; row++) {
    const service = services[random.below(services.length)]!;
    const process = random.pick(service.processes);
    let resource = resources.get(process);
    if (resource === undefined) {
      const host = { host_id: `host-id-${process.host}`, host_name: `node-${process.host}.internal` };
      const strings = { service_name: service.name, service_namespace: 'shop', process_executable_name: service.name, ...host };
      resource = builder.addResource({ strings, processPid: process.pid });
      resources.set(process, resource);
    }
    const timeMillis = startMillis + random.below(options.millisPerMessage);
    const stack = pickStack(random, service, options);
    sendStack(builder, service, stack, Math.floor(timeMillis / millisPerDay));
    const thread = random.below(threadsPerProcess);
    builder.addSample({
      time: BigInt(timeMillis) * 1000n + BigInt(random.below(1000)),
      value: periodNanos,
      count: 1n,
      type,
      stack: builder.stackId(stack.id),
      resource,
      threadId: process.threads[thread]!,
      threadName: builder.string(thread === 0 ? 'main' : `worker-${thread}`),
      cpuLogicalNumber: random.below(16),
    });
  }
  builder.endProfile();
  builder.endSegment();
  return { value: encodeRows(builder.build(message - 1, message)), appendTimeMillis };
}

function pickStack(random: Random, service: FleetService, options: FleetOptions): FleetStack {
  if (random.chance(options.newStacks)) return createStack(random, service);
  // The square makes low indices, the hot stacks, frequent.
  return service.stacks[Math.floor((random.uint32() / 2 ** 32) ** 2 * service.stacks.length)]!;
}

/** Once under each date, as a processor does. */
function sendStack(builder: RowsBuilder, service: FleetService, stack: FleetStack, date: number): void {
  if (stack.sentDate === date) return;
  stack.sentDate = date;
  const frames = stack.frames.map((frame) => ({
    function: service.functions[frame]!,
    type: 'native',
    mapping: `/usr/bin/${service.name}`,
    address: BigInt(0x1000 + 64 * frame),
  }));
  builder.addStack({ id: stack.id, date, serviceName: service.name }, frames);
}

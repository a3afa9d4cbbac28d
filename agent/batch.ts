// A batch: what was sampled in a few seconds, as one OTLP message. One resource per process; samples of
// equal identity (stack, thread, CPU) share one entry with a timestamp each.
import { agentScopeName, lostFunctionName, lostReasonAttribute, lostSampleType } from '../schemas/otlp/attributes.ts';
import { type AttributeValue, type ProfileHeader, ProfilesWriter, type SampleEntry } from '../schemas/otlp/writer.ts';
import { type CutReason, type FrameSources, FrameWriter, type WrittenStack } from './frames.ts';
import type { LossReason } from './losses.ts';
import type { Process } from './processes.ts';
import type { RawStack } from './raw-stacks.ts';

/** Semantic conventions that the attribute names are of. */
const schemaUrl = 'https://opentelemetry.io/schemas/1.37.0';
const agentServiceName = 'flamelake-agent';

/** A resource without its attributes: tags and lengths, scope and schema URL twice, header of the profile. */
const resourceFrameBytes = 256;
/** Tag and length of a sample; its stack, three attributes by indices of up to four bytes; tag and length of its times. */
const sampleFrameBytes = 4 + 5 + 14 + 5;
const timestampBytes = 8;
/** Tags and lengths of an attribute, and a number as its value. */
const attributeFrameBytes = 24;

export interface BatchOptions {
  readonly sources: FrameSources;
  readonly hostAttributes: ReadonlyMap<string, string>;
  readonly agentVersion: string;
  /** What one sample stands for. */
  readonly periodNanos: number;
  readonly startNanos: bigint;
}

export interface ThreadSample {
  readonly process: Process;
  readonly tid: number;
  readonly threadName: string;
  readonly cpu: number;
  /** Wall clock, nanoseconds since the Unix epoch. */
  readonly timeNanos: bigint;
  readonly stackId: bigint;
  readonly stack: RawStack;
}

interface SampleGroup {
  readonly stack: number;
  readonly attributes: readonly number[];
  readonly timestampsNanos: bigint[];
}

interface Resource {
  readonly attributes: Process['attributes'];
  readonly groups: Map<string, SampleGroup>;
}

export class Batch {
  readonly #options: BatchOptions;
  readonly #writer = new ProfilesWriter(schemaUrl);
  readonly #frames: FrameWriter;
  /** By the content of the process's attributes as they were: an exec within a batch begins a resource of its own, what was read twice does not. */
  readonly #resources = new Map<string, Resource>();
  readonly #resourceOf = new Map<Process['attributes'], Resource>();
  readonly #stacks = new Map<bigint, WrittenStack>();
  #samples = 0;
  /** Of resources and samples, which are written at the end. */
  #bytesToCome = 0;
  #firstNanos: bigint;
  #lastNanos: bigint;

  constructor(options: BatchOptions) {
    this.#options = options;
    this.#frames = new FrameWriter(this.#writer, options.sources);
    this.#firstNanos = options.startNanos;
    this.#lastNanos = options.startNanos;
  }

  get samples(): number {
    return this.#samples;
  }

  /** What the message will take, and a little more. */
  get bytes(): number {
    return this.#writer.bytes + this.#bytesToCome;
  }

  /** Why its stack does not reach its root; null where it does. */
  add(sample: ThreadSample, nowMillis: number): CutReason | null {
    let stack = this.#stacks.get(sample.stackId);
    if (stack === undefined || nowMillis > stack.validUntilMillis) {
      stack = this.#frames.stack(sample.stack, sample.process, nowMillis);
      this.#stacks.set(sample.stackId, stack);
    }
    const { groups } = this.#resourceOf.get(sample.process.attributes) ?? this.#newResource(sample.process.attributes);
    const key = `${stack.index} ${sample.tid} ${sample.cpu} ${sample.threadName}`;
    let group = groups.get(key);
    if (group === undefined) {
      group = { stack: stack.index, attributes: this.#sampleAttributes(sample), timestampsNanos: [] };
      groups.set(key, group);
      this.#bytesToCome += sampleFrameBytes;
    }
    group.timestampsNanos.push(sample.timeNanos);
    this.#bytesToCome += timestampBytes;
    this.#samples++;
    this.#cover(sample.timeNanos);
    return stack.cut;
  }

  /** The message; the batch is done afterwards. Null where there is nothing to say. */
  finish(endNanos: bigint, losses: ReadonlyMap<LossReason, number>): Uint8Array | null {
    if (this.#samples === 0 && losses.size === 0) return null;
    this.#cover(endNanos);
    const times = { timeNanos: this.#firstNanos, durationNanos: this.#lastNanos - this.#firstNanos + 1n };
    const { periodNanos, hostAttributes, agentVersion } = this.#options;
    const header: ProfileHeader = { sampleType: ['samples', 'count'], period: { type: ['cpu', 'nanoseconds'], value: BigInt(periodNanos) }, ...times };
    const scope = { name: agentScopeName, version: agentVersion };
    for (const { attributes, groups } of this.#resources.values()) {
      const samples = [...groups.values()].map((group): SampleEntry => ({ ...group, link: 0, values: [] }));
      this.#writer.addResource(merged(hostAttributes, attributes), scope, [{ header, samples }]);
    }
    if (losses.size > 0) {
      const own = new Map<string, AttributeValue>([
        ['service.name', agentServiceName],
        ['process.pid', BigInt(process.pid)],
      ]);
      const lost: ProfileHeader = { sampleType: lostSampleType, period: null, ...times };
      this.#writer.addResource(merged(hostAttributes, own), scope, [
        { header: lost, samples: [...losses].map(([reason, count]) => this.#lostSample(reason, count, endNanos)) },
      ]);
    }
    return this.#writer.finish();
  }

  #newResource(attributes: Process['attributes']): Resource {
    const content = JSON.stringify([...attributes].sort(), (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
    let resource = this.#resources.get(content);
    if (resource === undefined) {
      resource = { attributes, groups: new Map() };
      this.#resources.set(content, resource);
      this.#bytesToCome += resourceFrameBytes + bytesOf(this.#options.hostAttributes) + bytesOf(attributes);
    }
    this.#resourceOf.set(attributes, resource);
    return resource;
  }

  #cover(nanos: bigint): void {
    if (nanos < this.#firstNanos) this.#firstNanos = nanos;
    if (nanos > this.#lastNanos) this.#lastNanos = nanos;
  }

  #sampleAttributes({ tid, threadName, cpu }: ThreadSample): number[] {
    const attributes = [this.#writer.attribute('thread.id', BigInt(tid)), this.#writer.attribute('cpu.logical_number', BigInt(cpu))];
    if (threadName !== '') attributes.push(this.#writer.attribute('thread.name', threadName));
    return attributes.sort((a, b) => a - b);
  }

  #lostSample(reason: LossReason, count: number, atNanos: bigint): SampleEntry {
    const name = this.#writer.function(lostFunctionName(reason), '', '');
    const location = this.#writer.location(0, 0n, [{ function: name, line: 0n, column: 0n }], []);
    const attributes = [this.#writer.attribute(lostReasonAttribute, reason)];
    return { stack: this.#writer.stack([location]), attributes, link: 0, values: [BigInt(count)], timestampsNanos: [atNanos] };
  }
}

function bytesOf(attributes: ReadonlyMap<string, AttributeValue>): number {
  let bytes = 0;
  for (const [key, value] of attributes) bytes += attributeFrameBytes + Buffer.byteLength(key) + (typeof value === 'string' ? Buffer.byteLength(value) : 0);
  return bytes;
}

/** The process's own word wins over the host's. */
function merged(host: ReadonlyMap<string, string>, own: ReadonlyMap<string, AttributeValue>): Map<string, AttributeValue> {
  return new Map<string, AttributeValue>([...host, ...own]);
}

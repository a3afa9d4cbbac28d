// What the processor's tests share: a log and a lake of their own, small OTLP messages, and what an
// exporter would keep of the rows.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import type { Meter } from '@opentelemetry/api';
import type { Log, LogRecord } from '../lib/log/log.ts';
import { openLog } from '../lib/log/open.ts';
import { createLogger, type Logger } from '../lib/logger.ts';
import { createMetricRegistry, type Metric } from '../lib/metrics.ts';
import type { KeyValueSchema } from '../schemas/otlp/gen/opentelemetry/proto/common/v1/common_pb.ts';
import {
  type FunctionSchema,
  type KeyValueAndUnitSchema,
  type LinkSchema,
  type LocationSchema,
  type MappingSchema,
  type ProfileSchema,
  ProfilesDataSchema,
  type SampleSchema,
  type StackSchema,
} from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { encodeProfilesData } from '../schemas/otlp/testing.ts';
import { decodeRows } from '../schemas/rows/codec.ts';
import type { RowsMessage, Segment } from '../schemas/rows/message.ts';
import { rowsTopic } from '../schemas/topics.ts';

export interface TestHost {
  readonly logger: Logger;
  readonly meter: Meter;
  readonly lines: string[];
  collect(): Promise<Metric[]>;
}

export function testHost(): TestHost {
  const lines: string[] = [];
  const { meter, collect } = createMetricRegistry();
  return { logger: createLogger({ name: 'processor', level: 'debug', format: 'text', write: (line) => lines.push(line) }), meter, lines, collect };
}

/** Sum of a metric, over the points with this label where one is given. */
export function metricSum(metrics: readonly Metric[], name: string, label?: Readonly<Record<string, string>>): number {
  const points = metrics.find((metric) => metric.name === `flamelake.processor.${name}`)?.points ?? [];
  const matches = points.filter(({ labels }) => Object.entries(label ?? {}).every(([key, value]) => labels[key] === value));
  return matches.reduce((sum, { value }) => sum + (value as number), 0);
}

export class TestPlace {
  readonly directory = mkdtempSync(join(tmpdir(), 'flamelake-processor-'));
  readonly logUrl = pathToFileURL(join(this.directory, 'log')).href;
  readonly storeUrl = pathToFileURL(join(this.directory, 'lake')).href;
  readonly #logs: Log[] = [];

  async log(): Promise<Log> {
    const log = await openLog(this.logUrl);
    this.#logs.push(log);
    return log;
  }

  async remove(): Promise<void> {
    await Promise.all(this.#logs.map((log) => log.close()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** All records of a partition that are still there. */
export async function readAll(log: Log, topic: string, partition = 0): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  let { start } = await log.range(topic, partition);
  for (;;) {
    const read = await log.read(topic, partition, start, { bytesMax: 1 << 26, waitMillis: 0 });
    if (read.records.length === 0) return records;
    records.push(...read.records);
    start = read.next;
  }
}

export async function readRowMessages(log: Log, shard = 0): Promise<RowsMessage[]> {
  return (await readAll(log, rowsTopic, shard)).map(({ value }) => decodeRows(value));
}

export interface KeptSegment {
  readonly message: RowsMessage;
  readonly segment: Segment;
}

/** What an exporter keeps of a shard's messages: segments above its high water. Throws where it would see a gap. */
export function keptSegments(messages: readonly RowsMessage[]): KeptSegment[] {
  const kept: KeptSegment[] = [];
  const high = new Map<string, number>();
  for (const message of messages) {
    const source = `${message.logId}/${message.topic}/${message.partition}`;
    const before = high.get(source);
    if (before !== undefined && message.from > before) throw new Error(`a gap: from ${message.from}, high water ${before}`);
    for (const segment of message.segments) if (segment.offset > (before ?? -1)) kept.push({ message, segment });
    high.set(source, Math.max(before ?? -1, message.to));
  }
  return kept;
}

/** Ids of stacks that samples of these segments use for a date and no segment up to them has: must be none. */
export function danglingStacks(kept: readonly KeptSegment[]): string[] {
  const known = new Set<string>();
  const dangling: string[] = [];
  for (const { message, segment } of kept) {
    for (let stack = segment.stackStart; stack < segment.stackEnd; stack++) {
      known.add(`${message.stacks.date[stack]} ${message.stackIds[message.stacks.id[stack]!]}`);
    }
    for (let row = segment.rowStart; row < segment.rowEnd; row++) {
      const date = Number(message.samples.time[row]! / 86_400_000_000n);
      const key = `${date} ${message.stackIds[message.samples.stack[row]!]}`;
      if (!known.has(key)) dangling.push(key);
    }
  }
  return dangling;
}

const nanos = 1_000_000n;

export interface SmallMessage {
  readonly service?: string;
  readonly pid?: number;
  /** Function names, leaf first, of each sample's stack. */
  readonly stacks?: readonly (readonly string[])[];
  readonly timeMillis?: number;
  readonly events?: number;
}

/** On-CPU samples as our agent sends them: timestamps alone, 50 ms each. */
export function smallMessage(message: SmallMessage = {}): Uint8Array {
  const { service = 'shop', pid = 42, stacks = [['leaf', 'main']], timeMillis = Date.now(), events = 1 } = message;
  const names = [...new Set(stacks.flat())];
  const time = BigInt(timeMillis) * nanos;
  return message10({
    strings: ['', 'samples', 'count', 'cpu', 'nanoseconds', ...names],
    functions: names.map((_, index) => ({ nameStrindex: 5 + index })),
    locations: names.map((_, index) => ({ lines: [{ functionIndex: 1 + index, line: 7n }] })),
    stacks: stacks.map((frames) => ({ locationIndices: frames.map((name) => 1 + names.indexOf(name)) })),
    resource: [textAttribute('service.name', service), { key: 'process.pid', value: { value: { case: 'intValue', value: BigInt(pid) } } }],
    profiles: [
      {
        sampleType: { typeStrindex: 1, unitStrindex: 2 },
        periodType: { typeStrindex: 3, unitStrindex: 4 },
        period: 50_000_000n,
        timeUnixNano: time,
        durationNano: 5_000_000_000n,
        samples: stacks.map((_, index) => ({
          stackIndex: 1 + index,
          timestampsUnixNano: Array.from({ length: events }, (_, event) => time + BigInt(index * events + event) * nanos),
        })),
      },
    ],
  });
}

export function textAttribute(key: string, value: string): MessageInitShape<typeof KeyValueSchema> {
  return { key, value: { value: { case: 'stringValue', value } } };
}

/** What create() takes, without finished messages: those can't be spread. */
export type Init<Schema extends DescMessage> = Exclude<MessageInitShape<Schema>, { $typeName: string }>;
export type Profile = Init<typeof ProfileSchema>;
export type Sample = Init<typeof SampleSchema>;

export interface Parts {
  readonly strings: string[];
  readonly mappings?: Init<typeof MappingSchema>[];
  readonly locations?: Init<typeof LocationSchema>[];
  readonly functions?: Init<typeof FunctionSchema>[];
  readonly links?: Init<typeof LinkSchema>[];
  readonly attributes?: Init<typeof KeyValueAndUnitSchema>[];
  readonly stacks?: Init<typeof StackSchema>[];
  readonly resource?: MessageInitShape<typeof KeyValueSchema>[];
  readonly scope?: { readonly name: string; readonly attributes?: MessageInitShape<typeof KeyValueSchema>[] };
  readonly profiles: Profile[];
}

/** One resource with one scope; entry 0 of each table but the strings is added. */
export function message10(parts: Parts): Uint8Array {
  const data = create(ProfilesDataSchema, {
    dictionary: {
      stringTable: parts.strings,
      mappingTable: [{}, ...(parts.mappings ?? [])],
      locationTable: [{}, ...(parts.locations ?? [])],
      functionTable: [{}, ...(parts.functions ?? [])],
      linkTable: [{}, ...(parts.links ?? [])],
      attributeTable: [{}, ...(parts.attributes ?? [])],
      stackTable: [{}, ...(parts.stacks ?? [])],
    },
    resourceProfiles: [
      {
        resource: { attributes: parts.resource ?? [] },
        scopeProfiles: [{ ...(parts.scope ? { scope: { name: parts.scope.name, attributes: parts.scope.attributes ?? [] } } : {}), profiles: parts.profiles }],
      },
    ],
  });
  return encodeProfilesData(data);
}

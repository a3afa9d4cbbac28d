// For the exporter's tests: row messages with every kind of value, and the rows that a lake made of
// them must hold, as plain objects that any reader's answer can be compared with.

import { type FrameRow, RowsBuilder } from '../schemas/rows/builder.ts';
import { encodeRows } from '../schemas/rows/codec.ts';
import type { ResourceStringColumn, RowsMessage } from '../schemas/rows/message.ts';

export type PlainMap = Readonly<Record<string, string>>;

export interface PlainStack {
  readonly id: string;
  readonly serviceName?: string;
  readonly cut?: string;
  readonly frames: readonly FrameRow[];
}

export interface PlainSample {
  readonly time: bigint;
  readonly value: bigint;
  readonly count?: bigint;
  readonly weight?: number;
  readonly duration?: bigint;
  readonly type?: string;
  readonly unit?: string;
  readonly stack: PlainStack;
  readonly resource: Readonly<Partial<Record<ResourceStringColumn, string>>> & { readonly service_name: string };
  readonly processPid?: bigint;
  readonly resourceAttributes?: PlainMap;
  readonly attributes?: PlainMap;
  readonly link?: readonly [traceId: string, spanId: string, source: string];
  readonly scopeName?: string;
  readonly profileId?: string;
  readonly threadId?: bigint;
  readonly threadName?: string;
  readonly cpu?: number;
}

export interface PlainProfile {
  readonly digest: string;
  readonly samples: readonly PlainSample[];
}

export interface PlainSegment {
  readonly offset: number;
  readonly appendTimeMillis: number;
  readonly profiles: readonly PlainProfile[];
  /** Stacks sent along, each under the dates given. Default: all of the samples', under their dates. */
  readonly stacks?: readonly { readonly stack: PlainStack; readonly date: number }[];
}

export interface PlainMessage {
  readonly logId?: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly shard?: number;
  readonly from: number;
  readonly to: number;
  readonly segments: readonly PlainSegment[];
}

const microsPerDay = 86_400_000_000n;
export const dateOfMicros = (time: bigint): number => Number(time / microsPerDay);

export function rowsMessage(plain: PlainMessage): RowsMessage {
  const { logId = 'log-a', topic = 'otlp_profiles', partition = 0, shard = 0 } = plain;
  const builder = new RowsBuilder({ logId, topic, partition, shard, routing: 1 });
  for (const segment of plain.segments) {
    builder.beginSegment(segment.offset, segment.appendTimeMillis);
    for (const { stack, date } of segment.stacks ?? stacksOf(segment)) builder.addStack({ date, ...stack }, stack.frames);
    for (const profile of segment.profiles) {
      builder.beginProfile(profile.digest);
      for (const sample of profile.samples) addSample(builder, sample);
      builder.endProfile();
    }
    builder.endSegment();
  }
  return builder.build(plain.from, plain.to);
}

export const encodedMessage = (plain: PlainMessage): Uint8Array => encodeRows(rowsMessage(plain));

function stacksOf(segment: PlainSegment): { stack: PlainStack; date: number }[] {
  const stacks = new Map<string, { stack: PlainStack; date: number }>();
  for (const { samples } of segment.profiles) {
    for (const { stack, time } of samples) stacks.set(`${stack.id} ${dateOfMicros(time)}`, { stack, date: dateOfMicros(time) });
  }
  return [...stacks.values()];
}

function addSample(builder: RowsBuilder, sample: PlainSample): void {
  const optional = <Name extends string, Value>(name: Name, value: Value | undefined) => (value === undefined ? {} : { [name]: value });
  builder.addSample({
    time: sample.time,
    value: sample.value,
    count: sample.count ?? 1n,
    type: builder.type(sample.type ?? 'cpu', sample.unit ?? 'nanoseconds'),
    stack: builder.stackId(sample.stack.id),
    resource: builder.addResource({
      strings: sample.resource,
      processPid: sample.processPid ?? null,
      attributes: builder.map(Object.entries(sample.resourceAttributes ?? {})),
    }),
    link: sample.link === undefined ? 0 : builder.link(...sample.link),
    scopeName: builder.string(sample.scopeName ?? ''),
    profileId: builder.string(sample.profileId ?? ''),
    threadName: builder.string(sample.threadName ?? ''),
    attributes: builder.map(Object.entries(sample.attributes ?? {})),
    ...optional('weight', sample.weight),
    ...optional('durationNanos', sample.duration),
    ...optional('threadId', sample.threadId),
    ...optional('cpuLogicalNumber', sample.cpu),
  });
}

/** The lake's row of a sample: column -> value, NULL as null, 64-bit integers as bigint, maps as sorted pairs. */
export function lakeSample(sample: PlainSample): Record<string, unknown> {
  const map = (entries: PlainMap | undefined) =>
    entries === undefined || Object.keys(entries).length === 0 ? null : Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1));
  const { resource } = sample;
  const [traceId, spanId, source] = sample.link ?? [null, null, null];
  return {
    time: sample.time,
    duration_ns: sample.duration ?? null,
    sample_type: sample.type ?? 'cpu',
    sample_unit: sample.unit ?? 'nanoseconds',
    value: sample.value,
    count: sample.count ?? 1n,
    weight: sample.weight ?? 1,
    stack_id: sample.stack.id,
    trace_id: traceId,
    span_id: spanId,
    link_source: source,
    ...Object.fromEntries(
      (
        [
          'service_name',
          'service_namespace',
          'service_instance_id',
          'service_version',
          'deployment_environment_name',
          'host_id',
          'host_name',
          'container_id',
          'container_name',
          'k8s_namespace_name',
          'k8s_pod_name',
          'k8s_container_name',
          'k8s_node_name',
          'k8s_deployment_name',
          'nomad_job_name',
          'nomad_task_name',
          'systemd_unit',
        ] as const
      ).map((name) => [name, resource[name] || null]),
    ),
    process_pid: sample.processPid ?? null,
    thread_id: sample.threadId ?? null,
    cpu_logical_number: sample.cpu ?? null,
    process_executable_name: resource.process_executable_name || null,
    process_executable_path: resource.process_executable_path || null,
    thread_name: sample.threadName || null,
    profile_id: sample.profileId || null,
    scope_name: sample.scopeName || null,
    resource_attributes: map(sample.resourceAttributes),
    attributes: map(sample.attributes),
  };
}

export function lakeStack(stack: PlainStack): Record<string, unknown> {
  return {
    stack_id: stack.id,
    service_name: stack.serviceName ?? null,
    frames: stack.frames.map((frame) => ({
      function: frame.function ?? null,
      system_name: frame.systemName ?? null,
      file: frame.file ?? null,
      line: frame.line ?? null,
      column: frame.column ?? null,
      inlined: frame.inlined ?? false,
      type: frame.type ?? null,
      mapping: frame.mapping ?? null,
      build_id: frame.buildId ?? null,
      address: frame.address === undefined ? null : `0x${frame.address.toString(16)}`,
    })),
    leaf_function: stack.frames[0]?.function ?? null,
    root_function: stack.frames.at(-1)?.function ?? null,
    depth: stack.frames.length,
    cut: stack.cut ?? null,
    unresolved: stack.frames.filter((frame) => frame.function === undefined).length,
  };
}

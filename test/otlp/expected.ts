// The rows that must lie in the lake for a model, by docs/lake.md alone: no code of the pipeline is
// used. Values are in the text form that every engine's rows are brought into before they are compared
// (test/engines): integers as decimal text, times as microseconds, maps as sorted pairs.
import type { Attributes, LocationModel, MappingModel, MessageModel, ProfileModel, ResourceModel, SampleModel, Value } from './model.ts';
import { identity } from './tables.ts';

export type CellText = string | null;
export type MapText = readonly (readonly [string, string])[] | null;

export interface FrameText {
  readonly function: CellText;
  readonly system_name: CellText;
  readonly file: CellText;
  readonly line: CellText;
  readonly column: CellText;
  readonly inlined: boolean;
  readonly type: CellText;
  readonly mapping: CellText;
  readonly build_id: CellText;
  readonly address: CellText;
}

export interface StackText {
  readonly service_name: string;
  readonly frames: readonly FrameText[];
  readonly leaf_function: CellText;
  readonly root_function: CellText;
  readonly depth: string;
  readonly cut: CellText;
  readonly unresolved: string;
}

export type SampleText = Readonly<Record<string, CellText | MapText>>;

export interface ExpectedRow {
  /** Every column but stack_id. `time` is null where it must be the log append time. */
  readonly sample: SampleText;
  readonly stack: StackText;
  /** Equal for rows that must have the same stack_id, different for others. */
  readonly stackKey: string;
  /** Equal where the first 8 digits of stack_id must be. */
  readonly serviceKey: string;
}

/** Attribute -> column, for resources. */
const resourceColumns = new Map<string, string>([
  ['service.name', 'service_name'],
  ['service.namespace', 'service_namespace'],
  ['service.instance.id', 'service_instance_id'],
  ['service.version', 'service_version'],
  ['deployment.environment.name', 'deployment_environment_name'],
  ['host.id', 'host_id'],
  ['host.name', 'host_name'],
  ['container.id', 'container_id'],
  ['container.name', 'container_name'],
  ['k8s.namespace.name', 'k8s_namespace_name'],
  ['k8s.pod.name', 'k8s_pod_name'],
  ['k8s.container.name', 'k8s_container_name'],
  ['k8s.node.name', 'k8s_node_name'],
  ['k8s.deployment.name', 'k8s_deployment_name'],
  ['nomad.job.name', 'nomad_job_name'],
  ['nomad.task.name', 'nomad_task_name'],
  ['systemd.unit', 'systemd_unit'],
  ['process.pid', 'process_pid'],
  ['process.executable.name', 'process_executable_name'],
  ['process.executable.path', 'process_executable_path'],
]);

/** Attribute -> column, for samples. The link source is ours (schemas/otlp/attributes.ts). */
const sampleAttributeColumns = new Map<string, string>([
  ['thread.id', 'thread_id'],
  ['thread.name', 'thread_name'],
  ['cpu.logical_number', 'cpu_logical_number'],
  ['flamelake.link.source', 'link_source'],
]);

const millisecond = 1_000_000n;
const hour = 3_600_000n * millisecond;
/** Times further from the log append time than this are not believed (docs/lake.md, time). */
const believed = { behind: 7n * 24n * hour, ahead: hour };

/** `sentMillis` stands for the log append time, which nobody knows before: keep times minutes off the bounds. */
export function expectedRows(message: MessageModel, sentMillis: number): ExpectedRow[] {
  return message.resources.flatMap((resource) =>
    resource.profiles.flatMap((profile) => profile.samples.flatMap((sample) => sampleRows(resource, profile, sample, BigInt(sentMillis) * millisecond))),
  );
}

function sampleRows(resource: ResourceModel, profile: ProfileModel, sample: SampleModel, sentNanos: bigint): ExpectedRow[] {
  const cells = { ...resourceCells(resource), ...profileCells(profile), ...sampleCells(profile, sample), ...linkCells(sample) };
  const serviceName = cells.service_name ?? standInName(cells, sample);
  const shared: SampleText = { ...cells, service_name: serviceName };
  const locations = sample.stack.map((location) => inFile(location, resource.scope?.name ?? ''));
  const stack = stackText(serviceName, locations);
  const serviceKey = identity([shared.service_namespace, serviceName]);
  const stackKey = identity([serviceKey, stack.cut, locations.filter((location) => cutReason(location) === null).map(identityOfLocation)]);
  return events(profile, sample).map(({ timeNanos, ...cells }) => ({
    sample: { ...shared, ...cells, ...timeCells(timeNanos, sentNanos, shared.attributes as MapText) },
    stack,
    stackKey,
    serviceKey,
  }));
}

interface Event {
  readonly timeNanos: bigint;
  readonly duration_ns: CellText;
  readonly value: CellText;
  readonly count: CellText;
}

/** One event a timestamp; without timestamps one for the sample. */
function events(profile: ProfileModel, sample: SampleModel): Event[] {
  const isCpuCount = profile.type.join('/') === 'samples/count' && profile.periodType?.join('/') === 'cpu/nanoseconds';
  const scale = isCpuCount ? profile.period : 1n;
  if (sample.timestamps.length > 0) {
    return sample.timestamps.map((time, index) => ({
      timeNanos: time,
      duration_ns: null,
      value: String((sample.values[index] ?? 1n) * scale),
      count: '1',
    }));
  }
  const [value] = sample.values;
  if (value === undefined || sample.values.length > 1) throw new Error('a sample without timestamps has one value');
  return [
    {
      timeNanos: profile.timeNanos,
      duration_ns: String(profile.durationNanos),
      value: String(value * scale),
      count: profile.type[1] === 'count' ? String(value) : '1',
    },
  ];
}

/** A time that is not believed stays in the attributes, to the nanosecond. */
function timeCells(timeNanos: bigint, sentNanos: bigint, attributes: MapText): SampleText {
  if (timeNanos >= sentNanos - believed.behind && timeNanos <= sentNanos + believed.ahead) return { time: String(timeNanos / 1000n) };
  const seconds = new Date(Number(timeNanos / millisecond)).toISOString().slice(0, 19);
  const original = `${seconds}.${String(timeNanos % 1_000_000_000n).padStart(9, '0')}Z`;
  return { time: null, attributes: sortedMap([...(attributes ?? []), ['flamelake.time_original', original]]) };
}

/** A task without memory of its own has a number and kernel frames, and nothing else is known of it. */
function standInName(cells: Readonly<Record<string, CellText | MapText>>, sample: SampleModel): string {
  if (cells.process_executable_name) return `unknown_service:${cells.process_executable_name}`;
  const frames = sample.stack.filter((location) => cutReason(location) === null);
  const isKernel = frames.length > 0 && frames.every((location) => location.attributes.get('profile.frame.type') === 'kernel');
  return isKernel && cells.process_pid && !cells.process_executable_path ? 'kernel' : 'unknown_service';
}

/**
 * Our agent and the opentelemetry-ebpf-profiler send addresses of the file. Others send those of the
 * process; they are brought back to the file by the mapping that they lie in.
 */
function inFile(location: LocationModel, scopeName: string): LocationModel {
  const { mapping, address } = location;
  const isOfFile = scopeName === 'flamelake.agent' || scopeName.endsWith('ebpf-profiler');
  if (!mapping || isOfFile || mapping.start === mapping.offset || address < mapping.start || address >= mapping.limit) return location;
  return { ...location, address: address - mapping.start + mapping.offset };
}

function resourceCells(resource: ResourceModel): Record<string, CellText | MapText> & { service_name?: CellText } {
  return {
    ...columnCells(resource.attributes, resourceColumns),
    scope_name: resource.scope?.name || null,
    resource_attributes: mapText(resource.attributes, resourceColumns),
  };
}

function profileCells(profile: ProfileModel): SampleText {
  const isCpuCount = profile.type.join('/') === 'samples/count' && profile.periodType?.join('/') === 'cpu/nanoseconds';
  return {
    sample_type: isCpuCount ? 'cpu' : profile.type[0],
    sample_unit: isCpuCount ? 'nanoseconds' : profile.type[1],
    weight: '1',
    profile_id: profile.profileId?.some((byte) => byte !== 0) ? Buffer.from(profile.profileId).toString('hex') : null,
  };
}

function sampleCells(profile: ProfileModel, sample: SampleModel): SampleText {
  const attributes = new Map([...profile.attributes, ...sample.attributes]);
  return { ...columnCells(attributes, sampleAttributeColumns), attributes: mapText(attributes, sampleAttributeColumns) };
}

function linkCells(sample: SampleModel): SampleText {
  const link = sample.link;
  const isSet = link?.traceId.some((byte) => byte !== 0);
  if (!link || !isSet) return { trace_id: null, span_id: null, link_source: null };
  const source = sample.attributes.get('flamelake.link.source');
  return {
    trace_id: Buffer.from(link.traceId).toString('hex'),
    span_id: Buffer.from(link.spanId).toString('hex'),
    link_source: typeof source === 'string' ? source : 'otlp',
  };
}

function columnCells(attributes: Attributes, columns: ReadonlyMap<string, string>): Record<string, CellText> {
  return Object.fromEntries(
    [...columns].map(([key, column]) => {
      const value = attributes.get(key);
      return [column, value === undefined || value === '' ? null : valueText(value)];
    }),
  );
}

/** All that has no column, sorted by key; null where nothing is left. */
function mapText(attributes: Attributes, columns: ReadonlyMap<string, string>): MapText {
  const entries = [...attributes].filter(([key]) => !columns.has(key)).map(([key, value]) => [key, valueText(value)] as const);
  return entries.length === 0 ? null : sortedMap(entries);
}

function sortedMap(entries: readonly (readonly [string, string])[]): MapText {
  return entries.toSorted(([left], [right]) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
}

/** As OpenTelemetry says for systems without such types: base64 for bytes, JSON for lists and maps. */
export function valueText(value: Value): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return doubleText(value);
  if (value === null) return '';
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return nestedText(value);
}

function nestedText(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return Number.isFinite(value) ? doubleText(value) : JSON.stringify(doubleText(value));
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString('base64'));
  if (value instanceof Map) return `{${[...(value as Attributes)].map(([key, inner]) => `${JSON.stringify(key)}:${nestedText(inner)}`).join(',')}}`;
  return `[${(value as readonly Value[]).map(nestedText).join(',')}]`;
}

const doubleText = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

function stackText(serviceName: string, locations: readonly LocationModel[]): StackText {
  const cut = locations.map(cutReason).find((reason) => reason !== null) ?? null;
  const frames = locations.filter((location) => cutReason(location) === null).flatMap(frameTexts);
  return {
    service_name: serviceName,
    frames,
    leaf_function: frames[0]?.function ?? null,
    root_function: frames.at(-1)?.function ?? null,
    depth: String(frames.length),
    cut,
    unresolved: String(frames.filter((frame) => frame.function === null).length),
  };
}

/** Our agent marks a cut on a location of its own; others with the frame type abort-marker. */
function cutReason(location: LocationModel): string | null {
  const reason = location.attributes.get('flamelake.stack.cut');
  if (typeof reason === 'string') return reason;
  return location.attributes.get('profile.frame.type') === 'abort-marker' ? 'abort-marker' : null;
}

function frameTexts(location: LocationModel): FrameText[] {
  const type = location.attributes.get('profile.frame.type');
  const shared = {
    type: typeof type === 'string' && type !== '' ? type : null,
    mapping: location.mapping?.name || null,
    build_id: location.mapping ? buildId(location.mapping) : null,
    // Without a build id an address means nothing to anybody else.
    address: location.address === 0n || !location.mapping || buildId(location.mapping) === null ? null : `0x${location.address.toString(16)}`,
  };
  const lines = location.lines.length > 0 ? location.lines : [{ function: '', systemName: '' }];
  return lines.map((line, index) => ({
    // A function of which only the linker's name is known is shown by it.
    function: line.function || line.systemName || null,
    system_name: line.systemName || null,
    file: line.file || null,
    line: line.line ? String(line.line) : null,
    column: line.column ? String(line.column) : null,
    inlined: index < lines.length - 1,
    ...shared,
  }));
}

function buildId(mapping: MappingModel): string | null {
  return mapping.gnu ?? mapping.go ?? mapping.htlhash ?? null;
}

/** What a stack id is made of (docs/lake.md, stack ids). */
function identityOfLocation(location: LocationModel): unknown {
  const [frame] = frameTexts(location);
  const names = location.lines.map((line) => [line.function || (line.systemName ?? ''), line.file, String(line.line ?? 0n)]);
  if (frame?.build_id) return [frame.build_id, frame.address, names.map(([name]) => name)];
  return [frame?.type, frame?.mapping, names];
}

// From attributes to the lake's resource columns: which name has a column, what stands in for a missing
// service name, and what becomes text in the MAPs.
import { type ResourceStringColumn, resourceStringColumns } from '../schemas/rows/message.ts';
import type { Attribute, AttributeValue } from './attribute-values.ts';
import { valueText } from './attribute-values.ts';

/** Attribute -> column, for all string columns of a resource. */
const stringColumns: ReadonlyMap<string, ResourceStringColumn> = new Map([
  // OpenTelemetry's names have dots where the columns have underscores.
  ...resourceStringColumns.map((column) => [otelName(column), column] as const),
  // Names of others for the same: OpenTelemetry's own before 1.27, and the Collector's systemd receiver's.
  ['deployment.environment', 'deployment_environment_name'],
  ['systemd.unit.name', 'systemd_unit'],
]);
const substitutes: ReadonlySet<string> = new Set(['deployment.environment', 'systemd.unit.name']);
/** A name that counts only where the standard one is missing. */
export const isSubstitute = (key: string): boolean => substitutes.has(key);
export const pidAttribute = 'process.pid';

function otelName(column: ResourceStringColumn): string {
  const exceptions: Partial<Record<ResourceStringColumn, string>> = { systemd_unit: 'systemd.unit' };
  return exceptions[column] ?? column.replaceAll('_', '.');
}

export function resourceColumnOf(key: string): ResourceStringColumn | null {
  return stringColumns.get(key) ?? null;
}

/** A resource with its columns sorted out; samples may override columns of it. */
export interface Resource {
  readonly strings: Readonly<Partial<Record<ResourceStringColumn, string>>>;
  readonly processPid: bigint | null;
  /** What has no column. */
  readonly rest: readonly (readonly [string, string])[];
}

export function resourceOf(attributes: readonly Attribute[]): Resource {
  const strings: Partial<Record<ResourceStringColumn, string>> = {};
  const rest: [string, string][] = [];
  const kept = new Map(attributes);
  let processPid: bigint | null = null;
  for (const [key, value] of kept) {
    const column = stringColumns.get(key);
    const text = valueText(value);
    const pid = key === pidAttribute ? integerOf(value) : null;
    if (pid !== null) processPid = pid;
    else if (column === undefined || (substitutes.has(key) && kept.has(otelName(column)))) rest.push([key, text]);
    // '' is no value: a column that says nothing is NULL.
    else if (text !== '') strings[column] = text;
  }
  return { strings, processPid, rest };
}

export type Overrides = readonly (readonly [column: ResourceStringColumn | typeof pidAttribute, value: string | bigint])[];

/** The resource as one sample sees it (OTLP 1.9 and Pyroscope put process.* and service.name on samples). */
export function overridden(resource: Resource, overrides: Overrides): Resource {
  const strings = { ...resource.strings };
  let { processPid } = resource;
  for (const [column, value] of overrides) {
    if (column === pidAttribute) processPid = value as bigint;
    else strings[column] = value as string;
  }
  return { ...resource, strings, processPid };
}

/**
 * service.name, or what stands for it. A task without memory of its own has a pid, but no executable and
 * none but kernel frames; all of them are one service, or `kworker/3:1` and its like would be thousands.
 */
export function serviceNameOf({ strings, processPid }: Resource, isKernelStack: boolean): string {
  if (strings.service_name !== undefined) return strings.service_name;
  if (strings.process_executable_name !== undefined) return `unknown_service:${strings.process_executable_name}`;
  if (isKernelStack && processPid !== null && strings.process_executable_path === undefined) return 'kernel';
  return 'unknown_service';
}

const int64Max = 2n ** 63n - 1n;

/** An integer, also where its sender wrote it as text; null for anything else, which then has no integer column. */
export function integerOf(value: AttributeValue): bigint | null {
  if (typeof value === 'bigint') return value;
  if (typeof value !== 'string' || !/^-?\d{1,19}$/.test(value)) return null;
  const integer = BigInt(value);
  return integer > int64Max || integer < -int64Max ? null : integer;
}

// What top, flame graphs and labels are asked for, checked once and made into a WHERE clause with
// bound values.
import { PipelineError } from '../lib/errors.ts';
import { limits } from './limits.ts';
import type { TimeRange } from './snapshot.ts';

export interface Filter {
  /** Half-open: from <= time < to. */
  readonly fromMillis: number;
  readonly toMillis: number;
  readonly service?: string | undefined;
  /** Executable name, or a pid in digits. */
  readonly process?: string | undefined;
  /** host.name, or host.id. */
  readonly host?: string | undefined;
  /** sample_type; `cpu` where none is given. */
  readonly type?: string | undefined;
}

export const defaultType = 'cpu';

export const filterFields = ['service', 'process', 'host', 'type'] as const;
export type FilterField = (typeof filterFields)[number];

/** JavaScript's dates end there; the lake's do long before. */
const millisMax = 8_640_000_000_000_000;

export function checkFilter(filter: Filter): void {
  for (const name of ['fromMillis', 'toMillis'] as const) {
    if (!Number.isSafeInteger(filter[name]) || Math.abs(filter[name]) > millisMax)
      refuse(`${name} is ${String(filter[name])}, expected milliseconds since 1970`);
  }
  if (filter.fromMillis >= filter.toMillis) {
    refuse(`the time range is empty: from ${new Date(filter.fromMillis).toISOString()} is not before to ${new Date(filter.toMillis).toISOString()}`);
  }
  for (const field of filterFields) {
    const value = filter[field];
    if (value !== undefined && value.length > limits.filterCharsMax)
      refuse(`${field} has ${value.length} characters, at most ${limits.filterCharsMax} are taken`);
  }
}

function refuse(message: string): never {
  throw new PipelineError('query_failed', message, { context: { reason: 'refused' } });
}

export const filterRange = (filter: Filter): TimeRange => ({ fromMillis: filter.fromMillis, toMillis: filter.toMillis });

const conditions: Record<FilterField, string> = {
  service: 'service_name = $service',
  process: "(process_executable_name = $process OR (regexp_full_match($process, '[0-9]{1,18}') AND process_pid = TRY_CAST($process AS BIGINT)))",
  host: '(host_name = $host OR host_id = $host)',
  type: 'sample_type = $type',
};

/** The time range is the view's own. `without` leaves one field out (the values of its own selector). */
export function filterWhere(filter: Filter, without?: FilterField): { where: string; values: Record<string, string> } {
  const given = filterFields.filter((field) => field !== without && filter[field] !== undefined);
  return {
    where: given.length === 0 ? '' : `WHERE ${given.map((field) => conditions[field]).join(' AND ')}`,
    values: Object.fromEntries(given.map((field) => [field, filter[field]!])),
  };
}

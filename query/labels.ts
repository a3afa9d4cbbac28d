// What can be chosen in a time range: hosts, services, processes and types with their weight. Each
// list is made under the other fields of the filter, so that every choice that is offered has samples.
import type { Session } from './engine.ts';
import { defaultType, type Filter, type FilterField, filterFields, filterWhere } from './filter.ts';
import { limits } from './limits.ts';
import type { SampleSource } from './source.ts';

export interface Label {
  readonly value: string;
  readonly samples: number;
}

export interface TypeLabel extends Label {
  readonly unit: string;
}

export interface Labels {
  /** Heaviest first. */
  readonly hosts: readonly Label[];
  readonly services: readonly Label[];
  readonly processes: readonly Label[];
  readonly types: readonly TypeLabel[];
}

const columns: Record<FilterField, string> = {
  host: 'coalesce(host_name, host_id)',
  service: 'service_name',
  process: 'process_executable_name',
  type: 'sample_type',
};

export async function readLabels(session: Session, samples: SampleSource, filter: Filter): Promise<Labels> {
  const typed = { ...filter, type: filter.type ?? defaultType };
  const lists: Partial<Record<FilterField, TypeLabel[]>> = {};
  for (const field of filterFields) {
    const { where, values } = filterWhere(typed, field);
    const rows = await session.rows(
      `SELECT ${columns[field]} AS label, sum(events) AS samples, any_value(sample_unit) AS unit FROM ${samples} ${where}
        GROUP BY label HAVING label IS NOT NULL ORDER BY samples DESC, label LIMIT ${limits.labelsMax}`,
      values,
    );
    lists[field] = rows.map(([value, samples, unit]) => ({ value: String(value), samples: Number(samples), unit: String(unit) }));
  }
  const plain = (list: readonly TypeLabel[]): Label[] => list.map(({ value, samples }) => ({ value, samples }));
  return { hosts: plain(lists.host!), services: plain(lists.service!), processes: plain(lists.process!), types: lists.type! };
}

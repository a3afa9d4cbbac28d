// Which entries of the dictionary are there twice, and which are used by nobody. Strings that only
// resources and scopes refer to are used too (the group's own tool does not count those).
import type { AnyValue, KeyValue } from '../../schemas/otlp/gen/opentelemetry/proto/common/v1/common_pb.ts';
import type { ProfilesData, ProfilesDictionary } from '../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import type { Report } from './profcheck.ts';

const tables = ['mappingTable', 'locationTable', 'functionTable', 'linkTable', 'stringTable', 'attributeTable', 'stackTable'] as const;
type Table = (typeof tables)[number];

const protoName = (table: Table): string => table.replace('Table', '_table');

export function findDuplicates(dictionary: ProfilesDictionary, report: Report): void {
  for (const table of tables) {
    const seen = new Map<string, number>();
    dictionary[table].forEach((entry, index) => {
      const key = entryKey(table, entry);
      const first = seen.get(key);
      if (first !== undefined) report(`${protoName(table)}[${index}]`, `the same as [${first}]`);
      else seen.set(key, index);
    });
  }
}

/** Sets of attributes are equal in any order. */
function entryKey(table: Table, entry: ProfilesDictionary[Table][number]): string {
  return JSON.stringify(entry, (key, value: unknown) => {
    if (key === 'attributeIndices') return (value as number[]).toSorted((left, right) => left - right);
    if (typeof value === 'bigint') return `${value}n`;
    if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
    return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
  }).concat(table);
}

export function findOrphans(data: ProfilesData, dictionary: ProfilesDictionary, report: Report): void {
  const used = Object.fromEntries(tables.map((table) => [table, new Set([0])])) as Record<Table, Set<number>>;
  useFromProfiles(data, used);
  // From the outside inwards: each table before those that it refers to.
  const each = <T extends Table>(table: T, visit: (entry: ProfilesDictionary[T][number]) => void) => {
    dictionary[table].forEach((entry: ProfilesDictionary[T][number], index: number) => {
      if (used[table].has(index)) visit(entry);
    });
  };
  const useAttributes = (indices: readonly number[]) => {
    for (const index of indices) used.attributeTable.add(index);
  };
  each('stackTable', (stack) => {
    for (const index of stack.locationIndices) used.locationTable.add(index);
  });
  each('locationTable', (location) => {
    used.mappingTable.add(location.mappingIndex);
    useAttributes(location.attributeIndices);
    for (const line of location.lines) used.functionTable.add(line.functionIndex);
  });
  each('mappingTable', (mapping) => {
    used.stringTable.add(mapping.filenameStrindex);
    useAttributes(mapping.attributeIndices);
  });
  each('functionTable', (entry) => {
    for (const index of [entry.nameStrindex, entry.systemNameStrindex, entry.filenameStrindex]) used.stringTable.add(index);
  });
  each('attributeTable', (attribute) => {
    used.stringTable.add(attribute.keyStrindex).add(attribute.unitStrindex);
    useFromValue(attribute.value, used.stringTable);
  });
  for (const table of tables) {
    dictionary[table].forEach((_, index) => {
      if (!used[table].has(index)) report(`${protoName(table)}[${index}]`, 'nobody refers to it');
    });
  }
}

function useFromProfiles(data: ProfilesData, used: Record<Table, Set<number>>): void {
  for (const { resource, scopeProfiles } of data.resourceProfiles) {
    useFromKeyValues(resource?.attributes ?? [], used.stringTable);
    for (const { scope, profiles } of scopeProfiles) {
      useFromKeyValues(scope?.attributes ?? [], used.stringTable);
      for (const profile of profiles) {
        for (const type of [profile.sampleType, profile.periodType]) used.stringTable.add(type?.typeStrindex ?? 0).add(type?.unitStrindex ?? 0);
        for (const index of profile.attributeIndices) used.attributeTable.add(index);
        for (const sample of profile.samples) {
          used.stackTable.add(sample.stackIndex);
          used.linkTable.add(sample.linkIndex);
          for (const index of sample.attributeIndices) used.attributeTable.add(index);
        }
      }
    }
  }
}

function useFromKeyValues(attributes: readonly KeyValue[], strings: Set<number>): void {
  for (const attribute of attributes) {
    strings.add(attribute.keyStrindex);
    useFromValue(attribute.value, strings);
  }
}

function useFromValue(value: AnyValue | undefined, strings: Set<number>): void {
  if (value?.value.case === 'stringValueStrindex') strings.add(value.value.value);
  if (value?.value.case === 'arrayValue') for (const element of value.value.value.values) useFromValue(element, strings);
  if (value?.value.case === 'kvlistValue') useFromKeyValues(value.value.value.values, strings);
}

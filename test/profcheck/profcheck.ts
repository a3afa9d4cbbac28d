// What OpenTelemetry's profiling group demands of a message (its tool is called profcheck), and more:
// every table is checked for entries twice and for entries that nobody uses, and the conventions for
// mappings, frames and functions. Each violation is one line: where, what was found, what is demanded.
import type { AnyValue, KeyValue } from '../../schemas/otlp/gen/opentelemetry/proto/common/v1/common_pb.ts';
import type {
  Location,
  Mapping,
  Profile,
  ProfilesData,
  ProfilesDictionary,
  Sample,
  ValueType,
} from '../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { findDuplicates, findOrphans } from './references.ts';

export type Report = (place: string, found: string) => void;

export function profcheck(data: ProfilesData): string[] {
  const violations: string[] = [];
  const report: Report = (place, found) => violations.push(`${place}: ${found}`);
  const dictionary = data.dictionary;
  if (dictionary === undefined) return ['dictionary: missing'];
  checkZeroEntries(dictionary, report);
  checkTables(dictionary, report);
  if (data.resourceProfiles.length === 0) report('resource_profiles', 'none');
  data.resourceProfiles.forEach((resourceProfiles, index) => {
    const place = `resource_profiles[${index}]`;
    checkKeyValues(resourceProfiles.resource?.attributes ?? [], dictionary, `${place}.resource`, report);
    if (resourceProfiles.scopeProfiles.length === 0) report(place, 'no scope_profiles');
    resourceProfiles.scopeProfiles.forEach((scopeProfiles, scopeIndex) => {
      const scopePlace = `${place}.scope_profiles[${scopeIndex}]`;
      checkKeyValues(scopeProfiles.scope?.attributes ?? [], dictionary, `${scopePlace}.scope`, report);
      if (scopeProfiles.profiles.length === 0) report(scopePlace, 'no profiles');
      scopeProfiles.profiles.forEach((profile, profileIndex) => {
        checkProfile(profile, dictionary, `${scopePlace}.profiles[${profileIndex}]`, report);
      });
    });
  });
  findDuplicates(dictionary, report);
  findOrphans(data, dictionary, report);
  return violations;
}

/** Index 0 of each table stands for "none", so its entry must be empty. */
function checkZeroEntries(dictionary: ProfilesDictionary, report: Report): void {
  const [mapping] = dictionary.mappingTable;
  const [location] = dictionary.locationTable;
  const [entry] = dictionary.functionTable;
  const [link] = dictionary.linkTable;
  const [attribute] = dictionary.attributeTable;
  const [stack] = dictionary.stackTable;
  const demand = (table: string, isZero: boolean) => {
    if (!isZero) report(`${table}[0]`, 'missing or not the zero value');
  };
  demand('mapping_table', mapping !== undefined && !mapping.memoryStart && !mapping.memoryLimit && !mapping.fileOffset && !mapping.filenameStrindex);
  demand('mapping_table', mapping?.attributeIndices.length === 0);
  demand('location_table', location !== undefined && !location.mappingIndex && !location.address && location.lines.length === 0);
  demand('location_table', location?.attributeIndices.length === 0);
  demand('function_table', entry !== undefined && !entry.nameStrindex && !entry.systemNameStrindex && !entry.filenameStrindex && !entry.startLine);
  // The protocol's text would rather have 16 and 8 zeros, the group's tool refuses them: nothing suits both.
  demand('link_table', link !== undefined && link.traceId.length === 0 && link.spanId.length === 0);
  demand('string_table', dictionary.stringTable[0] === '');
  demand('attribute_table', attribute !== undefined && !attribute.keyStrindex && !attribute.unitStrindex && attribute.value?.value.case === undefined);
  demand('stack_table', stack?.locationIndices.length === 0);
}

function checkTables(dictionary: ProfilesDictionary, report: Report): void {
  const strings = dictionary.stringTable.length;
  dictionary.mappingTable.forEach((mapping, index) => {
    checkMapping(mapping, index, dictionary, report);
  });
  dictionary.locationTable.forEach((location, index) => {
    checkLocation(location, index, dictionary, report);
  });
  dictionary.functionTable.forEach((entry, index) => {
    const place = `function_table[${index}]`;
    checkIndex(entry.nameStrindex, strings, `${place}.name_strindex`, report);
    checkIndex(entry.systemNameStrindex, strings, `${place}.system_name_strindex`, report);
    checkIndex(entry.filenameStrindex, strings, `${place}.filename_strindex`, report);
    if (entry.startLine < 0n) report(`${place}.start_line`, `${entry.startLine}, expected 0 or more`);
    if (index > 0 && !entry.nameStrindex && !entry.systemNameStrindex && !entry.filenameStrindex) report(place, 'no name, system name or file name');
  });
  dictionary.linkTable.slice(1).forEach((link, index) => {
    if (link.traceId.length !== 16) report(`link_table[${index + 1}].trace_id`, `${link.traceId.length} bytes, expected 16`);
    if (link.spanId.length !== 8) report(`link_table[${index + 1}].span_id`, `${link.spanId.length} bytes, expected 8`);
  });
  dictionary.attributeTable.forEach((attribute, index) => {
    const place = `attribute_table[${index}]`;
    checkIndex(attribute.keyStrindex, strings, `${place}.key_strindex`, report);
    checkIndex(attribute.unitStrindex, strings, `${place}.unit_strindex`, report);
    checkValue(attribute.value, dictionary, `${place}.value`, report);
    if (index > 0 && dictionary.stringTable[attribute.keyStrindex] === '') report(place, 'an empty key');
  });
  dictionary.stackTable.forEach((stack, index) => {
    stack.locationIndices.forEach((location, position) => {
      checkIndex(location, dictionary.locationTable.length, `stack_table[${index}].location_indices[${position}]`, report);
    });
  });
}

const buildIdKeys = ['process.executable.build_id.gnu', 'process.executable.build_id.go', 'process.executable.build_id.htlhash'];

function checkMapping(mapping: Mapping, index: number, dictionary: ProfilesDictionary, report: Report): void {
  const place = `mapping_table[${index}]`;
  checkIndex(mapping.filenameStrindex, dictionary.stringTable.length, `${place}.filename_strindex`, report);
  const keys = checkAttributes(mapping.attributeIndices, dictionary, place, report);
  const isUnset = mapping.memoryStart === 0n && mapping.memoryLimit === 0n;
  if (!isUnset && mapping.memoryStart >= mapping.memoryLimit) {
    report(place, `memory_start 0x${mapping.memoryStart.toString(16)} is not below memory_limit 0x${mapping.memoryLimit.toString(16)}`);
  }
  // A mapping with a range is a file's: what has no file (the kernel, [vdso], anonymous memory) says so
  // by its name and has no build id to give.
  const name = dictionary.stringTable[mapping.filenameStrindex] ?? '';
  const isFile = index > 0 && !isUnset && name !== '' && !/^(\[|\/\/anon|\/memfd:)/.test(name);
  if (isFile && !buildIdKeys.some((key) => keys.has(key))) report(place, `${JSON.stringify(name)} has no build id`);
}

function checkLocation(location: Location, index: number, dictionary: ProfilesDictionary, report: Report): void {
  const place = `location_table[${index}]`;
  checkIndex(location.mappingIndex, dictionary.mappingTable.length, `${place}.mapping_index`, report);
  checkAttributes(location.attributeIndices, dictionary, place, report);
  location.lines.forEach((line, position) => {
    checkIndex(line.functionIndex, dictionary.functionTable.length, `${place}.lines[${position}].function_index`, report);
    if (line.line < 0n || line.column < 0n) report(`${place}.lines[${position}]`, `line ${line.line}, column ${line.column}, expected 0 or more`);
  });
  const mapping = dictionary.mappingTable[location.mappingIndex];
  const hasRange = mapping !== undefined && mapping.memoryLimit > 0n;
  if (hasRange && (location.address < mapping.memoryStart || location.address > mapping.memoryLimit)) {
    const range = `[0x${mapping.memoryStart.toString(16)}, 0x${mapping.memoryLimit.toString(16)}]`;
    report(`${place}.address`, `0x${location.address.toString(16)} is outside its mapping ${range}`);
  }
}

function checkProfile(profile: Profile, dictionary: ProfilesDictionary, place: string, report: Report): void {
  checkAttributes(profile.attributeIndices, dictionary, place, report);
  checkValueType(profile.sampleType, dictionary, `${place}.sample_type`, report);
  if (profile.sampleType === undefined) report(`${place}.sample_type`, 'missing');
  if (profile.periodType !== undefined) checkValueType(profile.periodType, dictionary, `${place}.period_type`, report);
  if (profile.profileId.length !== 0 && profile.profileId.length !== 16) report(`${place}.profile_id`, `${profile.profileId.length} bytes, expected 16`);
  if (profile.originalPayload.length > 0 !== (profile.originalPayloadFormat !== '')) report(`${place}.original_payload`, 'payload and format go together');
  const shapesSeen = new Set<string>();
  const identities = new Set<string>();
  profile.samples.forEach((sample, index) => {
    checkSample(sample, profile, dictionary, `${place}.samples[${index}]`, report);
    shapesSeen.add(shapeOf(sample));
    const identity = JSON.stringify([sample.stackIndex, sample.attributeIndices.toSorted((left, right) => left - right), sample.linkIndex]);
    if (identities.has(identity)) report(`${place}.samples[${index}]`, 'stack, attributes and link are those of an earlier sample');
    identities.add(identity);
  });
  if (shapesSeen.size > 1) report(`${place}.samples`, `different shapes in one profile: ${[...shapesSeen].join(', ')}`);
}

function shapeOf(sample: Sample): string {
  if (sample.values.length === 0) return sample.timestampsUnixNano.length === 0 ? 'nothing' : 'timestamps';
  return sample.timestampsUnixNano.length === 0 ? 'values' : 'values and timestamps';
}

function checkSample(sample: Sample, profile: Profile, dictionary: ProfilesDictionary, place: string, report: Report): void {
  checkIndex(sample.stackIndex, dictionary.stackTable.length, `${place}.stack_index`, report);
  checkIndex(sample.linkIndex, dictionary.linkTable.length, `${place}.link_index`, report);
  checkAttributes(sample.attributeIndices, dictionary, place, report);
  const end = profile.timeUnixNano + profile.durationNano;
  for (const time of sample.timestampsUnixNano) {
    if (time < profile.timeUnixNano || time >= end) report(`${place}.timestamps_unix_nano`, `${time} is outside [${profile.timeUnixNano}, ${end})`);
  }
  const [values, times] = [sample.values.length, sample.timestampsUnixNano.length];
  if (values === 0 && times === 0) report(place, 'neither values nor timestamps');
  if (values > 0 && times > 0 && values !== times) report(place, `${values} values for ${times} timestamps`);
  if (values > 1 && times === 0) report(place, `${values} values without timestamps, expected one`);
}

function checkValueType(type: ValueType | undefined, dictionary: ProfilesDictionary, place: string, report: Report): void {
  checkIndex(type?.typeStrindex ?? 0, dictionary.stringTable.length, `${place}.type_strindex`, report);
  checkIndex(type?.unitStrindex ?? 0, dictionary.stringTable.length, `${place}.unit_strindex`, report);
}

/** Indices into attribute_table, no key twice. Gives the keys. */
function checkAttributes(indices: readonly number[], dictionary: ProfilesDictionary, place: string, report: Report): Set<string> {
  const keys = new Set<string>();
  indices.forEach((index, position) => {
    const here = `${place}.attribute_indices[${position}]`;
    if (!checkIndex(index, dictionary.attributeTable.length, here, report)) return;
    if (index === 0) report(here, '0 stands for no attribute');
    const key = dictionary.stringTable[dictionary.attributeTable[index]!.keyStrindex];
    if (key === undefined) return;
    if (keys.has(key)) report(here, `key ${JSON.stringify(key)} twice`);
    keys.add(key);
  });
  return keys;
}

function checkKeyValues(attributes: readonly KeyValue[], dictionary: ProfilesDictionary, place: string, report: Report): void {
  const keys = new Set<string>();
  attributes.forEach((attribute, position) => {
    const here = `${place}.attributes[${position}]`;
    if (!checkIndex(attribute.keyStrindex, dictionary.stringTable.length, `${here}.key_strindex`, report)) return;
    if (attribute.key !== '' && attribute.keyStrindex !== 0) report(here, 'both key and key_strindex');
    const key = attribute.key || dictionary.stringTable[attribute.keyStrindex]!;
    if (key === '') report(here, 'an empty key');
    if (keys.has(key)) report(here, `key ${JSON.stringify(key)} twice`);
    keys.add(key);
    checkValue(attribute.value, dictionary, here, report);
  });
}

function checkValue(value: AnyValue | undefined, dictionary: ProfilesDictionary, place: string, report: Report): void {
  switch (value?.value.case) {
    case 'stringValueStrindex':
      checkIndex(value.value.value, dictionary.stringTable.length, `${place}.string_value_strindex`, report);
      break;
    case 'arrayValue':
      for (const element of value.value.value.values) checkValue(element, dictionary, place, report);
      break;
    case 'kvlistValue':
      checkKeyValues(value.value.value.values, dictionary, place, report);
      break;
    default:
  }
}

function checkIndex(index: number, length: number, place: string, report: Report): boolean {
  const isInside = index >= 0 && index < length;
  if (!isInside) report(place, `${index} is outside a table of ${length}`);
  return isInside;
}

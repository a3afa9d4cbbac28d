// From a model to OTLP's form: the dictionary with its tables, and indices into them. encode.ts turns
// the result into bytes of either field layout, json.ts into JSON. The objects have the shape that
// @bufbuild/protobuf's create() takes, so that the tests can hold them against it.
import type { Attributes, LinkModel, LocationModel, MappingModel, MessageModel, ProfileModel, ResourceModel, SampleModel, TypeModel, Value } from './model.ts';

export interface TableOptions {
  /** Resource and nested attributes, keys and strings, as references into the string table (OTLP 1.10). */
  readonly references: boolean;
  /** Puts entries into the tables twice and uses them in turn: legal, and without meaning. */
  readonly duplicates: boolean;
}

export type WireValue =
  | { readonly case: 'stringValue'; readonly value: string }
  | { readonly case: 'boolValue'; readonly value: boolean }
  | { readonly case: 'intValue'; readonly value: bigint }
  | { readonly case: 'doubleValue'; readonly value: number }
  | { readonly case: 'arrayValue'; readonly value: { readonly values: WireAnyValue[] } }
  | { readonly case: 'kvlistValue'; readonly value: { readonly values: WireKeyValue[] } }
  | { readonly case: 'bytesValue'; readonly value: Uint8Array }
  | { readonly case: 'stringValueStrindex'; readonly value: number };

export interface WireAnyValue {
  readonly value: WireValue | { readonly case: undefined };
}

export interface WireKeyValue {
  readonly key: string;
  readonly keyStrindex: number;
  readonly value: WireAnyValue;
}

export interface WireValueType {
  readonly typeStrindex: number;
  readonly unitStrindex: number;
}

export interface WireDictionary {
  readonly mappingTable: {
    readonly memoryStart: bigint;
    readonly memoryLimit: bigint;
    readonly fileOffset: bigint;
    readonly filenameStrindex: number;
    readonly attributeIndices: number[];
  }[];
  readonly locationTable: {
    readonly mappingIndex: number;
    readonly address: bigint;
    readonly lines: { readonly functionIndex: number; readonly line: bigint; readonly column: bigint }[];
    readonly attributeIndices: number[];
  }[];
  readonly functionTable: {
    readonly nameStrindex: number;
    readonly systemNameStrindex: number;
    readonly filenameStrindex: number;
    readonly startLine: bigint;
  }[];
  readonly linkTable: { readonly traceId: Uint8Array; readonly spanId: Uint8Array }[];
  readonly stringTable: string[];
  readonly attributeTable: { readonly keyStrindex: number; readonly value?: WireAnyValue; readonly unitStrindex: number }[];
  readonly stackTable: { readonly locationIndices: number[] }[];
}

export interface WireSample {
  readonly stackIndex: number;
  readonly attributeIndices: number[];
  readonly linkIndex: number;
  readonly values: bigint[];
  readonly timestampsUnixNano: bigint[];
}

export interface WireProfile {
  readonly sampleType: WireValueType;
  readonly samples: WireSample[];
  readonly timeUnixNano: bigint;
  readonly durationNano: bigint;
  readonly periodType?: WireValueType;
  readonly period: bigint;
  readonly profileId: Uint8Array;
  readonly attributeIndices: number[];
}

export interface WireMessage {
  readonly resourceProfiles: {
    readonly resource: { readonly attributes: WireKeyValue[] };
    readonly scopeProfiles: {
      readonly scope?: { readonly name: string; readonly version: string };
      readonly profiles: WireProfile[];
    }[];
  }[];
  readonly dictionary: WireDictionary;
}

export function toTables(message: MessageModel, options: TableOptions): WireMessage {
  const tables = createTables(options);
  const resourceProfiles = message.resources.map((resource) => wireResource(resource, tables));
  return { resourceProfiles, dictionary: tables.dictionary };
}

interface Tables {
  readonly dictionary: WireDictionary;
  string(text: string): number;
  keyValues(attributes: Attributes): WireKeyValue[];
  attributes(attributes: Attributes): number[];
  stack(locations: readonly LocationModel[]): number;
  link(link: LinkModel): number;
}

function createTables(options: TableOptions): Tables {
  const dictionary: WireDictionary = {
    mappingTable: [{ memoryStart: 0n, memoryLimit: 0n, fileOffset: 0n, filenameStrindex: 0, attributeIndices: [] }],
    locationTable: [{ mappingIndex: 0, address: 0n, lines: [], attributeIndices: [] }],
    functionTable: [{ nameStrindex: 0, systemNameStrindex: 0, filenameStrindex: 0, startLine: 0n }],
    // Empty, or zeros in full length: senders do either.
    linkTable: [{ traceId: new Uint8Array(options.references ? 16 : 0), spanId: new Uint8Array(options.references ? 8 : 0) }],
    stringTable: [''],
    attributeTable: [{ keyStrindex: 0, unitStrindex: 0 }],
    stackTable: [{ locationIndices: [] }],
  };
  const strings = interner(dictionary.stringTable, options.duplicates);
  const attributeEntries = interner(dictionary.attributeTable, options.duplicates);
  const mappings = interner(dictionary.mappingTable, options.duplicates);
  const functions = interner(dictionary.functionTable, options.duplicates);
  const locations = interner(dictionary.locationTable, options.duplicates);
  const stacks = interner(dictionary.stackTable, options.duplicates);
  const links = interner(dictionary.linkTable, options.duplicates);

  const string = (text: string) => (text === '' ? 0 : strings(text, () => text));
  const anyValue = (value: Value): WireAnyValue => ({ value: wireValue(value) });
  const wireValue = (value: Value): WireAnyValue['value'] => {
    if (value === null) return { case: undefined };
    if (typeof value === 'string') {
      return options.references ? { case: 'stringValueStrindex', value: string(value) } : { case: 'stringValue', value };
    }
    if (typeof value === 'boolean') return { case: 'boolValue', value };
    if (typeof value === 'bigint') return { case: 'intValue', value };
    if (typeof value === 'number') return { case: 'doubleValue', value };
    if (value instanceof Uint8Array) return { case: 'bytesValue', value };
    if (value instanceof Map) return { case: 'kvlistValue', value: { values: keyValues(value as Attributes) } };
    return { case: 'arrayValue', value: { values: (value as readonly Value[]).map(anyValue) } };
  };
  const keyValues = (attributes: Attributes): WireKeyValue[] =>
    [...attributes].map(([key, value]) =>
      options.references ? { key: '', keyStrindex: string(key), value: anyValue(value) } : { key, keyStrindex: 0, value: anyValue(value) },
    );
  const attributeIndices = (attributes: Attributes): number[] =>
    [...attributes].map(([key, value]) =>
      attributeEntries(identity([key, value]), () => ({ keyStrindex: string(key), value: anyValue(value), unitStrindex: 0 })),
    );
  const mapping = (model: MappingModel | undefined): number =>
    model === undefined
      ? 0
      : mappings(keyOf(model), () => ({
          memoryStart: model.start,
          memoryLimit: model.limit,
          fileOffset: model.offset,
          filenameStrindex: string(model.name),
          attributeIndices: attributeIndices(buildIdAttributes(model)),
        }));
  const location = (model: LocationModel): number =>
    locations(keyOf(model), () => ({
      mappingIndex: mapping(model.mapping),
      address: model.address,
      lines: model.lines.map((line) => ({
        functionIndex: functions(identity([line.function, line.systemName, line.file, line.startLine]), () => ({
          nameStrindex: string(line.function),
          systemNameStrindex: string(line.systemName ?? ''),
          filenameStrindex: string(line.file ?? ''),
          startLine: line.startLine ?? 0n,
        })),
        line: line.line ?? 0n,
        column: line.column ?? 0n,
      })),
      attributeIndices: attributeIndices(model.attributes),
    }));
  return {
    dictionary,
    string,
    keyValues,
    attributes: attributeIndices,
    stack: (models) => (models.length === 0 ? 0 : stacks(keyOf(models), () => ({ locationIndices: models.map(location) }))),
    link: (model) => links(identity(model), () => ({ traceId: model.traceId, spanId: model.spanId })),
  };
}

/** Gives each value one index; with `duplicates` two, used in turn. */
function interner<Entry>(table: Entry[], duplicates: boolean): (key: string, make: () => Entry) => number {
  const seen = new Map<string, number[]>();
  return (key, make) => {
    const indices = seen.get(key) ?? [];
    seen.set(key, indices);
    if (indices.length < (duplicates ? 2 : 1)) {
      // Made first: an entry may put others before itself.
      const entry = make();
      indices.push(table.push(entry) - 1);
      return indices.at(-1)!;
    }
    const next = indices.shift()!;
    indices.push(next);
    return next;
  };
}

export function buildIdAttributes(mapping: MappingModel): Attributes {
  const entries: [string, Value][] = [];
  if (mapping.gnu !== undefined) entries.push(['process.executable.build_id.gnu', mapping.gnu]);
  if (mapping.go !== undefined) entries.push(['process.executable.build_id.go', mapping.go]);
  if (mapping.htlhash !== undefined) entries.push(['process.executable.build_id.htlhash', mapping.htlhash]);
  return new Map(entries);
}

const keys = new WeakMap<object, string>();
const numbers = new Map<string, number>();

/** identity() once for an object and short afterwards: big loads use the same stacks again and again. */
function keyOf(value: object): string {
  let key = keys.get(value);
  if (key === undefined) {
    const text = Array.isArray(value) ? value.map(keyOf).join() : identity(value);
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    key = String(number);
    keys.set(value, key);
  }
  return key;
}

/** Text that is the same for equal models, and differs for others. */
export function identity(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === 'bigint') return { int: inner.toString() };
    if (typeof inner === 'number') return { double: String(inner) };
    if (inner instanceof Map) return { map: [...inner] };
    if (inner instanceof Uint8Array) return { bytes: Buffer.from(inner).toString('hex') };
    return inner;
  });
}

function wireResource(resource: ResourceModel, tables: Tables): WireMessage['resourceProfiles'][number] {
  return {
    resource: { attributes: tables.keyValues(resource.attributes) },
    scopeProfiles: [
      {
        ...(resource.scope === undefined ? {} : { scope: resource.scope }),
        profiles: resource.profiles.map((profile) => wireProfile(profile, tables)),
      },
    ],
  };
}

function wireProfile(profile: ProfileModel, tables: Tables): WireProfile {
  const valueType = ([type, unit]: TypeModel): WireValueType => ({ typeStrindex: tables.string(type), unitStrindex: tables.string(unit) });
  return {
    sampleType: valueType(profile.type),
    samples: profile.samples.map((sample) => wireSample(sample, tables)),
    timeUnixNano: profile.timeNanos,
    durationNano: profile.durationNanos,
    ...(profile.periodType === undefined ? {} : { periodType: valueType(profile.periodType) }),
    period: profile.period,
    profileId: profile.profileId ?? new Uint8Array(0),
    attributeIndices: tables.attributes(profile.attributes),
  };
}

function wireSample(sample: SampleModel, tables: Tables): WireSample {
  return {
    stackIndex: tables.stack(sample.stack),
    attributeIndices: tables.attributes(sample.attributes),
    linkIndex: sample.link === undefined ? 0 : tables.link(sample.link),
    values: [...sample.values],
    timestampsUnixNano: [...sample.timestamps],
  };
}

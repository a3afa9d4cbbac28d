// OTLP/JSON of a message: protobuf's JSON mapping, but trace and span ids in hex. profile_id is base64
// by the specification; the Collector writes it in hex, so both are sent.
import type { WireAnyValue, WireKeyValue, WireMessage, WireValueType } from './tables.ts';

export interface JsonOptions {
  readonly profileId: 'base64' | 'hex';
  /** Names as in the .proto files (snake_case): allowed by the mapping, used by some senders. */
  readonly protoNames: boolean;
}

export const currentJson: JsonOptions = { profileId: 'base64', protoNames: false };

export function encodeJson(message: WireMessage, options: JsonOptions = currentJson): Uint8Array {
  const tree = {
    resourceProfiles: message.resourceProfiles.map(({ resource, scopeProfiles }) => ({
      resource: { attributes: resource.attributes.map(keyValue) },
      scopeProfiles: scopeProfiles.map(({ scope, profiles }) => ({
        scope,
        profiles: profiles.map((profile) => ({
          sampleType: valueType(profile.sampleType),
          samples: profile.samples.map((sample) => ({
            stackIndex: sample.stackIndex,
            attributeIndices: sample.attributeIndices,
            linkIndex: sample.linkIndex,
            values: sample.values.map(String),
            timestampsUnixNano: sample.timestampsUnixNano.map(String),
          })),
          timeUnixNano: String(profile.timeUnixNano),
          durationNano: String(profile.durationNano),
          periodType: profile.periodType && valueType(profile.periodType),
          period: String(profile.period),
          profileId: Buffer.from(profile.profileId).toString(options.profileId),
          attributeIndices: profile.attributeIndices,
        })),
      })),
    })),
    dictionary: dictionary(message.dictionary),
  };
  return Buffer.from(JSON.stringify(prune(options.protoNames ? snakeNames(tree) : tree)));
}

function dictionary(tables: WireMessage['dictionary']): unknown {
  return {
    ...tables,
    mappingTable: tables.mappingTable.map((mapping) => ({
      ...mapping,
      memoryStart: String(mapping.memoryStart),
      memoryLimit: String(mapping.memoryLimit),
      fileOffset: String(mapping.fileOffset),
    })),
    locationTable: tables.locationTable.map((location) => ({
      ...location,
      address: String(location.address),
      lines: location.lines.map((line) => ({ ...line, line: String(line.line), column: String(line.column) })),
    })),
    functionTable: tables.functionTable.map((entry) => ({ ...entry, startLine: String(entry.startLine) })),
    linkTable: tables.linkTable.map((link) => ({
      traceId: Buffer.from(link.traceId).toString('hex'),
      spanId: Buffer.from(link.spanId).toString('hex'),
    })),
    attributeTable: tables.attributeTable.map((attribute) => ({ ...attribute, value: attribute.value && anyValue(attribute.value) })),
  };
}

function valueType(type: WireValueType): unknown {
  return { typeStrindex: type.typeStrindex, unitStrindex: type.unitStrindex };
}

function keyValue(attribute: WireKeyValue): unknown {
  return { key: attribute.key, keyStrindex: attribute.keyStrindex, value: anyValue(attribute.value) };
}

/** `keep` marks the value of a oneof: it stays also where it is the default. */
const keep = Symbol('keep');

function anyValue({ value }: WireAnyValue): unknown {
  switch (value.case) {
    case undefined:
      return { [keep]: true };
    case 'intValue':
      return { intValue: String(value.value), [keep]: true };
    case 'bytesValue':
      return { bytesValue: Buffer.from(value.value).toString('base64'), [keep]: true };
    case 'arrayValue':
      return { arrayValue: { values: value.value.values.map(anyValue) }, [keep]: true };
    case 'kvlistValue':
      return { kvlistValue: { values: value.value.values.map(keyValue) }, [keep]: true };
    default:
      return { [value.case]: value.value, [keep]: true };
  }
}

/** Leaves out fields that hold their default, as senders do; entries of lists stay. */
function prune(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(prune);
  if (typeof value !== 'object' || value === null) return value;
  const kept = keep in value;
  const entries = Object.entries(value).map(([name, inner]) => [name, prune(inner)] as const);
  return Object.fromEntries(entries.filter(([, inner]) => kept || !isDefault(inner)));
}

function isDefault(value: unknown): boolean {
  return value === undefined || value === '' || value === '0' || value === 0 || (Array.isArray(value) && value.length === 0);
}

function snakeNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeNames);
  if (typeof value !== 'object' || value === null) return value;
  const renamed: Record<string | symbol, unknown> = Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), snakeNames(inner)]),
  );
  if (keep in value) renamed[keep] = true;
  return renamed;
}

// OTLP/JSON into protobuf: proto3's JSON mapping with OTLP's exceptions (ids in hex, unknown fields
// ignored). Field names in camelCase, and in the proto's spelling because Collectors take that too.
import { fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { PipelineError } from '../lib/errors.ts';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { jsonHeapBytesMax } from './limits.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Throws message_malformed with the place, or message_too_large for what would take too much memory. */
export function profilesFromJson(body: Uint8Array): Uint8Array {
  const heapBytes = jsonHeapBytes(body);
  if (heapBytes > jsonHeapBytesMax) {
    const mebibytes = (bytes: number): number => Math.ceil(bytes / 1024 ** 2);
    throw new PipelineError(
      'message_too_large',
      `OTLP JSON that takes about ${mebibytes(heapBytes)} MiB of memory to read, at most ${mebibytes(jsonHeapBytesMax)} are given; send it as protobuf, or in parts`,
    );
  }
  const json = parse(decodeText(body));
  if (!isObject(json)) throw malformed('', Array.isArray(json) ? 'an array' : json === null ? 'null' : `a ${typeof json}`, 'an object');
  hexIdsToBase64(json);
  try {
    return toBinary(ProfilesDataSchema, fromJson(ProfilesDataSchema, json, { ignoreUnknownFields: true }));
  } catch (error) {
    throw fieldError(error as Error);
  }
}

/** The library names message and field; its own words around them are not for a sender. */
function fieldError(error: Error): PipelineError {
  const [, place = '', found = error.message] = /^cannot decode \w+ (?:[a-z0-9]+\.)*(\w+(?:\.\w+)?) from JSON: (.*)$/s.exec(error.message) ?? [];
  return malformed(place, found, 'a field of ExportProfilesServiceRequest', error);
}

/**
 * What reading a body takes at most, before it is read: `{},` is 3 bytes, an object of 56 and a message
 * of ~250. Counts inside strings too, which makes it higher, not lower.
 */
export function jsonHeapBytes(body: Uint8Array): number {
  let objects = 0;
  let lists = 0;
  let values = 0;
  for (let index = 0; index < body.length; index++) {
    const byte = body[index]!;
    if (byte === 0x2c) values++;
    else if (byte === 0x7b) objects++;
    else if (byte === 0x5b) lists++;
  }
  // The text in UTF-16, and the message's strings and bytes.
  return 3 * body.length + 320 * objects + 64 * lists + 32 * values;
}

function decodeText(body: Uint8Array): string {
  try {
    return utf8.decode(body);
  } catch (error) {
    throw malformed('', 'bytes that are not UTF-8', 'UTF-8', error);
  }
}

// A number of 16 digits may not fit a double; JSON.parse would round it without a word.
const longNumber = /[\s:,[]-?\d{16}/;
/** A surrogate in an escape may lack its other half, and no UTF-8 can say that. */
const surrogateEscape = /\\u[dD][89a-fA-F]/;

function parse(text: string): JsonValue {
  try {
    const exact = longNumber.test(text);
    const wellFormed = surrogateEscape.test(text);
    if (!exact && !wellFormed) return JSON.parse(text);
    return JSON.parse(text, (_key, value, context?: { source?: string }) => {
      if (typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')) return context!.source;
      if (typeof value === 'string' && !value.isWellFormed()) throw new SyntaxError(`half a surrogate pair in ${JSON.stringify(value)}`);
      return value;
    });
  } catch (error) {
    throw malformed('', (error as Error).message, 'JSON', error);
  }
}

type JsonObject = { [key: string]: JsonValue };
const isObject = (value: JsonValue | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Trace and span ids are hex in OTLP/JSON, base64 in proto3's mapping. Of profile ids the specification
 * says nothing, so base64; Collectors write hex. What has a wrong shape is left for fromJson to refuse.
 */
function hexIdsToBase64(root: JsonObject): void {
  const dictionary = root.dictionary;
  if (isObject(dictionary)) {
    for (const [link, place] of objectsIn(dictionary, 'linkTable', 'link_table', 'dictionary')) {
      convertId(link, 'traceId', 'trace_id', place);
      convertId(link, 'spanId', 'span_id', place);
    }
  }
  for (const [resource, resourcePlace] of objectsIn(root, 'resourceProfiles', 'resource_profiles', '')) {
    for (const [scope, scopePlace] of objectsIn(resource, 'scopeProfiles', 'scope_profiles', resourcePlace)) {
      for (const [profile, place] of objectsIn(scope, 'profiles', 'profiles', scopePlace)) {
        const id = profile.profileId ?? profile.profile_id;
        if (typeof id === 'string' && !isBase64Of16(id)) convertId(profile, 'profileId', 'profile_id', place);
      }
    }
  }
}

/** With padding or without, in either alphabet: fromJson takes all of them. */
const isBase64Of16 = (text: string): boolean => /^[A-Za-z0-9+/_-]{22}(==)?$/.test(text);

function* objectsIn(parent: JsonObject, jsonName: string, protoName: string, place: string): Generator<[JsonObject, string]> {
  const list = parent[jsonName] ?? parent[protoName];
  if (!Array.isArray(list)) return;
  for (const [index, item] of list.entries()) if (isObject(item)) yield [item, `${place === '' ? '' : `${place}.`}${jsonName}[${index}]`];
}

function convertId(holder: JsonObject, jsonName: string, protoName: string, place: string): void {
  for (const name of [jsonName, protoName]) {
    const hex = holder[name];
    if (typeof hex !== 'string') continue;
    if (!/^([0-9a-fA-F]{2})*$/.test(hex)) throw malformed(`${place}.${jsonName}`, JSON.stringify(hex.slice(0, 40)), 'pairs of hex digits');
    holder[name] = Buffer.from(hex, 'hex').toString('base64');
  }
}

function malformed(place: string, found: string, expected: string, cause?: unknown): PipelineError {
  return new PipelineError('message_malformed', `OTLP JSON${place === '' ? '' : `, ${place}`}: found ${found}, expected ${expected}`, {
    cause,
    context: { place, found, expected },
  });
}

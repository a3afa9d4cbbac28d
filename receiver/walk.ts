// Says of the bytes of an ExportProfilesServiceRequest (= ProfilesData) whether a reader can rely on
// them, without building an object per field: lengths, tags, UTF-8, every index inside its table, counts.
// What breaks the wire form or the shared dictionary makes the whole message wrong and is thrown;
// what is wrong within one profile (or with its resource's references) rejects that profile alone.
//
// Three looks: the sizes of the dictionary's tables (it may lie behind the profiles), the dictionary,
// the profiles.
import { Uint32List } from '../lib/lists.ts';
import {
  closeWire,
  enter,
  enterSpan,
  leave,
  malformed,
  more,
  openWire,
  position,
  readBytes,
  readInt32,
  readTag,
  readText,
  readVarint64,
  skip,
} from '../lib/wire.ts';
import { type SampleLayout, sampleLayout } from '../schemas/otlp/layout.ts';
import { attributeEntriesMax, attributesMax, observationsMax, profilesMax, resourcesMax, samplesMax } from './limits.ts';
import { measureTables, noTables, walkDictionary } from './walk-dictionary.ts';
import {
  beginAttributes,
  inTable,
  once,
  passOther,
  readIndices,
  stray,
  strayIndex,
  strayString,
  type TableSizes,
  tooMany,
  walkKeyValue,
} from './walk-parts.ts';

/** A profile that cannot be taken. */
export interface RejectedProfile {
  readonly samples: number;
  /** Where in the message and what is wrong there. */
  readonly place: string;
  readonly problem: string;
}

export interface Walked {
  readonly layout: SampleLayout;
  readonly resources: number;
  /** All of them, the rejected ones included. */
  readonly profiles: number;
  readonly samples: number;
  /** Timestamps, or values where a sample has no timestamps. */
  readonly observations: number;
  readonly rejected: readonly RejectedProfile[];
  /**
   * The fields, tag and length included, to leave out so that nothing wrong is left: rejected profiles,
   * or the whole resource or scope whose own references lead nowhere. In the order of the bytes.
   */
  readonly cuts: readonly Span[];
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

interface Walk {
  readonly sizes: TableSizes;
  readonly layout: SampleLayout;
  /** Whether the message has a field of ours at all. */
  known: boolean;
  resources: number;
  scopes: number;
  profiles: number;
  samples: number;
  observations: number;
  attributeEntries: number;
  profileAttributes: number;
  /** Profiles of the present resource, good or bad. */
  present: PresentProfile[];
  readonly rejected: RejectedProfile[];
  readonly cuts: Span[];
}

interface PresentProfile {
  readonly samples: number;
  readonly place: string;
  problem: string | null;
}

export function walkProfiles(bytes: Uint8Array): Walked {
  const layout = sampleLayout(bytes);
  openWire(bytes);
  try {
    const walk: Walk = {
      sizes: findDictionary(),
      layout,
      known: false,
      resources: 0,
      scopes: 0,
      profiles: 0,
      samples: 0,
      observations: 0,
      attributeEntries: 0,
      profileAttributes: 0,
      present: [],
      rejected: [],
      cuts: [],
    };
    enterSpan(0, bytes.byteLength);
    walkResources(walk);
    // Text of the right letters reads as unknown fields from end to end.
    if (bytes.byteLength > 0 && !walk.known) throw malformed('no field of ProfilesData', 'resource_profiles', 0);
    const { resources, profiles, samples, observations, rejected, cuts } = walk;
    return { layout, resources, profiles, samples, observations, rejected, cuts };
  } finally {
    closeWire();
  }
}

function findDictionary(): TableSizes {
  let sizes = noTables();
  const stringLengths = new Uint32List(256);
  let found = false;
  let start = 0;
  let end = 0;
  while (more()) {
    const tag = readTag();
    if (tag !== 18) {
      skip(tag);
      continue;
    }
    found = once(found, 'dictionary');
    const outer = enter();
    start = position();
    sizes = measureTables(stringLengths);
    end = position();
    leave(outer);
  }
  beginAttributes(stringLengths.done());
  enterSpan(start, end - start);
  walkDictionary(sizes, () => enterSpan(start, end - start));
  return sizes;
}

const messageFields = ['', 'resource_profiles', 'dictionary'];

function walkResources(walk: Walk): void {
  while (more()) {
    const start = position();
    const tag = readTag();
    if (tag === 10 || tag === 18) walk.known = true;
    if (tag === 10) {
      walkResourceProfiles(walk, start);
      walk.resources++;
      if (walk.resources > resourcesMax) throw tooMany('resource_profiles', resourcesMax);
    } else if (tag === 18) skip(tag);
    else passOther(tag, 'ProfilesData', messageFields);
  }
}

const resourceProfilesFields = ['', 'resource', 'scope_profiles', 'schema_url'];

function walkResourceProfiles(walk: Walk, start: number): void {
  let resource = false;
  let problem: string | null = null;
  walk.present = [];
  walk.scopes = 0;
  const cutsBefore = walk.cuts.length;
  const outer = enter();
  while (more()) {
    const at = position();
    const tag = readTag();
    switch (tag) {
      case 10:
        resource = once(resource, 'ResourceProfiles.resource');
        problem = walkResource(walk);
        break;
      case 18:
        walkScopeProfiles(walk, at);
        walk.scopes++;
        break;
      case 26:
        readText();
        break;
      default:
        passOther(tag, 'ResourceProfiles', resourceProfilesFields);
    }
  }
  leave(outer);
  if (problem !== null) {
    for (const profile of walk.present) profile.problem ??= `resource: ${problem}`;
    cutInstead(walk, cutsBefore, start);
  }
  for (const { samples, place, problem } of walk.present) if (problem !== null) walk.rejected.push({ samples, place, problem });
}

/** One cut from here to the cursor in place of those inside it. */
function cutInstead(walk: Walk, cutsBefore: number, start: number): void {
  walk.cuts.length = cutsBefore;
  walk.cuts.push({ start, end: position() });
}

const resourceFields = ['', 'attributes', 'dropped_attributes_count', 'entity_refs'];

function walkResource(walk: Walk): string | null {
  let problem: string | null = null;
  const outer = enter();
  while (more()) {
    const tag = readTag();
    if (tag === 10) problem = walkKeyValue(walk.sizes.strings, 0) ?? problem;
    else if (tag === 16) skip(tag);
    else if (tag === 26) walkEntityRef();
    else passOther(tag, 'Resource', resourceFields);
  }
  leave(outer);
  return problem;
}

const entityFields = ['', 'schema_url', 'type', 'id_keys', 'description_keys'];

function walkEntityRef(): void {
  const outer = enter();
  while (more()) {
    const tag = readTag();
    if (tag === 10 || tag === 18 || tag === 26 || tag === 34) readText();
    else passOther(tag, 'EntityRef', entityFields);
  }
  leave(outer);
}

const scopeProfilesFields = ['', 'scope', 'profiles', 'schema_url'];

function walkScopeProfiles(walk: Walk, scopeStart: number): void {
  let scope = false;
  let problem: string | null = null;
  let profiles = 0;
  const first = walk.present.length;
  const cutsBefore = walk.cuts.length;
  const outer = enter();
  while (more()) {
    const start = position();
    const tag = readTag();
    switch (tag) {
      case 10:
        scope = once(scope, 'ScopeProfiles.scope');
        problem = walkScope(walk);
        break;
      case 18:
        walkProfile(walk, start, profiles);
        profiles++;
        break;
      case 26:
        readText();
        break;
      default:
        passOther(tag, 'ScopeProfiles', scopeProfilesFields);
    }
  }
  leave(outer);
  if (problem !== null) {
    for (const profile of walk.present.slice(first)) profile.problem ??= `scope: ${problem}`;
    cutInstead(walk, cutsBefore, scopeStart);
  }
}

const scopeFields = ['', 'name', 'version', 'attributes', 'dropped_attributes_count'];

function walkScope(walk: Walk): string | null {
  let problem: string | null = null;
  const outer = enter();
  while (more()) {
    const tag = readTag();
    if (tag === 10 || tag === 18) readText();
    else if (tag === 26) problem = walkKeyValue(walk.sizes.strings, 0) ?? problem;
    else if (tag === 32) skip(tag);
    else passOther(tag, 'InstrumentationScope', scopeFields);
  }
  leave(outer);
  return problem;
}

const profileFields = [
  '',
  'sample_type',
  'samples',
  'time_unix_nano',
  'duration_nano',
  'period_type',
  'period',
  'profile_id',
  'dropped_attributes_count',
  'original_payload_format',
  'original_payload',
  'attribute_indices',
];

function walkProfile(walk: Walk, start: number, index: number): void {
  const before = walk.samples;
  let problem: string | null = null;
  let sampleType = false;
  let periodType = false;
  let attributes = 0;
  const outer = enter();
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 10:
        sampleType = once(sampleType, 'Profile.sample_type');
        problem = keepFirst(problem, walkValueType(walk, 'sample_type'));
        break;
      case 18: {
        const found = walkSample(walk);
        if (found !== null) problem ??= `samples[${walk.samples - before}].${found}`;
        walk.samples++;
        if (walk.samples > samplesMax) throw tooMany('samples', samplesMax);
        break;
      }
      case 42:
        periodType = once(periodType, 'Profile.period_type');
        problem = keepFirst(problem, walkValueType(walk, 'period_type'));
        break;
      case 58: {
        const length = passBytes();
        if (length !== 0 && length !== 16) problem ??= `profile_id has ${length} bytes, expected 16 or none`;
        break;
      }
      case 66:
        throw malformed('Profile.profile_id in field 8, where OTLP 1.8 had it', 'the fields of OTLP 1.9 or newer; update the sender');
      case 74:
        readText();
        break;
      case 82:
        readBytes();
        break;
      case 88:
      case 90:
        attributes += readIndices(tag, walk.sizes.attributes);
        if (attributes > attributesMax) throw tooMany('attributes of one profile', attributesMax);
        if (strayIndex !== null) problem ??= stray('attribute_indices', strayIndex, 'attribute_table', walk.sizes.attributes);
        break;
      case 25:
      case 32:
      case 48:
      case 64:
        skip(tag);
        break;
      default:
        passOther(tag, 'Profile', profileFields);
    }
  }
  leave(outer);
  const place = `resource_profiles[${walk.resources}].scope_profiles[${walk.scopes}].profiles[${index}]`;
  walk.profileAttributes += attributes;
  if (walk.profileAttributes > attributeEntriesMax) throw tooMany('attributes of profiles', attributeEntriesMax);
  walk.present.push({ samples: walk.samples - before, place, problem });
  if (problem !== null) walk.cuts.push({ start, end: position() });
  walk.profiles++;
  if (walk.profiles > profilesMax) throw tooMany('profiles', profilesMax);
}

/** Not `??=`, which would leave the second field unwalked once there is a problem. */
function keepFirst(first: string | null, second: string | null): string | null {
  return first ?? second;
}

function passBytes(): number {
  const start = readBytes();
  return position() - start;
}

const valueTypeFields = ['', 'type_strindex', 'unit_strindex'];

function walkValueType(walk: Walk, name: string): string | null {
  let problem: string | null = null;
  const outer = enter();
  while (more()) {
    const tag = readTag();
    if (tag === 8 || tag === 16) problem = strayString(`${name}.${valueTypeFields[tag >>> 3]}`, readInt32(), walk.sizes.strings) ?? problem;
    else passOther(tag, 'ValueType', valueTypeFields);
  }
  leave(outer);
  return problem;
}

// Field numbers of the lists and of the link, by layout (schemas/otlp/layout.ts).
const numbers = { 'v1.9': { values: 2, attributes: 3, link: 4 }, 'v1.10': { values: 4, attributes: 2, link: 3 } } as const;
const sampleFields = ['', 'stack_index', 'field 2', 'field 3', 'field 4', 'timestamps_unix_nano'];

function walkSample(walk: Walk): string | null {
  const { values: valuesField, attributes: attributesField, link: linkField } = numbers[walk.layout];
  const { sizes } = walk;
  let problem: string | null = null;
  let attributes = 0;
  let values = 0;
  let timestamps = 0;
  const outer = enter();
  while (more()) {
    const tag = readTag();
    const field = tag >>> 3;
    const type = tag & 7;
    if (tag === 8) {
      const index = readInt32();
      if (!inTable(index, sizes.stacks)) problem ??= stray('stack_index', index, 'stack_table', sizes.stacks);
    } else if (tag === 42) {
      const length = passBytes();
      if ((length & 7) !== 0) throw malformed(`${length} bytes in timestamps_unix_nano`, 'eight for each');
      timestamps += length >>> 3;
    } else if (tag === 41) {
      skip(tag);
      timestamps++;
    } else if (field === linkField && type === 0) {
      const index = readInt32();
      if (!inTable(index, sizes.links)) problem ??= stray('link_index', index, 'link_table', sizes.links);
    } else if (field === attributesField && (type === 2 || type === 0)) {
      attributes += readIndices(tag, sizes.attributes);
      if (strayIndex !== null) problem ??= stray('attribute_indices', strayIndex, 'attribute_table', sizes.attributes);
    } else if (field === valuesField && (type === 2 || type === 0)) {
      values += passVarints(type);
    } else passOther(tag, `Sample (${walk.layout})`, sampleFields);
  }
  leave(outer);
  if (attributes > attributesMax) throw tooMany('attributes of one sample', attributesMax);
  walk.attributeEntries += attributes;
  if (walk.attributeEntries > attributeEntriesMax) throw tooMany('attributes of samples', attributeEntriesMax);
  if (values > 0 && timestamps > 0 && values !== timestamps) problem ??= `values has ${values} entries, timestamps_unix_nano ${timestamps}, expected as many`;
  walk.observations += timestamps > 0 ? timestamps : values;
  if (walk.observations > observationsMax) throw tooMany('timestamps and values', observationsMax);
  return problem;
}

function passVarints(type: number): number {
  if (type === 0) {
    readVarint64();
    return 1;
  }
  let count = 0;
  const outer = enter();
  while (more()) {
    readVarint64();
    count++;
  }
  leave(outer);
  return count;
}

// Writes OTLP profiles: a dictionary that grows entry by entry in wire form, each entry once, and
// resources with samples whose equal identities (stack, attributes, link) share one message. Field
// numbers of v1.10 and later; attributes of resources and scopes as plain strings, which every receiver
// reads. The result is an ExportProfilesServiceRequest, which on the wire is a ProfilesData.
import { WireWriter } from '../../lib/wire-writer.ts';

export type AttributeValue = string | bigint | boolean;

export interface MappingEntry {
  /** Addresses [memoryStart, memoryLimit) of locations in it. */
  readonly memoryStart: bigint;
  readonly memoryLimit: bigint;
  readonly fileOffset: bigint;
  readonly fileName: string;
  readonly attributes: readonly number[];
}

export interface LineEntry {
  readonly function: number;
  readonly line: bigint;
  readonly column: bigint;
}

export interface ProfileHeader {
  readonly sampleType: readonly [type: string, unit: string];
  /** Null where samples were not taken periodically. */
  readonly period: { readonly type: readonly [type: string, unit: string]; readonly value: bigint } | null;
  readonly timeNanos: bigint;
  readonly durationNanos: bigint;
}

export interface SampleEntry {
  readonly stack: number;
  /** Indices into the attribute table, ascending. */
  readonly attributes: readonly number[];
  /** Index into the link table; 0 = none. */
  readonly link: number;
  readonly values: readonly bigint[];
  readonly timestampsNanos: readonly bigint[];
}

export interface ScopeEntry {
  readonly name: string;
  readonly version: string;
}

/** A table of the dictionary: entries by their wire form, entry 0 the empty one. */
class Table {
  readonly entries = new WireWriter(4096);
  readonly #field: number;
  readonly #indices = new Map<string, number>();

  constructor(field: number) {
    this.#field = field;
    this.entries.messageField(field, new Uint8Array(0));
    this.#indices.set('', 0);
  }

  get length(): number {
    return this.#indices.size;
  }

  index(entry: WireWriter): number {
    const bytes = entry.view();
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    const known = this.#indices.get(key);
    if (known !== undefined) return known;
    const index = this.#indices.size;
    this.#indices.set(key, index);
    this.entries.messageField(this.#field, bytes);
    return index;
  }
}

export class ProfilesWriter {
  readonly #mappings = new Table(1);
  readonly #locations = new Table(2);
  readonly #functions = new Table(3);
  readonly #links = new Table(4);
  readonly #attributes = new Table(6);
  readonly #stacks = new Table(7);
  readonly #tables: readonly Table[] = [this.#mappings, this.#locations, this.#functions, this.#links, this.#attributes, this.#stacks];
  readonly #strings = new Map<string, number>([['', 0]]);
  readonly #stringBytes = new WireWriter(16_384);
  readonly #resources = new WireWriter(16_384);
  readonly #schemaUrl: string;
  readonly #entry = new WireWriter();
  readonly #nested = new WireWriter();
  readonly #scratch = new WireWriter();

  constructor(schemaUrl: string) {
    this.#schemaUrl = schemaUrl;
    this.#stringBytes.stringEntry(5, '');
  }

  /** Wire bytes so far, without what `add…` calls to come will take. */
  get bytes(): number {
    let bytes = this.#stringBytes.length + this.#resources.length;
    for (const table of this.#tables) bytes += table.entries.length;
    return bytes;
  }

  string(text: string): number {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    const index = this.#strings.size;
    this.#strings.set(text, index);
    this.#stringBytes.stringEntry(5, text);
    return index;
  }

  attribute(key: string, value: AttributeValue): number {
    const entry = this.#entry;
    const keyIndex = this.string(key);
    this.#nested.clear();
    writeAnyValue(this.#nested, value);
    entry.clear();
    entry.uintField(1, keyIndex);
    entry.messageField(2, this.#nested.view());
    return this.#attributes.index(entry);
  }

  mapping(mapping: MappingEntry): number {
    const entry = this.#entry;
    const fileName = this.string(mapping.fileName);
    entry.clear();
    entry.uint64Field(1, mapping.memoryStart);
    entry.uint64Field(2, mapping.memoryLimit);
    entry.uint64Field(3, mapping.fileOffset);
    entry.uintField(4, fileName);
    entry.packedUints(5, mapping.attributes, this.#scratch);
    return this.#mappings.index(entry);
  }

  function(name: string, systemName: string, fileName: string): number {
    const entry = this.#entry;
    const indices = [this.string(name), this.string(systemName), this.string(fileName)] as const;
    entry.clear();
    entry.uintField(1, indices[0]);
    entry.uintField(2, indices[1]);
    entry.uintField(3, indices[2]);
    return this.#functions.index(entry);
  }

  location(mapping: number, address: bigint, lines: readonly LineEntry[], attributes: readonly number[]): number {
    const entry = this.#entry;
    entry.clear();
    entry.uintField(1, mapping);
    entry.uint64Field(2, address);
    for (const line of lines) {
      this.#nested.clear();
      this.#nested.uintField(1, line.function);
      this.#nested.uint64Field(2, line.line);
      this.#nested.uint64Field(3, line.column);
      entry.messageField(3, this.#nested.view());
    }
    entry.packedUints(4, attributes, this.#scratch);
    return this.#locations.index(entry);
  }

  /** Leaf first. */
  stack(locations: readonly number[]): number {
    this.#entry.clear();
    this.#entry.packedUints(1, locations, this.#scratch);
    return this.#stacks.index(this.#entry);
  }

  link(traceId: Uint8Array, spanId: Uint8Array): number {
    this.#entry.clear();
    this.#entry.bytesField(1, traceId);
    this.#entry.bytesField(2, spanId);
    return this.#links.index(this.#entry);
  }

  /** One resource with one scope and its profiles. */
  addResource(
    attributes: Iterable<readonly [string, AttributeValue]>,
    scope: ScopeEntry,
    profiles: readonly { header: ProfileHeader; samples: readonly SampleEntry[] }[],
  ): void {
    const resource = new WireWriter();
    for (const [key, value] of attributes) resource.messageField(1, this.#keyValue(key, value));
    const scoped = new WireWriter(4096);
    const scopeBytes = new WireWriter();
    scopeBytes.stringField(1, scope.name);
    scopeBytes.stringField(2, scope.version);
    scoped.messageField(1, scopeBytes.view());
    for (const { header, samples } of profiles) scoped.messageField(2, this.#profile(header, samples));
    scoped.stringField(3, this.#schemaUrl);
    const entry = new WireWriter(scoped.length + resource.length + 64);
    entry.messageField(1, resource.view());
    entry.messageField(2, scoped.view());
    entry.stringField(3, this.#schemaUrl);
    this.#resources.messageField(1, entry.view());
  }

  /** The whole message; the writer is done afterwards. */
  finish(): Uint8Array {
    const dictionary = new WireWriter(this.bytes);
    for (const table of this.#tables) dictionary.raw(table.entries.view());
    dictionary.raw(this.#stringBytes.view());
    this.#resources.messageField(2, dictionary.view());
    return Uint8Array.prototype.slice.call(this.#resources.view());
  }

  #keyValue(key: string, value: AttributeValue): Uint8Array {
    this.#nested.clear();
    writeAnyValue(this.#nested, value);
    this.#entry.clear();
    this.#entry.stringField(1, key);
    this.#entry.messageField(2, this.#nested.view());
    return this.#entry.view();
  }

  #profile(header: ProfileHeader, samples: readonly SampleEntry[]): Uint8Array {
    const profile = new WireWriter(64 * samples.length + 256);
    profile.messageField(1, this.#valueType(header.sampleType));
    for (const sample of samples) profile.messageField(2, this.#sample(sample));
    profile.fixed64Field(3, header.timeNanos);
    profile.uint64Field(4, header.durationNanos);
    if (header.period !== null) {
      profile.messageField(5, this.#valueType(header.period.type));
      profile.uint64Field(6, header.period.value);
    }
    return profile.view();
  }

  #valueType([type, unit]: readonly [string, string]): Uint8Array {
    const indices = [this.string(type), this.string(unit)] as const;
    this.#entry.clear();
    this.#entry.uintField(1, indices[0]);
    this.#entry.uintField(2, indices[1]);
    return this.#entry.view();
  }

  #sample(sample: SampleEntry): Uint8Array {
    const entry = this.#entry;
    entry.clear();
    entry.uintField(1, sample.stack);
    entry.packedUints(2, sample.attributes, this.#scratch);
    entry.uintField(3, sample.link);
    entry.packedInt64s(4, sample.values, this.#scratch);
    entry.packedFixed64s(5, sample.timestampsNanos);
    return entry.view();
  }
}

/** AnyValue; a value is written also when it is its type's default, since the oneof says which type it has. */
function writeAnyValue(into: WireWriter, value: AttributeValue): void {
  if (typeof value === 'string') into.stringEntry(1, value);
  else if (typeof value === 'boolean') {
    into.varint(2 << 3);
    into.varint(value ? 1 : 0);
  } else {
    into.varint(3 << 3);
    into.varint64(value);
  }
}

// Stack ids and digests of random messages, compared with the grammars (schemas/lake/stack-id.ts and
// digest.ts) written down once more as plainly as can be: objects, strings and buffers, nothing shared or
// remembered.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { AnyValue, KeyValue } from '../schemas/otlp/gen/opentelemetry/proto/common/v1/common_pb.ts';
import type {
  Location,
  Profile,
  ProfilesData,
  ProfilesDictionary,
  Sample,
} from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { encodeProfilesData } from '../schemas/otlp/testing.ts';
import { below, type Random, seeded, someData } from '../schemas/otlp/testing-data.ts';
import { prepareMessage } from './prepared-message.ts';

const sha = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const all = Buffer.concat;
const u8 = (value: number) => Buffer.of(value);
const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: bigint) => Buffer.from(BigUint64Array.of(BigInt.asUintN(64, value)).buffer);
const bytesOf = (value: Uint8Array) => all([u32(value.length), value]);
const text = (value: string) => bytesOf(Buffer.from(value));
const part = (content: Buffer) => (content.length <= 256 ? bytesOf(content) : all([u32(content.length), sha(content)]));
const listOf = <T>(values: readonly T[], write: (value: T) => Buffer) => all([u32(values.length), ...values.map(write)]);

type Named = readonly [key: string, unit: string, value: AnyValue | undefined];

class Oracle {
  readonly #dictionary: ProfilesDictionary;
  readonly #strings: readonly string[];

  constructor(data: ProfilesData) {
    this.#dictionary = data.dictionary!;
    this.#strings = data.dictionary!.stringTable;
  }

  stackPart(index: number): Buffer {
    const frames: Buffer[] = [];
    let cut = '';
    for (const at of this.#dictionary.stackTable[index]?.locationIndices ?? []) {
      const location = this.#dictionary.locationTable[at]!;
      const attributes = this.#named(location.attributeIndices);
      cut = this.#text(attributes, 'flamelake.stack.cut') ?? cut;
      if (this.#text(attributes, 'flamelake.stack.cut') === undefined) frames.push(this.#frame(location, this.#text(attributes, 'profile.frame.type') ?? ''));
    }
    return sha(all([...frames, u32(0), text(cut)])).subarray(0, 12);
  }

  #frame(location: Location, type: string): Buffer {
    const mapping = this.#dictionary.mappingTable[location.mappingIndex];
    const isThere = location.mappingIndex !== 0;
    const buildId = isThere ? (this.#text(this.#named(mapping!.attributeIndices), 'process.executable.build_id.gnu') ?? '') : '';
    const lines = location.lines.map(({ functionIndex, line }) => {
      const called = this.#dictionary.functionTable[functionIndex]!;
      const name = this.#strings[called.nameStrindex]! || this.#strings[called.systemNameStrindex]!;
      return functionIndex === 0 ? { name: '', file: '', line } : { name, file: this.#strings[called.filenameStrindex]!, line };
    });
    if (buildId !== '') {
      const { memoryStart, memoryLimit, fileOffset } = mapping!;
      const { address } = location;
      const isProcess = memoryStart !== fileOffset && address >= memoryStart && address < memoryLimit;
      return part(all([u8(1), text(buildId), u64(isProcess ? address - memoryStart + fileOffset : address), listOf(lines, ({ name }) => text(name))]));
    }
    const named = listOf(lines, ({ name, file, line }) => all([text(name), text(file), u64(line)]));
    return part(all([u8(2), text(type), text(isThere ? this.#strings[mapping!.filenameStrindex]! : ''), named]));
  }

  digest(profile: Profile, resource: readonly KeyValue[], scope: { name: string; version: string; attributes: readonly KeyValue[] }): string {
    const type = (value: { typeStrindex: number; unitStrindex: number } | undefined) =>
      all([text(this.#strings[value?.typeStrindex ?? 0]!), text(this.#strings[value?.unitStrindex ?? 0]!)]);
    const content = all([
      this.#attributes(this.#plain(resource)),
      text(scope.name),
      text(scope.version),
      this.#attributes(this.#plain(scope.attributes)),
      type(profile.sampleType),
      type(profile.periodType),
      u64(profile.period),
      u64(profile.timeUnixNano),
      u64(profile.durationNano),
      this.#id(profile.profileId),
      this.#attributes(this.#named(profile.attributeIndices)),
      listOf(profile.samples, (sample) => this.#sample(sample)),
    ]);
    return sha(content).toString('hex', 0, 16);
  }

  #sample(sample: Sample): Buffer {
    const link = sample.linkIndex === 0 ? undefined : this.#dictionary.linkTable[sample.linkIndex];
    return all([
      this.stackPart(sample.stackIndex),
      this.#attributes(this.#named(sample.attributeIndices)),
      this.#id(link?.traceId ?? Buffer.alloc(0)),
      this.#id(link?.spanId ?? Buffer.alloc(0)),
      listOf(sample.values, u64),
      listOf(sample.timestampsUnixNano, u64),
    ]);
  }

  #id(id: Uint8Array): Buffer {
    return id.some((byte) => byte !== 0) ? bytesOf(id) : u32(0);
  }

  #named(indices: readonly number[]): Named[] {
    const entries = indices.filter((index) => index !== 0).map((index) => this.#dictionary.attributeTable[index]!);
    return entries.map(({ keyStrindex, unitStrindex, value }) => [this.#strings[keyStrindex]!, this.#strings[unitStrindex]!, value]);
  }

  #plain(entries: readonly KeyValue[]): Named[] {
    return entries.map(({ key, keyStrindex, value }) => [keyStrindex === 0 ? key : this.#strings[keyStrindex]!, '', value]);
  }

  /** The last of the name that says something. */
  #text(attributes: readonly Named[], wanted: string): string | undefined {
    const texts = attributes.filter(([key]) => key === wanted).map(([, , value]) => this.#string(value));
    return texts.filter((found) => found !== '').at(-1);
  }

  #string(value: AnyValue | undefined): string {
    if (value?.value.case === 'stringValueStrindex') return this.#strings[value.value.value]!;
    return value?.value.case === 'stringValue' ? value.value.value : '';
  }

  #attributes(entries: readonly Named[]): Buffer {
    const parts = entries.map(([key, unit, value]) => part(all([text(key), text(unit), this.#value(value)])));
    return listOf(parts.sort(Buffer.compare), (one) => one);
  }

  #value(any: AnyValue | undefined): Buffer {
    const value = any?.value;
    switch (value?.case) {
      case undefined:
        return u8(0);
      case 'stringValue':
      case 'stringValueStrindex':
        return all([u8(1), text(this.#string(any))]);
      case 'boolValue':
        return all([u8(2), u8(value.value ? 1 : 0)]);
      case 'intValue':
        return all([u8(3), u64(value.value)]);
      case 'doubleValue':
        return all([u8(4), Buffer.from(Float64Array.of(value.value).buffer)]);
      case 'arrayValue':
        return all([u8(5), listOf(value.value.values, (inner) => this.#value(inner))]);
      case 'kvlistValue':
        return all([u8(6), this.#attributes(this.#plain(value.value.values))]);
      case 'bytesValue':
        return all([u8(7), bytesOf(value.value)]);
      default:
        throw new Error(`a value of kind ${JSON.stringify(value satisfies never)}`);
    }
  }
}

/** Build ids, frame types and cuts where chance would hardly put them; one name longer than a part is kept whole. */
function withFrames(data: ProfilesData, random: Random): ProfilesData {
  const { stringTable, attributeTable, mappingTable, locationTable } = data.dictionary!;
  const attribute = (key: string, value: string) => {
    const entry = { ...attributeTable[0]!, keyStrindex: stringTable.push(key) - 1, value: { $typeName: 'opentelemetry.proto.common.v1.AnyValue' as const } };
    return attributeTable.push({ ...entry, value: { ...entry.value, value: { case: 'stringValue' as const, value } } }) - 1;
  };
  const buildIds = ['00ff', 'c0ffee'].map((id) => attribute('process.executable.build_id.gnu', id));
  const types = ['native', 'kernel', 'cpython'].map((type) => attribute('profile.frame.type', type));
  const cuts = ['depth', 'read_fault'].map((cut) => attribute('flamelake.stack.cut', cut));
  const pick = (items: readonly number[]) => items[below(random, items.length)]!;
  for (const mapping of mappingTable.slice(1)) if (random() < 0.5) mapping.attributeIndices.push(pick(buildIds));
  for (const location of locationTable.slice(1)) location.attributeIndices.push(pick(random() < 0.2 ? cuts : types));
  stringTable[stringTable.indexOf('spin')] = 'spin'.repeat(80);
  return data;
}

test('random messages have the stack ids and digests of their grammars', () => {
  let [profiles, stacks] = [0, 0];
  for (let seed = 0; seed < 40; seed++) {
    const random = seeded(seed);
    const data = withFrames(
      someData(random, { resources: 2, profilesPerScope: 2, samplesPerProfile: 4, attributesBy: seed % 2 ? 'plain' : 'reference' }),
      random,
    );
    const oracle = new Oracle(data);
    const prepared = prepareMessage(encodeProfilesData(data));
    let at = 0;
    for (const { resource, scopeProfiles } of data.resourceProfiles) {
      for (const { scope, profiles: expected } of scopeProfiles) {
        for (const profile of expected) {
          const found = prepared.profiles[at++]!;
          const { name = '', version = '', attributes = [] } = scope ?? {};
          for (const { stackIndex } of profile.samples) {
            const part = Buffer.from(found.stacks.words.buffer, 12 * stackIndex, 12);
            expect(part.toString('hex')).toBe(oracle.stackPart(stackIndex).toString('hex'));
            stacks++;
          }
          expect(found.digest).toBe(oracle.digest(profile, resource?.attributes ?? [], { name, version, attributes }));
          profiles++;
        }
      }
    }
    expect(at).toBe(prepared.profiles.length);
  }
  expect(profiles).toBeGreaterThan(80);
  expect(stacks).toBeGreaterThan(150);
});

// From a prepared message to rows (docs/lake.md, tables): one row per timestamp, one per value where a
// sample has no time of its own; each to the shard of its stack, with its stack where the shard does not
// have it yet for that date.

import { lossReasons } from '../schemas/lake/lost.ts';
import { shardOf } from '../schemas/lake/shard.ts';
import { servicePart } from '../schemas/lake/stack-id.ts';
import { timeOriginalAttribute } from '../schemas/otlp/attributes.ts';
import type { RowsBuilder, SampleRow } from '../schemas/rows/builder.ts';
import { nullInt64, type ResourceStringColumn } from '../schemas/rows/message.ts';
import { hexWord } from '../schemas/rows/stack-ids.ts';
import { valueText } from './attribute-values.ts';
import type { KnownStacks } from './known-stacks.ts';
import { addLossRow, lossStackId } from './losses.ts';
import { FrameRows, type NameOf } from './message-frames.ts';
import type { MessageStacks } from './message-stacks.ts';
import type { PreparedMessage, PreparedProfile } from './prepared-message.ts';
import { clampInt64, type Shape, scaled, scopesWithCpuTime, shapeOf } from './profile-shape.ts';
import { overridden, type Resource, serviceNameOf } from './resources.ts';
import { noFacts, type SampleFacts } from './sample-attributes.ts';
import { dateOf, isBelieved, microsOf, timeText } from './times.ts';

/** What one shard is sent next. */
export interface ShardOutput {
  readonly shard: number;
  readonly builder: RowsBuilder;
  /** Stack rows of this message, by date and stack. */
  readonly added: Set<number>;
  /** To be marked as known after the ack. */
  readonly sent: { readonly words: Uint32Array; readonly date: number }[];
}

export interface RowsTarget {
  readonly shards: number;
  /** The output of a shard, made when it is first asked for. */
  output(shard: number): ShardOutput;
  readonly known: KnownStacks;
  readonly nameOf: NameOf;
  /** Samples that were cut out of the message on its way here. */
  readonly rejectedSamples?: number;
}

export interface RowCounts {
  samples: number;
  rows: number;
  stacks: number;
  /** Rows whose time was not believed. */
  timesReplaced: number;
  /** Samples with neither values nor timestamps. */
  samplesEmpty: number;
}

export const noCounts = (): RowCounts => ({ samples: 0, rows: 0, stacks: 0, timesReplaced: 0, samplesEmpty: 0 });

export interface SourcePosition {
  readonly offset: number;
  readonly appendTimeMillis: number;
}

/** Appends all rows of a message, as one segment in each shard that gets some. Never throws for what a sender did. */
export function appendRows(message: PreparedMessage, position: SourcePosition, target: RowsTarget, counts: RowCounts): void {
  new MessageRows(message, position, target, counts).append();
}

/** A stack of one service in this message: its id, and where it was last made sure of. */
interface StackUse {
  /** Its place in the stack table. */
  readonly stack: number;
  readonly stacks: MessageStacks;
  readonly service: Service;
  readonly shard: ShardRows;
  readonly row: number;
  date: number;
}

/** A resource with the service name that it gets, for one kind of stacks. */
interface ServiceResource {
  readonly resource: Resource;
  readonly service: Service;
}

interface Service {
  readonly name: string;
  /** Of its stacks' ids. */
  readonly word: number;
  readonly shard: number;
  /** By index in the stack table, for each of the message's two readings of addresses. */
  readonly uses: Map<MessageStacks, Map<number, StackUse>>;
}

interface CurrentProfile extends PreparedProfile {
  readonly index: number;
  readonly shape: Shape;
  /** Its resource as it is, for stacks of user space and for the kernel's own. */
  readonly plain: [ServiceResource | null, ServiceResource | null];
}

/** This message's part of an output. */
interface ShardRows {
  readonly output: ShardOutput;
  readonly frames: Map<MessageStacks, FrameRows>;
  readonly resources: Map<ServiceResource, number>;
  /** The one that was asked for last, as nearly all are. */
  lastResource: ServiceResource | null;
  lastResourceRow: number;
  readonly links: number[];
  profile: number;
  type: number;
  scopeName: number;
  profileId: number;
  maps: Map<string, number>;
}

class MessageRows {
  readonly #message: PreparedMessage;
  readonly #position: SourcePosition;
  readonly #appendMicros: number;
  readonly #target: RowsTarget;
  readonly #counts: RowCounts;
  readonly #services = new Map<string, Service>();
  readonly #serviceResources = new Map<Resource, (ServiceResource | undefined)[]>();
  readonly #overridden = new Map<string, Resource>();
  readonly #resourceNumbers = new Map<Resource, number>();
  readonly #shards: (ShardRows | undefined)[] = [];
  readonly #row = emptyRow();
  /** The id that is asked for: four words. */
  readonly #words = new Uint32Array(4);
  /** The profile that is being appended. */
  #profile!: CurrentProfile;

  constructor(message: PreparedMessage, position: SourcePosition, target: RowsTarget, counts: RowCounts) {
    this.#message = message;
    this.#position = position;
    this.#appendMicros = position.appendTimeMillis * 1000;
    this.#target = target;
    this.#counts = counts;
  }

  append(): void {
    const { profiles, texts } = this.#message;
    const countingScopes = scopesWithCpuTime(this.#message);
    const emptyBefore = this.#counts.samplesEmpty;
    for (const [index, profile] of profiles.entries()) {
      const { record } = profile;
      const shape = shapeOf(record, texts, countingScopes.has(record.scopeIndex));
      this.#profile = { ...profile, index, shape, plain: [null, null] };
      this.#samples();
      for (const shard of this.#shards) if (shard?.profile === index) shard.output.builder.endProfile();
    }
    this.#lose(lossReasons.noEvent, this.#counts.samplesEmpty - emptyBefore);
    this.#lose(lossReasons.rejected, this.#target.rejectedSamples ?? 0);
    for (const shard of this.#shards) shard?.output.builder.endSegment();
  }

  /** Samples that are no rows, told as a row of their own. A client's repetition of the message repeats it. */
  #lose(reason: string, count: number): void {
    if (count === 0) return;
    const { profiles } = this.#message;
    const { host_name: hostName, host_id: hostId } = profiles[0]?.resource.strings ?? {};
    const loss = { reason, count, identity: profiles.map(({ digest }) => digest), attributes: {}, hostName, hostId };
    const { builder } = this.#shard(shardOf(lossStackId(loss), this.#target.shards)).output;
    addLossRow(builder, loss, this.#position.appendTimeMillis);
  }

  #samples(): void {
    const { attributes, otlp } = this.#message;
    const { samples } = otlp;
    const { record, stacks } = this.#profile;
    const shared = noFacts();
    attributes.apply(shared, record.attributes, 0, record.attributes.length);
    const facts = noFacts();
    for (let sample = record.sampleStart; sample < record.sampleEnd; sample++) {
      resetFacts(facts, shared);
      attributes.apply(facts, samples.attributes, samples.attributeStart[sample]!, samples.attributeStart[sample + 1]!);
      const stack = samples.stack[sample]!;
      const found = this.#serviceResource(facts, stacks.isKernel(stack));
      const use = this.#stackUse(stack, found.service);
      this.#openProfile(use.shard);
      this.#fillRow(use, found, facts, samples.link[sample]!);
      this.#events(use, facts, sample);
    }
    this.#counts.samples += record.sampleEnd - record.sampleStart;
  }

  #events(use: StackUse, facts: SampleFacts, sample: number): void {
    const { samples } = this.#message.otlp;
    const { shape, record } = this.#profile;
    const [valueStart, valueEnd] = [samples.valueStart[sample]!, samples.valueStart[sample + 1]!];
    const [timeStart, timeEnd] = [samples.timestampStart[sample]!, samples.timestampStart[sample + 1]!];
    const row = this.#row;
    if (timeEnd > timeStart) {
      row.durationNanos = nullInt64;
      row.count = 1n;
      for (let at = 0; at < timeEnd - timeStart; at++) {
        row.value = valueEnd > valueStart ? scaled(samples.values[valueStart + at]!, shape.scale) : shape.scale;
        const word = 2 * (timeStart + at);
        this.#event(use, facts, samples.timestamps[word]!, samples.timestamps[word + 1]!);
      }
      return;
    }
    if (valueEnd === valueStart) this.#counts.samplesEmpty++;
    row.durationNanos = clampInt64(record.durationNanos);
    for (let at = valueStart; at < valueEnd; at++) {
      const value = samples.values[at]!;
      row.value = scaled(value, shape.scale);
      row.count = shape.countsEvents ? value : 1n;
      this.#event(use, facts, shape.timeLow, shape.timeHigh);
    }
  }

  #event(use: StackUse, facts: SampleFacts, low: number, high: number): void {
    const row = this.#row;
    let micros = microsOf(low, high);
    const attributes = row.attributes;
    if (!isBelieved(micros, this.#appendMicros)) {
      micros = this.#appendMicros;
      this.#counts.timesReplaced++;
      // A profile without any time has none of its own to keep.
      if (low !== 0 || high !== 0) row.attributes = this.#mapWithTime(use.shard, facts, (BigInt(high) << 32n) | BigInt(low));
    }
    row.time = micros;
    const date = dateOf(micros);
    if (use.date !== date) this.#ensureStack(use, date);
    use.shard.output.builder.addSample(row);
    this.#counts.rows++;
    row.attributes = attributes;
  }

  #fillRow(use: StackUse, found: ServiceResource, facts: SampleFacts, link: number): void {
    const row = this.#row;
    const { shard } = use;
    row.type = shard.type;
    row.stack = use.row;
    row.link = link === 0 ? 0 : this.#link(shard, link, facts.linkSource);
    row.resource = this.#resourceRow(shard, found);
    row.scopeName = shard.scopeName;
    row.profileId = shard.profileId;
    row.threadId = facts.threadId;
    row.threadName = facts.threadName === '' ? 0 : shard.output.builder.string(facts.threadName);
    row.cpuLogicalNumber = facts.cpuLogicalNumber;
    row.attributes = this.#map(shard, facts);
  }

  #stackUse(stack: number, service: Service): StackUse {
    const { stacks } = this.#profile;
    let uses = service.uses.get(stacks);
    if (uses === undefined) {
      uses = new Map();
      service.uses.set(stacks, uses);
    }
    const known = uses.get(stack);
    if (known) return known;
    const shard = this.#shard(service.shard);
    const { words } = stacks;
    const row = shard.output.builder.stackWords(service.word, words[3 * stack]!, words[3 * stack + 1]!, words[3 * stack + 2]!);
    const use = { stack, stacks, service, shard, row, date: -1 };
    uses.set(stack, use);
    return use;
  }

  #serviceResource(facts: SampleFacts, isKernel: boolean): ServiceResource {
    const { resource, plain } = this.#profile;
    const kind = isKernel ? 1 : 0;
    if (facts.overrides.length > 0) return this.#serviceOf(this.#override(resource, facts), kind);
    const known = plain[kind] ?? this.#serviceOf(resource, kind);
    plain[kind] = known;
    return known;
  }

  #serviceOf(resource: Resource, kind: 0 | 1): ServiceResource {
    const kinds = this.#serviceResources.get(resource) ?? [];
    const known = kinds[kind];
    if (known) return known;
    const made = { resource, service: this.#service(resource.strings.service_namespace ?? '', serviceNameOf(resource, kind === 1)) };
    kinds[kind] = made;
    this.#serviceResources.set(resource, kinds);
    return made;
  }

  #override(resource: Resource, facts: SampleFacts): Resource {
    const number = this.#resourceNumbers.get(resource) ?? this.#resourceNumbers.size;
    this.#resourceNumbers.set(resource, number);
    const key = `${number} ${JSON.stringify(facts.overrides.map(([column, value]) => [column, String(value)]))}`;
    const known = this.#overridden.get(key);
    if (known) return known;
    const made = overridden(resource, facts.overrides);
    this.#overridden.set(key, made);
    return made;
  }

  #service(namespace: string, name: string): Service {
    const key = JSON.stringify([namespace, name]);
    const known = this.#services.get(key);
    if (known) return known;
    const part = servicePart(namespace, name);
    const service: Service = { name, word: hexWord(part, 0), shard: shardOf(part, this.#target.shards), uses: new Map() };
    this.#services.set(key, service);
    return service;
  }

  #shard(number: number): ShardRows {
    const known = this.#shards[number];
    if (known) return known;
    const output = this.#target.output(number);
    output.builder.beginSegment(this.#position.offset, this.#position.appendTimeMillis);
    const shard: ShardRows = {
      output,
      frames: new Map(),
      resources: new Map(),
      lastResource: null,
      lastResourceRow: 0,
      links: [],
      profile: -1,
      type: 0,
      scopeName: 0,
      profileId: 0,
      maps: new Map(),
    };
    this.#shards[number] = shard;
    return shard;
  }

  /** The first row of a profile in a shard opens it there. */
  #openProfile(shard: ShardRows): void {
    const { index, record, digest, shape } = this.#profile;
    if (shard.profile === index) return;
    const { builder } = shard.output;
    builder.beginProfile(digest);
    shard.profile = index;
    shard.type = builder.type(shape.type, shape.unit);
    shard.scopeName = builder.string(record.scope.name);
    shard.profileId = builder.string(idText(this.#message, record.profileId.start, record.profileId.end));
    shard.maps = new Map();
  }

  #resourceRow(shard: ShardRows, found: ServiceResource): number {
    if (shard.lastResource === found) return shard.lastResourceRow;
    shard.lastResource = found;
    shard.lastResourceRow = shard.resources.get(found) ?? this.#addResource(shard, found);
    return shard.lastResourceRow;
  }

  #addResource(shard: ShardRows, found: ServiceResource): number {
    const { builder } = shard.output;
    const { resource, service } = found;
    const strings: Partial<Record<ResourceStringColumn, string>> = { ...resource.strings, service_name: service.name };
    const row = builder.addResource({ strings, processPid: resource.processPid, attributes: builder.map(resource.rest) });
    shard.resources.set(found, row);
    return row;
  }

  #link(shard: ShardRows, index: number, source: string): number {
    const known = source === '' ? shard.links[index] : undefined;
    if (known !== undefined) return known;
    const { traceStart, traceEnd, spanStart, spanEnd } = this.#message.otlp.dictionary.links;
    const traceId = idText(this.#message, traceStart[index]!, traceEnd[index]!);
    const spanId = idText(this.#message, spanStart[index]!, spanEnd[index]!);
    // A span is nothing without its trace.
    const link = traceId === '' ? 0 : shard.output.builder.link(traceId, spanId, source || 'otlp');
    if (source === '') shard.links[index] = link;
    return link;
  }

  #map(shard: ShardRows, facts: SampleFacts): number {
    if (facts.others.length === 0 && this.#profile.scopeAttributes.length === 0) return 0;
    const key = facts.others.join(' ');
    const known = shard.maps.get(key);
    if (known !== undefined) return known;
    const map = shard.output.builder.map(this.#entries(facts));
    shard.maps.set(key, map);
    return map;
  }

  #mapWithTime(shard: ShardRows, facts: SampleFacts, nanos: bigint): number {
    return shard.output.builder.map([...this.#entries(facts), [timeOriginalAttribute, timeText(nanos)]]);
  }

  /** Scope, profile, sample: the nearer one wins. */
  #entries(facts: SampleFacts): (readonly [string, string])[] {
    const ofScope = this.#profile.scopeAttributes.map(([key, value]) => [key, valueText(value)] as const);
    return [...ofScope, ...facts.others.map((index) => this.#message.attributes.entry(index))];
  }

  #ensureStack(use: StackUse, date: number): void {
    use.date = date;
    const { stack, stacks, service, shard } = use;
    const { output } = shard;
    const key = date * 2 ** 32 + use.row;
    const words = this.#words;
    words[0] = service.word;
    for (let word = 0; word < 3; word++) words[1 + word] = stacks.words[3 * stack + word]!;
    if (output.added.has(key) || this.#target.known.has(words, date, output.shard)) return;
    output.added.add(key);
    output.sent.push({ words: words.slice(), date });
    output.builder.beginStackRow(use.row, date, service.name, stacks.cut(stack));
    let frames = shard.frames.get(stacks);
    if (frames === undefined) {
      frames = new FrameRows(this.#message, stacks, output.builder, this.#target.nameOf);
      shard.frames.set(stacks, frames);
    }
    frames.append(stack);
    this.#counts.stacks++;
  }
}

function resetFacts(facts: SampleFacts, shared: Readonly<SampleFacts>): void {
  facts.threadId = shared.threadId;
  facts.threadName = shared.threadName;
  facts.cpuLogicalNumber = shared.cpuLogicalNumber;
  facts.linkSource = shared.linkSource;
  facts.overrides.length = 0;
  facts.others.length = 0;
  for (const override of shared.overrides) facts.overrides.push(override);
  for (const other of shared.others) facts.others.push(other);
}

/** Lower hex; '' for none or for zeros. */
function idText({ texts, otlp }: PreparedMessage, start: number, end: number): string {
  for (let at = start; at < end; at++) if (otlp.bytes[at] !== 0) return texts.bytes.toString('hex', start, end);
  return '';
}

function emptyRow(): Required<SampleRow> {
  return {
    time: 0,
    value: 0n,
    count: 0n,
    type: 0,
    stack: 0,
    resource: 0,
    durationNanos: nullInt64,
    weight: 1,
    link: 0,
    scopeName: 0,
    profileId: 0,
    threadId: nullInt64,
    threadName: 0,
    cpuLogicalNumber: 0,
    attributes: 0,
  };
}

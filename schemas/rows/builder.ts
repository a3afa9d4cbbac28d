// Grows a row message column by column: the processor's output, one builder per shard, and what tests
// of the exporter are fed. Texts go in, table indices stay inside; what repeats is interned.
import { Uint32List } from '../../lib/lists.ts';
import { stackIdTexts } from './columns.ts';
import {
  type FrameColumns,
  type MapIndex,
  nullInt32,
  nullInt64,
  type ProfileRange,
  type ResourceColumns,
  type ResourceStringColumn,
  type RowsMessage,
  resourceStringColumns,
  type SampleColumns,
  type Segment,
  type StackColumns,
  type StringIndex,
} from './message.ts';
import { StackIds } from './stack-ids.ts';

export interface RowsSource {
  readonly logId: string;
  readonly topic: string;
  readonly partition: number;
  readonly shard: number;
  readonly routing: number;
}

export interface ResourceRow {
  readonly strings: Readonly<Partial<Record<ResourceStringColumn, string>>>;
  readonly processPid?: bigint | null;
  readonly attributes?: MapIndex;
}

/** Indices are those that this builder gave. A caller on the hot path fills one such object again and again. */
export interface SampleRow {
  /** Microseconds; as a number it costs no object, and is exact up to the year 2255. */
  time: bigint | number;
  value: bigint;
  count: bigint;
  type: number;
  stack: number;
  resource: number;
  durationNanos?: bigint;
  weight?: number;
  link?: number;
  scopeName?: StringIndex;
  profileId?: StringIndex;
  threadId?: bigint;
  threadName?: StringIndex;
  cpuLogicalNumber?: number;
  attributes?: MapIndex;
}

export interface FrameRow {
  readonly function?: string;
  readonly systemName?: string;
  readonly file?: string;
  readonly line?: bigint;
  readonly column?: bigint;
  readonly inlined?: boolean;
  readonly type?: string;
  readonly mapping?: string;
  readonly buildId?: string;
  readonly address?: bigint;
}

/** A frame by string indices that this builder gave, 64-bit numbers as [low, high]. */
export interface FrameWords {
  function: number;
  systemName: number;
  file: number;
  type: number;
  mapping: number;
  buildId: number;
  inlined: 0 | 1;
  readonly line: [number, number];
  readonly column: [number, number];
  readonly address: [number, number];
}

export interface StackRow {
  /** 32 lower hex digits. */
  readonly id: string;
  /** Days since 1970-01-01. */
  readonly date: number;
  readonly serviceName?: string;
  readonly cut?: string;
}

type Column = BigInt64Array | BigUint64Array | Float64Array | Uint32Array | Int32Array | Uint8Array;
type Mutable<Columns> = { -readonly [Name in keyof Columns]: Columns[Name] };

const firstCapacity = 256;
/** A builder begins with what the one before it came to, as far as that is little for a shard without rows: 0.5 MB. */
const firstCapacityMax = 4_096;
const usual = { samples: firstCapacity, stacks: firstCapacity, frames: firstCapacity, stackFrames: firstCapacity };
const capacityFor = (length: number): number => Math.min(firstCapacityMax, Math.max(firstCapacity, length + (length >>> 3)));

export class RowsBuilder {
  readonly #source: RowsSource;
  readonly #strings = new Interned<string>(['']);
  readonly #maps = new Interned<readonly (readonly [StringIndex, StringIndex])[]>([[]]);
  readonly #types = new Interned<readonly [StringIndex, StringIndex]>([]);
  readonly #links = new Interned<readonly [StringIndex, StringIndex, StringIndex]>([[0, 0, 0]]);
  readonly #stackIds = new StackIds();
  readonly #resources = new Interned<ResourceRow & { readonly indices: readonly StringIndex[] }>([]);
  readonly #segments: Segment[] = [];
  #segment: { offset: number; appendTimeMillis: number; rowStart: number; stackStart: number; profiles: ProfileRange[] } | null = null;
  #profile: { digest: string; rowStart: number } | null = null;
  #samples: Mutable<SampleColumns> = newSamples(usual.samples);
  #stacks: Mutable<Omit<StackColumns, 'frame' | 'frames'>> = newStacks(usual.stacks);
  readonly #stackFrames = new Uint32List(usual.stackFrames);
  #frames: Mutable<FrameColumns> = newFrames(usual.frames);
  /** The same memory as halves. */
  #timeHalves = halvesOf(this.#samples.time);
  #frameHalves = frameHalvesOf(this.#frames);
  #stringBytes = 0;

  constructor(source: RowsSource) {
    this.#source = source;
    this.#strings.index.set('', 0);
    this.#links.index.set('', 0);
    this.#maps.index.set('', 0);
  }

  get rows(): number {
    return this.#samples.length;
  }

  get stacks(): number {
    return this.#stacks.length;
  }

  /** Roughly the payload's size before compression, for whoever decides when a message is full. */
  get bytes(): number {
    return (
      84 * this.#samples.length +
      20 * this.#stacks.length +
      4 * this.#stackFrames.length +
      49 * this.#frames.length +
      16 * this.#stackIds.length +
      80 * this.#resources.length +
      this.#stringBytes
    );
  }

  /** Lone surrogates become U+FFFD, as they would on the wire. */
  string(text: string): StringIndex {
    const known = this.#strings.index.get(text);
    if (known !== undefined) return known;
    this.#stringBytes += 4 + text.length;
    return this.#strings.add(text, text);
  }

  /** Of two entries with one key the last counts. No entries = no map. */
  map(entries: Iterable<readonly [string, string]>): MapIndex {
    const sorted = [...new Map(entries)].sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
    const indices = sorted.map(([key, value]) => [this.string(key), this.string(value)] as const);
    const name = indices.join(' ');
    return this.#maps.index.get(name) ?? this.#maps.add(name, indices);
  }

  type(type: string, unit: string): number {
    const entry = [this.string(type), this.string(unit)] as const;
    const name = entry.join(' ');
    return this.#types.index.get(name) ?? this.#types.add(name, entry);
  }

  /** trace_id as 32, span_id as 16 lower hex digits. */
  link(traceId: string, spanId: string, source: string): number {
    const entry = [this.string(traceId), this.string(spanId), this.string(source)] as const;
    const name = entry.join(' ');
    return this.#links.index.get(name) ?? this.#links.add(name, entry);
  }

  stackId(id: string): number {
    if (id.length !== 32) throw new Error(`row message: stack id '${id}', expected 32 hex digits`);
    return this.#stackIds.indexOf(id);
  }

  /** As stackId, of an id as four words. */
  stackWords(word0: number, word1: number, word2: number, word3: number): number {
    return this.#stackIds.index(word0, word1, word2, word3);
  }

  addResource(resource: ResourceRow): number {
    const indices = resourceStringColumns.map((name) => this.string(resource.strings[name] ?? ''));
    const name = `${indices.join(' ')} ${resource.processPid ?? ''} ${resource.attributes ?? 0}`;
    return this.#resources.index.get(name) ?? this.#resources.add(name, { ...resource, indices });
  }

  addSample(sample: SampleRow): number {
    const row = this.#samples.length;
    if (row === this.#samples.time.length) {
      this.#samples = grown(this.#samples);
      this.#timeHalves = halvesOf(this.#samples.time);
    }
    const columns = this.#samples;
    columns.length = row + 1;
    if (typeof sample.time === 'bigint') columns.time[row] = sample.time;
    else putWhole(this.#timeHalves, row, sample.time);
    columns.durationNanos[row] = sample.durationNanos ?? nullInt64;
    columns.value[row] = sample.value;
    columns.count[row] = sample.count;
    columns.weight[row] = sample.weight ?? 1;
    columns.type[row] = sample.type;
    columns.stack[row] = sample.stack;
    columns.link[row] = sample.link ?? 0;
    columns.resource[row] = sample.resource;
    columns.scopeName[row] = sample.scopeName ?? 0;
    columns.profileId[row] = sample.profileId ?? 0;
    columns.threadId[row] = sample.threadId ?? nullInt64;
    columns.threadName[row] = sample.threadName ?? 0;
    columns.cpuLogicalNumber[row] = sample.cpuLogicalNumber ?? nullInt32;
    columns.attributes[row] = sample.attributes ?? 0;
    return row;
  }

  /** Leaf first. */
  addStack(stack: StackRow, frames: readonly FrameRow[]): void {
    this.beginStack(stack);
    for (const frame of frames) this.stackFrame(this.addFrame(frame));
  }

  /** What stackFrame is given from here on, up to the next stack, are this stack's frames. */
  beginStack({ id, date, serviceName = '', cut = '' }: StackRow): void {
    this.beginStackRow(this.stackId(id), date, serviceName, cut);
  }

  /** As beginStack, of an index that stackId gave. */
  beginStackRow(id: number, date: number, serviceName: string, cut: string): void {
    const row = this.#stacks.length;
    if (row + 1 === this.#stacks.frameStart.length) this.#stacks = grown(this.#stacks);
    const columns = this.#stacks;
    columns.length = row + 1;
    columns.id[row] = id;
    columns.date[row] = date;
    columns.serviceName[row] = this.string(serviceName);
    columns.cut[row] = this.string(cut);
    columns.frameStart[row] = this.#stackFrames.length;
  }

  /** Returns the frame's index in the table, for stackFrame; the table does not look for equal ones. */
  addFrame(frame: FrameRow): number {
    const row = this.#nextFrame();
    const columns = this.#frames;
    columns.function[row] = this.string(frame.function ?? '');
    columns.systemName[row] = this.string(frame.systemName ?? '');
    columns.file[row] = this.string(frame.file ?? '');
    columns.line[row] = frame.line ?? 0n;
    columns.column[row] = frame.column ?? 0n;
    columns.inlined[row] = frame.inlined ? 1 : 0;
    columns.type[row] = this.string(frame.type ?? '');
    columns.mapping[row] = this.string(frame.mapping ?? '');
    columns.buildId[row] = this.string(frame.buildId ?? '');
    columns.address[row] = frame.address ?? 0n;
    return row;
  }

  /** As addFrame, for the hot path. */
  addFrameWords(frame: FrameWords): number {
    const row = this.#nextFrame();
    const columns = this.#frames;
    columns.function[row] = frame.function;
    columns.systemName[row] = frame.systemName;
    columns.file[row] = frame.file;
    columns.inlined[row] = frame.inlined;
    columns.type[row] = frame.type;
    columns.mapping[row] = frame.mapping;
    columns.buildId[row] = frame.buildId;
    const { line, column, address } = this.#frameHalves;
    putHalves(line, row, frame.line);
    putHalves(column, row, frame.column);
    putHalves(address, row, frame.address);
    return row;
  }

  /** The index that the next frame will get. */
  get frames(): number {
    return this.#frames.length;
  }

  #nextFrame(): number {
    const row = this.#frames.length;
    if (row === this.#frames.function.length) {
      this.#frames = grown(this.#frames);
      this.#frameHalves = frameHalvesOf(this.#frames);
    }
    this.#frames.length = row + 1;
    return row;
  }

  /** The next frame of the stack that was begun last, leaf first. */
  stackFrame(frame: number): void {
    if (this.#stacks.length === 0) throw new Error('row message: a frame before its stack');
    this.#stackFrames.push(frame);
  }

  beginSegment(offset: number, appendTimeMillis: number): void {
    if (this.#segment) throw new Error('row message: a segment inside a segment');
    this.#segment = { offset, appendTimeMillis, rowStart: this.rows, stackStart: this.stacks, profiles: [] };
  }

  /** Samples belong to a profile, stacks to the segment. */
  beginProfile(digest: string): void {
    if (!this.#segment || this.#profile) throw new Error('row message: a profile outside a segment or inside a profile');
    this.#profile = { digest, rowStart: this.rows };
  }

  /** A profile without rows in this shard is not named. */
  endProfile(): void {
    if (!this.#segment || !this.#profile) throw new Error('row message: the end of a profile that did not begin');
    if (this.rows > this.#profile.rowStart) this.#segment.profiles.push({ ...this.#profile, rowEnd: this.rows });
    this.#profile = null;
  }

  /** A source message without rows in this shard has no segment. */
  endSegment(): void {
    const segment = this.#segment;
    if (!segment || this.#profile) throw new Error('row message: the end of a segment that did not begin, or inside a profile');
    if (this.rows > segment.rowStart || this.stacks > segment.stackStart) this.#segments.push({ ...segment, rowEnd: this.rows, stackEnd: this.stacks });
    this.#segment = null;
  }

  /** Source range (from, to]. The message shares the builder's memory: the builder is done with. */
  build(from: number, to: number): RowsMessage {
    if (this.#segment) throw new Error('row message: built inside a segment');
    this.#stacks.frameStart[this.#stacks.length] = this.#stackFrames.length;
    usual.samples = capacityFor(this.#samples.length);
    usual.stacks = capacityFor(this.#stacks.length);
    usual.frames = capacityFor(this.#frames.length);
    usual.stackFrames = capacityFor(this.#stackFrames.length);
    const stackIdBytes = this.#stackIds.bytes();
    const texts = stackIdTexts(stackIdBytes);
    return {
      ...this.#source,
      from,
      to,
      strings: this.#strings.entries,
      maps: this.#maps.entries,
      types: this.#types.entries,
      links: this.#links.entries,
      stackIdBytes,
      get stackIds() {
        return texts();
      },
      resources: this.#resourceColumns(),
      samples: trimmed(this.#samples),
      stacks: {
        ...trimmed(this.#stacks),
        frameStart: this.#stacks.frameStart.subarray(0, this.#stacks.length + 1),
        frame: this.#stackFrames.done(),
        frames: trimmed(this.#frames),
      },
      segments: this.#segments,
    };
  }

  #resourceColumns(): ResourceColumns {
    const rows = this.#resources.entries;
    const strings = {} as Record<ResourceStringColumn, Uint32Array>;
    for (const [column, name] of resourceStringColumns.entries()) strings[name] = Uint32Array.from(rows, (row) => row.indices[column]!);
    return {
      length: rows.length,
      strings,
      processPid: BigInt64Array.from(rows, (row) => row.processPid ?? nullInt64),
      attributes: Uint32Array.from(rows, (row) => row.attributes ?? 0),
    };
  }
}

/** A table whose entries are found again by a name. */
class Interned<Entry> {
  readonly entries: Entry[];
  readonly index = new Map<string, number>();

  constructor(first: Entry[]) {
    this.entries = first;
  }

  get length(): number {
    return this.entries.length;
  }

  add(name: string, entry: Entry): number {
    const index = this.entries.push(entry) - 1;
    this.index.set(name, index);
    return index;
  }
}

/** Little endian, as every host that we run on. */
const halvesOf = (column: BigInt64Array | BigUint64Array): Uint32Array => new Uint32Array(column.buffer);

function frameHalvesOf({ line, column, address }: FrameColumns): Readonly<Record<'line' | 'column' | 'address', Uint32Array>> {
  return { line: halvesOf(line), column: halvesOf(column), address: halvesOf(address) };
}

/** A whole number into a 64-bit column, without a bigint. */
function putWhole(halves: Uint32Array, row: number, value: number): void {
  const high = Math.floor(value / 2 ** 32);
  halves[2 * row] = value - high * 2 ** 32;
  halves[2 * row + 1] = high;
}

function putHalves(halves: Uint32Array, row: number, [low, high]: readonly [number, number]): void {
  halves[2 * row] = low;
  halves[2 * row + 1] = high;
}

function newSamples(capacity: number): SampleColumns {
  const [int64, uint32] = [() => new BigInt64Array(capacity), () => new Uint32Array(capacity)];
  return {
    length: 0,
    time: int64(),
    durationNanos: int64(),
    value: int64(),
    count: int64(),
    weight: new Float64Array(capacity),
    type: uint32(),
    stack: uint32(),
    link: uint32(),
    resource: uint32(),
    scopeName: uint32(),
    profileId: uint32(),
    threadId: int64(),
    threadName: uint32(),
    cpuLogicalNumber: new Int32Array(capacity),
    attributes: uint32(),
  };
}

function newStacks(capacity: number): Omit<StackColumns, 'frame' | 'frames'> {
  const uint32 = () => new Uint32Array(capacity);
  return { length: 0, id: uint32(), date: new Int32Array(capacity), serviceName: uint32(), cut: uint32(), frameStart: new Uint32Array(capacity) };
}

function newFrames(capacity: number): FrameColumns {
  const [int64, uint32] = [() => new BigInt64Array(capacity), () => new Uint32Array(capacity)];
  return {
    length: 0,
    function: uint32(),
    systemName: uint32(),
    file: uint32(),
    line: int64(),
    column: int64(),
    inlined: new Uint8Array(capacity),
    type: uint32(),
    mapping: uint32(),
    buildId: uint32(),
    address: new BigUint64Array(capacity),
  };
}

function grown<Columns extends { length: number }>(columns: Columns): Columns {
  return mapColumns(columns, (column) => {
    const larger = new (column.constructor as new (length: number) => Column)(2 * column.length);
    (larger as Uint8Array).set(column as Uint8Array);
    return larger;
  });
}

function trimmed<Columns extends { length: number }>(columns: Columns): Columns {
  return mapColumns(columns, (column) => column.subarray(0, columns.length));
}

function mapColumns<Columns extends { length: number }>(columns: Columns, change: (column: Column) => Column): Columns {
  const entries = Object.entries(columns).map(([name, column]) => [name, typeof column === 'number' ? column : change(column as Column)]);
  return Object.fromEntries(entries) as Columns;
}

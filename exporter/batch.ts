// What waits for its publication: the rows and new stacks of many messages as one set of columns.
// Strings, maps, resources and frames of all messages are kept once; what the rows of one thread
// share (resource, type, scope, thread …) is one `series`, so that a row costs 28 B here and 4 M rows
// fit beside the batch that is being written.
import { nullInt32, nullInt64, type ResourceStringColumn, resourceStringColumns, type SampleColumns } from '../schemas/rows/message.ts';
import { laneFloat64, laneInt32, laneInt64, laneUint32 } from './lanes.ts';
import { WordTable } from './words.ts';

/** Words of a resource: its strings in the order of resourceStringColumns, process_pid (low, high), attributes. */
export const resourcePidAt = resourceStringColumns.length;
export const resourceAttributesAt = resourcePidAt + 2;
/** Words of a series. */
export const seriesWords = { resource: 0, type: 1, scopeName: 2, profileId: 3, threadName: 4, threadId: 5 } as const;
/** Words of a stack id: its bytes in their order, little endian. */
export const stackIdWords = 4;
const idWords = new Uint32Array(stackIdWords);
const idBytes = Buffer.from(idWords.buffer);
/** Words of a frame; 64-bit fields take two. */
export const frameWords = { function: 0, systemName: 1, file: 2, line: 3, column: 5, type: 7, mapping: 8, buildId: 9, address: 10, inlined: 12 } as const;

/** Where the rows and stacks of one message of flamelake.rows lie in the batch. */
export interface MessageSpan {
  readonly offset: number;
  readonly rowStart: number;
  readonly rowEnd: number;
  readonly stackStart: number;
  readonly stackEnd: number;
}

/** 2^32: (date, stack) pairs are keyed as one safe integer. */
const dateFactor = 0x1_0000_0000;
export const datedStack = (date: number, stack: number): number => date * dateFactor + stack;

/** A string's header, its slot in an array and its place in a Map. */
const stringBytes = 80;
/** An object with two fields that is one entry of a map. */
const entryBytes = 48;
const microsPerDay = 86_400_000_000;

/** Days since 1970-01-01 of a time in microseconds. */
export function dateOf(timeMicros: bigint): number {
  return Math.floor(Number(timeMicros) / microsPerDay);
}

/** The same of a time's low and high word. */
export function dateOfWords(low: number, high: number): number {
  return Math.floor(((high | 0) * 0x1_0000_0000 + low) / microsPerDay);
}

const serviceAt = resourceStringColumns.indexOf('service_name');

const longBits = new BigInt64Array(1);
const longWords = new Uint32Array(longBits.buffer);

export class Batch {
  readonly strings: string[] = [''];
  readonly maps: (readonly { readonly key: string; readonly value: string }[])[] = [[]];
  readonly stackIds = new WordTable(stackIdWords);
  readonly resources = new WordTable(resourceAttributesAt + 1);
  readonly types = new WordTable(2);
  readonly series = new WordTable(7);
  readonly frames = new WordTable(13);
  readonly traceIds: string[] = [''];
  readonly spanIds: string[] = [''];
  readonly linkSources: number[] = [0];

  rows = 0;
  readonly time = laneInt64(0n);
  readonly value = laneInt64(0n);
  readonly stack = laneUint32();
  readonly seriesOf = laneUint32();
  readonly cpu = laneInt32(nullInt32);
  readonly duration = laneInt64(nullInt64);
  readonly count = laneInt64(1n);
  readonly weight = laneFloat64(1);
  readonly link = laneUint32();
  readonly attributes = laneUint32();
  /** 1 = the row's date was old when its message was appended: carried, not published. */
  readonly oldRow = laneUint32();

  stacks = 0;
  readonly stackId = laneUint32();
  readonly stackDate = laneUint32();
  readonly stackService = laneUint32();
  readonly stackCut = laneUint32();
  readonly stackFrameEnd = laneUint32();
  readonly stackFrames = laneUint32();
  readonly oldStack = laneUint32();
  /** Stack row + 1 by stack, under the batch's first date; nearly all batches have one date. */
  readonly #firstDateRows = laneUint32();
  #firstDate = -1;
  /** Stack row + 1 by (date, stack), under all other dates. */
  readonly #stackRows = new Map<number, number>();

  readonly spans: MessageSpan[] = [];
  readonly #stringIndex = new Map<string, number>([['', 0]]);
  readonly #mapIndex = new Map<string, number>([['', 0]]);
  #lastSeries = -1;
  #textBytes = 0;

  string(text: string): number {
    let index = this.#stringIndex.get(text);
    if (index === undefined) {
      index = this.strings.push(text) - 1;
      this.#stringIndex.set(text, index);
      this.#textBytes += stringBytes + 2 * text.length;
    }
    return index;
  }

  /** 32 lower hex digits. */
  stackNumber(id: string): number {
    this.#fillId(id);
    return this.stackIds.intern();
  }

  /** Of the id at this place among the words of many. */
  stackNumberAt(words: Uint32Array, place: number): number {
    const { scratch } = this.stackIds;
    for (let word = 0; word < stackIdWords; word++) scratch[word] = words[place * stackIdWords + word]!;
    return this.stackIds.intern();
  }

  stackIdText(stack: number): string {
    for (let word = 0; word < stackIdWords; word++) idWords[word] = this.stackIds.word(stack, word);
    return idBytes.toString('hex');
  }

  #fillId(id: string): void {
    if (idBytes.write(id, 'hex') !== idBytes.length) throw new Error(`stack id '${id}', expected 32 hex digits`);
    this.stackIds.scratch.set(idWords);
  }

  /** Row of this stack under this date, or -1. */
  stackRow(date: number, stack: number): number {
    return (date === this.#firstDate ? this.#firstDateRows.get(stack) : (this.#stackRows.get(datedStack(date, stack)) ?? 0)) - 1;
  }

  hasStack(date: number, id: string): boolean {
    this.#fillId(id);
    const stack = this.stackIds.find();
    return stack >= 0 && this.stackRow(date, stack) >= 0;
  }

  map(entries: readonly { readonly key: string; readonly value: string }[]): number {
    const name = JSON.stringify(entries);
    let index = this.#mapIndex.get(name);
    if (index === undefined) {
      index = entries.length === 0 ? 0 : this.maps.push(entries) - 1;
      this.#mapIndex.set(name, index);
      this.#textBytes += stringBytes + name.length + entries.length * entryBytes;
    }
    return index;
  }

  /** Adds one sample row; the caller has filled `series.scratch` (or says which series it is). */
  addRow(row: RowValues): void {
    const at = this.rows++;
    this.time.set(at, row.time);
    this.value.set(at, row.value);
    this.count.set(at, row.count);
    this.duration.set(at, row.duration);
    this.weight.set(at, row.weight);
    this.stack.set(at, row.stack);
    this.seriesOf.set(at, row.series);
    this.link.set(at, row.link);
    this.cpu.set(at, row.cpu);
    this.attributes.set(at, row.attributes);
    this.oldRow.set(at, row.old ? 1 : 0);
  }

  /**
   * Adds rows [start, end) of a message with those of their columns that are values; the caller sets those that are
   * indexes (stack, series, link, attributes, oldRow). Gives the first one's row.
   */
  addValues(samples: SampleColumns, start: number, end: number): number {
    const first = this.rows;
    this.rows += end - start;
    this.time.setRange(first, samples.time, start, end);
    this.value.setRange(first, samples.value, start, end);
    this.count.setRange(first, samples.count, start, end);
    this.duration.setRange(first, samples.durationNanos, start, end);
    this.weight.setRange(first, samples.weight, start, end);
    this.cpu.setRange(first, samples.cpuLogicalNumber, start, end);
    return first;
  }

  internSeries(resource: number, type: number, scopeName: number, profileId: number, threadName: number, threadId: bigint): number {
    longBits[0] = threadId;
    return this.internSeriesWords(resource, type, scopeName, profileId, threadName, longWords[0]!, longWords[1]!);
  }

  /** The same with the thread id as its low and high word. */
  internSeriesWords(resource: number, type: number, scopeName: number, profileId: number, threadName: number, low: number, high: number): number {
    const scratch = this.series.scratch;
    const last = this.#lastSeries;
    if (
      last >= 0 &&
      scratch[0] === resource &&
      scratch[1] === type &&
      scratch[2] === scopeName &&
      scratch[3] === profileId &&
      scratch[4] === threadName &&
      scratch[5] === low &&
      scratch[6] === high
    ) {
      return last; // runs of rows of one thread are the rule
    }
    scratch[0] = resource;
    scratch[1] = type;
    scratch[2] = scopeName;
    scratch[3] = profileId;
    scratch[4] = threadName;
    scratch[5] = low;
    scratch[6] = high;
    this.#lastSeries = this.series.intern();
    return this.#lastSeries;
  }

  internResource(strings: Readonly<Record<ResourceStringColumn, number>>, processPid: bigint, attributes: number): number {
    const scratch = this.resources.scratch;
    resourceStringColumns.forEach((name, position) => {
      scratch[position] = strings[name];
    });
    longBits[0] = processPid;
    scratch[resourcePidAt] = longWords[0]!;
    scratch[resourcePidAt + 1] = longWords[1]!;
    scratch[resourceAttributesAt] = attributes;
    return this.resources.intern();
  }

  internType(type: number, unit: number): number {
    this.types.scratch[0] = type;
    this.types.scratch[1] = unit;
    return this.types.intern();
  }

  internFrame(frame: FrameValues): number {
    const scratch = this.frames.scratch;
    scratch[frameWords.function] = frame.function;
    scratch[frameWords.systemName] = frame.systemName;
    scratch[frameWords.file] = frame.file;
    setLong(scratch, frameWords.line, frame.line);
    setLong(scratch, frameWords.column, frame.column);
    scratch[frameWords.type] = frame.type;
    scratch[frameWords.mapping] = frame.mapping;
    scratch[frameWords.buildId] = frame.buildId;
    setLong(scratch, frameWords.address, frame.address);
    scratch[frameWords.inlined] = frame.inlined ? 1 : 0;
    return this.frames.intern();
  }

  /** Adds a stack that is not here yet under this date; frames are indexes of `frames`, leaf first. */
  addStack(date: number, stack: number, serviceName: number, cut: number, frames: readonly number[], old: boolean): void {
    const at = this.stacks++;
    this.stackId.set(at, stack);
    this.stackDate.set(at, date);
    this.stackService.set(at, serviceName);
    this.stackCut.set(at, cut);
    let end = at === 0 ? 0 : this.stackFrameEnd.get(at - 1);
    for (const frame of frames) this.stackFrames.set(end++, frame);
    this.stackFrameEnd.set(at, end);
    this.oldStack.set(at, old ? 1 : 0);
    if (at === 0) this.#firstDate = date;
    if (date === this.#firstDate) this.#firstDateRows.set(stack, at + 1);
    else this.#stackRows.set(datedStack(date, stack), at + 1);
  }

  /** [start, end) in stackFrames. */
  stackFrameRange(row: number): { start: number; end: number } {
    return { start: row === 0 ? 0 : this.stackFrameEnd.get(row - 1), end: this.stackFrameEnd.get(row) };
  }

  resourceString(resource: number, column: number): number {
    return this.resources.word(resource, column);
  }

  resourcePid(resource: number): bigint {
    return getLong(this.resources, resource, resourcePidAt);
  }

  resourceAttributes(resource: number): number {
    return this.resources.word(resource, resourceAttributesAt);
  }

  seriesThreadId(series: number): bigint {
    return getLong(this.series, series, seriesWords.threadId);
  }

  frameLong(frame: number, position: number): bigint {
    return getLong(this.frames, frame, position);
  }

  addLink(traceId: string, spanId: string, source: number): number {
    this.#textBytes += 2 * stringBytes + traceId.length + spanId.length;
    this.traceIds.push(traceId);
    this.spanIds.push(spanId);
    return this.linkSources.push(source) - 1;
  }

  dateOfRow(row: number): number {
    return Math.floor(this.time.number(row) / microsPerDay); // exact to 2^53 microseconds, the year 2255
  }

  /** service_name of a row. */
  serviceOfRow(row: number): number {
    return this.resourceString(this.series.word(this.seriesOf.get(row), seriesWords.resource), serviceAt);
  }

  /** Offset in flamelake.rows that a row came with. */
  offsetOfRow(row: number): number {
    return this.#spanAt((span) => span.rowEnd > row)?.offset ?? 0;
  }

  /** Placeholders of lost stacks came with no message: they count to the last one. */
  offsetOfStack(stack: number): number {
    return this.#spanAt((span) => span.stackEnd > stack)?.offset ?? this.spans.at(-1)?.offset ?? 0;
  }

  /** First span that reaches far enough; spans are in order. */
  #spanAt(reaches: (span: MessageSpan) => boolean): MessageSpan | undefined {
    let low = 0;
    let high = this.spans.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (reaches(this.spans[middle]!)) high = middle;
      else low = middle + 1;
    }
    return this.spans[low];
  }

  /** Bytes held, roughly: lanes and tables exactly, texts with what holds them. */
  get bytes(): number {
    const lanes = [this.time, this.value, this.stack, this.seriesOf, this.cpu, this.duration, this.count, this.weight, this.link, this.attributes];
    const stackLanes = [this.#firstDateRows, this.stackId, this.stackDate, this.stackService, this.stackCut, this.stackFrameEnd, this.stackFrames];
    const tables = [this.stackIds, this.resources, this.types, this.series, this.frames];
    const columns = [...lanes, ...stackLanes, ...tables].reduce((sum, column) => sum + column.bytes, 0);
    return columns + this.#textBytes;
  }
}

export interface RowValues {
  readonly time: bigint;
  readonly duration: bigint;
  readonly value: bigint;
  readonly count: bigint;
  readonly weight: number;
  readonly series: number;
  readonly stack: number;
  readonly link: number;
  readonly cpu: number;
  readonly attributes: number;
  readonly old: boolean;
}

export interface FrameValues {
  readonly function: number;
  readonly systemName: number;
  readonly file: number;
  readonly line: bigint;
  readonly column: bigint;
  readonly type: number;
  readonly mapping: number;
  readonly buildId: number;
  readonly address: bigint;
  readonly inlined: boolean;
}

function setLong(words: Uint32Array, at: number, value: bigint): void {
  longBits[0] = value; // BigInt64Array wraps an unsigned address to the same bits
  words[at] = longWords[0]!;
  words[at + 1] = longWords[1]!;
}

function getLong(table: WordTable, index: number, at: number): bigint {
  longWords[0] = table.word(index, at);
  longWords[1] = table.word(index, at + 1);
  return longBits[0]!;
}

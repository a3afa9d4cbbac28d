// From one decoded row message into a batch: the message's indexes become the batch's. Nothing is
// looked up before a row or stack that stays needs it, so what is dropped leaves nothing behind.
import { PipelineError } from '../lib/errors.ts';
import { nullInt32, type ResourceStringColumn, type RowsMessage, resourceStringColumns } from '../schemas/rows/message.ts';
import { type Batch, dateOfWords, frameWords, stackIdWords } from './batch.ts';
import { dayMax } from './limits.ts';

const unknown = -1;
const millisPerDay = 86_400_000;

export class MessageAppender {
  readonly #batch: Batch;
  readonly #message: RowsMessage;
  readonly #strings: Int32Array;
  readonly #maps: Int32Array;
  readonly #resources: Int32Array;
  readonly #types: Int32Array;
  readonly #links: Int32Array;
  readonly #stacks: Int32Array;
  readonly #stackIds: Uint32Array;
  /** By index into the message's frame table, which stacks refer to. */
  readonly #frames: Int32Array;
  /** Date under which `each` was told of a stack. */
  readonly #told: Int32Array;
  readonly #lines: Uint32Array;
  readonly #columns: Uint32Array;
  readonly #addresses: Uint32Array;

  constructor(batch: Batch, message: RowsMessage) {
    this.#batch = batch;
    this.#message = message;
    const fresh = (length: number) => new Int32Array(length).fill(unknown);
    this.#strings = fresh(message.strings.length);
    this.#maps = fresh(message.maps.length);
    this.#resources = fresh(message.resources.length);
    this.#types = fresh(message.types.length);
    this.#links = fresh(message.links.length);
    this.#stackIds = wordsOfIds(message);
    this.#stacks = fresh(this.#stackIds.length / stackIdWords);
    this.#frames = fresh(message.stacks.frames.length);
    this.#told = fresh(this.#stacks.length).fill(nullInt32);
    const { frames } = message.stacks;
    this.#lines = wordsOf(frames.line);
    this.#columns = wordsOf(frames.column);
    this.#addresses = wordsOf(frames.address);
  }

  /** Adds rows [start, end); tells `each` the date, stack and batch row of every stack that comes up, not of every row. */
  addRows(start: number, end: number, appendTimeMillis: number, each: (date: number, stack: number, row: number) => void): void {
    const { samples } = this.#message;
    const batch = this.#batch;
    const threadIds = wordsOf(samples.threadId);
    const oldBelow = oldBelowDate(appendTimeMillis);
    const first = batch.addValues(samples, start, end);
    for (let index = start; index < end; index++) {
      const row = first + index - start;
      const date = batch.dateOfRow(row);
      const messageStack = samples.stack[index]!;
      const stack = this.#stack(messageStack);
      batch.stack.set(row, stack);
      const series = batch.internSeriesWords(
        this.#resource(samples.resource[index]!),
        this.#type(samples.type[index]!),
        this.#string(samples.scopeName[index]!),
        this.#string(samples.profileId[index]!),
        this.#string(samples.threadName[index]!),
        threadIds[2 * index]!,
        threadIds[2 * index + 1]!,
      );
      batch.seriesOf.set(row, series);
      batch.link.set(row, this.#link(samples.link[index]!));
      batch.attributes.set(row, this.#map(samples.attributes[index]!));
      batch.oldRow.set(row, date < oldBelow ? 1 : 0);
      if (this.#told[messageStack] === date) continue;
      this.#told[messageStack] = date;
      each(date, stack, row);
    }
  }

  /** Number in the batch of the id of stack `row` of the message. */
  stackOf(row: number): number {
    return this.#stack(this.#message.stacks.id[row]!);
  }

  /** Adds stack `row` of the message; the caller has seen that it is new under its date. */
  addStack(row: number, appendTimeMillis: number): void {
    const { stacks } = this.#message;
    const [start, end] = [stacks.frameStart[row]!, stacks.frameStart[row + 1]!];
    const frames = new Array<number>(end - start);
    for (let at = start; at < end; at++) frames[at - start] = this.#frame(stacks.frame[at]!);
    const date = stacks.date[row]!;
    const old = date < oldBelowDate(appendTimeMillis);
    this.#batch.addStack(date, this.stackOf(row), this.#string(stacks.serviceName[row]!), this.#string(stacks.cut[row]!), frames, old);
  }

  #string(index: number): number {
    if (index === 0) return 0;
    const known = this.#strings[index]!;
    if (known !== unknown) return known;
    const number = this.#batch.string(this.#message.strings[index]!);
    this.#strings[index] = number;
    return number;
  }

  #map(index: number): number {
    if (index === 0) return 0;
    const known = this.#maps[index]!;
    if (known !== unknown) return known;
    const { maps, strings } = this.#message;
    const number = this.#batch.map(maps[index]!.map(([key, value]) => ({ key: strings[key]!, value: strings[value]! })));
    this.#maps[index] = number;
    return number;
  }

  #type(index: number): number {
    const known = this.#types[index]!;
    if (known !== unknown) return known;
    const [type, unit] = this.#message.types[index]!;
    const number = this.#batch.internType(this.#string(type), this.#string(unit));
    this.#types[index] = number;
    return number;
  }

  #link(index: number): number {
    if (index === 0) return 0;
    const known = this.#links[index]!;
    if (known !== unknown) return known;
    const [traceId, spanId, source] = this.#message.links[index]!;
    const { strings } = this.#message;
    const number = this.#batch.addLink(strings[traceId]!, strings[spanId]!, this.#string(source));
    this.#links[index] = number;
    return number;
  }

  #stack(index: number): number {
    const known = this.#stacks[index]!;
    if (known !== unknown) return known;
    const number = this.#batch.stackNumberAt(this.#stackIds, index);
    this.#stacks[index] = number;
    return number;
  }

  #resource(index: number): number {
    const known = this.#resources[index]!;
    if (known !== unknown) return known;
    const { resources } = this.#message;
    const strings = {} as Record<ResourceStringColumn, number>;
    for (const name of resourceStringColumns) strings[name] = this.#string(resources.strings[name][index]!);
    const number = this.#batch.internResource(strings, resources.processPid[index]!, this.#map(resources.attributes[index]!));
    this.#resources[index] = number;
    return number;
  }

  #frame(index: number): number {
    const known = this.#frames[index]!;
    if (known !== unknown) return known;
    const { frames } = this.#message.stacks;
    const words = this.#batch.frames.scratch;
    words[frameWords.function] = this.#string(frames.function[index]!);
    words[frameWords.systemName] = this.#string(frames.systemName[index]!);
    words[frameWords.file] = this.#string(frames.file[index]!);
    words[frameWords.line] = this.#lines[2 * index]!;
    words[frameWords.line + 1] = this.#lines[2 * index + 1]!;
    words[frameWords.column] = this.#columns[2 * index]!;
    words[frameWords.column + 1] = this.#columns[2 * index + 1]!;
    words[frameWords.type] = this.#string(frames.type[index]!);
    words[frameWords.mapping] = this.#string(frames.mapping[index]!);
    words[frameWords.buildId] = this.#string(frames.buildId[index]!);
    words[frameWords.address] = this.#addresses[2 * index]!;
    words[frameWords.address + 1] = this.#addresses[2 * index + 1]!;
    words[frameWords.inlined] = frames.inlined[index] === 1 ? 1 : 0;
    const number = this.#batch.frames.intern();
    this.#frames[index] = number;
    return number;
  }
}

/** The bytes of all ids, where words must begin: at a multiple of four. */
function wordsOfIds({ stackIdBytes }: RowsMessage): Uint32Array {
  const { buffer, byteOffset, length } = stackIdBytes.byteOffset % 4 === 0 ? stackIdBytes : stackIdBytes.slice();
  return new Uint32Array(buffer, byteOffset, length / 4);
}

/** Low and high word of each value: reading a bigint makes an object. */
function wordsOf(values: BigInt64Array | BigUint64Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
}

/** Rows of dates below this one were already old when their message was appended: yesterday is not. */
export function oldBelowDate(appendTimeMillis: number): number {
  return Math.floor(appendTimeMillis / millisPerDay) - 1;
}

/** The dates whose stack ids a message asks for. Throws `message_malformed` for a date that no path can have. */
export function datesOf(message: RowsMessage): Set<number> {
  const dates = new Set<number>();
  const times = wordsOf(message.samples.time);
  let last = Number.NaN;
  for (let at = 0; at < times.length; at += 2) {
    const date = dateOfWords(times[at]!, times[at + 1]!);
    if (date !== last) dates.add(date);
    last = date;
  }
  for (const date of message.stacks.date) {
    if (date !== last) dates.add(date);
    last = date;
  }
  for (const date of dates) {
    if (date < 0 || date > dayMax)
      throw new PipelineError('message_malformed', `row message of ${message.topic}/${message.partition}: day ${date} after 1970-01-01 has no date`);
  }
  return dates;
}

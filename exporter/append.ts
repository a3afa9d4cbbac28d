// From one decoded row message into a batch: the message's indexes become the batch's. Nothing is
// looked up before a row or stack that stays needs it, so what is dropped leaves nothing behind.
import { PipelineError } from '../lib/errors.ts';
import { type ResourceStringColumn, type RowsMessage, resourceStringColumns } from '../schemas/rows/message.ts';
import { type Batch, dateOf } from './batch.ts';
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

  constructor(batch: Batch, message: RowsMessage) {
    this.#batch = batch;
    this.#message = message;
    const fresh = (length: number) => new Int32Array(length).fill(unknown);
    this.#strings = fresh(message.strings.length);
    this.#maps = fresh(message.maps.length);
    this.#resources = fresh(message.resources.length);
    this.#types = fresh(message.types.length);
    this.#links = fresh(message.links.length);
    this.#stacks = fresh(message.stackIds.length);
  }

  /** Adds rows [start, end); tells `each` the date, stack and batch row of every one. */
  addRows(start: number, end: number, appendTimeMillis: number, each: (date: number, stack: number, row: number) => void): void {
    const { samples } = this.#message;
    const oldBelow = oldBelowDate(appendTimeMillis);
    for (let row = start; row < end; row++) {
      const time = samples.time[row]!;
      const date = dateOf(time);
      const stack = this.#stack(samples.stack[row]!);
      const resource = this.#resource(samples.resource[row]!);
      const series = this.#batch.internSeries(
        resource,
        this.#type(samples.type[row]!),
        this.#string(samples.scopeName[row]!),
        this.#string(samples.profileId[row]!),
        this.#string(samples.threadName[row]!),
        samples.threadId[row]!,
      );
      this.#batch.addRow({
        time,
        series,
        stack,
        duration: samples.durationNanos[row]!,
        value: samples.value[row]!,
        count: samples.count[row]!,
        weight: samples.weight[row]!,
        link: this.#link(samples.link[row]!),
        cpu: samples.cpuLogicalNumber[row]!,
        attributes: this.#map(samples.attributes[row]!),
        old: date < oldBelow,
      });
      each(date, stack, this.#batch.rows - 1);
    }
  }

  /** Adds stack `row` of the message; the caller has seen that it is new under its date. */
  addStack(row: number, appendTimeMillis: number): void {
    const { stacks } = this.#message;
    const frames: number[] = [];
    for (let frame = stacks.frameStart[row]!; frame < stacks.frameStart[row + 1]!; frame++) frames.push(this.#frame(frame));
    const date = stacks.date[row]!;
    const old = date < oldBelowDate(appendTimeMillis);
    this.#batch.addStack(date, this.#stack(stacks.id[row]!), this.#string(stacks.serviceName[row]!), this.#string(stacks.cut[row]!), frames, old);
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
    const number = this.#batch.stackNumber(this.#message.stackIds[index]!);
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
    const { frames } = this.#message.stacks;
    return this.#batch.internFrame({
      function: this.#string(frames.function[index]!),
      systemName: this.#string(frames.systemName[index]!),
      file: this.#string(frames.file[index]!),
      line: frames.line[index]!,
      column: frames.column[index]!,
      type: this.#string(frames.type[index]!),
      mapping: this.#string(frames.mapping[index]!),
      buildId: this.#string(frames.buildId[index]!),
      address: frames.address[index]!,
      inlined: frames.inlined[index] === 1,
    });
  }
}

/** Rows of dates below this one were already old when their message was appended: yesterday is not. */
export function oldBelowDate(appendTimeMillis: number): number {
  return Math.floor(appendTimeMillis / millisPerDay) - 1;
}

/** The dates whose stack ids a message asks for. Throws `message_malformed` for a date that no path can have. */
export function datesOf(message: RowsMessage): Set<number> {
  const dates = new Set<number>();
  let last = Number.NaN;
  for (const time of message.samples.time) {
    const date = dateOf(time);
    if (date !== last) dates.add(date);
    last = date;
  }
  for (const date of message.stacks.date) dates.add(date);
  for (const date of dates) {
    if (date < 0 || date > dayMax)
      throw new PipelineError('message_malformed', `row message of ${message.topic}/${message.partition}: day ${date} after 1970-01-01 has no date`);
  }
  return dates;
}

// Which rows go to which file, and in which order. Samples lie by (service_name, sample_type, host_id,
// process_pid, thread_id, time): 8.3 B a row against 13.4 by time (docs/lake.md). All but the time is a
// property of the row's series, so series are sorted (some thousands), rows only counted into place.

import { resourceStringColumns } from '../schemas/rows/message.ts';
import { type Batch, seriesWords } from './batch.ts';

const microsPerHour = 3_600_000_000;
const serviceColumn = resourceStringColumns.indexOf('service_name');
const hostColumn = resourceStringColumns.indexOf('host_id');

export interface SampleGroup {
  readonly date: number;
  readonly hour: number;
  /** Batch rows in file order. */
  readonly rows: Uint32Array;
}

export interface StackGroup {
  readonly date: number;
  readonly stacks: Uint32Array;
}

/** Rows for which `wanted` says yes, by date and hour (ascending), each group in file order. */
export function groupSamples(batch: Batch, wanted: (row: number) => boolean): SampleGroup[] {
  const times = new Float64Array(batch.rows);
  const byHour = new Map<number, number[]>();
  let lastHour = Number.NaN;
  let lastRows: number[] = [];
  for (let row = 0; row < batch.rows; row++) {
    if (!wanted(row)) continue;
    times[row] = batch.time.number(row); // exact to 2^53 microseconds, the year 2255
    const hour = Math.floor(times[row]! / microsPerHour);
    if (hour !== lastHour) {
      lastHour = hour;
      lastRows = byHour.get(hour) ?? [];
      byHour.set(hour, lastRows);
    }
    lastRows.push(row);
  }
  const ranks = rankSeries(batch);
  return [...byHour]
    .sort(([a], [b]) => a - b)
    .map(([hour, rows]) => ({
      date: Math.floor(hour / 24),
      hour: hour - Math.floor(hour / 24) * 24,
      rows: sortRows(batch, Uint32Array.from(rows), ranks, times),
    }));
}

interface SeriesRanks {
  /** By series; series that differ only in what is not sorted by share a rank. */
  readonly rank: Uint32Array;
  readonly count: number;
}

function rankSeries(batch: Batch): SeriesRanks {
  const { series, types, strings } = batch;
  const keys = Array.from({ length: series.length }, (_unused, index) => {
    const resource = series.word(index, seriesWords.resource);
    return {
      index,
      service: strings[batch.resourceString(resource, serviceColumn)]!,
      type: strings[types.word(series.word(index, seriesWords.type), 0)]!,
      host: strings[batch.resourceString(resource, hostColumn)]!,
      pid: batch.resourcePid(resource),
      thread: batch.seriesThreadId(index),
    };
  });
  type Key = (typeof keys)[number];
  const compare = (a: Key, b: Key) =>
    order(a.service, b.service) || order(a.type, b.type) || order(a.host, b.host) || order(a.pid, b.pid) || order(a.thread, b.thread);
  keys.sort(compare);
  const rank = new Uint32Array(series.length);
  let count = 0;
  keys.forEach((key, position) => {
    if (position > 0 && compare(keys[position - 1]!, key) !== 0) count++;
    rank[key.index] = count;
  });
  return { rank, count: keys.length === 0 ? 0 : count + 1 };
}

function sortRows(batch: Batch, rows: Uint32Array, { rank, count }: SeriesRanks, times: Float64Array): Uint32Array {
  const next = new Uint32Array(count + 1);
  const rankOf = batch.seriesOf.gather(rows);
  for (let index = 0; index < rows.length; index++) {
    const own = rank[rankOf[index]!]!;
    rankOf[index] = own;
    next[own + 1]!++;
  }
  for (let own = 0; own < count; own++) next[own + 1]! += next[own]!;
  const sorted = new Uint32Array(rows.length);
  for (let index = 0; index < rows.length; index++) sorted[next[rankOf[index]!]!++] = rows[index]!;
  // Each place to write at has moved to where the next rank begins.
  for (let own = 0, start = 0; own < count; own++) {
    sortByTime(sorted, start, next[own]!, times);
    start = next[own]!;
  }
  return sorted;
}

/** Rows [start, end) of one rank. They mostly come in order; the check costs less than the sort. */
function sortByTime(sorted: Uint32Array, start: number, end: number, times: Float64Array): void {
  let [least, most, isOrdered] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, true];
  for (let at = start; at < end; at++) {
    const time = times[sorted[at]!]!;
    if (time < most) isOrdered = false;
    else most = time;
    if (time < least) least = time;
  }
  if (isOrdered) return;
  const rows = sorted.subarray(start, end);
  const count = rows.length;
  // Time and place in one number, whose sort calls nothing; an hour of 2 M rows of one thread fits.
  if ((most - least + 1) * count >= Number.MAX_SAFE_INTEGER) {
    rows.sort((a, b) => times[a]! - times[b]! || a - b);
    return;
  }
  const keys = new Float64Array(count);
  for (let at = 0; at < count; at++) keys[at] = (times[rows[at]!]! - least) * count + at;
  keys.sort();
  const before = rows.slice();
  for (let at = 0; at < count; at++) rows[at] = before[keys[at]! % count]!;
}

/** Stacks for which `wanted` says yes, by date (ascending), each group sorted by stack id. */
export function groupStacks(batch: Batch, wanted: (stack: number) => boolean): StackGroup[] {
  const byDate = new Map<number, number[]>();
  for (let stack = 0; stack < batch.stacks; stack++) {
    if (!wanted(stack)) continue;
    const date = batch.stackDate.get(stack);
    const stacks = byDate.get(date);
    if (stacks === undefined) byDate.set(date, [stack]);
    else stacks.push(stack);
  }
  return [...byDate].sort(([a], [b]) => a - b).map(([date, stacks]) => ({ date, stacks: sortById(batch, Uint32Array.from(stacks)) }));
}

/** The first 52 bits of an id, as a number, say the order of all ids but those that begin alike. */
function sortById(batch: Batch, stacks: Uint32Array): Uint32Array {
  const keys = new Float64Array(batch.stacks);
  const id = (stack: number) => batch.stackIdText(batch.stackId.get(stack));
  for (const stack of stacks) {
    const number = batch.stackId.get(stack);
    keys[stack] = bigEndian(batch.stackIds.word(number, 0)) * 2 ** 20 + (bigEndian(batch.stackIds.word(number, 1)) >>> 12);
  }
  return stacks.sort((a, b) => keys[a]! - keys[b]! || order(id(a), id(b)));
}

/** Bytes in their order make the number, as digits do. */
function bigEndian(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}

function order<T extends string | bigint>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

// Times of rows: microseconds, and the rule for clocks that are far off (docs/lake.md, time). Compared
// with the log append time of the message, never with a clock of ours: a replay must decide the same.
import { lateDaysMax } from '../schemas/lake/floor.ts';

const hourMicros = 3_600_000_000;
const dayMicros = 24 * hourMicros;
export const believedBehindMicros = lateDaysMax * dayMicros;
export const believedAheadMicros = hourMicros;

/** Whole microseconds of a 64-bit time in nanoseconds. Exact: the result is below 2^54.1, and rounds only beyond the year 2255. */
export function microsOf(low: number, high: number): number {
  const thousands = Math.floor(high / 1000);
  return thousands * 2 ** 32 + Math.floor(((high - thousands * 1000) * 2 ** 32 + low) / 1000);
}

export function isBelieved(micros: number, appendMicros: number): boolean {
  return micros >= appendMicros - believedBehindMicros && micros <= appendMicros + believedAheadMicros;
}

/** Days since 1970-01-01 (UTC): the date under which a row is stored. */
export const dateOf = (micros: number): number => Math.floor(micros / dayMicros);

/** RFC 3339 with nanoseconds. */
export function timeText(nanos: bigint): string {
  const seconds = nanos / 1_000_000_000n;
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, -5)}.${String(nanos % 1_000_000_000n).padStart(9, '0')}Z`;
}

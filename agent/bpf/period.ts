// The sampling period. perf's frequency mode gives exactly 50 ms at 20 Hz, in phase on all CPUs: a
// program that works 3 ms of each 10 ms on an absolute timer was then seen always or never (160, 0 and
// 0 samples where 48 were due). So the period is fixed and shares no small multiple with the ticks that
// programs use (1, 4, 5, 10 ms and their multiples), and CPUs are staggered.

/**
 * 0.6 times the golden ratio: 2.9 % shorter than nominal. Nominal periods are whole milliseconds or
 * simple fractions of them; their product with a number like this is badly approximable by fractions, so
 * the phase against any such tick wanders evenly over the tick and never stays in a small cycle.
 */
const incommensurate = 0.9708203932499369;
/** (sqrt 5 - 1) / 2: multiples of it, modulo 1, spread evenly for any number of CPUs. */
const goldenRatio = 0.6180339887498949;

export const rateHzMin = 1;
export const rateHzMax = 1000;

/** Nanoseconds between two samples of one CPU: what each sample stands for. */
export function samplingPeriodNanos(rateHz: number): number {
  return Math.round((1e9 / rateHz) * incommensurate);
}

/** When to start each CPU's clock after the first, nanoseconds in [0, period), by position in the list of CPUs. */
export function staggerNanos(position: number, periodNanos: number): number {
  return ((position * goldenRatio) % 1) * periodNanos;
}

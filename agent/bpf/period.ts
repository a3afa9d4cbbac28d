// The sampling period. perf's frequency mode gives exactly 50 ms at 20 Hz, in phase on all CPUs: a
// program that works 3 ms of each 10 ms on an absolute timer was then seen always or never (160, 0 and
// 0 samples where 48 were due). So the period is fixed, a little shorter than asked for, chosen to stay out
// of step with the ticks that programs use, and CPUs are staggered.

/** Periods of timers that programs and kernels like, milliseconds. */
const ticksMillis = [1, 2, 4, 5, 8, 10, 16, 20, 50, 100] as const;
const shortestShare = 0.95;
const longestShare = 0.99;
const candidates = 60;
/** Half a minute at 20 Hz: long enough to show a bad period, short enough to try all candidates in some 50 ms. */
const phasesTried = 600;
/** (sqrt 5 - 1) / 2: multiples of it, modulo 1, spread evenly for any number of CPUs. */
const goldenRatio = 0.6180339887498949;

/**
 * Nanoseconds between two samples of one CPU: what each sample stands for. Of the candidates 1 to 5 %
 * below 1 / rate the one whose phases spread most evenly over every tick.
 */
export function samplingPeriodNanos(rateHz: number): number {
  const nominal = 1e9 / rateHz;
  let best = nominal;
  let bestUnevenness = Number.POSITIVE_INFINITY;
  for (let index = 0; index < candidates; index++) {
    // Golden steps: candidates are no round numbers themselves.
    const share = shortestShare + (longestShare - shortestShare) * ((index * goldenRatio) % 1);
    const period = Math.round(nominal * share);
    const unevenness = Math.max(...ticksMillis.map((tickMillis) => discrepancy(period, tickMillis * 1e6)));
    if (unevenness < bestUnevenness) {
      best = period;
      bestUnevenness = unevenness;
    }
  }
  return best;
}

/** How far the share of phases in any first part of the tick is from that part, at worst. */
function discrepancy(periodNanos: number, tickNanos: number): number {
  const phases = Float64Array.from({ length: phasesTried }, (_, index) => ((index * periodNanos) % tickNanos) / tickNanos).sort();
  let worst = 0;
  for (const [index, phase] of phases.entries()) worst = Math.max(worst, phase - index / phasesTried, (index + 1) / phasesTried - phase);
  return worst;
}

/** When to start each CPU's clock after the first, nanoseconds in [0, period), by position in the list of CPUs. */
export function staggerNanos(position: number, periodNanos: number): number {
  return ((position * goldenRatio) % 1) * periodNanos;
}

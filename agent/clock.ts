// From the kernel's monotonic time to wall clock time. Anchored anew at each drain: the events of one
// drain are at most some hundred milliseconds old, so a step of the wall clock moves none of them by more.
import { clockGettime } from './bpf/native.ts';

/** linux/time.h: CLOCK_REALTIME, CLOCK_MONOTONIC (what bpf_ktime_get_ns gives). */
const clockRealtime = 0;
const clockMonotonic = 1;
/** CLOCK_BOOTTIME: monotonic, and goes on while the host is suspended. */
const clockBoot = 7;

const time = new BigInt64Array(2);
const timeBytes = new Uint8Array(time.buffer);

function read(clock: number): bigint {
  clockGettime(clock, timeBytes);
  return time[0]! * 1_000_000_000n + time[1]!;
}

export const realtimeNanos = (): bigint => read(clockRealtime);

export const bootMillis = (): number => Number(read(clockBoot) / 1_000n) / 1_000;

/** What to add to a monotonic time now, nanoseconds. */
export function anchorNanos(): bigint {
  const before = read(clockMonotonic);
  const wall = read(clockRealtime);
  const after = read(clockMonotonic);
  return wall - (before + after) / 2n;
}

// From the kernel's time since boot to wall clock time. Anchored anew at each drain: the events of one
// drain are at most some hundred milliseconds old, so a step of the wall clock moves none of them by more.
import { clockGettime } from './bpf/native.ts';

/** linux/time.h: CLOCK_REALTIME, and CLOCK_BOOTTIME (what bpf_ktime_get_boot_ns gives): never set, and goes on while the host is suspended. */
const clockRealtime = 0;
const clockBoot = 7;

const time = new BigInt64Array(2);
const timeBytes = new Uint8Array(time.buffer);

function read(clock: number): bigint {
  clockGettime(clock, timeBytes);
  return time[0]! * 1_000_000_000n + time[1]!;
}

export interface Clock {
  /** Nanoseconds since boot. */
  bootNanos(): bigint;
  anchorNanos(): bigint;
}

export const bootMillis = (): number => Number(read(clockBoot) / 1_000n) / 1_000;

/** What to add to a time since boot now, nanoseconds. */
function anchorNanos(): bigint {
  const before = read(clockBoot);
  const wall = read(clockRealtime);
  const after = read(clockBoot);
  return wall - (before + after) / 2n;
}

export const hostClock: Clock = { bootNanos: () => read(clockBoot), anchorNanos };

// /proc/PID/stat: field 22, when the process started, in ticks of 10 ms since boot. With the start time
// that the kernel half reads it tells whether a pid still is the process that was sampled.

const nanosPerTick = 10_000_000n;

export function parseStartTicks(stat: string): bigint | null {
  // The name is in parentheses and may hold anything, parentheses and spaces too; what follows holds none.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields[19];
  return ticks !== undefined && /^\d{1,19}$/.test(ticks) ? BigInt(ticks) : null;
}

/** The kernel rounds down to ticks. */
export function startsAt(startTicks: bigint, startNanos: bigint): boolean {
  return startNanos / nanosPerTick === startTicks;
}

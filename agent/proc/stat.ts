// /proc/PID/stat: field 22, when the process started, in ticks of 10 ms since boot, and fields 26 to 28,
// which differ from one execve to the next. With the same numbers from the kernel half they tell whether
// a pid still is the process that was sampled, and whether it still runs what it ran then.

const nanosPerTick = 10_000_000n;
/** Fields by their numbers in proc(5); the first after the name is 3. */
const fieldStartTime = 22;
const fieldStartCode = 26;
const fieldEndCode = 27;
const fieldStartStack = 28;

export interface ProcessStat {
  readonly startTicks: bigint;
  /** As image_of() in bpf/sample.bpf.c; 0 = the process has none any more, or we may not know. */
  readonly image: bigint;
}

export function parseStat(stat: string): ProcessStat | null {
  // The name is in parentheses and may hold anything, parentheses and spaces too; what follows holds none.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const number = (field: number): bigint | null => {
    const text = fields[field - 3];
    return text !== undefined && /^\d{1,20}$/.test(text) ? BigInt(text) : null;
  };
  const startTicks = number(fieldStartTime);
  if (startTicks === null) return null;
  return { startTicks, image: imageOf(number(fieldStartCode) ?? 0n, number(fieldEndCode) ?? 0n, number(fieldStartStack) ?? 0n) };
}

/** Without the right to see them the kernel shows 1, 1 and 0. */
export function imageOf(startCode: bigint, endCode: bigint, startStack: bigint): bigint {
  if (startCode === 0n || startStack === 0n) return 0n;
  return BigInt.asUintN(64, (startStack * 31n + startCode) * 31n + endCode);
}

/** The kernel rounds down to ticks. */
export function startsAt(startTicks: bigint, startNanos: bigint): boolean {
  return startNanos / nanosPerTick === startTicks;
}

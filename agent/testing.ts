// For the tests of this folder.
import { readFileSync } from 'node:fs';
import { parseStat } from './proc/stat.ts';
import type { ProcessIdentity } from './processes.ts';

const nanosPerTick = 10_000_000n;

/** A running process as a sample tells it. */
export function identityOf(pid: number): ProcessIdentity {
  const { startTicks, image } = parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))!;
  return { pid, startNanos: startTicks * nanosPerTick, image, isKernelThread: false };
}

// Names a process so that others on the host can tell whether it still runs: a pid alone is used again.
import { readFileSync, readlinkSync } from 'node:fs';

interface ProcessIdentity {
  readonly boot: string;
  readonly pidNamespace: string;
  readonly pid: number;
  readonly started: string | null;
}

const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
const pidNamespace = readlinkSync('/proc/self/ns/pid');

/** This process's identity, as text for isSameProcess. */
export const thisProcess = JSON.stringify({ boot, pidNamespace, pid: process.pid, started: startTicks(process.pid) } satisfies ProcessIdentity);

/**
 * False where the process is known to be gone: the host was booted since (its monotonic clock began
 * again too), or no such process runs. Of another pid namespace nothing is known: true.
 */
export function isSameProcess(identity: string): boolean {
  const of = JSON.parse(identity) as ProcessIdentity;
  if (of.boot !== boot) return false;
  return of.pidNamespace !== pidNamespace || startTicks(of.pid) === of.started;
}

/** When a process was started, in clock ticks since boot; null where it does not run (any more). */
function startTicks(pid: number): string | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null;
  }
  // The name in parentheses may hold anything. Behind it the first field is the state, the twentieth the start.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
}

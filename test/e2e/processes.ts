// Processes and BPF programs as the kernel knows them, by /proc alone.
import { readdirSync, readFileSync } from 'node:fs';

/** All that descend from a process, itself not among them. */
export function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(Number(name));
    if (parent !== null) parents.set(Number(name), parent);
  }
  const found: number[] = [];
  const queue = [pid];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const [child, parent] of parents) {
      if (parent !== next) continue;
      found.push(child);
      queue.push(child);
    }
  }
  return found;
}

/** The command's name stands in parentheses and may hold anything; what follows the last one is fixed. */
function statFields(pid: number): string[] | null {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
  } catch {
    return null;
  }
}

function parentOf(pid: number): number | null {
  const fields = statFields(pid);
  return fields === null ? null : Number(fields[1]);
}

/** A zombie that nobody waited for yet has ended. */
export function isAlive(pid: number): boolean {
  const fields = statFields(pid);
  return fields !== null && fields[0] !== 'Z' && fields[0] !== 'X';
}

export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

/** Ids of the BPF programs and maps that a process holds open. */
export function bpfObjects(pid: number): { programs: Set<number>; maps: Set<number> } {
  const programs = new Set<number>();
  const maps = new Set<number>();
  let names: string[] = [];
  try {
    names = readdirSync(`/proc/${pid}/fdinfo`);
  } catch {
    // It ended.
  }
  for (const name of names) {
    let text = '';
    try {
      text = readFileSync(`/proc/${pid}/fdinfo/${name}`, 'utf8');
    } catch {
      // This descriptor was closed in between.
    }
    const program = /^prog_id:\s*(\d+)$/m.exec(text);
    const map = /^map_id:\s*(\d+)$/m.exec(text);
    if (program) programs.add(Number(program[1]));
    if (map) maps.add(Number(map[1]));
  }
  return { programs, maps };
}

/** User and system CPU time so far, in seconds, children that ended not among it. */
export function cpuSeconds(pid: number): { user: number; system: number } | null {
  const fields = statFields(pid);
  const ticksPerSecond = 100;
  return fields === null ? null : { user: Number(fields[11]) / ticksPerSecond, system: Number(fields[12]) / ticksPerSecond };
}

/** Resident memory now and at its highest, bytes. */
export function residentBytes(pid: number): { now: number; peak: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kilobytes = (field: string) => Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;
    return { now: kilobytes('VmRSS'), peak: kilobytes('VmHWM') };
  } catch {
    return null;
  }
}

// One perf event per online CPU on the software CPU clock, all running the sampler. Opened through
// perf_event_open and ioctl, which need neither tracefs nor debugfs, and freed with their descriptors.
import { closeSync, readFileSync } from 'node:fs';
import { PipelineError } from '../../lib/errors.ts';
import { errno, ioctl, perfEventOpenCall } from './native.ts';
import { staggerNanos } from './period.ts';

export interface PerfEvents {
  readonly cpus: readonly number[];
  close(): void;
}

// linux/perf_event.h
const attrBytes = 128;
const typeSoftware = 1;
const configCpuClock = 0n;
const flagDisabled = 1n << 0n;
/** Idle CPUs raise no event at all; the sampler's own check of idle stays for work done on an idle CPU's behalf. */
const flagExcludeIdle = 1n << 7n;
const flagCloseOnExec = 8;
const ioctlEnable = 0x2400;
const ioctlSetBpf = 0x40042408;
const syscallNumbers: Readonly<Partial<Record<NodeJS.Architecture, number>>> = { x64: 298, arm64: 241 };

/** "0-3,5" -> [0, 1, 2, 3, 5]; the kernel's list of CPUs, which may be sparse. */
export function parseCpuList(text: string): number[] {
  const cpus: number[] = [];
  for (const part of text.trim().split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!match) throw new PipelineError('bpf_attach', `found ${JSON.stringify(part.slice(0, 40))} in the list of CPUs, expected numbers like 0-3,5`);
    for (let cpu = Number(match[1]); cpu <= Number(match[2] ?? match[1]); cpu++) cpus.push(cpu);
  }
  return cpus;
}

export function onlineCpus(): number[] {
  return parseCpuList(readFileSync('/sys/devices/system/cpu/online', 'utf8'));
}

/** The kernel leaves out what is above its limit, and says so to nobody. */
export function rateWarning(rateHz: number, limitFile = '/proc/sys/kernel/perf_event_max_sample_rate'): string | null {
  const limitHz = readNumber(limitFile);
  if (limitHz === null || rateHz <= limitHz) return null;
  return `kernel.perf_event_max_sample_rate is ${limitHz}, so the kernel leaves out some of ${rateHz} samples a second; set it to ${rateHz} or more`;
}

function readNumber(path: string): number | null {
  try {
    const text = readFileSync(path, 'latin1').trim();
    return /^\d{1,9}$/.test(text) ? Number(text) : null;
  } catch {
    return null;
  }
}

/** Opens all, then enables each at its own offset into the period. */
export async function startPerfEvents(programFd: number, periodNanos: number): Promise<PerfEvents> {
  const cpus = onlineCpus();
  const fds: number[] = [];
  const close = () => {
    for (const fd of fds.splice(0)) closeSync(fd);
  };
  try {
    for (const cpu of cpus) fds.push(openEvent(cpu, programFd, periodNanos));
    const order = fds.map((fd, position) => ({ fd, atNanos: staggerNanos(position, periodNanos) })).sort((a, b) => a.atNanos - b.atNanos);
    const startNanos = process.hrtime.bigint();
    for (const { fd, atNanos } of order) {
      const waitMillis = (atNanos - Number(process.hrtime.bigint() - startNanos)) / 1e6;
      if (waitMillis > 1) await new Promise((resolve) => setTimeout(resolve, waitMillis));
      if (ioctl(fd, ioctlEnable, 0) !== 0) throw new PipelineError('bpf_attach', `a perf event could not be enabled (${errno()})`);
    }
  } catch (error) {
    close();
    throw error;
  }
  return { cpus, close };
}

function openEvent(cpu: number, programFd: number, periodNanos: number): number {
  const number = syscallNumbers[process.arch];
  if (number === undefined) throw new PipelineError('bpf_attach', `found the architecture ${process.arch}, expected x64 or arm64`);
  const attr = Buffer.alloc(attrBytes);
  attr.writeUInt32LE(typeSoftware, 0);
  attr.writeUInt32LE(attrBytes, 4);
  attr.writeBigUInt64LE(configCpuClock, 8);
  attr.writeBigUInt64LE(BigInt(periodNanos), 16);
  attr.writeBigUInt64LE(flagDisabled | flagExcludeIdle, 40);
  const fd = Number(perfEventOpenCall(number, attr, -1, cpu, -1, flagCloseOnExec));
  if (fd < 0) throw openError(cpu, errno());
  if (ioctl(fd, ioctlSetBpf, programFd) !== 0) {
    const reason = errno();
    closeSync(fd);
    throw new PipelineError(
      'bpf_attach',
      `the sampler could not be attached to the clock of CPU ${cpu} (${reason}); Linux 4.9 or newer with CONFIG_BPF_EVENTS is needed`,
    );
  }
  return fd;
}

function openError(cpu: number, reason: string): PipelineError {
  if (reason === 'EACCES' || reason === 'EPERM') {
    return new PipelineError(
      'rights_missing',
      `the kernel refused a system-wide perf event (${reason}); run as root, or give the process CAP_PERFMON, or lower kernel.perf_event_paranoid`,
    );
  }
  return new PipelineError('bpf_attach', `no perf event could be opened on CPU ${cpu} (${reason})`);
}

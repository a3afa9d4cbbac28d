// What sampling a whole host takes, and what of it this process lacks. Used before anything is loaded,
// so that a user gets one line with the command that helps, and by `flamelake doctor`.
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import { libbpf } from './bpf/native.ts';

export interface MissingRight {
  readonly what: string;
  /** The command or setting that gives it. */
  readonly grant: string;
}

export interface Rights {
  readonly ok: boolean;
  readonly missing: readonly MissingRight[];
  /** Works without it, with less; what is then less. */
  readonly limited: readonly MissingRight[];
}

// linux/capability.h
const capabilities = { sysAdmin: 21, sysPtrace: 19, dacReadSearch: 2, syslog: 34, perfmon: 38, bpf: 39, checkpointRestore: 40 } as const;
type Capability = keyof typeof capabilities;

const kernelMin = [5, 11] as const;
const asRoot =
  'run it as root (sudo npm start), or give the process CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SYSLOG and CAP_CHECKPOINT_RESTORE';

/** The effective set, from /proc/self/status. */
export function parseCapabilities(status: string): bigint {
  const found = /^CapEff:\s*([0-9a-f]{1,16})$/m.exec(status);
  return found ? BigInt(`0x${found[1]}`) : 0n;
}

export function checkRights(): Rights {
  const held = parseCapabilities(readText('/proc/self/status'));
  const has = (name: Capability) => (held & (1n << BigInt(capabilities[name]))) !== 0n;
  const missing: MissingRight[] = [];
  const limited: MissingRight[] = [];
  if (!has('sysAdmin') && !(has('bpf') && has('perfmon'))) missing.push({ what: 'the right to load BPF programs and to sample all CPUs', grant: asRoot });
  if (!isKernelNewEnough(release())) missing.push({ what: `Linux ${kernelMin.join('.')} or newer (this is ${release()})`, grant: 'upgrade the kernel' });
  if (!existsSync('/sys/kernel/btf/vmlinux'))
    missing.push({ what: 'BTF of the running kernel (/sys/kernel/btf/vmlinux)', grant: 'boot a kernel with CONFIG_DEBUG_INFO_BTF=y' });
  const library = missingLibrary();
  if (library) missing.push(library);
  if (!has('sysPtrace') || !has('dacReadSearch'))
    limited.push({ what: 'CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH: processes of other users stay without service names and files', grant: asRoot });
  if (!has('syslog')) limited.push({ what: 'CAP_SYSLOG: kernel frames stay without names', grant: asRoot });
  if (!has('sysAdmin') && !has('checkpointRestore'))
    limited.push({ what: 'CAP_CHECKPOINT_RESTORE: files that were deleted or replaced stay without build id', grant: asRoot });
  return { ok: missing.length === 0, missing, limited };
}

/** Throws one line with everything that is missing. */
export function requireRights(): void {
  const { missing } = checkRights();
  if (missing.length === 0) return;
  throw new PipelineError(
    'rights_missing',
    `this host can't be profiled yet: ${missing.map(({ what, grant }) => `missing is ${what}; ${grant}`).join('. Also ')}`,
  );
}

export function isKernelNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major > kernelMin[0] || (major === kernelMin[0] && minor >= kernelMin[1]);
}

function missingLibrary(): MissingRight | null {
  try {
    libbpf();
    return null;
  } catch (error) {
    if (!isPipelineError(error)) throw error;
    return { what: 'libbpf.so.1 (libbpf 1.0 or newer)', grant: 'apt-get install libbpf1, dnf install libbpf, apk add libbpf or pacman -S libbpf' };
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

// What `flamelake doctor` looks at besides the rights for eBPF: Node, disk, ports. Each check says what
// was found and, where it is not as it should be, what to do.
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readSync, rmdirSync, statfsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { release } from 'node:os';
import path from 'node:path';
import { formatBytes } from '../lib/bytes.ts';
import { requireLocalFileSystem } from '../lib/filesystem.ts';
import type { OptionValues } from './option-table.ts';

export interface Check {
  readonly name: string;
  /** `limited`: it works, with less. */
  readonly state: 'ok' | 'limited' | 'missing';
  readonly found: string;
  /** Empty where all is well. */
  readonly advice: string;
}

const nodeMajorMin = 24;
/** The log's bound and a day of a busy host's lake. */
const freeBytesWanted = 5 * 2 ** 30;

export function checkNode(): Check {
  const major = Number(process.versions.node.split('.')[0]);
  const found = `${process.version} at ${process.execPath}`;
  if (major >= nodeMajorMin) return { name: 'Node', state: 'ok', found, advice: '' };
  return { name: 'Node', state: 'missing', found, advice: `Node >= ${nodeMajorMin} is needed; start it with bin/flamelake, which brings its own` };
}

export function checkKernel(): Check {
  const paranoid = readFirst('/proc/sys/kernel/perf_event_paranoid', 16).trim();
  const btf = existsSync('/sys/kernel/btf/vmlinux') ? 'with BTF' : 'without BTF';
  // Whether that is enough depends on the rights too: the line about sampling says so.
  return { name: 'Kernel', state: 'ok', found: `Linux ${release()} on ${process.arch}, ${btf}, perf_event_paranoid ${paranoid || 'unknown'}`, advice: '' };
}

export function checkKernelNames(): Check {
  const name = 'Kernel names';
  const lines = readFirst('/proc/kallsyms', 4096).split('\n').slice(0, -1);
  if (lines.length === 0)
    return { name, state: 'limited', found: '/proc/kallsyms is not there', advice: 'kernel frames stay addresses; boot a kernel with CONFIG_KALLSYMS=y' };
  if (lines.every((line) => /^0+ /.test(line))) {
    return {
      name,
      state: 'limited',
      found: '/proc/kallsyms shows no addresses to this user',
      advice: 'kernel frames stay addresses; give CAP_SYSLOG, or set kernel.kptr_restrict to 1 or 0',
    };
  }
  return { name, state: 'ok', found: '/proc/kallsyms is readable', advice: '' };
}

/** The first bytes of a file that may be large or not there. */
function readFirst(file: string, bytesMax: number): string {
  try {
    const handle = openSync(file, 'r');
    try {
      const buffer = Buffer.alloc(bytesMax);
      return buffer.toString('latin1', 0, readSync(handle, buffer));
    } finally {
      closeSync(handle);
    }
  } catch {
    return '';
  }
}

export function checkData(values: OptionValues): Check {
  const name = 'Data directory';
  const dir = path.resolve(values.data);
  // Where it is not there yet, the folder it will be made in decides.
  let there = dir;
  while (!existsSync(there)) there = path.dirname(there);
  if (!statSync(there).isDirectory()) return { name, state: 'missing', found: `${there} is a file`, advice: 'choose a directory with --data' };
  const refused = tryWriting(there);
  if (refused !== null) {
    const found = `nothing can be written to ${there} by this user (${refused})`;
    return { name, state: 'missing', found, advice: 'change its owner, mount it read-write, or choose another directory with --data' };
  }
  const { bavail, bsize } = statfsSync(there);
  const free = bavail * bsize;
  const found = `${dir}, ${formatBytes(free)} free`;
  try {
    requireLocalFileSystem(there, 'the log');
  } catch (error) {
    return { name, state: 'missing', found, advice: (error as Error).message };
  }
  if (free < freeBytesWanted)
    return { name, state: 'limited', found, advice: `${formatBytes(freeBytesWanted)} are wanted; make room or choose another disk with --data` };
  return { name, state: 'ok', found, advice: '' };
}

/** By doing it: rights say nothing of read-only disks, quotas and containers. Gives what the system said, or null. */
function tryWriting(dir: string): string | null {
  try {
    rmdirSync(mkdtempSync(path.join(dir, '.flamelake-doctor-')));
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
}

export async function checkPorts(values: OptionValues): Promise<Check[]> {
  const asked = [
    ['Page and API', values.listen, '--listen'],
    ['OTLP/gRPC', values.otlpGrpc, '--otlp-grpc'],
    ['OTLP/HTTP', values.otlpHttp, '--otlp-http'],
  ] as const;
  return Promise.all(asked.map(([name, address, flag]) => checkPort(name, address, flag)));
}

function checkPort(name: string, address: string, flag: string): Promise<Check> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const busy = error.code === 'EADDRINUSE';
      const found = busy ? `${address} is in use` : `${address} can't be listened on (${error.code})`;
      resolve({
        name,
        state: 'limited',
        found,
        advice: busy ? `fine if that is flamelake up; otherwise choose another with ${flag}` : `choose another with ${flag}`,
      });
    });
    server.listen({ host, port: Number(address.slice(at + 1)), exclusive: true }, () =>
      server.close(() => resolve({ name, state: 'ok', found: `${address} is free`, advice: '' })),
    );
  });
}

/** More files than this are open at once only under a full load of connections. */
const openFilesWanted = 4096;

export function checkOpenFiles(): Check {
  const limit = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 'unknown';
  const enough = limit === 'unlimited' || Number(limit) >= openFilesWanted;
  return {
    name: 'Open files',
    state: enough ? 'ok' : 'limited',
    found: `at most ${limit}`,
    advice: enough ? '' : `${openFilesWanted} are wanted for many senders at once: ulimit -n, or LimitNOFILE= of the service`,
  };
}

// Whose a sample is: what /proc says about the processes that were sampled, and only those, read once
// and again when something tells that it changed. A process is known by pid and start time, so that a
// reused pid never takes over its predecessor's name, and by its image, so that after an execve nothing
// that was read of one program is taken for the other.
import { basename } from 'node:path';
import {
  cgroupBytesMax,
  environBytesMax,
  executableMappingsMax,
  mapsBytesMax,
  mapsFirstRereadMillis,
  mapsRereadMillis,
  mapsRereadMillisMax,
  pathCharactersMax,
  processesMax,
  processIdleMillis,
  processRereadMillis,
  statBytesMax,
} from './limits.ts';
import { parseContainerId } from './proc/cgroup.ts';
import { parseEnviron } from './proc/environ.ts';
import { type ExecutableMapping, parseMaps } from './proc/maps.ts';
import { type ProcFile, readProc, readProcLink } from './proc/read.ts';
import { type ProcessStat, parseStat, startsAt } from './proc/stat.ts';

const newline = 10;

/** What a sample says of its process. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startNanos: bigint;
  /** What it has executed (bpf/sample.h); 0 = not known. */
  readonly image: bigint;
  readonly isKernelThread: boolean;
}

export interface Process extends ProcessIdentity {
  /** That of the first sample that knew it, or of the first reading. */
  image: bigint;
  /** Whether /proc/PID still was this process with this image when it was last read. */
  isAlive: boolean;
  /** Attributes of its own; the host's are added by the batch. */
  attributes: ReadonlyMap<string, string | bigint>;
  mappings: readonly ExecutableMapping[];
  /** There were no more than we read. */
  hasAllMappings: boolean;
  readAtMillis: number;
  /** How long after that an unknown address may make us read again. */
  mapsWaitMillis: number;
  seenAtMillis: number;
}

/** Files of /proc that may be longer than we read. */
export type CutFile = 'maps' | 'environ' | 'cgroup';

export class Processes {
  readonly #byKey = new Map<string, Process>();
  /** Readings that ended at a cap, since start: some mappings, or who the process is, stay unknown. */
  readonly cutReads: Record<CutFile, number> = { maps: 0, environ: 0, cgroup: 0 };

  get size(): number {
    return this.#byKey.size;
  }

  /** Called for each sample; reads /proc only for what is new or may have changed. */
  see(identity: ProcessIdentity, nowMillis: number): Process {
    const key = `${identity.pid}:${identity.startNanos}`;
    let process = this.#byKey.get(key);
    if (process === undefined || isAnother(process, identity)) {
      process = this.#begin(key, identity, process, nowMillis);
    } else if (process.isAlive && !process.isKernelThread && nowMillis - process.readAtMillis > processRereadMillis) {
      this.#read(process, nowMillis);
    }
    process.seenAtMillis = nowMillis;
    return process;
  }

  #begin(key: string, identity: ProcessIdentity, before: Process | undefined, nowMillis: number): Process {
    const process = newProcess(identity, nowMillis);
    this.#read(process, nowMillis);
    // The same program again: one resource in a batch.
    if (before !== undefined && areEqual(before.attributes, process.attributes)) process.attributes = before.attributes;
    this.#byKey.set(key, process);
    if (this.#byKey.size > processesMax) this.#byKey.delete(this.#byKey.keys().next().value!);
    return process;
  }

  /** Reads the mappings again because an address lies in none of them; true where they are others now. */
  rereadMaps(process: Process, nowMillis: number): boolean {
    if (!process.isAlive || process.isKernelThread || nowMillis - process.readAtMillis < process.mapsWaitMillis) return false;
    const before = process.mappings;
    this.#read(process, nowMillis);
    const isNew = process.isAlive && process.mappings !== before;
    process.mapsWaitMillis = isNew ? mapsRereadMillis : Math.min(mapsRereadMillisMax, Math.max(mapsRereadMillis, 2 * process.mapsWaitMillis));
    return isNew;
  }

  forgetIdle(nowMillis: number): void {
    for (const [key, process] of this.#byKey) if (nowMillis - process.seenAtMillis > processIdleMillis) this.#byKey.delete(key);
  }

  #read(process: Process, nowMillis: number): void {
    process.readAtMillis = nowMillis;
    if (process.isKernelThread) {
      // Tasks without memory of their own are one service, or `kworker/3:1` would make thousands.
      process.attributes = new Map<string, string | bigint>([
        ['process.pid', BigInt(process.pid)],
        ['service.name', 'kernel'],
      ]);
      return;
    }
    const { pid } = process;
    const maps = this.#readFile(pid, 'maps', mapsBytesMax);
    if (maps === null && !isStillThere(readStat(pid), process)) {
      process.isAlive = false;
      return;
    }
    const environ = this.#readFile(pid, 'environ', environBytesMax);
    const executable = readProcLink(`/proc/${pid}/exe`);
    const cgroup = this.#readFile(pid, 'cgroup', cgroupBytesMax);
    // Asked last: if it still is the process now, all the above was its own.
    const stat = readStat(pid);
    if (!isStillThere(stat, process)) {
      process.isAlive = false;
      return;
    }
    if (process.image === 0n) process.image = stat.image;
    if (maps !== null) {
      const mappings = parseMaps(upToLast(maps, newline));
      process.hasAllMappings = !maps.cut && mappings.length < executableMappingsMax;
      // The same object for as long as they are the same: what was found out about each stays known.
      if (!areSame(process.mappings, mappings)) process.mappings = mappings;
    }
    const attributes = new Map<string, string | bigint>(environ === null ? [] : [...parseEnviron(upToLast(environ, 0))].filter(([key]) => !isOurs(key)));
    attributes.set('process.pid', BigInt(pid));
    const path = executable?.replace(/ \(deleted\)$/, '').slice(0, pathCharactersMax);
    if (path) {
      attributes.set('process.executable.path', path);
      attributes.set('process.executable.name', basename(path));
    }
    const containerId = cgroup === null ? null : parseContainerId(cgroup.bytes.toString('utf8'));
    if (containerId !== null) attributes.set('container.id', containerId);
    // The same object for as long as they say the same: a batch takes a new one for another resource.
    if (!areEqual(process.attributes, attributes)) process.attributes = attributes;
  }

  #readFile(pid: number, file: CutFile, bytesMax: number): ProcFile | null {
    const read = readProc(`/proc/${pid}/${file}`, bytesMax);
    if (read?.cut) this.cutReads[file]++;
    return read;
  }
}

/** Another image; or a helper of the kernel that became a program. */
const isAnother = (process: Process, identity: ProcessIdentity): boolean =>
  (identity.image !== 0n && identity.image !== process.image) || identity.isKernelThread !== process.isKernelThread;

function newProcess(identity: ProcessIdentity, nowMillis: number): Process {
  return {
    ...identity,
    isAlive: true,
    attributes: new Map<string, string | bigint>([['process.pid', BigInt(identity.pid)]]),
    mappings: [],
    hasAllMappings: false,
    readAtMillis: nowMillis,
    mapsWaitMillis: mapsFirstRereadMillis,
    seenAtMillis: nowMillis,
  };
}

/** What the agent knows itself no process may say otherwise: on which host it runs, and which process it is. */
const isOurs = (key: string): boolean => key.startsWith('host.') || key.startsWith('process.');

const areSame = (left: readonly ExecutableMapping[], right: readonly ExecutableMapping[]): boolean =>
  left.length === right.length && left.every((mapping, index) => isSame(mapping, right[index]!));

const isSame = (left: ExecutableMapping, right: ExecutableMapping): boolean =>
  left.start === right.start &&
  left.end === right.end &&
  left.fileOffset === right.fileOffset &&
  left.inode === right.inode &&
  left.device === right.device &&
  left.path === right.path &&
  left.deleted === right.deleted;

/** Without the last entry where it may be cut in the middle. */
const upToLast = ({ bytes, cut }: ProcFile, end: number): Buffer => (cut ? bytes.subarray(0, bytes.lastIndexOf(end) + 1) : bytes);

function areEqual(left: Process['attributes'], right: Process['attributes']): boolean {
  return left.size === right.size && [...left].every(([key, value]) => right.get(key) === value);
}

/** Gone, a zombie that nobody has waited for (it has no executable), or in another image by now. */
export const hasEnded = (identity: ProcessIdentity): boolean =>
  readProcLink(`/proc/${identity.pid}/exe`) === null || !isStillThere(readStat(identity.pid), identity);

/** The same process with the same image. An image is not come back to, so what was read before is its own too. */
function isStillThere(stat: ProcessStat | null, { startNanos, image }: ProcessIdentity): stat is ProcessStat {
  return stat !== null && startsAt(stat.startTicks, startNanos) && (stat.image === 0n || image === 0n || stat.image === image);
}

function readStat(pid: number): ProcessStat | null {
  const file = readProc(`/proc/${pid}/stat`, statBytesMax);
  return file && parseStat(file.bytes.toString('latin1'));
}

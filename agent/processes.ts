// Whose a sample is: what /proc says about the processes that were sampled, and only those, read once
// and again when something tells that it changed. A process is known by pid and start time, so that a
// reused pid never takes over its predecessor's name.
import { basename } from 'node:path';
import {
  cgroupBytesMax,
  environBytesMax,
  mapsBytesMax,
  mapsFirstRereadMillis,
  mapsRereadMillis,
  mapsRereadMillisMax,
  pathCharactersMax,
  processesMax,
  processIdleMillis,
  processRereadMillis,
} from './limits.ts';
import { parseContainerId } from './proc/cgroup.ts';
import { parseEnviron } from './proc/environ.ts';
import { type ExecutableMapping, parseMaps } from './proc/maps.ts';
import { readProc, readProcLink } from './proc/read.ts';
import { parseStartTicks, startsAt } from './proc/stat.ts';

export interface Process {
  readonly pid: number;
  readonly startNanos: bigint;
  readonly isKernelThread: boolean;
  /** Whether /proc/PID still was this process when it was last read. */
  isAlive: boolean;
  /** Attributes of its own; the host's are added by the batch. */
  attributes: ReadonlyMap<string, string | bigint>;
  mappings: readonly ExecutableMapping[];
  /** thread.name of its first thread when it was last sampled; an exec changes it. */
  mainThreadName: string;
  readAtMillis: number;
  /** How long after that an unknown address may make us read again. */
  mapsWaitMillis: number;
  seenAtMillis: number;
}

export class Processes {
  readonly #byKey = new Map<string, Process>();

  get size(): number {
    return this.#byKey.size;
  }

  /** Called for each sample; reads /proc only for what is new or may have changed. `name` is the thread's. */
  see(pid: number, tid: number, startNanos: bigint, isKernelThread: boolean, name: string, nowMillis: number): Process {
    const key = `${pid}:${startNanos}`;
    let process = this.#byKey.get(key);
    if (process === undefined) {
      process = newProcess(pid, startNanos, isKernelThread, name, nowMillis);
      this.#byKey.set(key, process);
      read(process, nowMillis);
      if (this.#byKey.size > processesMax) this.#byKey.delete(this.#byKey.keys().next().value!);
    } else if (!isKernelThread && process.isAlive && (hasExecuted(process, tid, name) || nowMillis - process.readAtMillis > processRereadMillis)) {
      read(process, nowMillis);
    }
    if (tid === pid) process.mainThreadName = name;
    process.seenAtMillis = nowMillis;
    return process;
  }

  /** Reads the mappings again because an address lies in none of them; true where they are others now. */
  rereadMaps(process: Process, nowMillis: number): boolean {
    if (!process.isAlive || process.isKernelThread || nowMillis - process.readAtMillis < process.mapsWaitMillis) return false;
    const before = process.mappings;
    read(process, nowMillis);
    const isNew = process.isAlive && process.mappings !== before;
    process.mapsWaitMillis = isNew ? mapsRereadMillis : Math.min(mapsRereadMillisMax, Math.max(mapsRereadMillis, 2 * process.mapsWaitMillis));
    return isNew;
  }

  forgetIdle(nowMillis: number): void {
    for (const [key, process] of this.#byKey) if (nowMillis - process.seenAtMillis > processIdleMillis) this.#byKey.delete(key);
  }
}

function newProcess(pid: number, startNanos: bigint, isKernelThread: boolean, name: string, nowMillis: number): Process {
  return {
    pid,
    startNanos,
    isKernelThread,
    isAlive: true,
    attributes: new Map<string, string | bigint>([['process.pid', BigInt(pid)]]),
    mappings: [],
    mainThreadName: name,
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
  left.start === right.start && left.end === right.end && left.inode === right.inode && left.path === right.path && left.deleted === right.deleted;

const hasExecuted = (process: Process, tid: number, name: string): boolean => tid === process.pid && name !== process.mainThreadName;

function read(process: Process, nowMillis: number): void {
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
  const maps = readProc(`/proc/${pid}/maps`, mapsBytesMax);
  const environ = readProc(`/proc/${pid}/environ`, environBytesMax);
  const executable = readProcLink(`/proc/${pid}/exe`);
  const cgroup = readProc(`/proc/${pid}/cgroup`, cgroupBytesMax);
  // Asked last: if it still is the process now, all the above was its own.
  if (!isStillThere(process)) {
    process.isAlive = false;
    return;
  }
  if (maps !== null) {
    const mappings = parseMaps(maps.bytes);
    // The same object for as long as they are the same: what was found out about each stays known.
    if (!areSame(process.mappings, mappings)) process.mappings = mappings;
  }
  const attributes = new Map<string, string | bigint>(environ === null ? [] : [...parseEnviron(environ.bytes)].filter(([key]) => !isOurs(key)));
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

function areEqual(left: Process['attributes'], right: Process['attributes']): boolean {
  return left.size === right.size && [...left].every(([key, value]) => right.get(key) === value);
}

function isStillThere(process: Process): boolean {
  const stat = readProc(`/proc/${process.pid}/stat`, 4096);
  const ticks = stat && parseStartTicks(stat.bytes.toString('latin1'));
  return ticks !== null && startsAt(ticks, process.startNanos);
}

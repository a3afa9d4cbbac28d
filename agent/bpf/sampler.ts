// Loads the sampler's object, checks its maps against the generated layout, and gives what the agent
// does with it: read counters, advance the epoch, attach perf events. Everything hangs on file
// descriptors, so that any death of the process leaves no program, map or pin behind.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isPipelineError, PipelineError } from '../../lib/errors.ts';
import { controlLayout, counter, maps, programs } from './layout.gen.ts';
import { errno, type Libbpf, libbpf, type Pointer } from './native.ts';

export interface SamplerOptions {
  /** Size of the ring buffer, a power of two and a multiple of the page size. */
  readonly ringBytes: number;
  /** Stacks that the kernel half remembers to have sent. */
  readonly seenStacks: number;
}

export interface Sampler {
  readonly programFd: number;
  readonly ringFd: number;
  readonly ringBytes: number;
  /** Instructions that the verifier walked; 0 where the kernel doesn't tell (before 5.16). */
  readonly verifiedInstructions: number;
  /** Sums over all CPUs since load, by the numbers of `counter` in layout.gen.ts; the last ones when it is closed. */
  readCounters(): readonly number[];
  setEpoch(epoch: number): void;
  close(): void;
}

/** Beside this module, in a clone and in the package alike. */
const objectPath = new URL('./sample.bpf.o', import.meta.url).pathname;
const verifierLogBytes = 64 * 1024;
const loadAttemptsMax = 5;
/** errno.h: EAGAIN, EPERM, EACCES. */
const again = 11;
const notPermitted = 1;
const noAccess = 13;
const counterKeys = Array.from({ length: counter.counters }, (_, index) => uint32(index));

export function loadSampler(options: SamplerOptions): Sampler {
  if (!existsSync(objectPath)) {
    throw new PipelineError('bpf_load', `${objectPath} is missing; build it with sh scripts/bpf-build.sh (needs clang and libbpf's headers)`);
  }
  const library = libbpf();
  library.setPrint(null);
  for (let attempt = 1; ; attempt++) {
    const object = library.openFile(objectPath, null);
    if (object === null)
      throw new PipelineError('bpf_load', `${objectPath} could not be opened as a BPF object (${errno()}); build it again with sh scripts/bpf-build.sh`);
    try {
      return startSampler(library, object, options);
    } catch (error) {
      library.close(object);
      // A signal in the middle of it, such as a CPU profiler's: the verifier gives up and wants to be asked again.
      if (attempt === loadAttemptsMax || !isPipelineError(error) || error.context.result !== -again) throw error;
    }
  }
}

function startSampler(library: Libbpf, object: Pointer, options: SamplerOptions): Sampler {
  setSize(library, object, maps.events.name, options.ringBytes);
  setSize(library, object, maps.seen.name, options.seenStacks);
  const program = library.findProgram(object, programs.onCpuSample);
  if (program === null) throw new PipelineError('bpf_layout', `${objectPath} has no program ${programs.onCpuSample}; build it again`);
  const verifierLog = Buffer.alloc(verifierLogBytes);
  library.setLogBuffer(program, verifierLog, verifierLogBytes);
  const result = library.load(object);
  if (result !== 0) throw loadError(result, verifierLog);

  const fds = Object.fromEntries(Object.entries(maps).map(([name, map]) => [name, library.mapFd(findMap(library, object, map.name))])) as Record<
    keyof typeof maps,
    number
  >;
  for (const name of Object.keys(maps) as (keyof typeof maps)[]) checkMap(name, fds[name]);
  const cpus = library.possibleCpus();
  const values = new BigUint64Array(cpus);
  const valueBytes = new Uint8Array(values.buffer);
  const controlKey = uint32(0);
  const control = Buffer.alloc(controlLayout.bytes);
  randomBytes(8).copy(control, controlLayout.hashSeed);
  const programFd = library.programFd(program);
  let counts: readonly number[] = counterKeys.map(() => 0);
  let isClosed = false;
  return {
    programFd,
    ringFd: fds.events,
    ringBytes: options.ringBytes,
    verifiedInstructions: fdInfo(programFd, 'verified_insns'),
    readCounters() {
      if (isClosed) return counts;
      counts = counterKeys.map((key) => {
        if (library.lookup(fds.counters, key, valueBytes) !== 0) throw new PipelineError('bpf_layout', `a counter could not be read (${errno()})`);
        return Number(values.reduce((sum, value) => sum + value, 0n));
      });
      return counts;
    },
    setEpoch(epoch) {
      control.writeUInt32LE(epoch >>> 0, controlLayout.epoch);
      if (library.update(fds.control, controlKey, control, 0) !== 0) throw new PipelineError('bpf_layout', `the epoch could not be set (${errno()})`);
    },
    close() {
      // Whoever asks afterwards gets the last word, not what another file descriptor of the same number says.
      this.readCounters();
      isClosed = true;
      library.close(object);
    },
  };
}

function setSize(library: Libbpf, object: Pointer, name: string, entries: number): void {
  if (library.setMaxEntries(findMap(library, object, name), entries) !== 0)
    throw new PipelineError('bpf_load', `a size of ${entries} for the map ${name} was refused (${errno()})`);
}

function findMap(library: Libbpf, object: Pointer, name: string): Pointer {
  const map = library.findMap(object, name);
  if (map === null) throw new PipelineError('bpf_layout', `${objectPath} has no map ${name}; build it again`);
  return map;
}

/** The kernel's own word on key and value sizes: a wrong stride once corrupted counts in silence. */
function checkMap(name: keyof typeof maps, fd: number): void {
  const { keyBytes, valueBytes } = maps[name];
  const kernelKey = fdInfo(fd, 'key_size');
  const kernelValue = fdInfo(fd, 'value_size');
  if (kernelKey !== keyBytes || kernelValue !== valueBytes) {
    throw new PipelineError(
      'bpf_layout',
      `map ${name} has keys of ${kernelKey} and values of ${kernelValue} bytes, this agent expects ${keyBytes} and ${valueBytes}; build object and layout together`,
    );
  }
}

function fdInfo(fd: number, field: string): number {
  const found = new RegExp(`^${field}:\\s*(\\d+)$`, 'm').exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
  return found ? Number(found[1]) : 0;
}

function loadError(result: number, verifierLog: Buffer): PipelineError {
  if (result === -notPermitted || result === -noAccess) {
    return new PipelineError('rights_missing', 'the kernel refused to load a BPF program; run as root, or give the process CAP_BPF and CAP_PERFMON');
  }
  const log = verifierLog.toString('latin1', 0, Math.max(0, verifierLog.indexOf(0)));
  const reason = log.trim().split('\n').slice(-2).join(' / ').replace(/\s+/g, ' ').slice(0, 400);
  return new PipelineError(
    'bpf_load',
    `the kernel did not take the sampler (errno ${-result})${reason ? `: ${reason}` : ''}; Linux 5.11 or newer with BTF (CONFIG_DEBUG_INFO_BTF) is needed`,
    {
      context: { result },
    },
  );
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value, 0);
  return buffer;
}

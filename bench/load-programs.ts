// Programs as profilers see them, made from a seed: files with build ids, functions that call each other
// from a few places, and the stacks that come of it. Callers repeat among stacks and leaves differ, as
// they do where an instruction pointer is sampled; only the leaf of a fresh stack lies where none lay before.
import type { Random } from '../test/otlp/random.ts';

export interface BinaryFile {
  readonly name: string;
  readonly buildId: string;
  readonly bytes: number;
}

/** One location: what a profiler writes for an address or a line. */
export interface Place {
  readonly file: BinaryFile | null;
  readonly address: bigint;
  readonly type: string;
  readonly line: { readonly function: string; readonly file: string; readonly line: bigint } | null;
  /** Its index in the dictionary of one message, the number of which stands beside it. */
  written: { message: number; index: number };
}

export type Runtime = 'native' | 'cpython' | 'jvm';

interface ProgramFunction {
  readonly sites: readonly { readonly place: Place; readonly callee: number }[];
  readonly leaves: readonly Place[];
}

export interface Program {
  readonly name: string;
  readonly runtime: Runtime;
  readonly files: readonly BinaryFile[];
  readonly functions: readonly ProgramFunction[];
  readonly depth: readonly [least: number, most: number];
}

export interface ProgramOptions {
  readonly name: string;
  readonly runtime: Runtime;
  readonly functions: number;
  /** Frames of a stack in user space. */
  readonly depth: readonly [least: number, most: number];
  readonly libraries: readonly BinaryFile[];
}

const notWritten = () => ({ message: -1, index: 0 });

export function createFile(random: Random, name: string): BinaryFile {
  return { name, buildId: random.hex(40), bytes: random.between(20, 4000) * 4096 };
}

export function createProgram(random: Random, options: ProgramOptions): Program {
  const { name, runtime, depth } = options;
  const files = [createFile(random, name), ...Array.from({ length: 6 }, () => random.pick(options.libraries))];
  const functions = Array.from({ length: options.functions }, (_, index): ProgramFunction => {
    // The program's own code is seen more often than a library's.
    const file = random.chance(0.5) ? files[0]! : random.pick(files);
    const named =
      runtime !== 'native' && random.chance(0.75) ? { runtime, function: `${name}.module${index % 40}.function_${index}`, module: index % 40 } : null;
    const place = () => (named ? createLine(random, named) : createAddress(random, file));
    return {
      sites: Array.from({ length: 4 }, () => ({ place: place(), callee: skewed(random, options.functions) })),
      leaves: Array.from({ length: 6 }, place),
    };
  });
  return { name, runtime, files, functions, depth };
}

function createAddress(random: Random, file: BinaryFile): Place {
  return { file, address: BigInt(4096 + random.below(file.bytes)), type: 'native', line: null, written: notWritten() };
}

function createLine(random: Random, named: { runtime: Runtime; function: string; module: number }): Place {
  const line = { function: named.function, file: `/srv/app/module${named.module}.src`, line: BigInt(random.between(1, 2000)) };
  return { file: null, address: 0n, type: named.runtime, line, written: notWritten() };
}

/** Low numbers, which stand for what is hot, are frequent. */
export function skewed(random: Random, count: number): number {
  return Math.floor((random.uint32() / 2 ** 32) ** 4 * count);
}

/** Leaf first, in user space. */
export function createStack(random: Random, program: Program): Place[] {
  const { functions, files } = program;
  const frames: Place[] = [];
  let at = skewed(random, 3);
  for (let count = random.between(...program.depth) - 1; count > 0; count--) {
    const site = functions[at]!.sites[skewed(random, 4)]!;
    frames.push(site.place);
    at = site.callee;
  }
  frames.push(random.pick(functions[at]!.leaves));
  frames.reverse();
  // The leaf of a native stack is any instruction.
  if (frames[0]!.file !== null) frames[0] = createAddress(random, random.pick(files));
  return frames;
}

const syscalls = ['read', 'write', 'futex', 'epoll_wait', 'mmap', 'openat', 'sendmsg', 'clone3'];

export interface Kernel {
  /** Leaf first: what a third of all stacks end in. */
  readonly paths: readonly (readonly Place[])[];
}

export function createKernel(random: Random): Kernel {
  const file: BinaryFile = { name: 'vmlinux', buildId: random.hex(40), bytes: 30 << 20 };
  const place = (name: string): Place => {
    const line = { function: name, file: '', line: 0n };
    return { file, address: BigInt(random.below(file.bytes)), type: 'kernel', line, written: notWritten() };
  };
  const entry = [place('do_syscall_64'), place('entry_SYSCALL_64_after_hwframe')];
  const paths = syscalls.flatMap((name) => {
    const outer = [place(`ksys_${name}`), place(`__x64_sys_${name}`), ...entry];
    return Array.from({ length: 40 }, (_, index) => [
      ...Array.from({ length: random.between(1, 6) }, () => place(`${name}_step_${skewed(random, 30)}`)),
      ...(index % 3 === 0 ? [place('_raw_spin_lock')] : []),
      ...outer,
    ]);
  });
  return { paths };
}

// Builds the C programs of this folder with frame pointers (or without), a symbol table and a build id that the
// test chooses, and runs them. What they print is JSON: what they know of their own CPU time.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Program {
  readonly path: string;
  readonly name: string;
  readonly buildId: string;
}

const compilers = ['cc', 'gcc', 'clang'] as const;

export interface BuildOptions {
  readonly framePointers?: boolean;
  /** More for the compiler. */
  readonly flags?: readonly string[];
}

/** Lower hex, 20 bytes, as linkers make them; the name is part of it so that no two are equal. */
export function buildProgram(source: string, folder: string, name = source.replace(/_/g, '-'), options: BuildOptions = {}): Program {
  mkdirSync(folder, { recursive: true });
  const buildId = Buffer.from(`${name}${'.'.repeat(20)}`)
    .toString('hex')
    .slice(0, 40);
  const path = join(folder, name);
  const flags = [
    '-O2',
    ...(options.framePointers === false ? ['-fomit-frame-pointer'] : ['-fno-omit-frame-pointer', '-mno-omit-leaf-frame-pointer']),
    '-fno-optimize-sibling-calls',
    '-Wall',
    '-Werror',
    `-Wl,--build-id=0x${buildId}`,
    ...(options.flags ?? []),
  ];
  execFileSync(findCompiler(), [...flags, '-o', path, join(import.meta.dirname, `${source}.c`)], { stdio: ['ignore', 'inherit', 'inherit'] });
  return { path, name, buildId };
}

function findCompiler(): string {
  for (const compiler of compilers) {
    try {
      execFileSync(compiler, ['--version'], { stdio: 'ignore' });
      return compiler;
    } catch {
      // The next one.
    }
  }
  throw new Error(`none of ${compilers.join(', ')} is installed; the set-up of npm test installs clang`);
}

export interface ProgramRun {
  readonly pid: number;
  /** What it printed, as numbers of nanoseconds. */
  readonly result: Promise<Readonly<Record<string, number>>>;
  readonly child: ChildProcess;
}

/** `wrapper` stands before the program, e.g. taskset. The pid is then still the program's: it is exec'ed. */
export function runProgram(program: Program, args: readonly string[], options: { wrapper?: readonly string[]; env?: NodeJS.ProcessEnv } = {}): ProgramRun {
  const [command, ...rest] = [...(options.wrapper ?? []), program.path, ...args];
  const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...options.env } });
  const chunks: Buffer[] = [];
  child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
  const result = new Promise<Record<string, number>>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(Buffer.concat(chunks).toString()) as Record<string, number>);
      else reject(new Error(`${program.name} ended with ${code ?? signal}`));
    });
  });
  return { pid: child.pid!, result, child };
}

// `flamelake` as a user starts it: the launcher in bin/, a directory of its own, free ports. Whatever a
// test starts here is ended by its process id when the test file is done, also after a failure.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Hopeless, until } from './until.ts';

export const launcher = join(import.meta.dirname, '../../bin/flamelake');
export const isRoot = process.getuid?.() === 0;

const readyMillis = 40_000;
const stopMillis = 30_000;

export interface UpOptions {
  readonly dataDir: string;
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Another launcher, e.g. of an installed package. */
  readonly launcher?: string;
  readonly cwd?: string;
  /** Runs as this user; only root may. */
  readonly uid?: number;
}

export interface Up {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly dataDir: string;
  readonly http: string;
  readonly otlpGrpc: string;
  readonly otlpHttp: string;
  /** All that it wrote, standard output and standard error together. */
  output(): string;
  exited(): { code: number | null; signal: NodeJS.Signals | null } | null;
  waitExit(timeoutMillis?: number): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  waitReady(): Promise<void>;
  /** Ends it as a user does and waits for it. */
  stop(): Promise<void>;
}

/** Without what the person at the keyboard has set for a flamelake or an exporter of their own. */
function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(FLAMELAKE|OTEL)_/.test(name));
  return { ...Object.fromEntries(own), ...more };
}

const started = new Set<ChildProcess>();

export function startUp(options: UpOptions, ports: Ports): Up {
  const { listen, grpc, http } = ports;
  const address = (port: number) => `127.0.0.1:${port}`;
  const flags = ['--data', options.dataDir, '--listen', address(listen), '--otlp-grpc', address(grpc), '--otlp-http', address(http), ...(options.flags ?? [])];
  const { child, output, exited } = startCommand(options.launcher ?? launcher, ['up', ...flags], options);
  const up: Up = {
    pid: child.pid!,
    child,
    dataDir: options.dataDir,
    http: `http://${address(listen)}`,
    otlpGrpc: address(grpc),
    otlpHttp: `http://${address(http)}`,
    output,
    exited,
    waitExit: (timeoutMillis = stopMillis) => until(`exit of flamelake up\n${output()}`, timeoutMillis, exited),
    waitReady: async () => {
      await until('flamelake up is ready', readyMillis, async () => {
        if (exited()) throw new Hopeless('it ended');
        return (await fetch(`${up.http}/readyz`)).ok;
      }).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${output()}`);
      });
    },
    stop: async () => {
      child.kill('SIGTERM');
      const { code, signal } = await up.waitExit();
      if (code !== 0) throw new Error(`flamelake up ended with ${code ?? signal}, expected 0\n${output()}`);
    },
  };
  return up;
}

/** Starts a command in a process group of its own, so that nothing of it outlives the test. */
export function startCommand(path: string, args: readonly string[], options: { env?: NodeJS.ProcessEnv; cwd?: string; uid?: number } = {}) {
  const user = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid };
  const child = spawn(path, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: environment(options.env), cwd: options.cwd, ...user });
  started.add(child);
  const chunks: string[] = [];
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  let ended: { code: number | null; signal: NodeJS.Signals | null } | null = null;
  child.once('error', (error) => chunks.push(String(error)));
  child.once('exit', (code, signal) => {
    ended = { code, signal };
  });
  return { child, output: () => chunks.join(''), exited: () => ended };
}

export interface Ports {
  readonly listen: number;
  readonly grpc: number;
  readonly http: number;
}

/** Three ports that were free a moment ago. */
export async function freePorts(): Promise<Ports> {
  const servers = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const server = createServer();
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const [listen, grpc, http] = servers.map((server) => (server.address() as { port: number }).port) as [number, number, number];
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return { listen, grpc, http };
}

/** Kills what is left of every command that was started here. For afterAll. */
export async function killStarted(): Promise<void> {
  for (const child of started) {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // The whole group is gone already.
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  started.clear();
}

export function temporaryFolder(name: string): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `flamelake-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const outputBytesMax = 256 * 1024 * 1024;

export async function runCommand(args: readonly string[], options: { launcher?: string; cwd?: string; env?: NodeJS.ProcessEnv } = {}): Promise<CommandResult> {
  const run = promisify(execFile);
  try {
    const { stdout, stderr } = await run(options.launcher ?? launcher, args, {
      maxBuffer: outputBytesMax,
      env: environment(options.env),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: number; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout: stdout ?? '', stderr: stderr ?? '' };
  }
}

export type Row = Readonly<Record<string, unknown>>;

/** Rows of `flamelake sql --json`. */
export async function sql(dataDir: string, query: string, options: { launcher?: string; cwd?: string } = {}): Promise<Row[]> {
  const { code, stdout, stderr } = await runCommand(['sql', '--data', dataDir, '--json', query], options);
  if (code !== 0) throw new Error(`flamelake sql ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as Row[];
}

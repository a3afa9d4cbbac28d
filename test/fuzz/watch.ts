// Runs a worker with some targets and watches it: it may throw, crash, hang or grow; each is a finding with its seed.
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Target } from './target.ts';
import type { WorkerMessage } from './worker.ts';

/** One input takes milliseconds. Far above what a busy machine can make of it. */
const hangMillisMax = 60_000;

export interface Job {
  readonly target: Target;
  readonly fromSeed: number;
  readonly runs: number;
}

export interface Counts {
  fed: number;
  taken: number;
  refused: number;
  residentBytes: number;
}

export interface Finding {
  readonly target: string;
  /** Null where it was no input from a seed. */
  readonly seed: number | null;
  readonly what: string;
}

export interface Watched {
  readonly counts: Counts;
  readonly finding: Finding | null;
  readonly millis: number;
}

export interface WatchOptions {
  /** Told as it goes on. */
  readonly onCounts?: (counts: Counts) => void;
  /** Ends it early, which is no finding. */
  readonly signal?: AbortSignal;
  /** How long it may say nothing once it has begun. */
  readonly hangMillis?: number;
}

export function watchWorker(jobs: readonly Job[], { onCounts = () => {}, signal, hangMillis = hangMillisMax }: WatchOptions = {}): Promise<Watched> {
  const folder = mkdtempSync(path.join(tmpdir(), 'flamelake-fuzz-'));
  const seedFile = path.join(folder, 'seed');
  const args = [seedFile, ...jobs.flatMap(({ target, fromSeed, runs }) => [target.name, String(fromSeed), String(runs)])];
  const child = fork(path.join(import.meta.dirname, 'worker.ts'), args, {
    execArgv: ['--max-old-space-size=512'],
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  const counts: Counts = { fed: 0, taken: 0, refused: 0, residentBytes: 0 };
  const started = performance.now();
  let name = jobs[0]!.target.name;
  const before: Counts = { fed: 0, taken: 0, refused: 0, residentBytes: 0 };
  let failure: string | null = null;
  let errors = '';
  child.stderr!.on('data', (part: Buffer) => {
    errors = (errors + part.toString()).slice(-4000);
  });
  return new Promise((resolve) => {
    const hang = (): void => {
      failure = `no answer within ${hangMillis / 1000} s`;
      child.kill('SIGKILL');
    };
    // Loading takes longer than any input.
    let timer = setTimeout(hang, hangMillisMax);
    const stop = (): void => void child.kill('SIGKILL');
    signal?.addEventListener('abort', stop, { once: true });
    child.on('message', (message: WorkerMessage) => {
      clearTimeout(timer);
      timer = setTimeout(hang, hangMillis);
      if (message.kind === 'begins') {
        name = message.target;
        Object.assign(before, counts);
      } else if (message.kind === 'failed') failure = `${message.where}: ${message.error}`;
      else if (message.kind === 'counts') {
        counts.fed = before.fed + message.fed;
        counts.taken = before.taken + message.taken;
        counts.refused = before.refused + message.refused;
        counts.residentBytes = Math.max(counts.residentBytes, message.residentBytes);
        onCounts(counts);
      }
    });
    child.once('exit', (code, signalName) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      if (failure === null && code !== 0 && signal?.aborted !== true) failure = `the process ended with ${signalName ?? code}\n${errors}`;
      const finding = failure === null ? null : { target: name, seed: seedIn(seedFile), what: failure };
      rmSync(folder, { recursive: true, force: true });
      resolve({ counts, finding, millis: performance.now() - started });
    });
  });
}

function seedIn(file: string): number | null {
  try {
    return readFileSync(file).readDoubleLE(0);
  } catch {
    return null;
  }
}

// The foreign reader of listing.py in its own process, while everything else goes wrong.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface ReaderReport {
  readonly listings: number;
  readonly files: number;
  readonly rows: number;
  readonly wrong: readonly string[];
}

export interface Reader {
  /** Nothing of the lake is open until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  end(): Promise<ReaderReport>;
  kill(): Promise<void>;
}

export function startReader(python: string, lakeDir: string): Reader {
  // In a group of its own: Ctrl-C is for the run, which asks the reader for its report first.
  const child: ChildProcess = spawn(python, [path.join(import.meta.dirname, 'listing.py'), lakeDir], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const ask = async (command: string): Promise<string> => {
    child.stdin!.write(`${command}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error('the reader has ended');
    return value as string;
  };
  return {
    pause: async () => void (await ask('pause')),
    resume: async () => void (await ask('resume')),
    end: async () => {
      const report = JSON.parse(await ask('end')) as ReaderReport;
      if (child.exitCode === null) await once(child, 'exit');
      return report;
    },
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

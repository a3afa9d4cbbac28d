// The Python that holds the foreign engines, set up on first use. Where there is none, tests that need
// it are skipped and one line says so; in CI they must run.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const setup = join(import.meta.dirname, 'setup.sh');
const outputBytesMax = 512 * 1024 * 1024;

/** Path of the interpreter, or null where this host cannot have one (never null in CI: it throws). */
export function findPython(): string | null {
  const result = spawnSync(setup, { encoding: 'utf8' });
  if (result.status === 0) return result.stdout.trim();
  const reason = (result.stderr ?? String(result.error)).trim();
  if (process.env.CI) throw new Error(`the foreign engines must run in CI: ${reason}`);
  process.stderr.write(`tests with pyarrow and DuckDB for Python are skipped: ${reason}\n`);
  return null;
}

/** Runs a script of this folder and reads the JSON that it prints. */
export function runPython(python: string, script: string, args: readonly string[], input?: Uint8Array): unknown {
  const result = spawnSync(python, [join(import.meta.dirname, script), ...args], { input, maxBuffer: outputBytesMax });
  if (result.status !== 0) throw new Error(`${script} ${args.join(' ')}: ${result.stderr}`);
  return JSON.parse(result.stdout.toString('utf8'));
}

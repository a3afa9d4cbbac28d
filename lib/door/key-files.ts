// Files of keys, certificates and tokens: read together, and again when one of them changes. Looked at
// by their content at intervals: what mounts secrets swaps a link that no file watcher sees, and
// certificate and key are not replaced in the same moment.
import { readFileSync } from 'node:fs';
import { PipelineError } from '../errors.ts';
import { errorFields, type Logger } from '../logger.ts';

/** How soon a new file is used. */
export const rereadMillis = 10_000;

export interface KeyFiles {
  close(): void;
}

/**
 * Calls `use` with the contents at once (what it throws is thrown) and after each change; what is wrong
 * with a change is logged once, and what was there before stays in use.
 */
export function followKeyFiles(files: readonly string[], use: (contents: Buffer[]) => void, logger: Logger, intervalMillis = rereadMillis): KeyFiles {
  let current = files.map(readKeyFile);
  use(current);
  let lastProblem = '';
  const look = (): void => {
    try {
      const now = files.map(readKeyFile);
      if (now.every((content, index) => content.equals(current[index]!))) return;
      use(now);
      current = now;
      lastProblem = '';
      logger.info(`read again, as they have changed: ${files.join(', ')}`);
    } catch (error) {
      const problem = (error as Error).message;
      if (problem !== lastProblem) logger.error(`a changed file is not used: ${problem}; what was read before stays in use`, errorFields(error));
      lastProblem = problem;
    }
  };
  const timer = setInterval(look, intervalMillis).unref();
  return { close: () => clearInterval(timer) };
}

function readKeyFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new PipelineError(
      'config_invalid',
      `${file} can't be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown'}); name a file that this user may read`,
      { cause },
    );
  }
}

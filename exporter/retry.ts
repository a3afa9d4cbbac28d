// Asking a store or a log again that does not answer.
import { isPipelineError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Clock } from './clock.ts';
import { retryMillisMax, retryMillisMin } from './limits.ts';

/** Errors after which the same call may succeed without anybody doing anything about the lake. */
const transient = ['store_unavailable', 'store_full', 'store_readonly', 'log_unavailable', 'log_full'] as const;

export function isTransient(error: unknown): boolean {
  return transient.some((code) => isPipelineError(error, code));
}

/** Does the work until it succeeds, or throws its last error where the stage is told to stop. */
export type Retry = <T>(work: () => Promise<T>) => Promise<T>;

export function createRetry(clock: Clock, logger: Logger, stopping: AbortSignal, retried: (reason: string) => void): Retry {
  return async <T>(work: () => Promise<T>): Promise<T> => {
    for (let wait = retryMillisMin; ; wait = Math.min(2 * wait, retryMillisMax)) {
      try {
        return await work();
      } catch (error) {
        // On the way down, what is unfinished is finished by the next start.
        if (!isTransient(error) || stopping.aborted) throw error;
        retried(isPipelineError(error) ? error.code : 'unknown');
        logger.warn('publishing waits for the store', { error: error instanceof Error ? error.message : String(error), waitMillis: wait });
        await clock.sleep(wait, stopping);
      }
    }
  };
}

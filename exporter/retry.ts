// Asking a store or a log again that does not answer.
import { isPipelineError, type PipelineError } from '../lib/errors.ts';
import { errorFields, type Logger } from '../lib/logger.ts';
import type { Clock } from './clock.ts';
import { complaintMillis, retryMillisMax, retryMillisMin } from './limits.ts';

/** Errors after which the same call may succeed without anybody doing anything about the lake. */
const transient = ['store_unavailable', 'store_full', 'store_readonly', 'log_unavailable', 'log_full'] as const;

export function isTransient(error: unknown): error is PipelineError {
  return transient.some((code) => isPipelineError(error, code));
}

/** Does the work until it succeeds, or throws its last error where the stage is told to stop. Says so when it begins, once a minute and when it is over. */
export type Retry = <T>(work: () => Promise<T>) => Promise<T>;

export function createRetry(clock: Clock, logger: Logger, stopping: AbortSignal, retried: (reason: string) => void): Retry {
  /** Of the last line, and what was not said since. */
  let said: { readonly code: string; readonly millis: number } | null = null;
  let unsaid = 0;
  const complain = (error: PipelineError): void => {
    const millis = clock.monotonicMillis();
    if (said?.code === error.code && millis - said.millis < complaintMillis) {
      unsaid++;
      return;
    }
    logger.warn('publishing waits for the store', { ...errorFields(error), error: error.message, attempts: 1 + unsaid });
    said = { code: error.code, millis };
    unsaid = 0;
  };
  return async <T>(work: () => Promise<T>): Promise<T> => {
    for (let wait = retryMillisMin; ; wait = Math.min(2 * wait, retryMillisMax)) {
      try {
        const result = await work();
        if (said !== null) logger.info('publishing goes on');
        said = null;
        return result;
      } catch (error) {
        // On the way down, what is unfinished is finished by the next start.
        if (!isTransient(error) || stopping.aborted) throw error;
        retried(error.code);
        complain(error);
        await clock.sleep(wait, stopping);
      }
    }
  };
}

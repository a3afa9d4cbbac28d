// How many questions are worked on at once: each has its own DuckDB with its own memory, so the number
// is a bound on memory. A few more wait in order; the others are told to come again.
import { PipelineError } from '../lib/errors.ts';

export interface Gate {
  /** Runs the work when there is room; throws `overloaded` at once where too many wait already. */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  readonly running: number;
  readonly waiting: number;
}

export function createGate(concurrentMax: number, waitingMax: number): Gate {
  let running = 0;
  const queue: (() => void)[] = [];

  const enter = (signal: AbortSignal): Promise<void> => {
    if (running < concurrentMax) {
      running++;
      return Promise.resolve();
    }
    if (queue.length >= waitingMax) {
      throw new PipelineError('overloaded', `${running} queries run and ${queue.length} wait, which is all there is room for; try again soon`);
    }
    return new Promise((resolve, reject) => {
      const next = () => {
        signal.removeEventListener('abort', onAbort);
        running++;
        resolve();
      };
      const onAbort = () => {
        queue.splice(queue.indexOf(next), 1);
        reject(new PipelineError('query_failed', 'the query was given up by who asked for it', { context: { reason: 'aborted' } }));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      queue.push(next);
    });
  };

  return {
    async run(signal, work) {
      await enter(signal);
      try {
        return await work();
      } finally {
        running--;
        queue.shift()?.();
      }
    },
    get running() {
      return running;
    },
    get waiting() {
      return queue.length;
    },
  };
}

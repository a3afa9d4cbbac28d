// The two clocks of the exporter; tests bring their own.

export interface Clock {
  wallMillis(): number;
  /** Never set, ends with the process. */
  monotonicMillis(): number;
  /** Resolves after so long, or early when the signal is aborted. */
  sleep(millis: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  wallMillis: () => Date.now(),
  monotonicMillis: () => performance.now(),
  sleep: (millis, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, millis);
      signal.addEventListener('abort', end);
    }),
};

// Signals that ask a command to end. The first counts; more of them (npm forwards what the group had
// already got) change nothing: the end is bounded in time by whoever stops.

export interface StopSignals {
  /** Resolves with the first signal. */
  readonly asked: Promise<NodeJS.Signals>;
  readonly isAsked: () => boolean;
}

export function listenForStop(): StopSignals {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let asked = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      asked = true;
      resolve(signal);
    });
  }
  return { asked: promise, isAsked: () => asked };
}

// Signals that ask a command to end. The first counts; more of them (npm forwards what the group had
// already got) change nothing: the end is bounded in time by whoever stops.

import { prctl } from '../lib/libc.ts';

export interface StopSignals {
  /** Resolves with the first signal. */
  readonly asked: Promise<NodeJS.Signals>;
  readonly isAsked: () => boolean;
}

/**
 * npx puts a shell between npm and us that a signal to npm ends without a word: we would run on
 * alone. Then the kernel tells us of its end with the signal that was meant for us.
 */
function followShellOfNpx(): void {
  if (process.env.npm_command === 'exec') prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
}
const PR_SET_PDEATHSIG = 1;
const SIGTERM = 15;

export function listenForStop(): StopSignals {
  followShellOfNpx();
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

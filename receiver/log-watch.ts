// Looks whether the log takes messages, so that /readyz says so also while nobody sends: a full log or disk is seen
// before the next message is refused, and its end without one.
import { isPipelineError } from '../lib/errors.ts';
import type { Log } from '../lib/log/log.ts';
import { logWatchMillis } from './limits.ts';

export interface LogWatch {
  /** One line, or null where messages are taken. */
  refusing(): string | null;
  close(): void;
}

export function watchLog(log: Log): LogWatch {
  let refusing: string | null = null;
  let isLooking = false;
  const look = async (): Promise<void> => {
    if (isLooking) return;
    isLooking = true;
    try {
      refusing = (await log.usage())?.refusing ?? null;
    } catch (error) {
      if (!isPipelineError(error)) throw error;
      refusing = error.message;
    } finally {
      isLooking = false;
    }
  };
  void look();
  const timer = setInterval(() => void look(), logWatchMillis);
  return { refusing: () => refusing, close: () => clearInterval(timer) };
}

// One account of request bytes held in memory, over both transports. What a request holds is taken as
// the bytes come, not as they are announced: a sender that announces much and sends little holds little.
import { PipelineError } from '../lib/errors.ts';

export interface InFlight {
  readonly bytes: number;
  hold(): Hold;
}

/** What one request holds. */
export interface Hold {
  /** Throws `overloaded` where the account is full; nothing is taken then. */
  take(bytes: number): void;
  /** Gives back all of it; more than once does no harm. */
  release(): void;
}

export function createInFlight(bytesMax: number): InFlight {
  let total = 0;
  return {
    get bytes() {
      return total;
    },
    hold() {
      let held = 0;
      return {
        take(bytes) {
          if (total + bytes > bytesMax) {
            throw new PipelineError('overloaded', `${total} bytes of requests are in work, at most ${bytesMax} at a time; send again later`);
          }
          total += bytes;
          held += bytes;
        },
        release() {
          total -= held;
          held = 0;
        },
      };
    },
  };
}

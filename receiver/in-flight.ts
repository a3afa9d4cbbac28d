// One account of request bytes held in memory, over both transports. What a request holds is taken as
// the bytes come, not as they are announced: a sender that announces much and sends little holds little.
//
// When it is full, the slowest of those that still send makes room: a good sender is done within
// milliseconds, and whoever keeps memory for long with little to show for it must not lock it out.
import { PipelineError } from '../lib/errors.ts';
import { evictAfterMillis } from './limits.ts';

export interface InFlight {
  readonly bytes: number;
  hold(): Hold;
}

/** What one request holds. */
export interface Hold {
  /** Throws `overloaded` where the account is full and nobody else has to make room; nothing is taken then. */
  take(bytes: number): void;
  /** Until received() its request may be ended by `evict`, which is told why; what it held is given back then. */
  receiving(evict: (error: PipelineError) => void): void;
  received(): void;
  /** Gives back all of it; more than once does no harm. */
  release(): void;
}

interface Receiving {
  readonly sinceMillis: number;
  held(): number;
  evict(error: PipelineError): void;
}

export function createInFlight(bytesMax: number, nowMillis: () => number = () => performance.now()): InFlight {
  let total = 0;
  const receiving = new Set<Receiving>();

  const overloaded = (): PipelineError =>
    new PipelineError('overloaded', `${total} bytes of requests are in work, at most ${bytesMax} at a time; send again later`);

  /** The one with the fewest bytes for its time; null where all have only begun. */
  const slowest = (): Receiving | null => {
    const now = nowMillis();
    let found: Receiving | null = null;
    let foundRate = Number.POSITIVE_INFINITY;
    for (const each of receiving) {
      const millis = now - each.sinceMillis;
      const rate = each.held() / millis;
      if (millis < evictAfterMillis || each.held() === 0 || rate >= foundRate) continue;
      found = each;
      foundRate = rate;
    }
    return found;
  };

  const makeRoom = (bytes: number, own: Receiving | null): void => {
    while (total + bytes > bytesMax) {
      const victim = slowest();
      if (victim === null || victim === own) throw overloaded();
      victim.evict(overloaded());
    }
  };

  return {
    get bytes() {
      return total;
    },
    hold() {
      let held = 0;
      let own: Receiving | null = null;
      const received = (): void => {
        if (own !== null) receiving.delete(own);
        own = null;
      };
      const release = (): void => {
        received();
        total -= held;
        held = 0;
      };
      return {
        take(bytes) {
          makeRoom(bytes, own);
          total += bytes;
          held += bytes;
        },
        receiving(evict) {
          own = {
            sinceMillis: nowMillis(),
            held: () => held,
            evict(error) {
              release();
              evict(error);
            },
          };
          receiving.add(own);
        },
        received,
        release,
      };
    },
  };
}

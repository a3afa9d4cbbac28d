// One account of the memory that requests take, over both transports. A request gets its buffers here and
// nowhere else, so what is counted is what there is: whole buffers, not the bytes in them, and until the
// memory is given back, not until somebody has lost interest in it. What is announced counts for nothing:
// a sender that announces much and sends little holds little.
//
// When it is full, the slowest of those that still send make room: a good sender is done within
// milliseconds, and whoever keeps memory for long with little to show for it must not lock it out. The
// last of it is for those that want little.
import { PipelineError } from '../lib/errors.ts';
import { letGo } from '../lib/let-go.ts';
import { evictAfterMillis, muchFreedBytes, requestBytes, smallRequestBytes, smallRequestsShare } from './limits.ts';

export interface InFlight {
  readonly bytes: number;
  hold(): Hold;
}

/** What one request holds. Whatever takes memory throws `overloaded` where there is none and nobody else has to make room. */
export interface Hold {
  /** Memory of its own, not cleared. */
  allot(bytes: number): Buffer;
  /** Gives it back at once, and nobody may use it afterwards; a buffer that is not from here is left alone. */
  free(buffer: Buffer): void;
  /** One buffer with `length` bytes of these one behind the other, which are freed. */
  join(buffers: readonly Buffer[], length: number): Buffer;
  /** Counts what others take for it, such as a decoder, and no more. */
  take(bytes: number): void;
  give(bytes: number): void;
  /** Until received() its request may be ended by `evict`, which is told why; what it held is given back by then. */
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

export function createInFlight(bytesMax: number, nowMillis: () => number = () => performance.now(), onMuchFreed: () => void = () => {}): InFlight {
  let total = 0;
  let most = 0;
  /** The oldest first. */
  const receiving = new Set<Receiving>();

  const overloaded = (): PipelineError =>
    new PipelineError('overloaded', `${total} bytes of requests are in work, at most ${bytesMax} at a time; send again later`);

  /** Those that have had their time, with the fewest bytes for it first. */
  const slowestFirst = (): Receiving[] => {
    const now = nowMillis();
    const found: { readonly each: Receiving; readonly rate: number }[] = [];
    for (const each of receiving) {
      const millis = now - each.sinceMillis;
      if (millis < evictAfterMillis) break;
      found.push({ each, rate: each.held() / millis });
    }
    return found.sort((left, right) => left.rate - right.rate).map(({ each }) => each);
  };

  /** A little more than is needed, so that with thousands of senders they are not all looked at for each part that comes. */
  const makeRoom = (bytes: number, held: number, own: Receiving | null): void => {
    const max = held + bytes > smallRequestBytes ? bytesMax - bytesMax * smallRequestsShare : bytesMax;
    if (total + bytes <= max) return;
    for (const victim of slowestFirst()) {
      if (victim === own || total + bytes + bytesMax / 64 <= max) break;
      victim.evict(overloaded());
    }
    if (total + bytes > max) throw overloaded();
  };

  return {
    get bytes() {
      return total;
    },
    hold: () =>
      createHold({
        makeRoom,
        receiving,
        nowMillis,
        add(bytes) {
          total += bytes;
          most = Math.max(most, total);
          if (most - total < muchFreedBytes) return;
          most = total;
          onMuchFreed();
        },
      }),
  };
}

interface Account {
  makeRoom(bytes: number, held: number, own: Receiving | null): void;
  add(bytes: number): void;
  readonly receiving: Set<Receiving>;
  nowMillis(): number;
}

function createHold(account: Account): Hold {
  let held = 0;
  let own: Receiving | null = null;
  /** By what they were made with: a buffer that was given to another thread is empty here. */
  const buffers = new Map<Buffer, number>();
  const add = (bytes: number): void => {
    account.add(bytes);
    held += bytes;
  };
  const take = (bytes: number): void => {
    account.makeRoom(bytes, held, own);
    add(bytes);
  };
  const keep = (bytes: number): Buffer => {
    const buffer = Buffer.allocUnsafeSlow(bytes);
    buffers.set(buffer, bytes);
    return buffer;
  };
  const free = (buffer: Buffer): void => {
    const bytes = buffers.get(buffer);
    if (bytes === undefined) return;
    buffers.delete(buffer);
    add(-bytes);
    letGo(buffer);
  };
  const received = (): void => {
    if (own !== null) account.receiving.delete(own);
    own = null;
  };
  const release = (): void => {
    received();
    for (const buffer of buffers.keys()) letGo(buffer);
    buffers.clear();
    add(-held);
  };
  return {
    allot(bytes) {
      take(bytes);
      return keep(bytes);
    },
    free,
    join(parts, length) {
      // Not asked for room: as much is freed as is taken, and only one request at a time is between the two.
      const whole = keep(length);
      add(length);
      let at = 0;
      for (const part of parts) {
        at += part.copy(whole, at);
        free(part);
      }
      return whole;
    },
    take,
    give: (bytes) => add(-bytes),
    receiving(evict) {
      take(requestBytes);
      own = {
        sinceMillis: account.nowMillis(),
        held: () => held,
        evict(error) {
          release();
          evict(error);
        },
      };
      account.receiving.add(own);
    },
    received,
    release,
  };
}

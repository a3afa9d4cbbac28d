// The clock of the digests' window (digests.ts). It runs by the log append times of the input's messages, and
// is kept from running away where these do: a host's clock that is set, a partition that is read hours after
// another. Pure, and what it says depends on the messages alone: the records keep its state.
import type { CommitRecord, HighWater } from '../schemas/lake/record.ts';
import { digestClockStepMillis, digestSourceWaitMillis, digestWindowMillis } from './limits.ts';

interface SourceClock {
  /** Append time of its last message. */
  readonly appendMillis: number;
  readonly clockMillis: number;
}

export class WindowClock {
  readonly #sources = new Map<string, SourceClock>();
  /** Of the source that is farthest: what is seen now is seen at this time. Never goes back. */
  nowMillis: number;
  /** What was seen before this has left the window. Never goes back. */
  startMillis: number;

  constructor(nowMillis: number, sources: Iterable<readonly [key: string, water: HighWater]> = []) {
    this.nowMillis = nowMillis;
    for (const [key, { appendMillis, clockMillis }] of sources) {
      if (appendMillis !== undefined && clockMillis !== undefined) this.#sources.set(key, { appendMillis, clockMillis });
    }
    this.startMillis = this.#start();
  }

  /** The next message of a source came. */
  move(source: string, appendMillis: number): void {
    const known = this.#sources.get(source);
    // Its first message; before any of all, the clock is set by it. One that was not waited for any longer begins
    // anew, so that the window's start does not go back.
    if (known === undefined || !this.#isAwaited(known)) this.#set(source, appendMillis, this.nowMillis === 0 ? appendMillis : this.nowMillis);
    else this.#set(source, appendMillis, known.clockMillis + Math.min(Math.max(0, appendMillis - known.appendMillis), digestClockStepMillis));
    this.startMillis = this.#start();
  }

  /** What a record keeps of a source; nothing of one that is not waited for. */
  stateOf(source: string): Partial<SourceClock> {
    const known = this.#sources.get(source);
    return known !== undefined && this.#isAwaited(known) ? known : {};
  }

  #set(source: string, appendMillis: number, clockMillis: number): void {
    this.#sources.set(source, { appendMillis, clockMillis });
    this.nowMillis = Math.max(this.nowMillis, clockMillis);
  }

  /** Fifteen minutes before the slowest of those that are waited for: it may still bring what another has brought. */
  #start(): number {
    let slowest = this.nowMillis;
    for (const source of this.#sources.values()) if (source.clockMillis < slowest && this.#isAwaited(source)) slowest = source.clockMillis;
    return slowest - digestWindowMillis;
  }

  #isAwaited({ clockMillis }: SourceClock): boolean {
    return clockMillis >= this.nowMillis - digestSourceWaitMillis;
  }
}

export function sourceKey(source: { logId: string; topic: string; partition: number }): string {
  return `${source.logId}/${source.topic}/${source.partition}`;
}

type ClockRecord = Pick<CommitRecord, 'highWaters' | 'clockMillis' | 'windowMillis'>;

/** What the window's clock of a record says; before there was one of its own, the newest append time was it. */
export const windowMillisOf = (record: ClockRecord): number => record.windowMillis ?? record.clockMillis;

/** The clock as a record left it. */
export function clockOf(head: ClockRecord | null): WindowClock {
  if (head === null) return new WindowClock(0);
  const waters = head.highWaters.map((water) => [sourceKey(water), water] as const);
  return new WindowClock(windowMillisOf(head), waters);
}

// When a batch is published. Pure; both clocks come in, because the wall clock may be set and the
// monotonic one ends with the process.
import type { OpenBatch } from './builder.ts';
import { firstIntervalMillis, lowDiskIntervalMillis, openBatchBytesMax } from './limits.ts';

const hourMillis = 3_600_000;

export interface PublishLimits {
  readonly publishIntervalMillis: number;
  /** Of messages as they lie in the log. */
  readonly publishBytes: number;
  readonly publishRowsMax: number;
}

export interface PublishMoment {
  readonly nowMillis: number;
  /** Since this process took the batch's first message, by the monotonic clock. */
  readonly openForMillis: number;
  /** Nothing more lies in the log: a batch in the middle of a catch-up is only cut by its size. */
  readonly caughtUp: boolean;
  readonly head: { readonly createdMillis: number; readonly firstMillis: number } | null;
  readonly open: OpenBatch;
  /** Rows leave the log when they are published, in a third of the room. */
  readonly diskIsLow?: boolean;
}

export function isFull(open: OpenBatch, limits: PublishLimits, share = 1): boolean {
  const reaches = (value: number, max: number) => value >= max * share;
  return reaches(open.rows, limits.publishRowsMax) || reaches(open.messageBytes, limits.publishBytes) || reaches(open.openBytes, openBatchBytesMax);
}

export function publishIsDue(moment: PublishMoment, limits: PublishLimits): boolean {
  const { open, head, nowMillis } = moment;
  if (open.firstAppendMillis === null) return false;
  if (isFull(open, limits)) return true;
  if (moment.diskIsLow && moment.openForMillis >= lowDiskIntervalMillis) return true;
  if (!moment.caughtUp) return false;
  // From the first message on, not from the process's start: a crash loop must not make small files.
  const since = Math.max(open.firstAppendMillis, head?.createdMillis ?? 0);
  const interval = intervalAfter(head, limits.publishIntervalMillis);
  if (moment.openForMillis >= interval) return true;
  return nowMillis - since >= interval || Math.floor(nowMillis / hourMillis) > Math.floor(since / hourMillis);
}

/**
 * 15 s, 30 s, 1 min, 2 min … up to the interval asked for: a newcomer sees files at once, and the lake's
 * age is counted from its first record, so that restarts don't begin anew.
 */
export function intervalAfter(head: PublishMoment['head'], publishIntervalMillis: number): number {
  if (head === null) return Math.min(publishIntervalMillis, firstIntervalMillis);
  const age = Math.max(0, head.createdMillis - head.firstMillis);
  return Math.min(publishIntervalMillis, 2 * firstIntervalMillis + age);
}

// What the processor writes beside its position in an input partition (lib/log, metadata): hints for the
// next start. Losing them costs repeated sends, never rows.
import { positionBytesMax } from './limits.ts';

export interface Hints {
  /** Identity of the log that the position is of; another one starts from its beginning. */
  readonly logId: string;
  /** Set while a processor is at work: found at a start, its end was not clean. */
  readonly running: boolean;
  /** A message announced before it is decoded, and how often that was done. */
  readonly attempt: { readonly offset: number; readonly count: number } | null;
  /** The last `to` that each shard was sent: the `from` of its next message, so that no gap shows where none is. */
  readonly sent: SentPositions;
}

/** `others` is that of every shard that is not listed. -1 = from the beginning. */
export interface SentPositions {
  readonly others: number;
  readonly shards: ReadonlyMap<number, number>;
}

export const nothingSent: SentPositions = { others: -1, shards: new Map() };

export const sentTo = ({ shards, others }: SentPositions, shard: number): number => shards.get(shard) ?? others;

/** Null where the text would be longer than a log keeps: then some shards must be brought up to date first. */
export function formatHints(hints: Hints): string | null {
  const text = JSON.stringify({
    v: 1,
    logId: hints.logId,
    running: hints.running,
    ...(hints.attempt ? { attempt: [hints.attempt.offset, hints.attempt.count] } : {}),
    others: hints.sent.others,
    shards: [...hints.sent.shards],
  });
  return Buffer.byteLength(text) <= positionBytesMax ? text : null;
}

/** Null where it is not ours or not of this version. */
export function parseHints(text: string): Hints | null {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || value.v !== 1) return null;
  const { logId, running, attempt, others, shards } = value;
  if (typeof logId !== 'string' || typeof running !== 'boolean' || !isOffset(others) || !isPairs(shards)) return null;
  if (attempt !== undefined && !isPair(attempt)) return null;
  return {
    logId,
    running,
    attempt: attempt ? { offset: attempt[0], count: attempt[1] } : null,
    sent: { others, shards: new Map(shards) },
  };
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= -1;
}

function isPair(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(isOffset);
}

function isPairs(value: unknown): value is [number, number][] {
  return Array.isArray(value) && value.every(isPair);
}

/** After sends: lists only the shards that differ from the most that any was sent. */
export function withSent(before: SentPositions, shards: number, to: number, sentNow: ReadonlySet<number>): SentPositions {
  const changed = new Map<number, number>();
  for (let shard = 0; shard < shards; shard++) {
    const position = sentNow.has(shard) ? to : sentTo(before, shard);
    if (position !== to) changed.set(shard, position);
  }
  return { others: to, shards: changed };
}

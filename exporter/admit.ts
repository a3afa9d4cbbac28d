// Which rows of a message are new (docs/lake.md: exactly once, by position). Pure: what it decides
// depends on nothing but the state that the records pinned and the messages since, so that every
// exporter, and every replay, decides the same.
import type { HighWater } from '../schemas/lake/record.ts';
import type { RowsMessage, Segment } from '../schemas/rows/message.ts';
import { DigestEntries, DigestWindow } from './digests.ts';

export class SourceState {
  readonly highWaters = new Map<string, HighWater>();
  readonly digests = new DigestWindow();
  /** Newest log append time of any segment. */
  clockMillis = 0;
  /** Digests since the last cut: what the next record's side object holds. */
  recent = new DigestEntries();

  constructor(highWaters: readonly HighWater[] = [], clockMillis = 0) {
    for (const water of highWaters) this.highWaters.set(sourceKey(water), water);
    this.clockMillis = clockMillis;
  }

  /** A new range begins. */
  cut(): void {
    this.recent = new DigestEntries();
  }
}

export interface AdmittedRows {
  readonly start: number;
  readonly end: number;
  readonly appendTimeMillis: number;
}

export interface SourceGap {
  readonly logId: string;
  readonly topic: string;
  readonly partition: number;
  /** Source offsets (from, to] that never came. */
  readonly from: number;
  readonly to: number;
  readonly appendTimeMillis: number;
}

export interface Admission {
  readonly rows: readonly AdmittedRows[];
  readonly gap: SourceGap | null;
  /** Rows of segments that were here before: a processor that sent again. No loss, no duplicate of a client. */
  readonly repeated: number;
  /** Rows and profiles dropped because their digest was seen in the window. */
  readonly duplicates: number;
  readonly duplicateProfiles: number;
}

/** Decides about one message and moves `state` past it. `messageTimeMillis` stands in where it has no segment. */
export function admit(state: SourceState, message: RowsMessage, messageTimeMillis: number): Admission {
  const key = sourceKey(message);
  const known = state.highWaters.get(key);
  // An unknown log id (or a new partition) starts a new high water where its first message starts.
  const high = known?.offset ?? message.from;
  const appendTimeMillis = message.segments[0]?.appendTimeMillis ?? messageTimeMillis;
  const gap = message.from > high ? { ...sourceOf(message), from: high, to: message.from, appendTimeMillis } : null;
  const rows: AdmittedRows[] = [];
  const counts = { repeated: 0, duplicates: 0, duplicateProfiles: 0 };
  for (const segment of message.segments) {
    if (segment.offset <= high) counts.repeated += segment.rowEnd - segment.rowStart;
    else admitSegment(state, segment, rows, counts);
  }
  const to = Math.max(high, message.to);
  if (known === undefined || to > known.offset) state.highWaters.set(key, { ...sourceOf(message), offset: to });
  return { rows, gap, ...counts };
}

function admitSegment(state: SourceState, segment: Segment, rows: AdmittedRows[], counts: { duplicates: number; duplicateProfiles: number }): void {
  state.clockMillis = Math.max(state.clockMillis, segment.appendTimeMillis);
  for (const profile of segment.profiles) {
    const seen = state.digests.seen(profile.digest, state.clockMillis);
    state.recent.add(profile.digest, state.clockMillis);
    if (seen) {
      counts.duplicates += profile.rowEnd - profile.rowStart;
      counts.duplicateProfiles++;
    } else if (profile.rowEnd > profile.rowStart) {
      const last = rows.at(-1);
      if (last?.end === profile.rowStart && last.appendTimeMillis === segment.appendTimeMillis) rows[rows.length - 1] = { ...last, end: profile.rowEnd };
      else rows.push({ start: profile.rowStart, end: profile.rowEnd, appendTimeMillis: segment.appendTimeMillis });
    }
  }
}

export function sourceKey(source: { logId: string; topic: string; partition: number }): string {
  return `${source.logId}/${source.topic}/${source.partition}`;
}

function sourceOf(message: RowsMessage): { logId: string; topic: string; partition: number } {
  return { logId: message.logId, topic: message.topic, partition: message.partition };
}

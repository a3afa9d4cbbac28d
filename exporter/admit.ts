// Which rows of a message are new (docs/lake.md: exactly once, by position). Pure: what it decides
// depends on nothing but the state that the records pinned and the messages since, so that every
// exporter, and every replay, decides the same.
import type { CommitRecord, HighWater } from '../schemas/lake/record.ts';
import type { RowsMessage, Segment } from '../schemas/rows/message.ts';
import { DigestEntries, DigestWindow } from './digests.ts';
import { clockOf, sourceKey, type WindowClock } from './window-clock.ts';

export class SourceState {
  readonly highWaters = new Map<string, HighWater>();
  readonly digests = new DigestWindow();
  readonly clock: WindowClock;
  /** Newest log append time of any segment. */
  appendMillis: number;
  /** Digests since the last cut: what the next record's side object holds. */
  recent = new DigestEntries();

  /**
   * No record yet. A lake that begins on a log which is older than itself takes up its sources where it
   * finds them; later on whoever is new begins at -1, or what came before was lost.
   */
  isFirst: boolean;

  constructor(head: Pick<CommitRecord, 'highWaters' | 'clockMillis' | 'windowMillis'> | null = null) {
    for (const water of head?.highWaters ?? []) this.highWaters.set(sourceKey(water), water);
    this.clock = clockOf(head);
    this.appendMillis = head?.clockMillis ?? 0;
    this.isFirst = head === null;
  }

  /** As the next record keeps them. */
  waters(): HighWater[] {
    return [...this.highWaters].map(([key, { logId, topic, partition, offset }]) => ({ logId, topic, partition, offset, ...this.clock.stateOf(key) }));
  }

  /** A new range begins. */
  cut(): void {
    this.recent = new DigestEntries();
    this.isFirst = false;
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
  // An unknown log id (or a new partition) starts a new high water.
  const high = known?.offset ?? (state.isFirst ? message.from : -1);
  const appendTimeMillis = gapTimeMillis(message, messageTimeMillis);
  const gap = message.from > high ? { ...sourceOf(message), from: high, to: message.from, appendTimeMillis } : null;
  const rows: AdmittedRows[] = [];
  const counts = { repeated: 0, duplicates: 0, duplicateProfiles: 0 };
  for (const segment of message.segments) {
    if (segment.offset <= high) counts.repeated += segment.rowEnd - segment.rowStart;
    else admitSegment(state, key, segment, rows, counts);
  }
  const to = Math.max(high, message.to);
  if (known === undefined || to > known.offset) state.highWaters.set(key, { ...sourceOf(message), offset: to });
  return { rows, gap, ...counts };
}

/** When a gap before the message is told to have been: its row's time. */
export function gapTimeMillis(message: RowsMessage, messageTimeMillis: number): number {
  return message.segments[0]?.appendTimeMillis ?? messageTimeMillis;
}

function admitSegment(
  state: SourceState,
  source: string,
  segment: Segment,
  rows: AdmittedRows[],
  counts: { duplicates: number; duplicateProfiles: number },
): void {
  state.appendMillis = Math.max(state.appendMillis, segment.appendTimeMillis);
  state.clock.move(source, segment.appendTimeMillis);
  const { nowMillis, startMillis } = state.clock;
  for (const profile of segment.profiles) {
    const seen = state.digests.seen(profile.digest, nowMillis, startMillis);
    state.recent.add(profile.digest, nowMillis);
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

function sourceOf(message: RowsMessage): { logId: string; topic: string; partition: number } {
  return { logId: message.logId, topic: message.topic, partition: message.partition };
}

// A commit record: the only thing that makes rows part of the lake. It is put once, with
// If-None-Match, names finished bytes, and anybody can complete it without decoding anything.
import type { LakeTable } from './paths.ts';

export const recordVersion = 1;

export interface RecordFile {
  readonly table: LakeTable;
  /** Where the bytes lie before the record is finished. */
  readonly staging: string;
  /** Public name, `lake/…`. */
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  /** Lower hex of the whole file. */
  readonly sha256: string;
}

/** Rows and stacks that are not published yet because their date is old (published once a day). Private. */
export interface RecordCarry {
  readonly samples: string | null;
  readonly stacks: string | null;
  readonly rows: number;
  /** Time of the oldest carry, milliseconds since the Unix epoch, by log append time. */
  readonly sinceMillis: number;
}

export interface HighWater {
  readonly logId: string;
  readonly topic: string;
  readonly partition: number;
  /** Every source offset up to and with this one is in the lake (or counted as lost). */
  readonly offset: number;
}

export interface CommitRecord {
  readonly version: number;
  readonly shard: number;
  /** 1, 2, 3 … without gaps. */
  readonly seq: number;
  /** Who made it; for people. */
  readonly writer: string;
  readonly createdMillis: number;
  /** Identity and next position of flamelake.rows in this shard: all below is in the lake. */
  readonly logId: string;
  readonly position: number;
  /** Kafka leader epoch; 0 embedded. */
  readonly leaderEpoch: number;
  readonly highWaters: readonly HighWater[];
  /** Stacks before samples: the order in which they are put. */
  readonly files: readonly RecordFile[];
  readonly carry: RecordCarry | null;
  /** Side object with the digests of this range (digestsKey), or null where it has none. */
  readonly digests: string | null;
  readonly samples: number;
  readonly stacks: number;
  /** Samples dropped here because their profile had been seen, and the losses counted in this range, by reason. */
  readonly duplicates: number;
  readonly losses: Readonly<Record<string, number>>;
}

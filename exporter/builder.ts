// The border between a shard's loop (shard.ts: log, store, records) and its builder (shard-builder.ts:
// decoding, columns, Parquet). Plain data only, since the builder lives in a worker thread. Calls of one
// shard come one after the other; only `build` runs beside others.
import type { LakeTable } from '../schemas/lake/paths.ts';
import type { CommitRecord, HighWater } from '../schemas/lake/record.ts';

export interface OffsetRange {
  /** Offsets [from, to) of flamelake.rows. */
  readonly from: number;
  readonly to: number;
}

export interface RowsInput {
  readonly offset: number;
  readonly appendTimeMillis: number;
  readonly value: Uint8Array;
}

export interface AppendCounts {
  readonly rows: number;
  readonly stacks: number;
  /** Rows that were here before (a processor sent again). */
  readonly repeated: number;
  /** Rows and profiles dropped by their digest. */
  readonly duplicates: number;
  readonly duplicateProfiles: number;
  /** Lost things by reason (losses.ts). */
  readonly losses: Readonly<Record<string, number>>;
}

export interface AppendResult extends AppendCounts {
  /** All below is taken. */
  readonly next: number;
  /** Messages that could not be decoded: skipped, the next message of their source shows the gap. */
  readonly malformed: readonly { readonly offset: number; readonly message: string }[];
  /** Why `next` is not behind the last message; nothing of that message was taken. */
  readonly refused: { readonly code: string; readonly message: string } | null;
  readonly open: OpenBatch;
}

/** What waits for the next publication. */
export interface OpenBatch {
  readonly rows: number;
  readonly stacks: number;
  /** Of the messages as they lie in the log. */
  readonly messageBytes: number;
  /** In memory. */
  readonly openBytes: number;
  /** The same with a publication in the making. */
  readonly heldBytes: number;
  /** Of messages that wait for their hot object. */
  readonly hotBytes: number;
  /** Log append time of the first message, null where there is none. */
  readonly firstAppendMillis: number | null;
}

export interface HotObject extends OffsetRange {
  readonly bytes: Uint8Array;
}

export interface BuildOrder {
  readonly seq: number;
  /** For carried objects' names. */
  readonly attempt: string;
  /** Where the files are made. */
  readonly directory: string;
  readonly nowMillis: number;
}

export interface BuiltFile {
  readonly table: LakeTable;
  /** Public name. */
  readonly key: string;
  /** The finished local file. */
  readonly file: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

export interface BuiltCarry {
  readonly part: LakeTable | 'messages';
  readonly key: string;
  readonly file: string;
}

/** All that a commit record says, and the bytes behind it. */
export interface Publication {
  readonly position: number;
  readonly clockMillis: number;
  readonly windowMillis: number;
  readonly highWaters: readonly HighWater[];
  /** Stacks before samples. */
  readonly files: readonly BuiltFile[];
  readonly carry: {
    readonly add: readonly BuiltCarry[];
    readonly rows: number;
    readonly dates: readonly string[];
    /** Whether the head's carry stays; otherwise `files` holds its rows. */
    readonly keep: boolean;
  };
  readonly digests: Uint8Array | null;
  readonly samples: number;
  readonly stacks: number;
  readonly duplicates: number;
  readonly losses: Readonly<Record<string, number>>;
}

export interface Loss {
  readonly reason: string;
  readonly count: number;
  readonly attributes: Readonly<Record<string, string>>;
  readonly appendTimeMillis: number;
  /** Offset of flamelake.rows that the row is attributed to. */
  readonly offset: number;
}

export interface Builder {
  /** Forgets everything and starts at a head record (null: a shard without records). `hot` is covered already. */
  load(head: CommitRecord | null, start: number, hot: readonly OffsetRange[]): Promise<void>;
  append(messages: readonly RowsInput[]): Promise<AppendResult>;
  /** A lost range of flamelake.rows itself; the next message may come from behind it. */
  addLoss(loss: Loss): Promise<OpenBatch>;
  /** Objects for all that was appended since the last call and is not covered. */
  takeHot(): Promise<readonly HotObject[]>;
  /**
   * Closes the batch: what is appended from now on belongs to the next one. All hot must be taken. Rows of
   * dates below `floorDate` (days since 1970-01-01; left out: none) are counted as lost instead of published.
   */
  cut(floorDate?: number): Promise<void>;
  /**
   * Makes the files of the closed batch. Null where `load`, `abandon` or `close` came in between. After
   * a failure the batch may be half changed: `load` again.
   */
  build(order: BuildOrder): Promise<Publication | null>;
  /** Ends a build that is under way. */
  abandon(): Promise<void>;
  /** The closed batch is in the lake under this record. */
  commit(record: CommitRecord): Promise<void>;
  close(): Promise<void>;
}

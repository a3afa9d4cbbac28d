// The log between the stages: what lib/log/embedded (SQLite) and, later, Kafka both implement.
// No transactions anywhere; exactly once comes from positions (docs/lake.md). Everything above this
// interface is the same code on both.

/** One message as it lies in a partition. */
export interface LogRecord {
  /** Position in the partition; starts at 0, grows by one a message. Safe integers only. */
  readonly offset: number;
  /**
   * Log append time, milliseconds since the Unix epoch; given by the log, never by the sender. Does not
   * go back within a partition while the host's clock is set back by less than an hour; a larger step
   * back is followed (and Kafka follows each), so nobody may lean on order here: offsets have it.
   */
  readonly appendTimeMillis: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** Kafka's leader epoch of the append; absent where a log has no leaders (embedded). */
  readonly leaderEpoch?: number;
}

/** Read when append() is called: its bytes may be used for something else right afterwards. */
export interface LogMessage {
  readonly value: Uint8Array;
  readonly key?: Uint8Array | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface TopicConfig {
  readonly name: string;
  /** Number of partitions, fixed for flamelake.rows (= shards), free to grow for inputs. */
  readonly partitions: number;
}

export interface TopicInfo {
  readonly name: string;
  /**
   * Identity of the topic's positions: Kafka cluster id + topic id, or the random id made with the
   * embedded log's file. A topic that is made anew has a new one.
   */
  readonly logId: string;
  readonly partitions: number;
}

export interface PartitionRange {
  /** Oldest offset still kept. */
  readonly start: number;
  /** Offset that the next append gets. */
  readonly end: number;
}

export interface ReadResult {
  readonly records: readonly LogRecord[];
  /** Where the next read goes on. */
  readonly next: number;
  /** The partition's range at the time of the read: lag = range.end - next. */
  readonly range: PartitionRange;
}

export interface ReadOptions {
  /** Stops before the record that would pass this sum of value bytes (one record is always given). */
  readonly bytesMax: number;
  /** How long to wait for a first record, milliseconds; 0 answers at once. */
  readonly waitMillis: number;
  /** Ends the wait, as if its time were over: the read answers what is there, mostly no records. */
  readonly signal?: AbortSignal;
}

export interface PartitionPosition {
  /** Offset from which the group goes on. */
  readonly offset: number;
  /** What the stage wrote beside it; a hint of the stage's own, at most 4 KiB. */
  readonly metadata: string;
}

/** A share of a topic's partitions, held by one member of a group. */
export interface Membership {
  /** Partitions of this member now. Changes between calls; a stage reads it at the head of its loop. */
  assigned(): readonly number[];
  /** Counts the rebalances seen; a stage that finds it changed forgets what it knew of lost partitions. */
  generation(): number;
  leave(): Promise<void>;
}

export interface LogUsage {
  /** On disk now. */
  readonly bytes: number;
  /** For appends of this process. */
  readonly bytesMax: number;
  /** Room that the disk has for appends of this process, beyond what it keeps free; below 0 none are taken. */
  readonly diskRoomBytes: number;
  /** Why appends of this process are refused now, one line; null where they are taken. */
  readonly refusing: string | null;
}

/**
 * Errors are PipelineError (lib/errors.ts): `log_full` (bounded on disk; try later), `log_unavailable`
 * (try later), `log_corrupt`, `message_too_large`, `offset_out_of_range` (context: range),
 * `topic_missing`, `log_closed`.
 */
export interface Log {
  /** Makes the topic if it is missing; never changes one that is there (more partitions asked: adds them). */
  ensureTopic(config: TopicConfig): Promise<TopicInfo>;
  topic(name: string): Promise<TopicInfo>;
  /**
   * Appends one message; resolves when it is durable (survives power loss), with its offset.
   * `partition` null = the log picks one by key, or spreads where there is no key.
   * Appends to one partition that are in flight together keep their order.
   */
  append(topic: string, partition: number | null, message: LogMessage): Promise<{ partition: number; offset: number }>;
  /** Reads from an offset. Throws offset_out_of_range when `from` is below the oldest kept or above the end. */
  read(topic: string, partition: number, from: number, options: ReadOptions): Promise<ReadResult>;
  range(topic: string, partition: number): Promise<PartitionRange>;
  /** Joins a group for a share of the topic's partitions; a single member gets all of them. */
  join(group: string, topic: string): Promise<Membership>;
  /** The remembered position, or null where the group has none. */
  position(group: string, topic: string, partition: number): Promise<PartitionPosition | null>;
  remember(group: string, topic: string, partition: number, position: PartitionPosition): Promise<void>;
  /**
   * Says that nothing below `offset` is needed by anybody any more. The embedded log frees the space;
   * Kafka leaves it to its retention. Throws offset_out_of_range above the end.
   */
  trim(topic: string, partition: number, offset: number): Promise<void>;
  /** How full the log is, where it knows (Kafka: null). */
  usage(): Promise<LogUsage | null>;
  /** Waits for what is in flight, then frees everything. */
  close(): Promise<void>;
}

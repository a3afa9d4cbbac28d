// Every cap and interval of the exporter, with its reason.

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** The window in which a profile that comes again is recognised; docs/lake.md promises both. */
export const digestWindowMillis = 15 * minute;
export const digestWindowEntriesMax = 1_000_000;
/**
 * One message moves the window's clock by so much at most: a clock that is set forward by hours between a
 * client's try and its retry takes a minute of the fifteen. Where messages are farther apart the window is longer.
 */
export const digestClockStepMillis = minute;
/**
 * The window waits for an input partition that is behind the others by up to so much (its processor was away):
 * what it brings was sent when they were there. One that is farther behind is taken for dead.
 */
export const digestSourceWaitMillis = 6 * hour;

/** Rows of one Parquet row group: DuckDB's own size, so that one group is one unit of its parallel scan. */
export const rowGroupRows = 122_880;
/**
 * Frames of one row group of stacks. The writer turns each of a frame's ten fields into arrays of levels
 * and values, 24 B a frame: a million frames are 24 MB at a time, 122,880 stacks of depth 60 were 180 MB.
 */
export const rowGroupFramesMax = 1_000_000;

/** A file holds at most so many rows; more (a catch-up, a day's carry) become parts. */
export const fileRowsMax = 4_000_000;

/**
 * A batch is published when it holds so much, whatever its rows: 4 M plain rows are 150 MB, but rows with
 * an attribute of their own each, or links, are ten times that.
 */
export const openBatchBytesMax = 320 * 1024 * 1024;
/**
 * A publication in the making and the batch that is open beside it are both in memory (28 B a row, more
 * with links). While one is in the making the other may grow to this share of a full one; then reading
 * waits, and the log keeps the rest.
 */
export const openBatchShare = 0.5;

/** One read of the log. A row message of our processor is a few hundred KB at most. */
export const readBytesMax = 8 * 1024 * 1024;
/** Longest wait of one read: deadlines are looked at in between. */
export const readWaitMillisMax = second;

/** First interval of a new lake, and what each record's age adds to the next one (15 s, 30 s, 1 min, 2 min … ). */
export const firstIntervalMillis = 15 * second;
/** Interval while the disk has less room than is to be kept: soon, and not so often that small files pile up. */
export const lowDiskIntervalMillis = 30 * second;
/** Staged bytes may be swept after 48 h, so a record must never name older ones: an attempt starts over long before. */
export const attemptMillisMax = hour;
export const stagingKeptMillis = 48 * hour;
/**
 * What was made for a record whose number is still free may be named yet, by an exporter that was stopped right
 * before its put: a laptop that slept. A shard that publishes nothing for so long has other troubles.
 */
export const unsettledKeptMillis = 30 * 24 * hour;
/** Messages that wait for their hot object are kept as they came: in a catch-up, more than this in one interval. */
export const hotPendingBytesMax = 16 * 1024 * 1024;
/** A query that listed hot objects before a publication may still be reading them. */
export const hotKeptMillis = 15 * minute;
/** Rows of old dates wait for so long, or until there are so many of them, or so many objects. */
export const carryMillis = 24 * hour;
export const carryRowsMax = 1_000_000;
export const carryObjectsMax = 100;

/** Records younger than this stay one object each: the head, the digest window and a day to look at. */
export const foldAfterMillis = 24 * hour;

/** How often retention looks, and moves the floor by a date at most: it lists the whole lake. */
export const retentionMillis = 15 * minute;
/** So long the clock must have been right for files to be deleted by it; a larger step means that it was set. */
export const clockSteadyMillis = 15 * minute;
export const clockStepMillis = minute;

/** Sweeping staging, hot and side objects: cheap listings, and nothing waits for them. */
export const sweepMillis = 5 * minute;
export const listLimit = 1000;

/** Wait after a store or log that does not answer: doubling from the first to the second. */
export const retryMillisMin = 200;
export const retryMillisMax = 10 * second;
/** Between two lines that say the same of a store that does not answer. */
export const complaintMillis = 60 * second;

/** Dates whose stack ids the index keeps: 7 days of late rows, today, and the hour that runs ahead into tomorrow. */
export const indexDatesMax = 10;
/** Page cache of the index. The ids of one day of one host fit whole. */
export const indexCacheKiB = 32 * 1024;
/** Ids put in one transaction: 10,000 are about 20 ms, and other commands of the worker go in between. */
export const indexStepIds = 10_000;
/** Records that the index catches up by reading their files; beyond it reading whole dates is cheaper. */
export const indexCatchUpRecordsMax = 200;

/** Times outside the years 1970 to 9999 have no `date=` path; the processor never lets one through. */
export const dayMax = 2_932_896;

/** How often a member looks which partitions are its own. */
export const assignmentMillis = second;
/** Shards of a lake that this process makes: embedded mode has one host. */
export const defaultShards = 1;

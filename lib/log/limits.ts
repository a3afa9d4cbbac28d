// Every cap of lib/log, with its reason.

/**
 * One message's value. The receiver takes at most 64 MiB decompressed; the rows that are made from such a
 * message are at most twice that, compressed (schemas/otlp/limits.ts), so that what was acknowledged fits.
 */
export const valueBytesMax = 128 * 1024 * 1024;
/** Keys only choose a partition. */
export const keyBytesMax = 4 * 1024;
/** Headers as JSON text: a version, a reason and a source position need a few hundred bytes. */
export const headersBytesMax = 64 * 1024;
/** What a stage writes beside its position (the last `to` per shard: 128 shards * 20 B fit). */
export const metadataBytesMax = 4 * 1024;

/**
 * A name that works here works on Kafka (letters, digits, '.', '_', '-', at most 249). Shorter here,
 * since it becomes a file's name with endings; without a '.' in front, which marks drafts.
 */
export const topicNamePattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;
/** Each partition is a table; the fleet-wide plan needs 128 (100,000 hosts), and those run on Kafka. */
export const partitionsMax = 1024;

/** Disk that one embedded log may take, all topics together, write-ahead files included. */
export const logBytesMaxDefault = 4 * 1024 ** 3;
/**
 * Appends are refused while the file system has less room than this: deleting and remembering need
 * some pages of write-ahead file themselves, and a log that can't trim never recovers.
 */
export const diskReserveBytes = 32 * 1024 * 1024;

/**
 * The same for who feeds the head of the pipeline, by default: room for a publication of the exporter
 * (128 MB of rows, its files and its drafts) and for the rows of what the log holds already.
 */
export const headReserveBytesDefault = 512 * 1024 * 1024;
/** The head's share of the log's bound, so that a full log can still move what it has on to its end. */
export const headShare = (bytesMax: number): number => (bytesMax / 4) * 3;
/** Rows are made while half of the head's reserve is free: the other half is for publishing them. */
export const rowsReserve = (headReserveBytes: number): number => headReserveBytes / 2;
/** After a refusal the head takes messages again when there is so much more room: some seconds' worth, at least. */
export const headResumeBytes = (bytesMax: number): number => Math.min(64 * 1024 * 1024, bytesMax / 16);

/** A topic that nobody reads to its end gets at most this part of the log's bound, whatever its own is. */
export const topicBoundShare = 16;

/** Appends that wait in this process, by value bytes; beyond it they are told to try later. */
export const inFlightBytesMax = 512 * 1024 * 1024;
/** One transaction. Larger ones gain nothing (the fsync is < 5 % of 16 MB) and let readers wait. */
export const groupBytesMax = 16 * 1024 * 1024;
export const groupMessagesMax = 4096;
/** One read: 10,000 tiny records are about 10 ms of the thread; the caller just reads again. */
export const readRecordsMax = 10_000;
/** Longest wait of one read; a longer one is asked again by the stage's loop anyway. */
export const waitMillisMax = 60_000;

/** How long a statement waits for another process's transaction before it says log_unavailable. */
export const busyMillisMax = 5_000;
/** The same for a heartbeat: another one follows in a second, and the thread has appends to write. */
export const heartbeatBusyMillisMax = 200;
/** A checkpoint when the write-ahead file has this size: the appends behind it wait about 10 ms for it. */
export const checkpointBytes = 4 * 1024 * 1024;
/** Beyond this size of the write-ahead file, readers are waited for so that it starts again from its head. */
export const walBytesMax = 128 * 1024 * 1024;

/** How long a checkpoint waits for readers before it leaves the rest to the next one. */
export const checkpointWaitMillis = 100;
/** Pause before a step that failed (disk full, busy) is tried again. */
export const housekeepingRestMillis = 1_000;

/** One step of deleting trimmed records; 8 MB take about 5 ms, and appends go between the steps. */
export const trimStepBytes = 8 * 1024 * 1024;
export const trimStepRecords = 2000;
/** Free pages kept for the next appends instead of being given back to the file system. */
export const freeBytesKept = 32 * 1024 * 1024;
/** One step of giving pages back: 256 pages of 16 KiB, at worst 4 MiB moved. */
export const vacuumStepPages = 256;

/** Readers that wait look again this often even if no wake-up came (it may get lost, never the data). */
export const pollMillis = 1_000;
/** The same where the kernel gives no file notifications (its inotify instances are used up). */
export const pollWithoutWatchMillis = 20;

/**
 * A member that has not been heard of for this long loses its share: five heartbeats, so that a host
 * that swaps or compiles does not lose it. A process that is dead loses it at once.
 */
export const leaseMillis = 5_000;
export const heartbeatMillis = 1_000;

/**
 * Append times never go back within a partition while the clock is set back by up to this much. A
 * larger step is followed: else one wrong clock in the future would be the append time of everything
 * until that day, and lake.md's rule for samples with impossible times would rewrite them all.
 */
export const clockHoldMillis = 60 * 60 * 1000;

/** positions.db and members.db: 1 MiB of 4 KiB pages, so two fsyncs for a checkpoint every few minutes of heartbeats. */
export const groupCheckpointPages = 256;
/** A half-made file of a process that died is taken away after so long. */
export const draftAgeMillisMax = 60 * 60 * 1000;

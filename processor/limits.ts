// Caps of the processor, with their reasons. The input topic may be fed by others than our receiver
// (a Collector over Kafka), so what the receiver checked is checked again. A message beyond one is a
// dead letter with its reason, counted.

/** What one message may hold beside its bytes, as in the receiver. */
export {
  anyValueDepthMax,
  attributeEntriesMax,
  attributesMax,
  observationsMax,
  profilesMax,
  resourcesMax,
  samplesMax,
  stackDepthMax,
  stackEntriesMax,
  tableEntriesMax,
} from '../schemas/otlp/limits.ts';

/** One read of a partition. A larger one gains nothing: decoding takes longer than reading by far. */
export const readBytesMax = 8 << 20;
/** How often what became rows is taken from the input: each time costs a write of its own. */
export const trimMillis = 1_000;
/** How long a read waits for a first record. */
export const readWaitMillis = 1_000;
/** A row message is closed at the first source offset that brings it here (columns, uncompressed). */
export const rowsMessageBytesMax = 32 << 20;
/**
 * Messages decoded one by one, each announced durably before, after an end that was not clean: a crash
 * was in one of the messages of a read, and a read holds at most so many.
 */
export const readRecordsMax = 256;
/** Attempts that a message gets before it is a dead letter. */
export const attemptsMax = 3;
/** The log keeps at most 4 KiB beside a position; what does not fit is brought up to date by empty messages. */
export const positionBytesMax = 3_500;
/** Pause before a send that the log could not take is tried again: doubled up to the longer one. */
export const retryMillisMin = 100;
export const retryMillisMax = 5_000;
/** stop() drains what lies in the log for so long. */
export const drainMillisMax = 5_000;

/** Stacks known as sent, two generations of them: 20 bytes each, at most 21 MB. Forgetting one only sends it again. */
export const knownStacksMax = 262_144;

/**
 * Identities of earlier messages (identity-memory.ts), one memory for the process, 32 MB when it is full: frames
 * of 24 bytes 6.3 MB, stacks of 25 frames 16.8 MB, texts 4 MB, slots for all three 4.9 MB. A full one begins
 * anew. 24 hosts of 60 services came to 94,000 frames, 54,000 stacks and 5,600 texts in two minutes.
 */
export const rememberedFramesMax = 262_143;
export const rememberedStacksMax = 131_072;
/** Words of 32 bits: a stack is its frames and five. */
export const rememberedEntriesMax = 4_194_304;
export const rememberedTextsMax = 65_536;
export const rememberedTextsBytesMax = 4 << 20;
/** Longer texts and deeper stacks are hashed each time. */
export const rememberedTextBytesMax = 1_024;
export const rememberedDepthMax = 1_024;
/** Slots looked at in a row, 4 or 8 bytes each: in a table that is half full hardly one in 10^10 lies further. */
export const rememberedProbesMax = 128;

/** Symbol tables kept, in bytes: those of some 60 large binaries (node's is 4 MB, chromium's 60). */
export const symbolBytesMax = 256 << 20;
/** Build ids looked for in vain are looked for again after so long: another process may have the file. */
export const symbolMissMillis = 60_000;
export const symbolMissesMax = 16_384;
/** How long a batch waits for symbol tables that are being read; then its frames go without names. */
export const symbolWaitMillis = 2_000;
/** A file system that does not answer within this is given up, and with it the naming of native frames. */
export const symbolHangMillis = 60_000;
/** Files asked for at once. */
export const symbolFilesMax = 1_024;
/** How often the share of the group is looked at. */
export const assignmentMillis = 500;
/** Shards of a lake that nobody made yet: embedded (docs/lake.md, shards). */
export const defaultShards = 1;

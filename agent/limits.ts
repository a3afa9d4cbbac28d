// Every cap of the agent, with its reason. What passes one is counted, never silent.

/** How often the ring is drained. A process of a few hundred milliseconds is then still there to be named. */
export const drainMillis = 200;
/** More than this between two drains is no slewing (500 ppm): somebody set the clock. */
export const clockStepNanos = 500_000_000n;
/** One drain's worth at worst, should the agent be stopped for two seconds: rate x CPUs x the largest event, twice. */
export const ringSecondsKept = 2;
/** Largest stack event (40 + 127 x 8 + 127 x 32) with its header, and its sample. */
export const eventBytesMax = 5_300;
export const ringBytesMin = 256 * 1024;
export const ringBytesMax = 64 * 1024 * 1024;

/** The kernel half remembers which stacks it sent in two batches' time, at worst a new one with each sample. */
export const seenSecondsKept = 12;
/** Below this the LRU map's own free lists (128 entries for each CPU) would take most of it. */
export const seenStacksMin = 4_096;
/** 10 MB of kernel memory. With more CPUs and a higher rate some stacks are sent twice. */
export const seenStacksMax = 131_072;

/** Raw stacks of two epochs that samples may still name. 32 MiB hold 6,000 of the largest, or 40,000 of common ones. */
export const stackCacheBytesMax = 32 * 1024 * 1024;

/** Processes that were sampled lately; a host with more at once re-reads some of them. */
export const processesMax = 8_192;
/** A process not sampled for this long is forgotten. */
export const processIdleMillis = 60_000;
/** A library that came or went is seen at the latest after this, when no unknown address tells before. */
export const processRereadMillis = 15_000;
/**
 * Unknown addresses make us read /proc/PID/maps again, but not more often than this per process; twice
 * as long each time that it told nothing new, since garbage addresses never become known.
 */
export const mapsRereadMillis = 1_000;
/** The first time sooner: a process that has just begun is still mapping its libraries. */
export const mapsFirstRereadMillis = 200;
export const mapsRereadMillisMax = 60_000;

/** The kernel's own limit is 65,530 mappings (vm.max_map_count); raised on some database hosts. */
export const mapsBytesMax = 16 * 1024 * 1024;
export const executableMappingsMax = 16_384;
/** 52 numbers and a name. */
export const statBytesMax = 4_096;
export const environBytesMax = 256 * 1024;
export const cgroupBytesMax = 64 * 1024;
export const pathCharactersMax = 4_096;
/** One variable's worth; OpenTelemetry has no limit of its own here. */
export const resourceAttributesMax = 128;
export const attributeValueCharactersMax = 4_096;

/** Executables and libraries whose build ids and segments are remembered, by identity of the file. */
export const filesMax = 16_384;
/** A new file costs 0.3 ms. After so many a drain stops and leaves the rest to the next: nothing is lost, the ring holds it. */
export const newFilesPerDrainMax = 128;
/** One stack may need all files of its process, hundreds at most. Of more, some wait for a later batch; until then their frames have build ids and file offsets. */
export const newFilesPerStackMax = 1_024;
/** For so long after it was seen at its place a mapping is taken to be there still, by frames that have nothing but an address. */
export const mappingRecheckMillis = 400;
/**
 * The same for a process that has ended since. Twice the other and a drain: what is sampled in every
 * drain was then looked at lately enough for its last samples to be named.
 */
export const mappingTrustMillis = 1_000;

/** /proc/kallsyms is 10-15 MB on common kernels. */
export const kallsymsBytesMax = 128 * 1024 * 1024;
/** A hundred bytes a module; distributions' kernels with everything loaded have some hundred. */
export const modulesBytesMax = 1024 * 1024;
/** Modules that come and go make us read it again (0.2 s of CPU), but not more often than this; until then frames in modules have no names. */
export const kallsymsRereadMillis = 30_000;

/** A batch that passes this is closed early. Receivers take 64 MiB, older Collectors 4 MiB over gRPC. */
export const batchBytesMax = 3 * 1024 * 1024;
/** Encoded batches that wait for the endpoint. At 100 kB a batch on a common host this is half an hour. */
export const queueBytesMax = 32 * 1024 * 1024;
/** A batch is not sent again when its first attempt is older. The lake knows a repeated profile for 15 minutes (docs/lake.md); an attempt takes time too. */
export const unconfirmedMillis = 14 * 60_000;
/** Spread of the batch interval, so that a fleet does not send in step. */
export const batchJitter = 0.2;
export const retryMillisMin = 1_000;
export const retryMillisMax = 60_000;
export const responseBytesMax = 4 * 1024 * 1024;
/** How long stop() waits for the last batches to be taken. */
export const stopMillis = 5_000;

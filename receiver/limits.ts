// Caps of the receiver, with their reasons. Passing one is answered to the sender and counted.
import { getHeapStatistics } from 'node:v8';

/** Largest message before and after decompression; what OTLP's specification recommends. Configurable. */
export const messageBytesMaxDefault = 64 * 1024 * 1024;

/** What one message may hold beside its bytes: the processor's bounds too, so that what is acknowledged can be stored. */
export {
  anyValueDepthMax,
  attributeEntriesMax,
  attributesMax,
  nestedBytesMax,
  observationsMax,
  profilesMax,
  resourcesMax,
  samplesMax,
  stackDepthMax,
  stackEntriesMax,
  tableEntriesMax,
} from '../schemas/otlp/limits.ts';

/** Checked on the thread of the sockets up to here: 5 ms each at 200 and 13 MB/s; what is larger goes to the checker's thread. */
export const protobufHereBytesMax = 1024 * 1024;
export const jsonHereBytesMax = 64 * 1024;
/**
 * Heap that one JSON body may take, by jsonHeapBytes' estimate: 64 MiB of real JSON are put at half of it,
 * and a host whose V8 allows little gets less.
 */
export const jsonHeapBytesMax = Math.min(1024 ** 3, Math.floor(getHeapStatistics().heap_size_limit / 2));

/** Longest text of a refusal: an answer must stay small whatever was sent. */
export const refusalCharsMax = 1_000;
/** Problems named in a partial success; the count is always whole. */
export const problemsNamedMax = 5;

/**
 * Memory for requests at once, of both transports: bodies as they come, decoded and on their way to the log.
 * Four messages of the largest size, and a few decoders where that is small. Above it senders are asked to come again, before memory is spent on them.
 */
export const inFlightBytesMax = (messageBytesMax: number): number => 4 * messageBytesMax + 2 * 1024 * 1024;
/** Only a request that takes no more than this, its decoder included, gets the last share: a host's usual messages. */
export const smallRequestBytes = 1024 * 1024;
export const smallRequestsShare = 1 / 16;
/** What a request takes before its first byte: Node's objects for an HTTP/2 stream are 10 KiB. */
export const requestBytes = 16 * 1024;
/** When the account falls by so much, the C library is asked to give what is free back: some 10 ms for each. */
export const muchFreedBytes = 64 * 1024 * 1024;
export const giveBackAfterMillis = 500;
/** Buffers that bodies are gathered in: a page for the smallest, what a socket gives in one read for the others. */
export const partBytesMin = 4 * 1024;
export const partBytesMax = 64 * 1024;
/** What a decoder is given and gives at a time, and what it takes itself: its tables, two of each on the way. */
export const decoderInputBytesMin = 32 * 1024;
export const decoderInputBytesMax = 128 * 1024;
export const decodedPartBytes = 64 * 1024;
export const decoderBytes = 512 * 1024;
/** zstd frames in one body: an encoder makes one, a parallel one one for each megabyte. Each costs a decoder, 9 bytes of a sender. */
export const streamsInBodyMax = 256;
/** A sender is not the slowest before it has had this time: a good one is done by then. */
export const evictAfterMillis = 1_000;
/**
 * A body that becomes larger than this when it is decompressed waits for its turn, and so many go on at
 * once: 50 bombs of 64 MiB are decoded two by two, beside the usual messages and not before them.
 */
export const largeDecodeBytes = 1024 * 1024;
export const largeDecodesMax = 2;
/**
 * Resident memory of the process, whatever is sent: 288 MiB for itself (Node, code and threads 140, heap
 * 80, what V8 lets pile up of dead parts of the network 64), what requests hold, one message twice while its
 * parts are put together or the log copies it, and one while a profile is cut out of it. A body in JSON
 * may add jsonHeapBytesMax, and each open connection its 70 KiB.
 */
export const residentBytesMax = (messageBytesMax: number): number => 288 * 1024 * 1024 + inFlightBytesMax(messageBytesMax) + 2 * messageBytesMax;
/** How long a sender is asked to wait: one publish of our agent, long enough for a log to drain a bit. */
export const retrySeconds = 5;

/** How long the last failure of the log counts as its state: two tries of a waiting sender. */
export const troubleKnownMillis = 2 * retrySeconds * 1000;

/**
 * On each port. A host or a Collector holds one connection; more than a fleet of 8,000 are dropped and
 * counted. An idle one with TLS takes 70 KiB, all of them 560 MiB.
 */
export const connectionsMax = 8_192;
/** Requests on one HTTP/2 connection at a time. */
export const streamsPerConnectionMax = 128;
/** PING and SETTINGS of one connection: a client that measures its bandwidth sends one a round trip. */
export const controlFramesPerSecondMax = 1_000;
/** Bytes on their way to us unasked for, by stream and by connection: 100 ms of 10 and 40 MB/s. */
export const streamWindowBytes = 1024 * 1024;
export const sessionWindowBytes = 4 * 1024 * 1024;
/** gRPC clients keep a connection for as long as it works; one that is not used for so long is closed politely. */
export const idleSessionMillisMax = 600_000;
/** Time for the headers and for the whole request; a sender slower than 1 MiB/s with a full message is cut. */
export const headersMillisMax = 10_000;
export const requestMillisMax = 60_000;
/** Longer than the 90 s for which Go clients keep an idle connection, so that it is they who close. */
export const idleMillisMax = 120_000;
/** Body bytes read and thrown away behind an early refusal, so that the sender gets to read the answer. */
export const drainBytesMax = 16 * 1024 * 1024;
export const drainMillisMax = 5_000;
/** How long stop() waits for requests in flight: less than the 10 s that `up` gives the whole stage. */
export const stopMillisMax = 5_000;
/** How often it is looked whether the log takes messages, for /readyz also while nobody sends. */
export const logWatchMillis = 1_000;

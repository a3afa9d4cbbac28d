// Every bound of the query stage, with its reason. A user who meets one is told so, with what to do.
import { availableParallelism } from 'node:os';

const MiB = 1024 * 1024;

export const limits = {
  // one query
  /** DuckDB's memory for one query; what does not fit goes to its temporary directory. Four at once stay under 2.5 GB. */
  memoryBytesMax: 512 * MiB,
  /** Spill of one query. A sort of 100 M rows needs about 3 GB. */
  spillBytesMax: 4096 * MiB,
  /** Room on the disk that no spill takes: the log's reserve and a publication of the exporter beside it. */
  diskKeptBytes: 512 * MiB,
  /** A scratch folder is made within milliseconds; a half-made one of a process that died goes after this. */
  scratchDraftMillisMax: 3_600_000,
  /** A query must not take the host from the programs it profiles. */
  threads: Math.max(1, Math.min(4, availableParallelism())),
  /** Plans with more files than this take seconds before they read a row; a year of one host is about 35,000. */
  filesMax: 50_000,
  /** Names that are held while the files of a query are looked for, of a table: 40 MB. A range of at most 40 days is listed day by day. */
  namesMax: 200_000,
  /** How often a query starts anew because a file was deleted (retention, hot objects) between listing and reading. */
  snapshotAttempts: 4,
  /** Characters of a user's SQL; the longest sane query has a few thousand. */
  sqlCharsMax: 100_000,
  // processes that run users' SQL
  /**
   * Private memory that such a process may take beyond what it has when it begins (110 MB resident). DuckDB's
   * own bound does not count everything (a text from string_agg or lpad): the kernel refuses the rest.
   */
  sqlProcessBytesMax: 1024 * MiB,
  /** Its JavaScript heap: one chunk of rows and its JSON text. */
  sqlProcessHeapMiB: 256,
  /** A process that has kept this much of what a query took is replaced. */
  sqlProcessKeptBytesMax: 256 * MiB,
  /** Of them at once; one that nobody asked for so long ends. */
  sqlConcurrentMax: 2,
  sqlWaitingMax: 32,
  sqlIdleMillisMax: 60_000,
  /** How much longer than its time-out a query may take to notice it; then its process is killed. */
  sqlGraceMillis: 2_000,
  /** JSON text of all rows of an answer, and of one that goes to a file or a terminal. */
  answerBytesMax: 64 * MiB,
  printedBytesMax: 256 * MiB,
  /** DuckDB quotes names of any length in its errors. */
  errorCharsMax: 1_000,
  /** Rows of an answer that is not asked for more; an answer lives in memory as JSON. */
  rowsDefault: 10_000,
  rowsMax: 1_000_000,
  /** A user's SQL may work for a minute, the page's own questions for half of it. */
  sqlMillisMax: 60_000,
  viewMillisMax: 30_000,
  /** Longest text a filter value may have: container paths and command names are shorter. */
  filterCharsMax: 1024,

  // merged hot objects of a server
  /** Rows and frames of messages that are held until they make one row group of a local file: 20 MB of columns. */
  hotGroupRowsMax: 200_000,
  /** Opening this many costs about what merging them does. */
  hotMergeLeast: 24,
  /** A run of so many rows is not read into the next one any more. */
  hotRunRowsMax: 200_000,
  /** Local disk for runs; above it a question is refused until the next publication. */
  hotCacheBytesMax: 1024 * MiB,

  // flame graphs and tables
  /** Distinct stacks that become columns in memory: 200,000 x 30 frames x 4 bytes = 24 MB. The heaviest are kept, the rest is one named node. */
  stacksMax: 200_000,
  /** Frames of all those stacks together; each may become a node, and a Map holds 16.7 M entries. */
  framesMax: 12_000_000,
  /** Nodes of a flame graph that is sent or rendered; the smallest are folded into a named node. */
  nodesDefault: 50_000,
  nodesMax: 500_000,
  topDefault: 100,
  topMax: 10_000,
  /** Values offered in one selector. */
  labelsMax: 500,

  // HTTP
  /** Questions worked on at once, and waiting: more are answered 503 with Retry-After. */
  concurrentMax: 4,
  waitingMax: 32,
  bodyBytesMax: 256 * 1024,
  urlCharsMax: 16 * 1024,
  responseBytesMax: 64 * MiB,
  connectionsMax: 256,
  /** A client that sends its headers and body slower than this is let go. */
  requestMillisMax: 15_000,

  // lake check and lake stats
  /** Bytes read at once while a file's hash is taken. */
  hashChunkBytes: 8 * MiB,
  /** Findings kept in full for one kind; the rest is counted. */
  findingsPerKindMax: 100,
  /** Files per statement when Parquet footers are read. */
  footerBatch: 500,
  /** Files smaller than this count as small: opening them costs more than reading them. */
  smallFileBytes: MiB,
} as const;

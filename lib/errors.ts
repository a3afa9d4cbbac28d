// The one error of the pipeline. Codes are a closed list; the message is one line that says what was
// found, what was expected and what the user can do. Operating errors travel to the edge (an HTTP
// answer, an exit code, a log line) and are shown there once; programmer errors crash.

/** What a code means and what somebody who meets it does; docs/operations.md has both as a table. */
export interface ErrorMeaning {
  readonly meaning: string;
  readonly remedy: string;
}

export const errorTable = {
  // what a user can mend
  usage: { meaning: 'A command, option or request that is not understood.', remedy: 'The line says what was found and what is allowed.' },
  config_invalid: {
    meaning: 'A value of the environment or the configuration file is not allowed, or two do not go together.',
    remedy: 'The line begins with the place: the variable, or file, line and column.',
  },
  data_locked: {
    meaning: 'Another `flamelake up` holds the data directory.',
    remedy: 'Stop the process that the line names, or choose another `--data`. There is no stale lock to remove: the kernel frees it with its holder.',
  },
  port_in_use: {
    meaning: 'An address to listen on is taken.',
    remedy: 'Stop the other program, or choose another address with the option that the line names.',
  },
  rights_missing: {
    meaning: 'The user may not do what is needed: write a directory, listen on a port, load BPF programs.',
    remedy: '`flamelake doctor` lists what is missing and how to grant it.',
  },
  lake_version: {
    meaning: 'A file of the lake was written by a newer version, or is damaged. Nothing was changed.',
    remedy: 'Run the version that wrote it or a newer one. Where the line says damaged: `flamelake lake check`, then restore the file from a backup.',
  },
  query_failed: {
    meaning: 'A query could not be answered: wrong SQL, too much memory, too long.',
    remedy: 'The line says which; a shorter time range (`--from`) needs less.',
  },
  // the wire
  message_malformed: {
    meaning:
      'A message does not keep to its format. A sender is told so (HTTP 400, gRPC INVALID_ARGUMENT) and nothing of it is kept; in the log it becomes a dead letter.',
    remedy: 'Mend the sender; the text names the field.',
  },
  message_too_large: {
    meaning: 'A message is larger than is taken (HTTP 413).',
    remedy: 'Let the sender make smaller batches, or raise `--otlp-message-bytes` up to 64 MiB.',
  },
  message_version: {
    meaning: 'A message of a format version that this one does not know.',
    remedy: 'Upgrade the stage that reads; until then the message stays in the log.',
  },
  message_crashes: {
    meaning: 'A message ended the processor three times and was put aside as a dead letter, so that the others go on.',
    remedy: 'Report it, with the message if you may; the sender can go on.',
  },
  encoding_unsupported: {
    meaning: 'A compression or content type that is not read (HTTP 415).',
    remedy: 'Use gzip, zstd, deflate, snappy or none, and protobuf or JSON.',
  },
  overloaded: {
    meaning: 'More requests or queries at once than there is room for (HTTP 429 or 503 with Retry-After).',
    remedy: 'Nothing, if it is seldom: senders come again. Otherwise a larger host, or fewer senders.',
  },
  // lib/log
  log_full: {
    meaning: 'The log has reached its bound, or the disk is nearly full. Senders are told to wait; what was acknowledged is kept.',
    remedy: 'Make room on the disk, and see why the log is not read: the lag of processor and exporter says which stage stands.',
  },
  log_unavailable: {
    meaning: 'The log does not answer in time.',
    remedy: 'It is tried again by itself. If it stays: the disk is too slow, or another program holds a file of the log.',
  },
  log_corrupt: {
    meaning: 'A file of the log is damaged, or older than the lake beside it.',
    remedy: 'See [A damaged log](#a-damaged-log).',
  },
  log_closed: { meaning: 'The log was used while the stage was stopping.', remedy: 'Nothing. Report it if you see it at any other time.' },
  offset_out_of_range: {
    meaning: 'A position lies outside of what the log keeps.',
    remedy: 'Nothing: the stage counts what is lost, as a row of type lost and on /metrics, and goes on.',
  },
  topic_missing: { meaning: 'A topic of the log is not there.', remedy: 'Start the stage that makes it: `flamelake up` starts all.' },
  // lib/store
  store_unavailable: {
    meaning: 'The store of the lake does not answer, or a file could not be written.',
    remedy: 'It is tried again by itself; rows wait in the log. If it stays, the line has the reason of the system.',
  },
  store_missing: {
    meaning: 'A file that a record of the lake names is gone.',
    remedy: '`flamelake lake check` says what is missing; restore it from a backup. Never remove files of a lake by hand.',
  },
  store_full: { meaning: 'The disk of the lake is full.', remedy: 'See [The disk is full](#the-disk-is-full).' },
  store_readonly: {
    meaning: 'The disk of the lake cannot be written.',
    remedy: 'Mount it read-write; after an error the kernel may have made it read-only, see dmesg.',
  },
  key_invalid: { meaning: 'A name that no file of a lake can have.', remedy: 'Report it: it is a fault of Flamelake.' },
  // the kernel side
  bpf_load: {
    meaning: 'The BPF program could not be built or loaded.',
    remedy: '`flamelake doctor`; the line has what the kernel said. Everything but sampling runs.',
  },
  bpf_attach: { meaning: 'Sampling could not be started on a CPU.', remedy: '`flamelake doctor`; the line says what was refused.' },
  bpf_layout: {
    meaning: 'The BPF object and the agent are not of one version.',
    remedy: 'Build it again: `sh scripts/bpf-build.sh`, or install the package again.',
  },
  // files of others
  elf_malformed: { meaning: 'An executable or library could not be read as ELF.', remedy: 'Nothing: its frames keep their addresses.' },
} as const satisfies Record<string, ErrorMeaning>;

export type ErrorCode = keyof typeof errorTable;
export const errorCodes = Object.keys(errorTable) as ErrorCode[];

export class PipelineError extends Error {
  readonly code: ErrorCode;
  /** Numbers and names for logs and for callers that decide by them. */
  readonly context: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; context?: Record<string, unknown> } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'PipelineError';
    this.code = code;
    this.context = options.context ?? {};
  }
}

export function isPipelineError(error: unknown, code?: ErrorCode): error is PipelineError {
  return error instanceof PipelineError && (code === undefined || error.code === code);
}

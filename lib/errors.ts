// The one error of the pipeline. Codes are a closed list; the message is one line that says what was
// found, what was expected and what the user can do. Operating errors travel to the edge (an HTTP
// answer, an exit code, a log line) and are shown there once; programmer errors crash.

export const errorCodes = [
  // what a user can mend
  'usage',
  'config_invalid',
  'data_locked',
  'port_in_use',
  'rights_missing',
  'lake_version',
  'query_failed',
  // the wire
  'message_malformed',
  'message_too_large',
  'message_version',
  'message_crashes',
  'encoding_unsupported',
  'overloaded',
  'endpoint_unavailable',
  'endpoint_refused',
  // lib/log
  'log_full',
  'log_unavailable',
  'log_corrupt',
  'log_closed',
  'offset_out_of_range',
  'topic_missing',
  // lib/store
  'store_unavailable',
  'store_missing',
  'store_full',
  'store_readonly',
  'key_invalid',
  // the kernel side
  'bpf_load',
  'bpf_attach',
  'bpf_layout',
  // files of others
  'elf_malformed',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

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

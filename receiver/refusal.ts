// What a sender is told when its message is not taken: one table from our errors to the answers of
// both transports, after OTLP's rules on what may be sent again (429, 503, UNAVAILABLE) and what not.
import { create, createRegistry, type MessageInitShape, toBinary, toJsonString } from '@bufbuild/protobuf';
import { type Any, anyPack } from '@bufbuild/protobuf/wkt';
import { isPipelineError, type PipelineError } from '../lib/errors.ts';
import { BadRequestSchema, RetryInfoSchema } from '../schemas/otlp/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../schemas/otlp/gen/google/rpc/status_pb.ts';
import { refusalCharsMax, retrySeconds } from './limits.ts';

export const grpcCodes = {
  ok: 0,
  invalidArgument: 3,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  permissionDenied: 7,
  unauthenticated: 16,
} as const;

export interface Refusal {
  /** One word, for the counter. */
  readonly reason: string;
  readonly httpStatus: number;
  readonly grpcCode: number;
  /** null = sending it again does not help. */
  readonly retrySeconds: number | null;
  readonly message: string;
  readonly violation: { readonly field: string; readonly description: string } | null;
}

export function refusalOf(error: unknown): Refusal {
  if (!isPipelineError(error)) return refusal('internal', 500, grpcCodes.internal, 'the receiver failed on this message; its log has the reason');
  switch (error.code) {
    case 'message_malformed':
      return { ...refusal('malformed', 400, grpcCodes.invalidArgument, error.message), violation: violationOf(error) };
    case 'message_version':
      return { ...refusal('version', 400, grpcCodes.invalidArgument, error.message), violation: violationOf(error) };
    case 'message_too_large':
      return refusal('too_large', 413, grpcCodes.resourceExhausted, error.message);
    case 'encoding_unsupported':
      return refusal('encoding', 415, grpcCodes.unimplemented, error.message);
    case 'overloaded':
      return refusal('overloaded', 429, grpcCodes.unavailable, error.message, retrySeconds);
    default:
      // Whatever keeps the log from taking it (full, busy, closing, broken) is ours, and the message stays good.
      return refusal(error.code, 503, grpcCodes.unavailable, error.message, retrySeconds);
  }
}

export function refusal(reason: string, httpStatus: number, grpcCode: number, message: string, retry: number | null = null): Refusal {
  return { reason, httpStatus, grpcCode, retrySeconds: retry, message: plainLine(message), violation: null };
}

function violationOf(error: PipelineError): Refusal['violation'] {
  const { place, offset } = error.context;
  const field = typeof place === 'string' && place !== '' ? place : typeof offset === 'number' ? `byte ${offset}` : 'message';
  return { field: plainLine(field), description: plainLine(error.message) };
}

/** Says nothing of what was shown instead. */
export const unauthenticated = (): Refusal =>
  refusal(
    'unauthenticated',
    401,
    grpcCodes.unauthenticated,
    'no valid token came with this request; send the header "authorization: Bearer TOKEN" with a token of the receiver',
  );

/** Messages quote what was sent: no control characters, and an end. */
function plainLine(text: string): string {
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').toWellFormed();
  return line.length > refusalCharsMax ? `${line.slice(0, refusalCharsMax).toWellFormed()}…` : line;
}

/** google.rpc.Status, as OTLP demands of every error answer. */
export function statusBytes(answer: Refusal): Uint8Array {
  return toBinary(StatusSchema, statusOf(answer));
}

export function statusJson(answer: Refusal): string {
  return toJsonString(StatusSchema, statusOf(answer), { registry: createRegistry(BadRequestSchema, RetryInfoSchema) });
}

function statusOf(answer: Refusal) {
  const details: Any[] = [];
  if (answer.violation !== null) details.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations: [answer.violation] })));
  if (answer.retrySeconds !== null) details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: { seconds: BigInt(answer.retrySeconds) } })));
  return create(StatusSchema, { code: answer.grpcCode, message: answer.message, details } satisfies MessageInitShape<typeof StatusSchema>);
}

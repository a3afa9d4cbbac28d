// What crosses the border of the worker thread: calls of a Builder, their results, their errors.
import { type ErrorCode, errorCodes, isPipelineError, PipelineError } from '../lib/errors.ts';
import type { Builder } from './builder.ts';

export interface BuilderCall {
  readonly id: number;
  readonly shard: number;
  readonly method: keyof Builder | 'open';
  readonly parameters: readonly unknown[];
}

export interface EncodedError {
  readonly message: string;
  /** Null: an error of the program itself. */
  readonly code: string | null;
  readonly stack: string;
}

export type BuilderReply = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: EncodedError };

/** Drafts of files are written without a store in between, and a full disk passes. */
const noRoom = new Set(['ENOSPC', 'EDQUOT']);

export function encodeError(error: unknown): EncodedError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  if (noRoom.has((error as NodeJS.ErrnoException | null)?.code ?? ''))
    return { message: `the disk is full (${message}); free some space`, code: 'store_full', stack: '' };
  return { message, code: isPipelineError(error) ? error.code : null, stack: stack ?? '' };
}

export function decodeError({ message, code, stack }: EncodedError): Error {
  if (code !== null && errorCodes.includes(code as ErrorCode)) return new PipelineError(code as ErrorCode, message);
  const error = new Error(message);
  error.stack = stack;
  return error;
}

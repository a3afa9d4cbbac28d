// What the query stage and the processes that run users' SQL (sql-process.ts) say to each other.
import { type ErrorCode, PipelineError } from '../lib/errors.ts';
import type { SnapshotPlan } from './snapshot.ts';
import type { UserAnswer, UserQuery } from './user-query.ts';

/** A query over the files of a plan. */
export interface SqlOrder {
  /** URL of the store: keys become paths there as here. */
  readonly store: string;
  readonly plan: SnapshotPlan;
  readonly uniform: boolean;
  readonly query: UserQuery;
  readonly timeoutMillis: number;
  readonly scratch: string;
}

export type ToSqlProcess = { readonly kind: 'run'; readonly order: SqlOrder };

export type FromSqlProcess =
  | { readonly kind: 'rows'; readonly json: string }
  /** `spent`: the process keeps much of the memory that the query took; another one is to run the next. */
  | { readonly kind: 'done'; readonly answer: UserAnswer; readonly spent: boolean }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly context: Record<string, unknown>; readonly spent: boolean }
  /** An error of the program. */
  | { readonly kind: 'broken'; readonly stack: string };

export function errorOf(failed: Extract<FromSqlProcess, { kind: 'failed' }>): PipelineError {
  return new PipelineError(failed.code, failed.message, { context: failed.context });
}

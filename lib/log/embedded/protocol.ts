// What crosses between a process's own threads: the stage's side (client.ts) and the thread that owns
// the SQLite files (worker.ts). Values travel by transfer, not by copy.
import { type ErrorCode, PipelineError } from '../../errors.ts';
import type { LogUsage, PartitionPosition, PartitionRange, ReadResult, TopicConfig, TopicInfo } from '../log.ts';
import type { ShareMemory } from './share-memory.ts';

export interface WorkerData {
  readonly directory: string;
  readonly bounds: LogBounds;
}

/** What this process's appends are held to (open.ts). */
export interface LogBounds {
  readonly bytesMax: number;
  readonly diskReserveBytes: number;
  readonly resumeBytes: number;
}

/** Requests with the answer each of them gets. */
export interface Calls {
  open: { ask: Record<never, never>; answer: null };
  ensureTopic: { ask: { config: TopicConfig }; answer: TopicInfo };
  topic: { ask: { name: string }; answer: TopicInfo };
  append: {
    ask: { topic: string; partition: number | null; key: Uint8Array | null; headers: string | null; value: Uint8Array };
    answer: { partition: number; offset: number };
  };
  read: { ask: { topic: string; partition: number; from: number; bytesMax: number; waitMillis: number }; answer: ReadResult };
  /** Ends the wait of the read with this id; it answers what is there. */
  cancel: { ask: { read: number }; answer: null };
  range: { ask: { topic: string; partition: number }; answer: PartitionRange };
  join: { ask: { group: string; topic: string }; answer: { member: string; share: ShareMemory } };
  leave: { ask: { member: string }; answer: null };
  position: { ask: { group: string; topic: string; partition: number }; answer: PartitionPosition | null };
  remember: { ask: { group: string; topic: string; partition: number; position: PartitionPosition }; answer: null };
  trim: { ask: { topic: string; partition: number; offset: number }; answer: null };
  usage: { ask: Record<never, never>; answer: LogUsage };
  close: { ask: Record<never, never>; answer: null };
}

export type Operation = keyof Calls;

export type Request = { [O in Operation]: { readonly id: number; readonly op: O } & Readonly<Calls[O]['ask']> }[Operation];
export type RequestOf<O extends Operation> = Extract<Request, { op: O }>;

export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: WireError }
  /** The kernel could not write through; the process must end at once. */
  | { readonly fatal: string };

/** Errors lose their class on the way between threads. */
export type WireError = { readonly code: ErrorCode; readonly message: string; readonly context: Record<string, unknown> } | { readonly bug: unknown };

export function toWire(error: unknown): WireError {
  return error instanceof PipelineError ? { code: error.code, message: error.message, context: error.context } : { bug: error };
}

export function fromWire(error: WireError): unknown {
  return 'bug' in error ? error.bug : new PipelineError(error.code, error.message, { context: error.context });
}

/** CLOCK_MONOTONIC in milliseconds: one clock for all processes of a host, and no step moves it. */
export function monotonicMillis(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

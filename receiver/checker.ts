// Where a message is checked: here while that takes a few milliseconds, else in a thread of its own, so
// that one large message does not hold up the answers to all others. The thread is no wall against a
// message that takes too much memory (V8 ends the whole process then): json.ts sees to that before.
import { Worker } from 'node:worker_threads';
import { PipelineError } from '../lib/errors.ts';
import { moduleUrl } from '../lib/module-url.ts';
import { type Admission, admit } from './admit.ts';
import { profilesFromJson } from './json.ts';
import { jsonHereBytesMax, protobufHereBytesMax } from './limits.ts';

export interface Checker {
  /** Takes the body away: it may be empty afterwards. */
  check(body: Uint8Array, isJson: boolean): Promise<Admission>;
  close(): Promise<void>;
}

/** To the thread. */
export interface CheckRequest {
  readonly body: Uint8Array;
  readonly isJson: boolean;
}

/** From it. Errors lose their class on the way between threads. */
export type CheckReply =
  | { readonly admission: Admission }
  | { readonly refused: { readonly code: PipelineError['code']; readonly message: string; readonly context: Record<string, unknown> } }
  | { readonly bug: unknown };

interface Task extends CheckRequest {
  resolve(admission: Admission): void;
  reject(error: unknown): void;
}

export function checkHere(body: Uint8Array, isJson: boolean): Admission {
  return admit(isJson ? profilesFromJson(body) : body);
}

export function createChecker(): Checker {
  // One at a time: that bounds the memory of reading JSON.
  const waiting: Task[] = [];
  let current: Task | null = null;
  let worker: Worker | null = null;

  const next = (): void => {
    current = waiting.shift() ?? null;
    if (current === null) return;
    worker ??= start();
    const body = owned(current.body);
    worker.postMessage({ body, isJson: current.isJson } satisfies CheckRequest, [body.buffer]);
  };

  const settle = (finish: (task: Task) => void): void => {
    const task = current;
    if (task !== null) finish(task);
    next();
  };

  const start = (): Worker => {
    const started = new Worker(moduleUrl('./checker-worker', import.meta.url), { name: 'flamelake-checker', execArgv: [] });
    started.on('message', (reply: CheckReply) => {
      settle((task) => {
        if ('admission' in reply) task.resolve(reply.admission);
        else if ('refused' in reply) task.reject(new PipelineError(reply.refused.code, reply.refused.message, { context: reply.refused.context }));
        else task.reject(reply.bug);
      });
    });
    started.on('error', (error) => {
      worker = null;
      settle((task) => task.reject(error));
    });
    return started;
  };

  return {
    async check(body, isJson) {
      if (body.byteLength <= (isJson ? jsonHereBytesMax : protobufHereBytesMax)) return checkHere(body, isJson);
      return new Promise((resolve, reject) => {
        waiting.push({ body, isJson, resolve, reject });
        if (current === null) next();
      });
    },
    async close() {
      await worker?.terminate();
      worker = null;
    },
  };
}

/** Given away whole; a part of a larger buffer, or of Node's pool, is copied. */
function owned(body: Uint8Array): Uint8Array<ArrayBuffer> {
  return body.byteLength === body.buffer.byteLength && body.buffer instanceof ArrayBuffer ? new Uint8Array(body.buffer) : new Uint8Array(body);
}

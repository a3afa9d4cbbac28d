// Runs users' SQL in processes of their own (sql-process.ts): one query in each at a time, used again while they
// are as good as new, killed where a query is given up or does not end.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../lib/logger.ts';
import { moduleUrl } from '../lib/module-url.ts';
import { abortedError, memoryError, timeoutError } from './engine.ts';
import { limits } from './limits.ts';
import { errorOf, type FromSqlProcess, type SqlOrder, type ToSqlProcess } from './sql-messages.ts';
import type { UserAnswer } from './user-query.ts';
import type { Json } from './values.ts';

export type SqlRows = UserAnswer & { readonly rows: readonly (readonly Json[])[] };

interface Idle {
  readonly child: ChildProcess;
  readonly timer: NodeJS.Timeout;
}

const stderrCharsMax = 2_000;

export class SqlProcesses {
  readonly #logger: Logger | undefined;
  readonly #idle: Idle[] = [];
  readonly #all = new Set<ChildProcess>();

  constructor(logger: Logger | undefined) {
    this.#logger = logger;
  }

  /** How many there are at once is the asker's to bound (gate.ts). */
  async run(order: SqlOrder, signal: AbortSignal | undefined): Promise<SqlRows> {
    if (signal?.aborted) throw abortedError();
    const child = this.#take();
    const { rows, answer, spent } = await this.#ask(child, order, signal);
    if (spent) child.kill('SIGKILL');
    else this.#keep(child);
    if (answer instanceof Error) throw answer;
    return { ...answer, rows };
  }

  close(): void {
    for (const { timer } of this.#idle) clearTimeout(timer);
    for (const child of this.#all) child.kill('SIGKILL');
  }

  #take(): ChildProcess {
    const idle = this.#idle.pop();
    if (idle === undefined) return this.#start();
    clearTimeout(idle.timer);
    idle.child.ref();
    idle.child.channel!.ref();
    return idle.child;
  }

  #keep(child: ChildProcess): void {
    if (!child.connected) return;
    // An idle process is no reason for a command to go on.
    child.unref();
    child.channel!.unref();
    this.#idle.push({ child, timer: setTimeout(() => child.kill('SIGKILL'), limits.sqlIdleMillisMax).unref() });
  }

  #start(): ChildProcess {
    const child = fork(fileURLToPath(moduleUrl('./sql-process', import.meta.url)), [String(process.pid)], {
      execArgv: [`--max-old-space-size=${limits.sqlProcessHeapMiB}`, '--max-semi-space-size=2', '--v8-pool-size=1'],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#all.add(child);
    // What V8 says when it ends for want of memory, on many lines: for the log alone.
    let said = '';
    child.stderr!.on('data', (part: Buffer) => {
      said = (said + String(part)).slice(0, stderrCharsMax);
    });
    (child.stderr as unknown as { unref(): void }).unref();
    child.on('error', () => {});
    child.on('close', (code, signal) => {
      this.#all.delete(child);
      const at = this.#idle.findIndex((idle) => idle.child === child);
      if (at >= 0) clearTimeout(this.#idle.splice(at, 1)[0]!.timer);
      if (said !== '') this.#logger?.debug('a process that ran SQL ended', { end: signal ?? `exit code ${code}`, said });
    });
    return child;
  }

  /** Never rejects for what the query did: the process is judged with the answer. */
  #ask(child: ChildProcess, order: SqlOrder, signal: AbortSignal | undefined): Promise<{ rows: Json[][]; answer: UserAnswer | Error; spent: boolean }> {
    const rows: Json[][] = [];
    return new Promise((resolve) => {
      const end = (answer: UserAnswer | Error, spent: boolean) => {
        clearTimeout(late);
        signal?.removeEventListener('abort', onAbort);
        child.off('message', onMessage).off('exit', onExit).off('error', onError);
        resolve({ rows, answer, spent });
      };
      const onAbort = () => end(abortedError(), true);
      const onExit = (code: number | null, by: string | null) => end(memoryError(`its process ended, ${by ?? `exit code ${code}`}`), true);
      const onError = (error: Error) => end(error, true);
      const onMessage = (message: FromSqlProcess) => {
        switch (message.kind) {
          case 'rows':
            for (const row of JSON.parse(message.json) as Json[][]) rows.push(row);
            break;
          case 'done':
            end(message.answer, message.spent);
            break;
          case 'failed':
            end(errorOf(message), message.spent);
            break;
          case 'broken':
            end(new Error(message.stack), true);
            break;
          default:
            message satisfies never;
        }
      };
      // DuckDB looks at an interrupt between vectors, and one function over one row may take for ever.
      const late = setTimeout(() => end(timeoutError(order.timeoutMillis), true), order.timeoutMillis + limits.sqlGraceMillis);
      signal?.addEventListener('abort', onAbort, { once: true });
      child.on('message', onMessage).on('exit', onExit).on('error', onError);
      child.send({ kind: 'run', order } satisfies ToSqlProcess, (error) => error && end(error, true));
    });
  }
}

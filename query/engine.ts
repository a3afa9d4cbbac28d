// DuckDB, shut in: every question gets an instance of its own that may read the files of one snapshot
// and nothing else (no other file, no network, no extension, no setting), is bounded in memory, spill,
// threads and time, and is thrown away afterwards. An instance costs 10 ms; in exchange no query can
// leave anything behind for the next.
import { tmpdir } from 'node:os';
import { type DuckDBConnection, DuckDBInstance, type DuckDBPreparedStatement, type DuckDBValue } from '@duckdb/node-api';
import { PipelineError } from '../lib/errors.ts';
import { limits } from './limits.ts';
import { makeScratch, type Scratch, spillRoom } from './scratch.ts';
import { sqlList } from './sql-text.ts';

export interface SessionOptions {
  /** Paths of all files that may be read. */
  readonly files: readonly string[];
  readonly timeoutMillis: number;
  readonly signal?: AbortSignal | undefined;
  /** Where it may spill (scratch.ts); default: the system's own place. */
  readonly scratch?: string | undefined;
}

const interruptEveryMillis = 50;

export class Session {
  readonly connection: DuckDBConnection;
  readonly #instance: DuckDBInstance;
  readonly #spill: Scratch;
  readonly #timeoutMillis: number;
  readonly #signal: AbortSignal | undefined;
  readonly #deadline: NodeJS.Timeout;
  #interrupts: NodeJS.Timeout | undefined;
  #ended: 'timeout' | 'aborted' | undefined;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection, spill: Scratch, options: SessionOptions) {
    this.#instance = instance;
    this.connection = connection;
    this.#spill = spill;
    this.#timeoutMillis = options.timeoutMillis;
    this.#signal = options.signal;
    this.#deadline = setTimeout(() => this.#end('timeout'), options.timeoutMillis);
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (this.#signal?.aborted) this.#end('aborted');
  }

  static async open(options: SessionOptions): Promise<Session> {
    const place = options.scratch ?? tmpdir();
    const spill = await makeScratch(place);
    try {
      const instance = await DuckDBInstance.create(':memory:', {
        threads: String(limits.threads),
        memory_limit: `${limits.memoryBytesMax}B`,
        temp_directory: spill.folder,
        max_temp_directory_size: `${spillRoom(place)}B`,
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
        allow_community_extensions: 'false',
        allow_persistent_secrets: 'false',
      });
      const connection = await instance.connect();
      await connection.run(lockStatements(options.files));
      return new Session(instance, connection, spill, options);
    } catch (error) {
      await spill.remove();
      throw error;
    }
  }

  /** Runs statements of ours. */
  async run(sql: string, values: Record<string, DuckDBValue> = {}): Promise<void> {
    await this.#guarded(() => this.connection.run(sql, values));
  }

  /** All rows of a statement of ours, as DuckDB's values. */
  async rows(sql: string, values: Record<string, DuckDBValue> = {}): Promise<DuckDBValue[][]> {
    return this.#guarded(async () => (await this.connection.runAndReadAll(sql, values)).getRows());
  }

  /** One statement, prepared; throws query_failed with DuckDB's own words where it is wrong. */
  async prepare(sql: string): Promise<DuckDBPreparedStatement> {
    return this.#guarded(() => this.connection.prepare(sql));
  }

  async guard<T>(work: () => Promise<T>): Promise<T> {
    return this.#guarded(work);
  }

  async close(): Promise<void> {
    clearTimeout(this.#deadline);
    clearInterval(this.#interrupts);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.connection.closeSync();
    this.#instance.closeSync();
    await this.#spill.remove();
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    this.#throwIfEnded();
    try {
      return await work();
    } catch (error) {
      this.#throwIfEnded();
      throw queryError(error);
    }
  }

  #throwIfEnded(): void {
    if (this.#ended === 'timeout') throw timeoutError(this.#timeoutMillis);
    if (this.#ended === 'aborted') throw abortedError();
  }

  readonly #onAbort = () => this.#end('aborted');

  /** An interrupt only reaches a statement that is running, so it is repeated until the session is closed. */
  #end(how: 'timeout' | 'aborted'): void {
    if (this.#ended) return;
    this.#ended = how;
    this.connection.interrupt();
    this.#interrupts = setInterval(() => this.connection.interrupt(), interruptEveryMillis);
  }
}

export const timeoutError = (millis: number): PipelineError =>
  new PipelineError('query_failed', `the query did not end within ${millis / 1000} s; narrow its time range or what it reads`, {
    context: { reason: 'timeout' },
  });

export const abortedError = (): PipelineError =>
  new PipelineError('query_failed', 'the query was given up by who asked for it', { context: { reason: 'aborted' } });

/** `how`: DuckDB's words, or what became of the process. */
export const memoryError = (how: string): PipelineError =>
  new PipelineError('query_failed', `the query needs more memory than one may take; narrow its time range or what it makes (${how})`, {
    context: { reason: 'memory' },
  });

/** Paths must be allowed before external access ends, and nothing can be changed after the lock. */
function lockStatements(files: readonly string[]): string {
  return [
    "SET TimeZone = 'UTC'",
    'SET preserve_insertion_order = false',
    `SET allowed_paths = ${sqlList(files)}`,
    'SET enable_external_access = false',
    'SET lock_configuration = true',
  ].join('; ');
}

export const shortened = (line: string): string => (line.length > limits.errorCharsMax ? `${line.slice(0, limits.errorCharsMax).toWellFormed()}…` : line);

/** DuckDB's message as one line; its caret picture is of no use without the line above it. */
export function queryError(error: unknown): unknown {
  if (error instanceof PipelineError || !(error instanceof Error)) return error;
  const [first = '', ...rest] = error.message
    .replace(/^Failed to \w+ statements?: /, '')
    .split('\n')
    .map((line) => line.trim());
  if (first.startsWith('Out of Memory Error')) return memoryError(first);
  const hint = rest.find((line) => /^(Did you mean|Candidate|You might need)/.test(line));
  return new PipelineError('query_failed', shortened(hint === undefined ? first : `${first} ${hint}`), { cause: error });
}

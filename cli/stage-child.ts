// One stage of `flamelake up` as seen from the parent: starts its process, starts it again when it
// dies, tells what it says, stops it. The parent's other half is up.ts, the child's is stage-process.ts.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, PipelineError } from '../lib/errors.ts';
import type { Logger, LogLevel } from '../lib/logger.ts';
import type { Metric } from '../lib/metrics.ts';
import { moduleUrl } from '../lib/module-url.ts';
import type { StageStatus } from '../lib/stage.ts';
import type { FromStage, StageAddresses, StageName, ToStage } from './stage-messages.ts';

export interface StageChildOptions {
  readonly name: StageName;
  /** Asked for at every start: the agent's endpoint is known when the receiver listens. */
  readonly options: () => object;
  readonly logger: Logger;
  readonly logLevel: LogLevel;
  readonly logFormat: 'text' | 'json';
  readonly onStatus: () => void;
  readonly onScrape?: (id: number) => void;
}

/** As bin/flamelake gives them to `flamelake agent`, with the figures. */
const nodeFlags: Partial<Record<StageName, string[]>> = { agent: ['--max-semi-space-size=2', '--v8-pool-size=1'] };

/** A stage that dies at once is started again ever more slowly, one that ran for a while at once. */
const backoffMillis = { first: 250, max: 15_000, forgottenAfter: 60_000 };
const collectMillisMax = 1500;

export class StageChild {
  readonly name: StageName;
  addresses: StageAddresses = {};
  /** How often it ended by itself and was started again. */
  restarts = 0;
  /** When the process that is there now was started; its sums count from then on. */
  startMillis = Date.now();
  status: StageStatus = { ready: false, text: 'starting' };
  readonly #options: StageChildOptions;
  #child: ChildProcess | null = null;
  #failure: { code: ErrorCode | null; message: string } | null = null;
  #startedOnce = false;
  #stopping = false;
  /** Of those that follow each other closely. */
  #closeRestarts = 0;
  #startedMillis = 0;
  #timer: NodeJS.Timeout | null = null;
  #collects = new Map<number, (metrics: readonly Metric[]) => void>();
  #collectCount = 0;

  constructor(options: StageChildOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the stage has started for the first time; throws what kept it from that. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => this.#spawn(resolve, reject));
  }

  send(message: ToStage): void {
    if (this.#child?.connected) this.#child.send(message, () => {});
  }

  async collect(): Promise<readonly Metric[]> {
    if (!this.#child?.connected) return [];
    const id = ++this.#collectCount;
    const { promise, resolve } = Promise.withResolvers<readonly Metric[]>();
    this.#collects.set(id, resolve);
    const timer = setTimeout(() => resolve([]), collectMillisMax);
    this.send({ kind: 'collect', id });
    const metrics = await promise;
    clearTimeout(timer);
    this.#collects.delete(id);
    return metrics;
  }

  /** Resolves when its process is gone. False: it had to be killed. */
  stop(millisMax: number): Promise<boolean> {
    this.#stopping = true;
    if (this.#timer) clearTimeout(this.#timer);
    const child = this.#child;
    if (child === null) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#options.logger.error(`${this.name} did not end within ${millisMax / 1000} s and was killed; the next start goes on from what is durable`);
        child.kill('SIGKILL');
      }, millisMax);
      child.once('exit', (code) => {
        clearTimeout(timer);
        resolve(code === 0);
      });
      this.send({ kind: 'stop' });
    });
  }

  /** `resolve` and `reject` are of the first start; later ones end in a log line. */
  #spawn(resolve: () => void, reject: (error: Error) => void): void {
    const { name, logger } = this.#options;
    const child = fork(fileURLToPath(moduleUrl('./stage-process', import.meta.url)), [name, String(process.pid)], {
      execArgv: nodeFlags[name] ?? [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    this.#failure = null;
    this.#startedMillis = performance.now();
    this.startMillis = Date.now();
    this.#setStatus({ ready: false, text: this.#startedOnce ? 'starting again' : 'starting' });
    child.on('message', (message: FromStage) => this.#hear(message, resolve));
    child.once('error', (error) => {
      // Not started at all: no memory, no process numbers. There is no exit to follow.
      if (child.pid === undefined) this.#ended(child, `could not be started (${error.message})`, reject);
    });
    child.once('exit', (code, signal) => this.#ended(child, signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`, reject));
    if (this.#closeRestarts > 0) logger.info(`${name} is started again`);
  }

  #hear(message: FromStage, started: () => void): void {
    const { options, logLevel, logFormat, onScrape } = this.#options;
    switch (message.kind) {
      case 'loaded':
        this.send({ kind: 'start', options: options(), logLevel, logFormat });
        break;
      case 'started':
        this.addresses = message.addresses;
        this.#startedOnce = true;
        this.#setStatus(message.status);
        started();
        break;
      case 'failed':
        this.#failure = message;
        break;
      case 'status':
        this.#setStatus(message.status);
        break;
      case 'collected':
        this.#collects.get(message.id)?.(message.metrics);
        break;
      case 'scrape':
        onScrape?.(message.id);
        break;
      default:
        message satisfies never;
    }
  }

  #ended(child: ChildProcess, how: string, reject: (error: Error) => void): void {
    if (this.#child !== child) return;
    this.#child = null;
    if (this.#stopping) return;
    const failure = this.#failure;
    if (!this.#startedOnce) {
      this.#setStatus({ ready: false, text: failure?.message ?? how });
      const code = failure?.code ?? null;
      reject(code === null ? new Error(`${this.name}: ${failure?.message ?? how}`) : new PipelineError(code, failure!.message));
      return;
    }
    const wait = this.#nextWait();
    this.restarts++;
    this.#setStatus({ ready: false, text: `${failure?.message ?? how}; starts again in ${wait / 1000} s` });
    this.#options.logger.error(
      `${this.name} ${failure ? `failed: ${failure.message}` : how}; it starts again in ${wait / 1000} s`,
      failure?.code ? { 'error.type': failure.code } : {},
    );
    this.#timer = setTimeout(
      () =>
        this.#spawn(
          () => {},
          () => {},
        ),
      wait,
    );
  }

  #nextWait(): number {
    if (performance.now() - this.#startedMillis > backoffMillis.forgottenAfter) this.#closeRestarts = 0;
    return Math.min(backoffMillis.first * 2 ** this.#closeRestarts++, backoffMillis.max);
  }

  #setStatus(status: StageStatus): void {
    this.status = status;
    this.#options.onStatus();
  }
}

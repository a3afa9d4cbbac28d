// Batches on their way: a bounded queue of encoded ones, one attempt at a time, the same bytes again
// where OTLP allows it. A batch whose first attempt is older than the lake remembers profiles is given
// up and counted: it may have been taken, and a second time would count twice.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../lib/logger.ts';
import { queueBytesMax, retryMillisMax, retryMillisMin, unconfirmedMillis } from '../limits.ts';
import type { LossReason } from '../losses.ts';
import type { SendResult, Transport } from './transport.ts';

export interface EncodedBatch {
  readonly bytes: Uint8Array;
  readonly samples: number;
}

export interface DeliveryOptions {
  readonly transport: Transport;
  readonly logger: Logger;
  readonly onLoss: (reason: LossReason, samples: number) => void;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #queue: EncodedBatch[] = [];
  #queuedBytes = 0;
  readonly #abort = new AbortController();
  #wake: () => void = () => {};
  #stopping = false;
  readonly #loop: Promise<void>;
  /** Whether the last attempt was taken. */
  #isConnected = false;
  #lastProblem = '';
  /** Since start. */
  readonly attempts: Record<SendResult['kind'], number> = { accepted: 0, retry: 0, refused: 0 };
  sentBytes = 0;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** One line, '' while all is well. */
  get problem(): string {
    return this.#lastProblem;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get queuedBatches(): number {
    return this.#queue.length;
  }

  add(batch: EncodedBatch): void {
    this.#queue.push(batch);
    this.#queuedBytes += batch.bytes.length;
    // The first in the queue may be on its way right now, so the second is the oldest that can go.
    while (this.#queuedBytes > queueBytesMax && this.#queue.length > 1) {
      const [dropped] = this.#queue.splice(1, 1);
      this.#queuedBytes -= dropped!.bytes.length;
      this.#options.onLoss('queue_full', dropped!.samples);
    }
    this.#wake();
  }

  /** Sends what is queued, for at most so long; what is left then is counted as lost. */
  async stop(timeoutMillis: number): Promise<void> {
    this.#stopping = true;
    this.#wake();
    const timer = setTimeout(() => this.#abort.abort(), timeoutMillis);
    await this.#loop;
    clearTimeout(timer);
    for (const batch of this.#queue.splice(0)) this.#options.onLoss('unconfirmed', batch.samples);
    this.#queuedBytes = 0;
    this.#options.transport.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const batch = this.#queue[0];
      if (batch === undefined) {
        if (this.#stopping) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      if (await this.#deliver(batch, signal)) {
        this.#queue.shift();
        this.#queuedBytes -= batch.bytes.length;
      }
    }
  }

  /** False where it was broken off and belongs to the losses of stop(). */
  async #deliver(batch: EncodedBatch, signal: AbortSignal): Promise<boolean> {
    const startMillis = performance.now();
    for (let attempt = 0; !signal.aborted; attempt++) {
      const result = await this.#options.transport.send(batch.bytes, signal);
      if (signal.aborted && result.kind === 'retry') return false;
      this.attempts[result.kind]++;
      if (result.kind !== 'retry') {
        this.#settle(batch, result);
        return true;
      }
      this.#note(result.message);
      const waitMillis = Math.max(result.afterMillis ?? 0, backoffMillis(attempt, Math.random()));
      if (performance.now() + waitMillis - startMillis > unconfirmedMillis) {
        this.#options.onLoss('unconfirmed', batch.samples);
        return true;
      }
      await sleep(waitMillis, undefined, { signal }).catch(() => {});
    }
    return false;
  }

  #settle(batch: EncodedBatch, result: Exclude<SendResult, { kind: 'retry' }>): void {
    const { transport, logger, onLoss } = this.#options;
    if (result.kind === 'refused') {
      onLoss('rejected', batch.samples);
      this.#note(result.message);
      return;
    }
    if (!this.#isConnected && this.#lastProblem !== '') logger.info(`${transport.endpoint} takes profiles again`);
    this.#isConnected = true;
    this.#lastProblem = '';
    if (result.rejected > 0) logger.warn(`${transport.endpoint} took a batch but for ${result.rejected} profiles: ${result.message}`);
    else if (result.message !== '') logger.warn(`${transport.endpoint}: ${result.message}`);
    this.sentBytes += batch.bytes.length;
  }

  /** Said once for each new problem, not once for each attempt. */
  #note(message: string): void {
    const { transport, logger } = this.#options;
    if (message !== this.#lastProblem) logger.warn(`${transport.endpoint} did not take profiles: ${message}`);
    this.#isConnected = false;
    this.#lastProblem = message;
  }
}

/** Doubles from a second to a minute, with a jitter of half: a fleet must not come back in step. */
export function backoffMillis(attempt: number, random: number): number {
  const full = Math.min(retryMillisMax, retryMillisMin * 2 ** Math.min(attempt, 16));
  return full / 2 + (full / 2) * random;
}

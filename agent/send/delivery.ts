// Batches on their way: a bounded queue of encoded ones, one attempt at a time, the same bytes again
// where OTLP allows it. A batch whose first attempt is older than the lake remembers profiles is given
// up and counted: it may have been taken, and a second time would count twice. How long to wait is
// said by the endpoint and by what failed before, whichever batch it was. What was turned away for its
// sender's credentials was not taken, and waits for better ones as long as the queue has room.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../lib/logger.ts';
import { bootMillis } from '../clock.ts';
import { queueBytesMax, retryMillisMax, retryMillisMin, unconfirmedMillis } from '../limits.ts';
import type { LossReason } from '../losses.ts';
import type { SendResult, Transport } from './transport.ts';

export interface EncodedBatch {
  readonly bytes: Uint8Array;
  readonly samples: number;
  /** Earlier losses that it reports. */
  readonly losses: ReadonlyMap<LossReason, number>;
}

interface QueuedBatch extends EncodedBatch {
  /** Since boot; null before the first attempt. */
  firstAttemptMillis: number | null;
}

export interface DeliveryOptions {
  readonly transport: Transport;
  readonly logger: Logger;
  /** A batch that nobody will take. */
  readonly onLost: (reason: LossReason, batch: EncodedBatch) => void;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #queue: QueuedBatch[] = [];
  #queuedBytes = 0;
  readonly #abort = new AbortController();
  #wake: () => void = () => {};
  #stopping = false;
  readonly #loop: Promise<void>;
  /** Whether the last attempt was taken. */
  #isConnected = false;
  #lastProblem = '';
  /** Attempts that failed, one after the other. */
  #failures = 0;
  /** No attempt before this, since boot. */
  #notBeforeMillis = 0;
  /** Since start. */
  readonly attempts: Record<SendResult['kind'], number> = { accepted: 0, retry: 0, refused: 0 };
  sentBytes = 0;
  /** Profiles that the endpoint left out of batches it took. */
  rejectedProfiles = 0;

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
    this.#queue.push({ ...batch, firstAttemptMillis: null });
    this.#queuedBytes += batch.bytes.length;
    // The first in the queue may be on its way right now, so the second is the oldest that can go.
    while (this.#queuedBytes > queueBytesMax && this.#queue.length > 1) {
      const [dropped] = this.#queue.splice(1, 1);
      this.#queuedBytes -= dropped!.bytes.length;
      this.#options.onLost('queue_full', dropped!);
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
    const left = this.#queue.splice(0);
    for (const batch of left) this.#options.onLost(batch.firstAttemptMillis === null ? 'stopped' : 'unconfirmed', batch);
    if (left.length > 0) {
      const samples = left.reduce((sum, batch) => sum + batch.samples, 0);
      this.#options.logger.warn(`${samples} samples were not delivered to ${this.#options.transport.endpoint} before the stop`);
    }
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
      } else if (await this.#attempt(batch, signal)) {
        this.#queue.shift();
        this.#queuedBytes -= batch.bytes.length;
      }
    }
  }

  /** Whether the batch is done with; otherwise it is tried again, or belongs to the losses of stop(). */
  async #attempt(batch: QueuedBatch, signal: AbortSignal): Promise<boolean> {
    const waitMillis = this.#notBeforeMillis - bootMillis();
    if (waitMillis > 0) await sleep(waitMillis, undefined, { signal }).catch(() => {});
    if (signal.aborted) return false;
    const nowMillis = bootMillis();
    const before = batch.firstAttemptMillis;
    batch.firstAttemptMillis ??= nowMillis;
    // The host may have been suspended meanwhile.
    if (nowMillis - batch.firstAttemptMillis > unconfirmedMillis) return this.#giveUp(batch);
    const result = await this.#options.transport.send(batch.bytes, signal);
    if (signal.aborted && result.kind === 'retry') return false;
    this.attempts[result.kind]++;
    if (result.kind !== 'retry') {
      this.#settle(batch, result);
      return true;
    }
    // As if it had not been tried: it can't be there twice, however late it is sent.
    if (result.isUntaken) batch.firstAttemptMillis = before;
    this.#note(result.message);
    this.#notBeforeMillis = bootMillis() + Math.max(result.afterMillis ?? 0, backoffMillis(this.#failures++, Math.random()));
    return this.#notBeforeMillis - (batch.firstAttemptMillis ?? this.#notBeforeMillis) > unconfirmedMillis && this.#giveUp(batch);
  }

  #giveUp(batch: EncodedBatch): true {
    this.#options.onLost('unconfirmed', batch);
    return true;
  }

  #settle(batch: EncodedBatch, result: Exclude<SendResult, { kind: 'retry' }>): void {
    const { transport, logger, onLost } = this.#options;
    this.#failures = 0;
    if (result.kind === 'refused') {
      onLost('rejected', batch);
      this.#note(result.message);
      return;
    }
    if (!this.#isConnected && this.#lastProblem !== '') logger.info(`${transport.endpoint} takes profiles again`);
    this.#isConnected = true;
    this.#lastProblem = '';
    this.rejectedProfiles += result.rejected;
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

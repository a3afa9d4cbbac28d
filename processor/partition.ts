// One input partition: read a batch, make rows, send each shard its message, remember. Whatever happens in
// between, kill -9 included, the next attempt sends the same rows under the same source offsets, and the
// exporter drops what it has seen (docs/lake.md, exactly once).
//
// A message that kills the process would do so at each start. After an end that was not clean, the
// messages of one read are therefore taken one by one, each announced durably before it is decoded and
// called off before it is sent: so only an end while decoding or making rows counts, and one from outside hardly ever.
// What was announced three times and never called off is a dead letter.
import { setTimeout as sleep } from 'node:timers/promises';
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import { valueBytesMax } from '../lib/log/limits.ts';
import type { Log, LogRecord } from '../lib/log/log.ts';
import { errorFields, type Logger } from '../lib/logger.ts';
import { deadLetterTopic, processorGroup, rowsTopic } from '../schemas/topics.ts';
import { type Batch, buildBatch, type Decoded, decode, emptyRowMessage, type RowMessage, type Source, wantedSymbols } from './batch.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { KnownStacks } from './known-stacks.ts';
import { attemptsMax, readBytesMax, readRecordsMax, readWaitMillis, retryMillisMax, retryMillisMin, trimMillis } from './limits.ts';
import type { Lag, ProcessorMetrics } from './metrics.ts';
import { formatHints, type Hints, nothingSent, parseHints, type SentPositions, withSent } from './position.ts';
import type { Symbols } from './symbols.ts';

export interface PartitionOptions {
  readonly log: Log;
  readonly source: Source;
  readonly shards: number;
  readonly known: KnownStacks;
  readonly symbols: Symbols;
  readonly deadLetters: DeadLetters;
  readonly metrics: ProcessorMetrics;
  readonly logger: Logger;
}

const reasonChars = 1_000;

export class Partition {
  readonly #options: PartitionOptions;
  #offset = 0;
  #end = 0;
  #sent: SentPositions = nothingSent;
  #attempt: Hints['attempt'] = null;
  /** Below this offset messages are taken one by one. */
  #carefulBelow = 0;
  #trouble: string | null = null;
  #isStarted = false;
  readonly #stopping = new AbortController();
  #drainUntilMillis = 0;
  /** A read that began after stop() found nothing. */
  #isDrained = false;
  #trimmedMillis = 0;
  /** The log begins here, as far as we know; what is below the remembered position is not needed. */
  #trimmedTo = 0;
  /** What is unread now was appended after this. */
  #unreadSinceMillis = Date.now();
  #isReleased = false;

  constructor(options: PartitionOptions) {
    this.#options = options;
  }

  get partition(): number {
    return this.#options.source.partition;
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** Messages that are not yet rows. */
  get behind(): number {
    return Math.max(0, this.#end - this.#offset);
  }

  /** Asked of the log itself: where nothing moves, what the last read saw grows old. */
  async lag(): Promise<Lag> {
    const { log, source } = this.#options;
    const end = await log.range(source.topic, this.partition).then(
      (range) => range.end,
      () => this.#end,
    );
    const messages = Math.max(0, end - this.#offset);
    const seconds = messages === 0 ? 0 : Math.max(0, Date.now() - this.#unreadSinceMillis) / 1000;
    return { partition: this.partition, messages, seconds };
  }

  /** Why nothing moves; null where it does. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Goes on for as long as there is something to read and the time is not up. */
  stop(drainMillis: number): void {
    this.#drainUntilMillis = Date.now() + drainMillis;
    this.#stopping.abort();
  }

  /** Ends as soon as it can and writes no last position: another member has the partition by now. */
  release(): void {
    this.#isReleased = true;
    this.#stopping.abort();
  }

  /** Ends after stop(). Operating errors are waited out; those of the program are thrown. */
  async run(): Promise<void> {
    try {
      await this.#insist(() => this.#start());
      while (!this.#isDone()) await this.#step();
      if (this.#isStarted && !this.#isReleased) {
        await this.#remember(false, null);
        await this.#trim();
      }
    } catch (error) {
      if (!isPipelineError(error) || !this.#stopping.signal.aborted) throw error;
      // Told to stop while the log does not answer: the next start goes on from the last position.
      this.#options.logger.warn(`partition ${this.partition} ends without its last position: ${error.message}`, errorFields(error));
    }
  }

  #isDone(): boolean {
    return this.#isDrained || this.#isOutOfTime();
  }

  #isOutOfTime(): boolean {
    return this.#stopping.signal.aborted && Date.now() >= this.#drainUntilMillis;
  }

  async #start(): Promise<void> {
    const { log, source, logger } = this.#options;
    const [found, range] = [await log.position(processorGroup, source.topic, this.partition), await log.range(source.topic, this.partition)];
    const hints = found ? parseHints(found.metadata) : null;
    const isOurs = found !== null && (hints === null || hints.logId === source.logId) && found.offset <= range.end;
    this.#offset = isOurs ? found.offset : range.start;
    this.#trimmedTo = range.start;
    this.#end = range.end;
    this.#sent = isOurs && hints ? hints.sent : nothingSent;
    this.#attempt = isOurs && hints ? hints.attempt : null;
    if (isOurs && found.offset < range.start) await this.#skipOvertaken(found.offset, range.start);
    if (hints?.running && isOurs) {
      this.#carefulBelow = this.#offset + readRecordsMax;
      logger.info(`partition ${this.partition}: the last end was not clean; going on from offset ${this.#offset}, one message at a time at first`);
    }
    await this.#remember(true, this.#attempt);
    this.#isStarted = true;
  }

  /**
   * Whoever sleeps for long is not the member any more, and does not know it: what is gone from the log
   * then was taken by another, who remembered it first. Goes on from there; all that it sends are repeats.
   */
  async #catchUp(start: number): Promise<boolean> {
    const { log, source } = this.#options;
    const found = await log.position(processorGroup, source.topic, this.partition);
    const hints = found ? parseHints(found.metadata) : null;
    if (found === null || found.offset < start || (hints !== null && hints.logId !== source.logId)) return false;
    this.#offset = found.offset;
    this.#sent = hints?.sent ?? nothingSent;
    return true;
  }

  /** Never silent: the shards see the gap in the range of their next message, and count it as lost rows. */
  async #skipOvertaken(position: number, start: number): Promise<void> {
    this.#options.metrics.overtaken(start - position);
    this.#options.logger.error(
      `partition ${this.partition}: messages ${position} to ${start - 1} were removed by retention before they were read; they are lost`,
    );
    // Shards that had no rows lately are told so first, or the gap would show larger than it is.
    await this.#bringUpToDate();
    this.#offset = start;
    this.#sent = { others: start - 1, shards: new Map() };
  }

  async #step(): Promise<void> {
    const records = await this.#insist(() => this.#read());
    if (records.length === 0) return this.#trimWhenDue();
    for (let at = 0; at < records.length; ) {
      const isCareful = this.#offset < this.#carefulBelow;
      const part = records.slice(at, at + (isCareful ? 1 : readRecordsMax));
      try {
        if (isCareful) await this.#takeCarefully(part[0]!);
        else await this.#take(part);
      } catch (error) {
        if (isPipelineError(error)) throw error;
        this.#becomeCareful(error, part.at(-1)!.offset + 1);
        return;
      }
      at += part.length;
      if (this.#isOutOfTime()) return;
    }
  }

  /** An error of the program: which message brings it out is found as after a crash. */
  #becomeCareful(error: unknown, below: number): void {
    this.#carefulBelow = Math.max(this.#carefulBelow, below);
    this.#options.logger.error(`partition ${this.partition}: making rows failed, going on message by message from offset ${this.#offset}`, {
      ...errorFields(error),
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  }

  async #read(): Promise<readonly LogRecord[]> {
    const { log, source, metrics } = this.#options;
    const { signal } = this.#stopping;
    const isStopping = signal.aborted;
    try {
      const { records, next, range } = await log.read(source.topic, this.partition, this.#offset, {
        bytesMax: readBytesMax,
        waitMillis: readWaitMillis,
        signal,
      });
      this.#end = range.end;
      this.#isDrained = isStopping && records.length === 0;
      if (records.length === 0) {
        this.#offset = next;
        this.#unreadSinceMillis = Date.now();
      }
      const bytes = records.reduce((sum, { value }) => sum + value.byteLength, 0);
      metrics.read(records.length, bytes);
      return records;
    } catch (error) {
      if (!isPipelineError(error, 'offset_out_of_range')) throw error;
      const range = await log.range(source.topic, this.partition);
      if (range.start <= this.#offset) throw error;
      if (!(await this.#catchUp(range.start))) await this.#skipOvertaken(this.#offset, range.start);
      return [];
    }
  }

  async #take(records: readonly LogRecord[]): Promise<void> {
    let rest = this.#timed(() => records.map(decode));
    await this.#prepareSymbols(rest);
    while (rest.length > 0) {
      const batch = this.#timed(() => this.#build(rest));
      await this.#send(batch);
      rest = rest.slice(batch.taken.length);
    }
  }

  async #takeCarefully(record: LogRecord): Promise<void> {
    const count = this.#attempt?.offset === record.offset ? this.#attempt.count : 0;
    if (count >= attemptsMax) {
      const error = new PipelineError('message_crashes', `ended the processor ${count} times while it was decoded; please report it with this message`);
      return this.#send(this.#build([{ record, message: null, error }]));
    }
    const attempt = { offset: record.offset, count };
    const decoded = await this.#announced(attempt, () => [decode(record)]);
    // Waiting is no part of the attempt: an end from outside is likely here.
    await this.#prepareSymbols(decoded);
    const batch = await this.#announced(attempt, () => this.#build(decoded));
    await this.#send(batch);
  }

  /** Work that may end the process: counted as an attempt until it is called off. */
  async #announced<T>({ offset, count }: NonNullable<Hints['attempt']>, work: () => T): Promise<T> {
    await this.#insist(() => this.#remember(true, { offset, count: count + 1 }));
    const result = this.#timed(work);
    await this.#insist(() => this.#remember(true, { offset, count }));
    return result;
  }

  /** Symbol tables that are read meanwhile are there for what comes later. */
  async #prepareSymbols(decoded: readonly Decoded[]): Promise<void> {
    const { symbols, metrics } = this.#options;
    await symbols.prepare(decoded.flatMap(({ message }) => (message ? wantedSymbols(message) : [])));
    metrics.symbols(symbols.counts);
  }

  /** A batch whose messages fit the log. */
  #build(decoded: readonly Decoded[]): Batch {
    const { shards, source, known, symbols } = this.#options;
    const target = { shards, source, sent: this.#sent, known, nameOf: symbols.nameOf.bind(symbols) };
    const batch = buildBatch(decoded, target);
    const largest = Math.max(0, ...batch.messages.map(({ value }) => value.byteLength));
    if (largest <= valueBytesMax) return batch;
    if (batch.taken.length > 1) return this.#build(batch.taken.slice(0, batch.taken.length >>> 1));
    const error = new PipelineError('message_too_large', `rows of ${largest} bytes were made from it, the log takes ${valueBytesMax}; send it in parts`);
    return buildBatch([{ ...batch.taken[0]!, message: null, error }], target);
  }

  #timed<T>(work: () => T): T {
    const before = process.threadCpuUsage();
    const result = work();
    const { user, system } = process.threadCpuUsage(before);
    this.#options.metrics.cpu(user + system);
    return result;
  }

  async #send({ to, taken, messages, counts }: Batch): Promise<void> {
    const { metrics, shards } = this.#options;
    for (const { record, error } of taken) if (error) await this.#bury(record, error);
    for (const message of messages) await this.#sendRows(message);
    metrics.rows(counts);
    this.#sent = withSent(this.#sent, shards, to, new Set(messages.map(({ shard }) => shard)));
    this.#offset = to + 1;
    this.#unreadSinceMillis = taken.at(-1)?.record.appendTimeMillis ?? this.#unreadSinceMillis;
    await this.#insist(() => this.#remember(true, null));
    await this.#trimWhenDue();
  }

  /** Asked again when there is nothing to read: a full log that was read to its end would stay full otherwise. */
  async #trimWhenDue(): Promise<void> {
    if (this.#offset > this.#trimmedTo && Math.abs(Date.now() - this.#trimmedMillis) >= trimMillis) await this.#insist(() => this.#trim());
  }

  async #trim(): Promise<void> {
    const { log, source } = this.#options;
    this.#trimmedMillis = Date.now();
    const offset = this.#offset;
    await log.trim(source.topic, this.partition, offset);
    this.#trimmedTo = offset;
  }

  async #sendRows({ shard, value, stacks }: RowMessage): Promise<void> {
    const { known, metrics, log } = this.#options;
    await this.#insist(() => log.append(rowsTopic, shard, { value }));
    for (const { words, date } of stacks) known.add(words, date, shard);
    metrics.sent(1, value.byteLength);
  }

  async #bury(record: LogRecord, error: PipelineError): Promise<void> {
    const { source, metrics, logger, deadLetters } = this.#options;
    await this.#insist(() => deadLetters.add(source, record, error));
    metrics.dead(error.code);
    logger.warn(
      `message ${record.offset} of ${source.topic}/${source.partition} goes to ${deadLetterTopic}: ${error.message.slice(0, reasonChars)}`,
      errorFields(error),
    );
  }

  async #remember(running: boolean, attempt: Hints['attempt']): Promise<void> {
    const { log, source } = this.#options;
    this.#attempt = attempt;
    const hints = () => formatHints({ logId: source.logId, running, attempt, sent: this.#sent });
    let metadata = hints();
    if (metadata === null) {
      await this.#bringUpToDate();
      metadata = hints();
    }
    if (metadata === null) throw new Error('hints of no shard do not fit');
    await log.remember(processorGroup, source.topic, this.partition, { offset: this.#offset, metadata });
  }

  /** Too many shards are behind to be listed: a message without rows brings each to the same position. */
  async #bringUpToDate(): Promise<void> {
    const { shards, source, known, symbols } = this.#options;
    const target = { shards, source, sent: this.#sent, known, nameOf: symbols.nameOf.bind(symbols) };
    for (const shard of this.#sent.shards.keys()) await this.#sendRows(emptyRowMessage(target, shard, this.#sent.others));
    this.#sent = { others: this.#sent.others, shards: new Map() };
  }

  /** Tries again for as long as the log only asks for time. */
  async #insist<T>(work: () => Promise<T>): Promise<T> {
    for (let wait = retryMillisMin; ; wait = Math.min(2 * wait, retryMillisMax)) {
      try {
        const result = await work();
        this.#trouble = null;
        return result;
      } catch (error) {
        if (!(isPipelineError(error, 'log_full') || isPipelineError(error, 'log_unavailable')) || this.#isOutOfTime()) throw error;
        if (this.#trouble === null) this.#options.logger.warn(`partition ${this.partition} waits: ${error.message}`, errorFields(error));
        this.#trouble = error.message;
        await sleep(wait);
      }
    }
  }
}

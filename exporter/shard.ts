// One shard's loop: reads flamelake.rows, has the builder take it, puts hot objects every few seconds
// and publishes when it is time. All that it knows comes from the records; whenever that may no longer
// be true (a lost race, a store that failed half-way) it forgets everything and loads again.
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import type { Log, LogRecord } from '../lib/log/log.ts';
import { TopicBound } from '../lib/log/topic-bound.ts';
import { errorFields, type LogFields } from '../lib/logger.ts';
import { floorDays, readFloor } from '../schemas/lake/floor.ts';
import { lossReasons } from '../schemas/lake/lost.ts';
import type { CommitRecord } from '../schemas/lake/record.ts';
import type { LakeSettings } from '../schemas/lake/settings.ts';
import { deadLetterBytesMax, deadLetterHeaders, deadLetterTopic, exporterGroup, rowsTopic } from '../schemas/topics.ts';
import type { AppendResult, OpenBatch } from './builder.ts';
import { foldOldRecords } from './fold.ts';
import { HotTier, type ListedHot } from './hot-tier.ts';
import { sweepSideObjects, sweepStaging } from './housekeeping.ts';
import { openBatchShare, readBytesMax, readWaitMillisMax, retryMillisMax, retryMillisMin, sweepMillis } from './limits.ts';
import { overtakenLoss } from './losses.ts';
import type { ExporterMetrics, ShardGauges } from './metrics.ts';
import { adoptionRecord, type PublisherOptions, publish } from './publisher.ts';
import { finishRecord, putRecord, readHead } from './records.ts';
import { Retention, type RetentionLimits } from './retention.ts';
import { createRetry, isTransient } from './retry.ts';
import { isFull, type PublishLimits, publishIsDue } from './schedule.ts';

export interface ShardOptions extends PublisherOptions {
  readonly log: Log;
  readonly settings: LakeSettings;
  readonly limits: PublishLimits & RetentionLimits & { readonly hotIntervalMillis: number };
  readonly metrics: ExporterMetrics;
  /** Whether the local disk has less room than is to be kept on it. */
  readonly diskIsLow?: () => boolean;
}

const nothingOpen: OpenBatch = { rows: 0, stacks: 0, messageBytes: 0, openBytes: 0, heldBytes: 0, hotBytes: 0, firstAppendMillis: null };

export class Shard {
  readonly #options: ShardOptions;
  readonly #deadLetters: TopicBound;
  readonly #retention: Retention;
  readonly #hot: HotTier;
  readonly #stopping = new AbortController();
  #state: 'loading' | 'reading' | 'waiting' | 'stopped' = 'loading';
  /** Why it waits, one line; shown in the status and logged once. */
  #trouble: string | null = null;
  #head: CommitRecord | null = null;
  #logId = '';
  #next = 0;
  #end = 0;
  #oldest = 0;
  /** What is unread now was appended after this. */
  #unreadSinceMillis: number;
  #open: OpenBatch = nothingOpen;
  #openSince = 0;
  #refused = false;
  #mustLoad = true;
  /** An error of the program itself in what runs beside the loop; the loop throws it. */
  #fatal: { error: unknown } | null = null;
  #running: Promise<void> = Promise.resolve();
  #publishing: Promise<void> | null = null;
  #sweeping: Promise<void> | null = null;
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(options: ShardOptions) {
    this.#options = options;
    this.#deadLetters = new TopicBound(options.log, deadLetterTopic, deadLetterBytesMax);
    this.#retention = new Retention(options);
    this.#hot = new HotTier(options);
    this.#unreadSinceMillis = options.clock.wallMillis();
  }

  get ready(): boolean {
    return this.#state === 'reading';
  }

  get text(): string {
    const name = `shard ${this.#options.shard}`;
    return this.#trouble === null
      ? `${name}: ${this.#state}, record ${this.#head?.seq ?? 0}, ${this.#end - this.#next} messages behind`
      : `${name}: ${this.#trouble}`;
  }

  /** The end is asked of the log itself: where nothing moves, what the last read saw grows old. */
  async gauges(): Promise<ShardGauges> {
    const { log, shard, clock } = this.#options;
    const end = await log.range(rowsTopic, shard).then(
      (range) => range.end,
      () => this.#end,
    );
    const lag = Math.max(0, end - this.#next);
    return {
      shard,
      lagRecords: lag,
      lagSeconds: lag === 0 ? 0 : Math.max(0, clock.wallMillis() - this.#unreadSinceMillis) / 1000,
      marginRecords: (this.#head?.position ?? 0) - this.#oldest,
      heldBytes: this.#open.heldBytes,
      openRows: this.#open.rows,
      hotObjects: this.#hot.objects,
    };
  }

  /** Runs until stop; rejects only for errors of the program itself. */
  run(): Promise<void> {
    this.#running = this.#loop();
    return this.#running;
  }

  async #loop(): Promise<void> {
    let wait = retryMillisMin;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.step();
        wait = retryMillisMin;
      } catch (error) {
        this.#fail(error);
        await this.#options.clock.sleep(wait, this.#stopping.signal);
        wait = Math.min(2 * wait, retryMillisMax);
      }
    }
  }

  /** Takes what is in the log, makes it visible, and leaves. What is not published stays in the log. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#options.builder.abandon();
    await this.#publishing;
    await this.#sweeping;
    if (this.#state !== 'loading' && !this.#mustLoad) await this.#drain().catch((error: unknown) => this.#fail(error));
    this.#state = 'stopped';
    await this.#options.builder.close();
  }

  /** One turn of the loop: load if need be, read, write hot, begin a publication. */
  async step(): Promise<void> {
    if (this.#fatal !== null) throw this.#fatal.error;
    if (this.#mustLoad) await this.#load();
    if (this.#mustLoad) return; // the records went on while they were read
    await this.#read(this.#readWait());
    if (this.#hot.isDue(this.#open.hotBytes)) await this.#writeHot();
    // A publication that has just failed leaves its batch closed until the next load.
    if (this.#publishing === null && !this.#mustLoad && this.#publishIsDue()) await this.#beginPublication();
    this.#beginSweep();
    if (!this.#refused) this.#settle();
  }

  /** For tests: waits for the publication that is under way. */
  async published(): Promise<void> {
    await this.#publishing;
  }

  #settle(): void {
    if (this.#trouble !== null) this.#options.logger.info('goes on', { shard: this.#options.shard });
    this.#trouble = null;
    this.#state = 'reading';
  }

  #fail(error: unknown): void {
    if (!isPipelineError(error)) throw error;
    this.#options.metrics.retried(this.#options.shard, error.code);
    this.#complain(error.message, errorFields(error));
    // A log or store that is away for a moment has changed nothing here.
    if (!isTransient(error)) this.#mustLoad = true;
  }

  #complain(message: string, fields: LogFields): void {
    if (this.#trouble !== message) this.#options.logger.error(message, { ...fields, shard: this.#options.shard });
    this.#trouble = message;
    this.#state = 'waiting';
  }

  // --- loading ---------------------------------------------------------------------------------

  async #load(): Promise<void> {
    const { store, log, builder, shard, logger } = this.#options;
    await builder.abandon();
    await this.#publishing;
    const hot = await this.#hot.list();
    const head = await readHead(store, shard);
    if (head !== null) await finishRecord(store, head);
    const topic = await log.topic(rowsTopic);
    if (head !== null && head.logId !== topic.logId) return this.#adopt(head, topic.logId, hot);
    const range = await log.range(rowsTopic, shard);
    // Only what is in a record leaves the log: the first record came since, or retention took what no lake had seen.
    if (head === null && range.start > 0 && (await readHead(store, shard)) !== null) return this.#load();
    if (head !== null && head.position > range.end) {
      throw new PipelineError(
        'log_corrupt',
        `shard ${shard}: the lake has all of ${rowsTopic} up to ${head.position}, the log ends at ${range.end}; the log is an older copy than the lake, restore both from one moment (or start with an empty log, whose rows then come anew)`,
      );
    }
    const start = head?.position ?? range.start;
    const covered = await this.#hot.dropForeign(hot, topic.logId, range.end);
    this.#hot.begin(topic.logId);
    await builder.load(
      head,
      start,
      covered.filter(({ to }) => to > start).map(({ from, to }) => ({ from, to })),
    );
    this.#head = head;
    this.#logId = topic.logId;
    this.#next = start;
    this.#oldest = range.start;
    this.#open = nothingOpen;
    this.#refused = false;
    this.#mustLoad = false;
    if (head !== null) this.#hot.rememberPublic(head);
    logger.debug('loaded', { shard, record: head?.seq ?? 0, position: start, end: range.end });
    if (start < range.start) await this.#overtaken(range.start);
  }

  /**
   * The topic was made anew, and its offsets mean other messages now. The record that says so is put first, on
   * condition like any other; hot objects under the old ones are nobody's from then on, and go with the next load.
   */
  async #adopt(head: CommitRecord, logId: string, hot: readonly ListedHot[]): Promise<void> {
    const { store, log, shard, logger } = this.#options;
    const unpublished = hot.filter(({ to }) => to > head.position).length;
    logger.error(`${rowsTopic} was made anew; rows that were not published are lost with the old one`, {
      shard,
      position: head.position,
      unpublishedHotObjects: unpublished,
    });
    await this.#hot.dropNameless(hot);
    const range = await log.range(rowsTopic, shard);
    await putRecord(store, adoptionRecord(this.#options, head, logId, range.start));
    return this.#load();
  }

  /** Retention took messages that were not read: counted as lost, never stepped over in silence. */
  async #overtaken(oldest: number): Promise<void> {
    const { store, builder, clock, logger, metrics, shard } = this.#options;
    // Whoever has published since has also taken from the log what is public now.
    if ((await readHead(store, shard))?.attempt !== this.#head?.attempt) {
      this.#mustLoad = true;
      return;
    }
    const loss = overtakenLoss({ logId: this.#logId, topic: rowsTopic, shard, from: this.#next, to: oldest, appendTimeMillis: clock.wallMillis() });
    logger.error('retention has overtaken the exporter: messages are lost', { shard, from: this.#next, to: oldest - 1 });
    metrics.lost(shard, loss.reason, loss.count);
    this.#touchOpen(await builder.addLoss(loss));
    this.#next = oldest;
    this.#oldest = oldest;
  }

  // --- reading ---------------------------------------------------------------------------------

  #readWait(): number {
    return Math.min(readWaitMillisMax, this.#hot.waitMillis ?? readWaitMillisMax);
  }

  async #read(waitMillis: number): Promise<void> {
    const { log, shard, clock, limits } = this.#options;
    const share = this.#publishing === null ? 1 : openBatchShare;
    if (isFull(this.#open, limits, share)) {
      // The log keeps the rest until the publication under way is through.
      if (this.#publishing !== null) await clock.sleep(Math.min(waitMillis, retryMillisMin), this.#stopping.signal);
      return;
    }
    let result: Awaited<ReturnType<Log['read']>>;
    try {
      const { signal } = this.#stopping;
      result = await log.read(rowsTopic, shard, this.#next, { bytesMax: readBytesMax, waitMillis, ...(waitMillis > 0 ? { signal } : {}) });
    } catch (error) {
      if (!isPipelineError(error, 'offset_out_of_range')) throw error;
      const range = await log.range(rowsTopic, shard);
      if (range.start <= this.#next) {
        this.#mustLoad = true; // below its start or beyond its end: loading says which
        throw error;
      }
      return this.#overtaken(range.start);
    }
    this.#end = result.range.end;
    this.#oldest = result.range.start;
    if (result.records.length > 0) await this.#append(result.records);
    else {
      // A log may step over offsets that hold no record for us.
      this.#next = Math.max(this.#next, result.next);
      this.#unreadSinceMillis = clock.wallMillis();
    }
  }

  async #append(records: readonly LogRecord[]): Promise<void> {
    const { builder, metrics, shard } = this.#options;
    const result = await builder.append(records.map(({ offset, appendTimeMillis, value }) => ({ offset, appendTimeMillis, value })));
    this.#next = result.next;
    this.#unreadSinceMillis = records.findLast(({ offset }) => offset < result.next)?.appendTimeMillis ?? this.#unreadSinceMillis;
    this.#touchOpen(result.open);
    metrics.appended(shard, result);
    for (const [reason, count] of Object.entries(result.losses)) this.#options.logger.error('a range never came', { shard, reason, count });
    if (result.malformed.length > 0) await this.#bury(records, result.malformed);
    this.#refused = result.refused !== null;
    if (result.refused !== null) {
      this.#complain(result.refused.message, { 'error.type': result.refused.code });
      await this.#options.clock.sleep(retryMillisMin, this.#stopping.signal);
    }
  }

  #touchOpen(open: OpenBatch): void {
    if (this.#open.firstAppendMillis === null && open.firstAppendMillis !== null) this.#openSince = this.#options.clock.monotonicMillis();
    this.#open = open;
    this.#hot.touch();
  }

  /** Messages that can't be decoded are kept for a person to look at; the gap they leave is counted by their source. */
  async #bury(records: readonly LogRecord[], malformed: AppendResult['malformed']): Promise<void> {
    const { log, logger, metrics, shard } = this.#options;
    metrics.malformed(shard, malformed.length);
    for (const { offset, message } of malformed) {
      logger.error(message, { shard, offset });
      const record = records.find((candidate) => candidate.offset === offset)!;
      const headers = {
        [deadLetterHeaders.reason]: 'rows_malformed',
        [deadLetterHeaders.message]: message,
        [deadLetterHeaders.logId]: this.#logId,
        [deadLetterHeaders.partition]: String(shard),
        [deadLetterHeaders.offset]: String(offset),
      };
      try {
        const removed = await this.#deadLetters.makeRoom(record.value.length);
        if (removed > 0) logger.warn('dead letters had to make room for newer ones', { shard, removed });
        await log.append(deadLetterTopic, null, { value: record.value, headers });
      } catch (error) {
        if (!isPipelineError(error)) throw error;
        logger.error('a malformed message could not be kept as a dead letter', { ...errorFields(error), shard, offset, error: error.message });
      }
    }
  }

  async #writeHot(): Promise<void> {
    await this.#hot.write();
    this.#open = { ...this.#open, hotBytes: 0 };
  }

  // --- publishing ------------------------------------------------------------------------------

  #publishIsDue(): boolean {
    const { clock, limits } = this.#options;
    return publishIsDue(
      {
        nowMillis: clock.wallMillis(),
        openForMillis: clock.monotonicMillis() - this.#openSince,
        caughtUp: this.#next >= this.#end || this.#refused,
        head: this.#head,
        open: this.#open,
        diskIsLow: this.#options.diskIsLow?.() ?? false,
      },
      limits,
    );
  }

  async #beginPublication(): Promise<void> {
    // All that will be in the batch is visible before it is closed; pending objects may be older than it.
    await this.#writeHot();
    await this.#options.builder.cut(floorDays(await readFloor(this.#options.store)));
    this.#open = { ...nothingOpen, heldBytes: this.#open.heldBytes };
    this.#publishing = this.#publish().finally(() => {
      this.#publishing = null;
    });
  }

  async #publish(): Promise<void> {
    const { clock, logger, metrics, shard } = this.#options;
    const begun = clock.monotonicMillis();
    const retry = createRetry(clock, logger, this.#stopping.signal, (reason) => metrics.retried(shard, reason));
    try {
      const outcome = await publish(this.#options, this.#head, this.#logId, retry);
      if (outcome.kind !== 'won') {
        this.#mustLoad = true;
        metrics.retried(shard, outcome.kind === 'lost' ? 'lost_race' : `abandoned_${outcome.reason}`);
        if (outcome.kind === 'lost')
          logger.warn('another exporter has published; reading from its record', { shard, record: outcome.record.seq, writer: outcome.record.writer });
        return;
      }
      const { record, publication } = outcome;
      this.#head = record;
      this.#hot.rememberPublic(record);
      const seconds = (clock.monotonicMillis() - begun) / 1000;
      const bytes = record.files.reduce((sum, file) => sum + file.bytes, 0);
      metrics.published(shard, { files: record.files.length, samples: record.samples, stacks: record.stacks, bytes, seconds });
      for (const reason of [lossReasons.stackLost, lossReasons.belowRetention]) metrics.lost(shard, reason, publication.losses[reason] ?? 0);
      logger.info('published', {
        shard,
        record: record.seq,
        samples: record.samples,
        stacks: record.stacks,
        files: record.files.length,
        bytes,
        seconds: Number(seconds.toFixed(2)),
      });
      await this.#release(record);
    } catch (error) {
      this.#mustLoad = true;
      if (isPipelineError(error)) this.#fail(error);
      else this.#fatal = { error };
    }
  }

  /** Only now, with every public file durable under its name, may rows leave the log. */
  async #release(record: CommitRecord): Promise<void> {
    const { log, shard, logger } = this.#options;
    try {
      await log.remember(exporterGroup, rowsTopic, shard, { offset: record.position, metadata: `record ${record.seq}` });
      await log.trim(rowsTopic, shard, record.position);
    } catch (error) {
      if (!isPipelineError(error)) throw error;
      logger.warn('the log keeps published rows until the next publication', { ...errorFields(error), shard, error: error.message });
    }
  }

  // --- housekeeping ----------------------------------------------------------------------------

  #beginSweep(): void {
    const { clock } = this.#options;
    if (this.#sweeping !== null || clock.monotonicMillis() - this.#sweptAt < sweepMillis) return;
    this.#sweptAt = clock.monotonicMillis();
    this.#sweeping = this.#sweep()
      .catch((error: unknown) => {
        if (!isPipelineError(error)) this.#fatal = { error };
        else this.#options.logger.warn('sweeping waits', { ...errorFields(error), shard: this.#options.shard, error: error.message });
      })
      .finally(() => {
        this.#sweeping = null;
      });
  }

  async #sweep(): Promise<void> {
    const { store, settings, shard, clock } = this.#options;
    await this.#hot.sweep();
    await sweepSideObjects(store, shard, clock.wallMillis());
    await sweepStaging(store, settings.shards, clock.wallMillis());
    await foldOldRecords(store, shard, clock.wallMillis());
    await this.#retention.pass();
  }

  async #drain(): Promise<void> {
    const { log, shard, limits } = this.#options;
    const { end } = await log.range(rowsTopic, shard);
    while (this.#next < end && !this.#refused && !this.#mustLoad && !isFull(this.#open, limits)) await this.#read(0);
    await this.#writeHot();
  }
}

// Everything of one shard that costs CPU: decoding messages, deciding what is new, holding it as
// columns, and making Parquet of it. Runs in a worker (worker.ts) or, in tests, in place. It knows
// nothing of the log and puts nothing into the store; shard.ts does both.
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import type { Store } from '../lib/store/store.ts';
import type { HotMessage } from '../schemas/hot/codec.ts';
import { lossReasons } from '../schemas/lake/lost.ts';
import { dateDays } from '../schemas/lake/paths.ts';
import type { CommitRecord } from '../schemas/lake/record.ts';
import type { LakeSettings } from '../schemas/lake/settings.ts';
import { decodeRows } from '../schemas/rows/codec.ts';
import type { RowsMessage } from '../schemas/rows/message.ts';
import { type Admission, admit, gapTimeMillis, SourceState } from './admit.ts';
import { datesOf, MessageAppender } from './append.ts';
import { Batch, datedStack, dateOf } from './batch.ts';
import type { AppendResult, Builder, BuildOrder, HotObject, Loss, OffsetRange, OpenBatch, Publication, RowsInput } from './builder.ts';
import { encodeCarry } from './carry.ts';
import { restoreDigests } from './digest-records.ts';
import { type Arrived, hotObjects } from './hot-objects.ts';
import { KnownStacks } from './known-stacks.ts';
import { addLostRow, addLostStack, belowRetentionLoss, gapLoss, type LossPlace, lossDate, malformedLoss, stackLostCut } from './losses.ts';
import { buildPublication, type ClosedBatch } from './publication.ts';

export interface ShardBuilderOptions {
  readonly store: Store;
  readonly settings: LakeSettings;
  readonly shard: number;
  /** The index of stack ids lies here. */
  readonly indexDir: string;
}

type Counts = { -readonly [Name in 'rows' | 'stacks' | 'repeated' | 'duplicates' | 'duplicateProfiles']: AppendResult[Name] } & {
  losses: Record<string, number>;
};

/** Thrown through a build that is no longer wanted. */
class Abandoned extends Error {}

/** The batch that is open, with what the next record will say about it. */
class OpenState {
  readonly batch = new Batch();
  /** (date, stack) pairs known to be in the lake. */
  readonly known = new Set<number>();
  /** (date, stack) pairs of rows that are nowhere yet, with the first such row. */
  readonly missing = new Map<number, number>();
  readonly losses: Record<string, number> = {};
  duplicates = 0;
  messageBytes = 0;
  firstAppendMillis: number | null = null;
}

export class ShardBuilder implements Builder {
  readonly #options: ShardBuilderOptions;
  readonly #known: KnownStacks;
  #source = new SourceState();
  #open = new OpenState();
  #closed: ClosedBatch | null = null;
  #head: CommitRecord | null = null;
  #next = 0;
  #hotCovered: readonly OffsetRange[] = [];
  /** What waits for its hot object. */
  #arrived: Arrived[] = [];
  #arrivedBytes = 0;
  #generation = 0;

  constructor(options: ShardBuilderOptions) {
    this.#options = options;
    this.#known = new KnownStacks(options.store, options.settings.lakeId, options.shard, options.indexDir);
  }

  async load(head: CommitRecord | null, start: number, hot: readonly OffsetRange[]): Promise<void> {
    this.#generation++;
    this.#closed = null;
    this.#open = new OpenState();
    this.#arrived = [];
    this.#arrivedBytes = 0;
    this.#hotCovered = hot;
    this.#head = head;
    this.#next = start;
    this.#source = new SourceState(head);
    await restoreDigests(this.#options.store, head, this.#source.digests);
    await this.#known.sync(head);
  }

  async append(messages: readonly RowsInput[]): Promise<AppendResult> {
    const counts: Counts = { rows: 0, stacks: 0, repeated: 0, duplicates: 0, duplicateProfiles: 0, losses: {} };
    const malformed: { offset: number; message: string }[] = [];
    let refused: AppendResult['refused'] = null;
    for (const input of messages) {
      try {
        await this.#appendOne(input, counts);
      } catch (error) {
        if (!isPipelineError(error)) throw error;
        if (error.code !== 'message_malformed') {
          refused = { code: error.code, message: error.message };
          break;
        }
        malformed.push({ offset: input.offset, message: error.message });
        await this.#loseMessage(input, counts);
      }
    }
    return { ...counts, next: this.#next, malformed, refused, open: this.#openBatch() };
  }

  async addLoss(loss: Loss): Promise<OpenBatch> {
    await this.#known.ensure([lossDate(loss)]);
    const { rows, stacks } = this.#open.batch;
    this.#addLostRow(loss, this.#open.losses);
    this.#arrive(loss.offset, this.#lostMessages(loss.offset, rows, stacks));
    this.#endOffset(loss.offset, loss.appendTimeMillis, rows, stacks);
    return this.#openBatch();
  }

  async takeHot(): Promise<readonly HotObject[]> {
    const arrived = this.#arrived;
    this.#arrived = [];
    this.#arrivedBytes = 0;
    return hotObjects(arrived, this.#hotCovered);
  }

  async cut(floorDate = Number.NEGATIVE_INFINITY): Promise<void> {
    if (this.#closed !== null) throw new Error('cut: a batch is closed already');
    if (this.#arrived.length > 0) throw new Error('cut: hot objects were not taken');
    this.#placeLostStacks();
    const below = await this.#loseBelow(floorDate);
    const { batch, duplicates, losses } = this.#open;
    const { appendMillis: clockMillis, clock, recent } = this.#source;
    const state = { clockMillis, windowMillis: clock.nowMillis, highWaters: this.#source.waters() };
    this.#closed = { batch, duplicates, losses, ...state, digests: recent, position: this.#next, below };
    this.#source.cut();
    this.#open = new OpenState();
  }

  async build(order: BuildOrder): Promise<Publication | null> {
    if (this.#closed === null) throw new Error('build: no batch is closed');
    const generation = this.#generation;
    const pause = async () => {
      await new Promise(setImmediate);
      if (generation !== this.#generation) throw new Abandoned();
    };
    const { store, settings, shard } = this.#options;
    try {
      return await buildPublication(this.#closed, order, { store, settings, shard, head: this.#head, pause });
    } catch (error) {
      if (error instanceof Abandoned) return null;
      throw error;
    }
  }

  async abandon(): Promise<void> {
    this.#generation++;
  }

  async commit(record: CommitRecord): Promise<void> {
    if (this.#closed === null) throw new Error('commit: no batch is closed');
    await this.#known.commit(record, this.#closed.batch);
    this.#head = record;
    this.#closed = null;
  }

  async close(): Promise<void> {
    this.#generation++;
    this.#known.close();
  }

  async #appendOne(input: RowsInput, counts: Counts): Promise<void> {
    const message = decodeRows(input.value);
    this.#checkAddress(message);
    // All that may fail or wait comes first; from `admit` on the message is taken whole.
    const dates = datesOf(message);
    // A lost row has a stack too.
    dates.add(dateOf(BigInt(gapTimeMillis(message, input.appendTimeMillis)) * 1000n));
    const reading = this.#known.ensure(dates);
    if (reading !== null) await reading;
    const { batch } = this.#open;
    const { rows, stacks } = batch;
    const admission = admit(this.#source, message, input.appendTimeMillis);
    if (admission.gap !== null) this.#addLostRow(gapLoss(admission.gap, input.offset), counts.losses);
    const hot = this.#lostMessages(input.offset, rows, stacks);
    const appender = new MessageAppender(batch, message);
    this.#appendStacks(message, appender);
    for (const range of admission.rows) {
      appender.addRows(range.start, range.end, range.appendTimeMillis, (date, stack, row) => this.#needStack(date, stack, row));
    }
    this.#count(admission, counts);
    counts.rows += batch.rows - rows;
    counts.stacks += batch.stacks - stacks;
    if (admission.rows.length + message.stacks.length > 0) hot.push({ offset: input.offset, value: input.value, rows: admission.rows });
    this.#arrive(input.offset, hot);
    this.#endMessage(input, rows, stacks);
  }

  /** A message that can't be decoded: what was in it shows as a gap of its source later, that it is lost at once. */
  async #loseMessage(input: RowsInput, counts: Counts): Promise<void> {
    const loss = malformedLoss(this.#options.shard, input);
    await this.#known.ensure([lossDate(loss)]);
    const { rows, stacks } = this.#open.batch;
    this.#addLostRow(loss, counts.losses);
    this.#arrive(input.offset, this.#lostMessages(input.offset, rows, stacks));
    this.#endMessage(input, rows, stacks);
  }

  #checkAddress(message: RowsMessage): void {
    const { settings, shard } = this.#options;
    if (message.routing !== settings.routing) {
      throw new PipelineError(
        'message_version',
        `row message of ${message.topic}/${message.partition}: shard function ${message.routing} was found, this lake is made with ${settings.routing}; run the processor of the version that fits the lake`,
      );
    }
    if (message.shard !== shard) {
      throw new PipelineError(
        'message_version',
        `row message of shard ${message.shard} was found in partition ${shard}; the topic has another number of partitions than the lake has shards (${settings.shards})`,
      );
    }
  }

  /** Of every segment, also of those whose rows are dropped: a processor names a stack once and relies on it. */
  #appendStacks(message: RowsMessage, appender: MessageAppender): void {
    const { batch } = this.#open;
    for (const segment of message.segments) {
      for (let row = segment.stackStart; row < segment.stackEnd; row++) {
        const date = message.stacks.date[row]!;
        const stack = appender.stackOf(row);
        if (batch.stackRow(date, stack) >= 0 || this.#isKnown(date, batch.stackIdText(stack))) continue;
        appender.addStack(row, segment.appendTimeMillis);
      }
    }
  }

  #isKnown(date: number, id: string): boolean {
    return this.#closed?.batch.hasStack(date, id) === true || this.#known.has(date, id);
  }

  #lossPlace(): LossPlace {
    const { settings, shard } = this.#options;
    return { shard, shards: settings.shards, isKnown: (date, id) => this.#isKnown(date, id) };
  }

  #needStack(date: number, stack: number, row: number): void {
    const { batch, known, missing } = this.#open;
    if (batch.stackRow(date, stack) >= 0) return;
    const key = datedStack(date, stack);
    if (known.has(key)) return;
    if (this.#isKnown(date, batch.stackIdText(stack))) known.add(key);
    else if (!missing.has(key)) missing.set(key, row);
  }

  /**
   * A row whose stack never came (its message was lost before it reached us) must not dangle: its id is
   * stored without frames, cut `stack_lost`. The id is taken from then on, so a later arrival under the
   * same date is not stored a second time.
   */
  #placeLostStacks(): void {
    const { batch, missing, losses } = this.#open;
    let placed = 0;
    for (const row of missing.values()) {
      const stack = batch.stack.get(row);
      const date = batch.dateOfRow(row);
      if (batch.stackRow(date, stack) >= 0) continue; // it came with a later message
      batch.addStack(date, stack, batch.serviceOfRow(row), batch.string(stackLostCut), [], batch.oldRow.get(row) === 1);
      placed++;
    }
    if (placed > 0) losses[lossReasons.stackLost] = (losses[lossReasons.stackLost] ?? 0) + placed;
  }

  /**
   * Rows of dates that retention has taken are told as one lost row. Those that are carried are counted only
   * when the carry is read: the stack of their row has its place from here on, before the next batch begins.
   */
  async #loseBelow(floorDate: number): Promise<ClosedBatch['below']> {
    const { batch, losses } = this.#open;
    const isCarried = this.#head?.carry?.dates.some((date) => dateDays(date) < floorDate) ?? false;
    let rows = 0;
    for (let row = 0; row < batch.rows; row++) if (batch.dateOfRow(row) < floorDate) rows++;
    let stacks = 0;
    for (let stack = 0; stack < batch.stacks; stack++) if (batch.stackDate.get(stack) < floorDate) stacks++;
    if (rows + stacks === 0 && !isCarried) return null;
    const loss = belowRetentionLoss(rows, { appendTimeMillis: this.#source.appendMillis, offset: this.#next - 1 }, floorDate);
    await this.#known.ensure([lossDate(loss)]);
    if (rows > 0) this.#addLostRow(loss, losses);
    else addLostStack(batch, loss, this.#lossPlace());
    return { floorDate, loss };
  }

  #count(admission: Admission, counts: Counts): void {
    counts.repeated += admission.repeated;
    counts.duplicates += admission.duplicates;
    counts.duplicateProfiles += admission.duplicateProfiles;
    this.#open.duplicates += admission.duplicates;
  }

  #addLostRow(loss: Loss, counts: Record<string, number>): void {
    addLostRow(this.#open.batch, loss, this.#lossPlace());
    for (const losses of new Set([counts, this.#open.losses])) losses[loss.reason] = (losses[loss.reason] ?? 0) + loss.count;
  }

  /** Lost rows came with no message of their own: what of them the batch has from these rows on, as one. */
  #lostMessages(offset: number, rowStart: number, stackStart: number): HotMessage[] {
    const { batch } = this.#open;
    if (batch.rows === rowStart) return [];
    const { shard, settings } = this.#options;
    const value = encodeCarry(batch, shard, settings.routing, indexes(rowStart, batch.rows), indexes(stackStart, batch.stacks));
    return [{ offset, value, rows: [{ start: 0, end: batch.rows - rowStart }] }];
  }

  #arrive(offset: number, messages: readonly HotMessage[]): void {
    this.#arrived.push({ offset, messages });
    for (const { value } of messages) this.#arrivedBytes += value.length;
  }

  #endMessage(input: RowsInput, rowStart: number, stackStart: number): void {
    this.#open.messageBytes += input.value.length;
    this.#endOffset(input.offset, input.appendTimeMillis, rowStart, stackStart);
  }

  #endOffset(offset: number, appendTimeMillis: number, rowStart: number, stackStart: number): void {
    const { batch } = this.#open;
    batch.spans.push({ offset, rowStart, rowEnd: batch.rows, stackStart, stackEnd: batch.stacks });
    this.#next = offset + 1;
    this.#open.firstAppendMillis ??= appendTimeMillis;
  }

  #openBatch(): OpenBatch {
    const { batch, messageBytes, firstAppendMillis } = this.#open;
    const openBytes = batch.bytes;
    return {
      rows: batch.rows,
      stacks: batch.stacks,
      messageBytes,
      firstAppendMillis,
      openBytes,
      heldBytes: openBytes + (this.#closed?.batch.bytes ?? 0),
      hotBytes: this.#arrivedBytes,
    };
  }
}

function indexes(start: number, end: number): Uint32Array {
  return Uint32Array.from({ length: end - start }, (_unused, index) => start + index);
}

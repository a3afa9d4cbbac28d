// From a closed batch to the files of one record: which rows are published and which are carried to
// the daily publication of old dates, how they are cut into files, and what else the record says.
import path from 'node:path';
import { PipelineError } from '../lib/errors.ts';
import type { Store } from '../lib/store/store.ts';
import { lossReasons } from '../schemas/lake/lost.ts';
import { carryKey, dateDays, dateName, type LakeTable, lakeFileKey } from '../schemas/lake/paths.ts';
import type { CommitRecord, HighWater } from '../schemas/lake/record.ts';
import type { LakeSettings } from '../schemas/lake/settings.ts';
import { decodeRows } from '../schemas/rows/codec.ts';
import { MessageAppender } from './append.ts';
import type { Batch } from './batch.ts';
import type { BuildOrder, BuiltCarry, BuiltFile, Loss, Publication } from './builder.ts';
import { encodeCarry } from './carry.ts';
import { type DigestEntries, encodeDigests } from './digests.ts';
import { carryMillis, carryObjectsMax, carryRowsMax, fileRowsMax } from './limits.ts';
import { writeLocal } from './local-files.ts';
import { addLostRow } from './losses.ts';
import { groupSamples, groupStacks } from './order.ts';
import { type TableResult, writeTable } from './tables.ts';

/** What was closed by a cut: the batch and the state of the sources at its end. */
export interface ClosedBatch {
  readonly batch: Batch;
  readonly position: number;
  readonly clockMillis: number;
  readonly windowMillis: number;
  readonly highWaters: readonly HighWater[];
  readonly digests: DigestEntries;
  readonly duplicates: number;
  readonly losses: Readonly<Record<string, number>>;
  /** Set where rows, stacks or the carry have dates below the floor. The row of `loss` is in the batch, its stack in any case. */
  readonly below: { readonly floorDate: number; readonly loss: Loss } | null;
}

export interface PublicationContext {
  readonly store: Store;
  readonly settings: LakeSettings;
  readonly shard: number;
  readonly head: CommitRecord | null;
  /** Lets others have their turn; rejects where the build is no longer wanted. */
  readonly pause: () => Promise<void>;
}

export async function buildPublication(closed: ClosedBatch, order: BuildOrder, context: PublicationContext): Promise<Publication> {
  const { batch } = closed;
  const { head } = context;
  const floorDate = closed.below?.floorDate ?? Number.NEGATIVE_INFINITY;
  const rowIsGone = (row: number) => closed.below !== null && batch.dateOfRow(row) < floorDate;
  const stackIsGone = (stack: number) => closed.below !== null && batch.stackDate.get(stack) < floorDate;
  const isOldStack = oldStacks(batch);
  const rowIsOld = (row: number) => batch.oldRow.get(row) === 1 && !rowIsGone(row);
  const stackIsOld = (stack: number) => isOldStack(stack) && !stackIsGone(stack);
  const oldRows = countWhere(batch.rows, rowIsOld);
  const publishAll =
    head?.carry != null ? carryIsDue(head.carry, oldRows, freshDates(batch, rowIsOld, stackIsOld), order.nowMillis, floorDate) : oldRows >= carryRowsMax;
  const carriedBelow = publishAll && head?.carry != null ? await loadCarry(closed, head.carry.messages, context) : 0;
  const wantsRow = (row: number) => (publishAll || !rowIsOld(row)) && !rowIsGone(row);
  const wantsStack = (stack: number) => (publishAll || !stackIsOld(stack)) && !stackIsGone(stack);
  const files = await publicFiles(batch, wantsRow, wantsStack, order, context);
  const add = publishAll ? [] : await carriedFiles(batch, rowIsOld, stackIsOld, order, context);
  const carriedDates = publishAll ? [] : datesWhere(batch, rowIsOld, stackIsOld);
  const count = (table: LakeTable) => files.filter((file) => file.table === table).reduce((sum, file) => sum + file.rows, 0);
  return {
    position: closed.position,
    clockMillis: closed.clockMillis,
    windowMillis: closed.windowMillis,
    highWaters: closed.highWaters,
    files,
    carry: { add, rows: publishAll ? 0 : oldRows, dates: carriedDates.map(dateName), keep: !publishAll },
    digests: closed.digests.length === 0 ? null : encodeDigests(closed.digests),
    samples: count('samples'),
    stacks: count('stacks'),
    duplicates: closed.duplicates,
    losses:
      carriedBelow === 0 ? closed.losses : { ...closed.losses, [lossReasons.belowRetention]: carriedBelow + (closed.losses[lossReasons.belowRetention] ?? 0) },
  };
}

/**
 * Old dates are published once a day. At once, too, where there is much, and where the record publishes
 * fresh rows of a date that is carried: their stack may lie in the carry only.
 */
function carryIsDue(carry: NonNullable<CommitRecord['carry']>, oldRows: number, fresh: ReadonlySet<number>, nowMillis: number, floorDate: number): boolean {
  const age = nowMillis - carry.sinceMillis;
  return (
    age >= carryMillis ||
    age < -carryMillis || // the clock was set back by a day or more
    carry.rows + oldRows >= carryRowsMax ||
    carry.messages.length >= carryObjectsMax ||
    // Also where some of it may not be published any more.
    carry.dates.some((date) => fresh.has(dateDays(date)) || dateDays(date) < floorDate)
  );
}

/** A stack that came with old rows only is carried with them; one that a published row needs is not. */
function oldStacks(batch: Batch): (stack: number) => boolean {
  const old = new Uint8Array(batch.stacks);
  let any = false;
  for (let stack = 0; stack < batch.stacks; stack++) {
    old[stack] = batch.oldStack.get(stack);
    any ||= old[stack] === 1;
  }
  for (let row = 0; any && row < batch.rows; row++) {
    if (batch.oldRow.get(row) === 1) continue;
    const stack = batch.stackRow(batch.dateOfRow(row), batch.stack.get(row));
    if (stack >= 0) old[stack] = 0;
  }
  return (stack) => old[stack] === 1;
}

function freshDates(batch: Batch, rowIsOld: (row: number) => boolean, stackIsOld: (stack: number) => boolean): Set<number> {
  return new Set(
    datesWhere(
      batch,
      (row) => !rowIsOld(row),
      (stack) => !stackIsOld(stack),
    ),
  );
}

function datesWhere(batch: Batch, row: (row: number) => boolean, stack: (stack: number) => boolean): number[] {
  const dates = new Set<number>();
  for (let index = 0; index < batch.rows; index++) if (row(index)) dates.add(batch.dateOfRow(index));
  for (let index = 0; index < batch.stacks; index++) if (stack(index)) dates.add(batch.stackDate.get(index));
  return [...dates].sort((a, b) => a - b);
}

/**
 * Puts the carried rows and stacks into the batch, as rows that are published like any other. Gives back
 * how many rows are of dates below the floor; they are told as lost by a row of their own.
 */
async function loadCarry({ batch, below }: ClosedBatch, keys: readonly string[], { store, settings, shard, pause }: PublicationContext): Promise<number> {
  const first = batch.rows;
  for (const key of keys) {
    const bytes = await store.get(key);
    if (bytes === null) throw new PipelineError('store_missing', `${key}: the head record carries it and it is gone; restore it from a backup`);
    const message = decodeRows(bytes);
    const appender = new MessageAppender(batch, message);
    for (let stack = 0; stack < message.stacks.length; stack++) {
      if (batch.stackRow(message.stacks.date[stack]!, appender.stackOf(stack)) < 0) appender.addStack(stack, 0);
    }
    appender.addRows(0, message.samples.length, 0, () => {});
    await pause();
  }
  if (below === null) return 0;
  const gone = countWhere(batch.rows - first, (row) => batch.dateOfRow(first + row) < below.floorDate);
  if (gone > 0) addLostRow(batch, { ...below.loss, count: gone }, { shard, shards: settings.shards, isKnown: () => true });
  return gone;
}

interface PlannedFile {
  readonly table: LakeTable;
  readonly date: number;
  readonly hour: number;
  readonly rows: Uint32Array;
}

async function publicFiles(
  batch: Batch,
  wantsRow: (row: number) => boolean,
  wantsStack: (stack: number) => boolean,
  order: BuildOrder,
  { shard, pause }: PublicationContext,
): Promise<BuiltFile[]> {
  const samples = groupSamples(batch, wantsRow);
  await pause();
  // A stacks file lies under the first hour that this record has rows of in its date.
  const hourOf = (date: number) => samples.find((group) => group.date === date)?.hour ?? 0;
  const stacks = groupStacks(batch, wantsStack).map((group) => ({ date: group.date, hour: hourOf(group.date), rows: group.stacks }));
  const planned: PlannedFile[] = [
    ...stacks.map((group) => ({ table: 'stacks' as const, ...group })),
    ...samples.map((group) => ({ table: 'samples' as const, ...group })),
  ];
  const files: BuiltFile[] = [];
  for (const { table, date, hour, rows } of planned) {
    for (let part = 0; part * fileRowsMax < rows.length; part++) {
      const key = lakeFileKey(table, dateName(date), shard, hour, order.seq, part);
      const file = path.join(order.directory, key.replaceAll('/', '_'));
      const result = await run(writeTable(table, file, batch, rows.subarray(part * fileRowsMax, (part + 1) * fileRowsMax), null), pause);
      files.push({ table, key, file, rows: result.rows, bytes: result.bytes, sha256: result.sha256 });
    }
  }
  return files;
}

async function carriedFiles(
  batch: Batch,
  rowIsOld: (row: number) => boolean,
  stackIsOld: (stack: number) => boolean,
  order: BuildOrder,
  { settings, shard, pause }: PublicationContext,
): Promise<BuiltCarry[]> {
  const rows = indexesWhere(batch.rows, rowIsOld);
  const stacks = indexesWhere(batch.stacks, stackIsOld);
  if (rows.length + stacks.length === 0) return [];
  const carried: BuiltCarry[] = [];
  const add = (part: BuiltCarry['part']) => {
    const key = carryKey(part, shard, order.seq, order.attempt);
    const file = path.join(order.directory, key.replaceAll('/', '_'));
    carried.push({ part, key, file });
    return file;
  };
  const rowOrigin = { shard, offsetOf: (row: number) => batch.offsetOfRow(row) };
  const stackOrigin = { shard, offsetOf: (stack: number) => batch.offsetOfStack(stack) };
  if (stacks.length > 0) await run(writeTable('stacks', add('stacks'), batch, stacks, stackOrigin), pause);
  if (rows.length > 0) await run(writeTable('samples', add('samples'), batch, rows, rowOrigin), pause);
  writeLocal(add('messages'), encodeCarry(batch, shard, settings.routing, rows, stacks));
  return carried;
}

async function run(work: Generator<void, TableResult>, pause: () => Promise<void>): Promise<TableResult> {
  try {
    for (;;) {
      const step = work.next();
      if (step.done === true) return step.value;
      await pause();
    }
  } finally {
    work.return(undefined as never); // closes the file where the pause rejected
  }
}

function indexesWhere(length: number, wanted: (index: number) => boolean): Uint32Array {
  const indexes: number[] = [];
  for (let index = 0; index < length; index++) if (wanted(index)) indexes.push(index);
  return Uint32Array.from(indexes);
}

function countWhere(length: number, wanted: (index: number) => boolean): number {
  let count = 0;
  for (let index = 0; index < length; index++) if (wanted(index)) count++;
  return count;
}

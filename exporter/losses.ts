// What the exporter itself finds missing, told as data: a sample of type lost/count in the lake, whose
// single frame and attribute say the reason, so that anybody can ask for it in SQL.
import { lossReasons, lostAttributes, lostRangeAttributes, lostStackId } from '../schemas/lake/lost.ts';
import { shardOf } from '../schemas/lake/shard.ts';
import { lostFunctionName, lostReasonAttribute, lostSampleType } from '../schemas/otlp/attributes.ts';
import { nullInt32, nullInt64, type ResourceStringColumn, resourceStringColumns } from '../schemas/rows/message.ts';
import { rowsTopic } from '../schemas/topics.ts';
import type { SourceGap } from './admit.ts';
import { oldBelowDate } from './append.ts';
import { type Batch, dateOf } from './batch.ts';
import type { Loss } from './builder.ts';

/** stacks.cut of a stack whose frames were lost on the way. */
export const stackLostCut = 'stack_lost';

const serviceName = 'flamelake.exporter';

/** Offsets (from, to] of an input partition. */
export function gapLoss(gap: SourceGap, offset: number): Loss {
  return {
    reason: lossReasons.sourceGap,
    count: gap.to - gap.from,
    appendTimeMillis: gap.appendTimeMillis,
    offset,
    attributes: lostRangeAttributes(gap, gap.from + 1, gap.to),
  };
}

/** Offsets [from, to) of flamelake.rows. The row is attributed to the last of them. */
export function overtakenLoss(range: { logId: string; topic: string; shard: number; from: number; to: number; appendTimeMillis: number }): Loss {
  return {
    reason: lossReasons.overtaken,
    count: range.to - range.from,
    appendTimeMillis: range.appendTimeMillis,
    offset: range.to - 1,
    attributes: lostRangeAttributes({ ...range, partition: range.shard }, range.from, range.to - 1),
  };
}

/** One message of flamelake.rows, which holds nobody knows how many rows. */
export function malformedLoss(shard: number, { offset, appendTimeMillis }: { offset: number; appendTimeMillis: number }): Loss {
  const attributes = { [lostAttributes.topic]: rowsTopic, [lostAttributes.partition]: String(shard), ...fromTo(offset) };
  return { reason: lossReasons.rowsMalformed, count: 1, appendTimeMillis, offset, attributes };
}

const fromTo = (offset: number) => ({ [lostAttributes.from]: String(offset), [lostAttributes.to]: String(offset) });

/** Rows of dates that retention has taken; told at the newest time that the batch knows, which is not below the floor. */
export function belowRetentionLoss(count: number, batch: { appendTimeMillis: number; offset: number }, floorDate: number): Loss {
  return { ...batch, appendTimeMillis: Math.max(batch.appendTimeMillis, floorDate * dayMillis), reason: lossReasons.belowRetention, count, attributes: {} };
}

const dayMillis = 86_400_000;

/** The date under which the row and its stack are stored. */
export const lossDate = (loss: Loss): number => dateOf(BigInt(loss.appendTimeMillis) * 1000n);

export interface LossPlace {
  readonly shard: number;
  readonly shards: number;
  readonly isKnown: (date: number, id: string) => boolean;
}

/** The stack of a loss, where it is new under its date. */
export function addLostStack(batch: Batch, loss: Loss, place: LossPlace): { service: string; stack: number } {
  const { service, id } = lostStack(loss.reason, place);
  const date = lossDate(loss);
  const stack = batch.stackNumber(id);
  if (batch.stackRow(date, stack) < 0 && !place.isKnown(date, id)) {
    batch.addStack(date, stack, batch.string(service), 0, [lostFrame(batch, loss.reason)], date < oldBelowDate(loss.appendTimeMillis));
  }
  return { service, stack };
}

/** Adds the row, and its stack with it. */
export function addLostRow(batch: Batch, loss: Loss, place: LossPlace): void {
  const { service, stack } = addLostStack(batch, loss, place);
  const time = BigInt(loss.appendTimeMillis) * 1000n;
  const old = lossDate(loss) < oldBelowDate(loss.appendTimeMillis);
  const attributes = Object.entries({ ...loss.attributes, [lostReasonAttribute]: loss.reason }).sort(([a], [b]) => (a < b ? -1 : 1));
  const [type, unit] = lostSampleType;
  const series = batch.internSeries(lostResource(batch, service), batch.internType(batch.string(type), batch.string(unit)), 0, 0, 0, nullInt64);
  batch.addRow({
    time,
    series,
    stack,
    old,
    duration: nullInt64,
    value: BigInt(loss.count),
    count: BigInt(loss.count),
    weight: 1,
    link: 0,
    cpu: nullInt32,
    attributes: batch.map(attributes.map(([key, value]) => ({ key, value }))),
  });
}

/**
 * A row must lie in the shard that its stack id gives, and the id begins with its service: the first
 * name that leads here is taken (with one shard that is always the plain one).
 */
function lostStack(reason: string, { shard, shards }: LossPlace): { service: string; id: string } {
  for (let number = 0; ; number++) {
    const service = number === 0 ? serviceName : `${serviceName}.${number}`;
    const id = lostStackId(service, reason);
    if (shardOf(id, shards) === shard) return { service, id };
  }
}

function lostFrame(batch: Batch, reason: string): number {
  const name = batch.string(lostFunctionName(reason));
  return batch.internFrame({ function: name, systemName: 0, file: 0, line: 0n, column: 0n, type: 0, mapping: 0, buildId: 0, address: 0n, inlined: false });
}

function lostResource(batch: Batch, service: string): number {
  const strings = Object.fromEntries(resourceStringColumns.map((name) => [name, 0])) as Record<ResourceStringColumn, number>;
  return batch.internResource({ ...strings, service_name: batch.string(service) }, nullInt64, 0);
}

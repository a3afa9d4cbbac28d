// Rows of old dates wait for their daily publication as row messages (and as Parquet beside it, for
// queries). This turns batch rows back into a message; what comes out is appended like any other.

import { RowsBuilder } from '../schemas/rows/builder.ts';
import { encodeRows } from '../schemas/rows/codec.ts';
import { type ResourceStringColumn, resourceStringColumns } from '../schemas/rows/message.ts';
import { type Batch, frameWords, seriesWords } from './batch.ts';

/** A carried message has one segment and one profile; nobody compares its positions or its digest. */
const carriedDigest = '0'.repeat(32);
export const carriedTopic = 'carry';

export function encodeCarry(batch: Batch, shard: number, routing: number, rows: Uint32Array, stacks: Uint32Array): Uint8Array {
  const builder = new RowsBuilder({ logId: carriedTopic, topic: carriedTopic, partition: 0, shard, routing });
  builder.beginSegment(0, 0);
  const frames = new Map<number, number>();
  for (const stack of stacks) addStack(builder, batch, stack, frames);
  builder.beginProfile(carriedDigest);
  const resources = new Map<number, number>();
  for (const row of rows) addRow(builder, batch, row, resources);
  builder.endProfile();
  builder.endSegment();
  return encodeRows(builder.build(-1, 0));
}

/** `frames`: of the batch, by their index in the message. */
function addStack(builder: RowsBuilder, batch: Batch, stack: number, frames: Map<number, number>): void {
  builder.beginStack({
    id: batch.stackIdText(batch.stackId.get(stack)),
    date: batch.stackDate.get(stack),
    serviceName: batch.strings[batch.stackService.get(stack)]!,
    cut: batch.strings[batch.stackCut.get(stack)]!,
  });
  const { start, end } = batch.stackFrameRange(stack);
  for (let at = start; at < end; at++) {
    const frame = batch.stackFrames.get(at);
    const index = frames.get(frame) ?? addFrame(builder, batch, frame);
    frames.set(frame, index);
    builder.stackFrame(index);
  }
}

function addFrame(builder: RowsBuilder, batch: Batch, frame: number): number {
  const text = (word: number) => batch.strings[batch.frames.word(frame, word)]!;
  return builder.addFrame({
    function: text(frameWords.function),
    systemName: text(frameWords.systemName),
    file: text(frameWords.file),
    line: batch.frameLong(frame, frameWords.line),
    column: batch.frameLong(frame, frameWords.column),
    inlined: batch.frames.word(frame, frameWords.inlined) === 1,
    type: text(frameWords.type),
    mapping: text(frameWords.mapping),
    buildId: text(frameWords.buildId),
    address: BigInt.asUintN(64, batch.frameLong(frame, frameWords.address)),
  });
}

function addRow(builder: RowsBuilder, batch: Batch, row: number, resources: Map<number, number>): void {
  const series = batch.seriesOf.get(row);
  const word = (position: number) => batch.series.word(series, position);
  const type = word(seriesWords.type);
  const link = batch.link.get(row);
  builder.addSample({
    time: batch.time.get(row),
    durationNanos: batch.duration.get(row),
    value: batch.value.get(row),
    count: batch.count.get(row),
    weight: batch.weight.get(row),
    type: builder.type(batch.strings[batch.types.word(type, 0)]!, batch.strings[batch.types.word(type, 1)]!),
    stack: builder.stackId(batch.stackIdText(batch.stack.get(row))),
    resource: resourceIn(builder, batch, word(seriesWords.resource), resources),
    link: link === 0 ? 0 : builder.link(batch.traceIds[link]!, batch.spanIds[link]!, batch.strings[batch.linkSources[link]!]!),
    scopeName: builder.string(batch.strings[word(seriesWords.scopeName)]!),
    profileId: builder.string(batch.strings[word(seriesWords.profileId)]!),
    threadName: builder.string(batch.strings[word(seriesWords.threadName)]!),
    threadId: batch.seriesThreadId(series),
    cpuLogicalNumber: batch.cpu.get(row),
    attributes: mapIn(builder, batch, batch.attributes.get(row)),
  });
}

function resourceIn(builder: RowsBuilder, batch: Batch, resource: number, known: Map<number, number>): number {
  let index = known.get(resource);
  if (index === undefined) {
    const strings: Partial<Record<ResourceStringColumn, string>> = {};
    resourceStringColumns.forEach((name, position) => {
      strings[name] = batch.strings[batch.resourceString(resource, position)]!;
    });
    index = builder.addResource({ strings, processPid: batch.resourcePid(resource), attributes: mapIn(builder, batch, batch.resourceAttributes(resource)) });
    known.set(resource, index);
  }
  return index;
}

function mapIn(builder: RowsBuilder, batch: Batch, map: number): number {
  return map === 0 ? 0 : builder.map(batch.maps[map]!.map(({ key, value }) => [key, value] as const));
}

// Messages of one input partition on their way to the shards: from bytes to what is put on
// flamelake.rows. Pure: nothing is read or sent here.
import { isPipelineError, PipelineError } from '../lib/errors.ts';
import type { LogRecord } from '../lib/log/log.ts';
import { lostAttributes, lostRangeAttributes } from '../schemas/lake/lost.ts';
import { routingVersion, shardOf } from '../schemas/lake/shard.ts';
import { RowsBuilder } from '../schemas/rows/builder.ts';
import { encodeRows } from '../schemas/rows/codec.ts';
import { rejectedSamplesHeader, versionHeader } from '../schemas/topics.ts';
import type { KnownStacks } from './known-stacks.ts';
import { rowsMessageBytesMax } from './limits.ts';
import { addLossRow, lossStackId } from './losses.ts';
import type { NameOf } from './message-frames.ts';
import type { Mapping } from './message-mappings.ts';
import { type SentPositions, sentTo } from './position.ts';
import { type PreparedMessage, prepareMessage } from './prepared-message.ts';
import { appendRows, noCounts, type RowCounts, type ShardOutput } from './rows-from-profiles.ts';

export interface Source {
  readonly logId: string;
  readonly topic: string;
  readonly partition: number;
}

/** A message that is fit, or the reason why it is not. */
export interface Decoded {
  readonly record: LogRecord;
  readonly message: PreparedMessage | null;
  readonly error: PipelineError | null;
}

const versionKnown = 1;
/** Of the reason, in the lake. */
const lossMessageChars = 200;

/** Errors of the program (not of the message) are thrown. */
export function decode(record: LogRecord): Decoded {
  try {
    checkVersion(record.headers[versionHeader]);
    return { record, message: prepareMessage(record.value), error: null };
  } catch (error) {
    if (isPipelineError(error)) return { record, message: null, error };
    throw error;
  }
}

/** Absent = 1, by the protocol. */
function checkVersion(text: string | undefined): void {
  if (text === undefined || Number(text) === versionKnown) return;
  throw new PipelineError('message_version', `OTLP profiles: development version ${text.slice(0, 40)} was found, this flamelake reads ${versionKnown}`);
}

/** One message for flamelake.rows. */
export interface RowMessage {
  readonly shard: number;
  readonly value: Uint8Array;
  readonly stacks: ShardOutput['sent'];
}

/** Source messages up to and with `to`, as far as one send goes. */
export interface Batch {
  readonly to: number;
  readonly taken: readonly Decoded[];
  readonly messages: readonly RowMessage[];
  readonly counts: RowCounts;
}

export interface BatchTarget {
  readonly source: Source;
  readonly shards: number;
  readonly sent: SentPositions;
  readonly known: KnownStacks;
  readonly nameOf: NameOf;
}

/**
 * Takes messages from the first on until a shard's columns are full; the rest is for the next batch. A
 * source message is never split: a shard would take its second half for a repetition of the first.
 */
export function buildBatch(decoded: readonly Decoded[], target: BatchTarget): Batch {
  const counts = noCounts();
  const outputs = new Map<number, ShardOutput>();
  const output = (shard: number) => {
    const known = outputs.get(shard);
    if (known) return known;
    const made = { shard, builder: new RowsBuilder({ ...target.source, shard, routing: routingVersion }), added: new Set<number>(), sent: [] };
    outputs.set(shard, made);
    return made;
  };
  let count = 0;
  for (const { record, message, error } of decoded) {
    count++;
    if (message) {
      appendRows(message, record, { shards: target.shards, output, known: target.known, nameOf: target.nameOf, rejectedSamples: rejectedIn(record) }, counts);
    } else appendDeadLetter(record, error!, target, output);
    if ([...outputs.values()].some(({ builder }) => builder.bytes >= rowsMessageBytesMax)) break;
  }
  const taken = decoded.slice(0, count);
  const to = taken.at(-1)!.record.offset;
  const messages = [...outputs.values()].map(({ shard, builder, sent }) => ({
    shard,
    value: encodeRows(builder.build(sentTo(target.sent, shard), to)),
    stacks: sent,
  }));
  return { to, taken, messages, counts };
}

/** What goes to the dead letters is lost, as one message: how many samples it held nobody can say. */
function appendDeadLetter(record: LogRecord, error: PipelineError, { source, shards }: BatchTarget, output: (shard: number) => ShardOutput): void {
  const loss = {
    reason: error.code,
    count: 1,
    identity: [source.logId, source.topic, String(source.partition), String(record.offset)],
    attributes: { ...lostRangeAttributes(source, record.offset, record.offset), [lostAttributes.message]: error.message.slice(0, lossMessageChars) },
  };
  const { builder } = output(shardOf(lossStackId(loss), shards));
  builder.beginSegment(record.offset, record.appendTimeMillis);
  addLossRow(builder, loss, record.appendTimeMillis);
  builder.endSegment();
}

/** What the receiver cut out of a message that it forwarded. */
function rejectedIn(record: LogRecord): number {
  const text = record.headers[rejectedSamplesHeader];
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : 0;
}

/** A message without rows: only moves a shard's high water, so that its position need not be remembered one by one. */
export function emptyRowMessage(target: BatchTarget, shard: number, to: number): RowMessage {
  const builder = new RowsBuilder({ ...target.source, shard, routing: routingVersion });
  return { shard, value: encodeRows(builder.build(sentTo(target.sent, shard), to)), stacks: [] };
}

export interface WantedSymbols {
  readonly mapping: Mapping;
  readonly pid: bigint | null;
}

/** Mappings with a path and a build id that have a location without a name, each with a process that has it mapped. */
export function wantedSymbols({ otlp, mappings, profiles }: PreparedMessage): WantedSymbols[] {
  const { locations, stacks, functions, lines } = otlp.dictionary;
  const wanted = new Set<number>();
  for (let location = 0; location < locations.length; location++) {
    const [first, last] = [locations.lineStart[location]!, locations.lineStart[location + 1]!];
    const isNamed = last > first + 1 || (last === first + 1 && lines.function[first] !== 0 && functions.name[lines.function[first]!] !== 0);
    if (!isNamed && locations.mapping[location] !== 0) wanted.add(locations.mapping[location]!);
  }
  for (const index of wanted) {
    const { buildId, name } = mappings.mapping(index);
    if (buildId === '' || !name.startsWith('/')) wanted.delete(index);
  }
  const pids = new Map<number, bigint>();
  for (const { record, resource } of profiles) {
    if (pids.size === wanted.size) break;
    if (resource.processPid === null) continue;
    for (let sample = record.sampleStart; sample < record.sampleEnd; sample++) {
      const stack = otlp.samples.stack[sample]!;
      if (stack >= stacks.length) continue;
      for (let at = stacks.start[stack]!; at < stacks.start[stack + 1]!; at++) {
        const mapping = locations.mapping[stacks.locations[at]!] ?? 0;
        if (wanted.has(mapping) && !pids.has(mapping)) pids.set(mapping, resource.processPid);
      }
    }
  }
  return [...wanted].map((index) => ({ mapping: mappings.mapping(index), pid: pids.get(index) ?? null }));
}

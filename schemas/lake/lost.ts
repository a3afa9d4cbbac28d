// What is lost is told as data: a sample of type lost/count, whose single frame and attribute say the
// reason. Every stage makes the same row, from the names here. docs/lake.md has the table of reasons.
import { ByteSink } from '../../lib/byte-sink.ts';
import { lostFunctionName } from '../otlp/attributes.ts';
import { endPart } from './part.ts';
import { identifyLine, identifyNamedFrame, servicePart, stackPart } from './stack-id.ts';

/** Reasons of the pipeline itself; an agent has words of its own. What `value` counts stands in front. */
export const lossReasons = {
  /** Samples of profiles that the receiver cut out of a message; their sender was told (partial success). */
  rejected: 'rejected',
  /** Samples with neither values nor timestamps. */
  noEvent: 'no_event',
  /** Source messages between two row messages that never came. */
  sourceGap: 'source_gap',
  /** Row messages that retention of the log deleted before they were read. */
  overtaken: 'log_overtaken',
  /** Row messages that could not be decoded; what was in them shows as source_gap too. */
  rowsMalformed: 'rows_malformed',
  /** Rows of dates that retention of the lake has taken already. */
  belowRetention: 'below_retention',
  /** Stacks that rows name and nobody sent: the rows are there, their frames are not. A metric, and stacks.cut. */
  stackLost: 'stack_lost',
} as const;

export const exporterLossReasons = [
  lossReasons.sourceGap,
  lossReasons.overtaken,
  lossReasons.rowsMalformed,
  lossReasons.belowRetention,
  lossReasons.stackLost,
] as const;

/** Beside the reason, where they are known: which range of which partition. */
export const lostAttributes = {
  logId: 'flamelake.lost.log_id',
  topic: 'flamelake.lost.topic',
  partition: 'flamelake.lost.partition',
  /** First and last offset. */
  from: 'flamelake.lost.from',
  to: 'flamelake.lost.to',
  /** What was wrong, for people. */
  message: 'flamelake.lost.message',
} as const;

export interface LostRange {
  readonly logId: string;
  readonly topic: string;
  readonly partition: number;
}

export function lostRangeAttributes(source: LostRange, from: number, to: number): Record<string, string> {
  return {
    [lostAttributes.from]: String(from),
    [lostAttributes.logId]: source.logId,
    [lostAttributes.partition]: String(source.partition),
    [lostAttributes.to]: String(to),
    [lostAttributes.topic]: source.topic,
  };
}

/** Id of the stack with that one frame, under a service. */
export function lostStackId(service: string, reason: string): string {
  const sink = new ByteSink(256);
  const frame = identifyNamedFrame(sink, '', '', 1);
  identifyLine(sink, lostFunctionName(reason), '', 0n);
  endPart(sink, frame);
  return servicePart('', service) + stackPart(sink, '');
}

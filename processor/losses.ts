// What the processor could not make rows of, told as a row: in the same row message, under the same source
// offset as the rest of that message, so that it is in the lake exactly once like every other row.
import { hash } from 'node:crypto';
import { lostStackId } from '../schemas/lake/lost.ts';
import { lostFunctionName, lostReasonAttribute, lostSampleType } from '../schemas/otlp/attributes.ts';
import type { RowsBuilder } from '../schemas/rows/builder.ts';
import { dateOf } from './times.ts';

export interface MessageLoss {
  readonly reason: string;
  readonly count: number;
  /**
   * By this a repetition is recognised: of what was said, where a client may say it again, else of the
   * position. Two attempts at one message must give the same.
   */
  readonly identity: readonly string[];
  readonly attributes: Readonly<Record<string, string>>;
  /** Of the sender, where it is known. */
  readonly hostName?: string | undefined;
  readonly hostId?: string | undefined;
}

export const lossService = 'flamelake.processor';

/** Decides the shard. */
export const lossStackId = (loss: MessageLoss): string => lostStackId(lossService, loss.reason);

/** Adds the row and its stack to the segment that is begun; its time is that of the message's arrival. */
export function addLossRow(builder: RowsBuilder, loss: MessageLoss, appendTimeMillis: number): void {
  const micros = appendTimeMillis * 1000;
  const id = lossStackId(loss);
  builder.addStack({ id, date: dateOf(micros), serviceName: lossService }, [{ function: lostFunctionName(loss.reason) }]);
  builder.beginProfile(digestOf(loss));
  builder.addSample({
    time: BigInt(micros),
    value: BigInt(loss.count),
    count: BigInt(loss.count),
    type: builder.type(...lostSampleType),
    stack: builder.stackId(id),
    resource: builder.addResource({
      strings: { service_name: lossService, host_name: loss.hostName ?? '', host_id: loss.hostId ?? '' },
      processPid: null,
    }),
    attributes: builder.map(Object.entries({ ...loss.attributes, [lostReasonAttribute]: loss.reason })),
  });
  builder.endProfile();
}

function digestOf({ reason, count, identity }: MessageLoss): string {
  return hash('sha256', JSON.stringify(['flamelake.lost', reason, count, ...identity]), 'hex').slice(0, 32);
}

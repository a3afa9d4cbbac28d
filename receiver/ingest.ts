// The one way into the log for both transports: check, append, and only then an acknowledgement.
import { isPipelineError, type PipelineError } from '../lib/errors.ts';
import { letGo } from '../lib/let-go.ts';
import type { Log } from '../lib/log/log.ts';
import { errorFields, type Logger } from '../lib/logger.ts';
import { profilesTopic, rejectedSamplesHeader, versionHeader } from '../schemas/topics.ts';
import type { Admission } from './admit.ts';
import type { Checker } from './checker.ts';
import { troubleKnownMillis } from './limits.ts';
import type { ReceiverMetrics, Transport } from './metrics.ts';
import { type Refusal, refusalOf } from './refusal.ts';

export interface IngestRequest {
  readonly transport: Transport;
  /** Whether nobody waits for the answer any more: then nothing is written that would only be sent again. */
  gone(): boolean;
}

export interface Incoming {
  /** Given away: it may be empty afterwards. */
  readonly body: Uint8Array;
  /** OTLP/JSON, else protobuf. */
  readonly isJson: boolean;
  /** Of the version header, as the sender gave it; null = not given. */
  readonly version: string | null;
}

/** What a request came to; null = the sender is gone. */
export type Outcome = { readonly accepted: Admission } | { readonly refused: Refusal } | null;

export interface Ingest {
  /** `read` gives the message, or null where the sender went away on the way. Never rejects. */
  take(request: IngestRequest, read: () => Promise<Incoming | null>): Promise<Outcome>;
  /** Why the log took nothing a moment ago; null = it did. */
  trouble(): string | null;
}

export function createIngest(log: Log, checker: Checker, metrics: ReceiverMetrics, logger: Logger): Ingest {
  let trouble: string | null = null;
  let troubleMillis = 0;

  const append = async (value: Uint8Array, version: string | null, rejectedSamples: number): Promise<void> => {
    const start = performance.now();
    const headers = {
      ...(version === null ? {} : { [versionHeader]: version }),
      ...(rejectedSamples === 0 ? {} : { [rejectedSamplesHeader]: String(rejectedSamples) }),
    };
    try {
      const appended = log.append(profilesTopic, null, { value, headers });
      // The log has its copy; there shall not be two of it while it is written.
      letGo(value);
      await appended;
    } catch (error) {
      if (isPipelineError(error) && error.code !== 'message_too_large') noteTrouble(error);
      throw error;
    }
    noteTrouble(null);
    metrics.appended((performance.now() - start) / 1000);
  };

  /** Said once when it begins and once when it is over, not for every message between. */
  const noteTrouble = (now: PipelineError | null): void => {
    if (trouble === null && now !== null) logger.warn('the log takes nothing; senders are asked to wait', { ...errorFields(now), reason: now.message });
    if (trouble !== null && now === null) logger.info('the log takes messages again');
    trouble = now?.message ?? null;
    troubleMillis = performance.now();
  };

  return {
    async take(request, read) {
      let samples = 0;
      try {
        const incoming = await read();
        const accepted = incoming === null ? null : await checker.check(incoming.body, incoming.isJson);
        if (incoming === null || accepted === null || request.gone()) {
          metrics.gone(request.transport);
          return null;
        }
        samples = accepted.samples + accepted.rejectedSamples;
        const forwardedBytes = accepted.forward?.byteLength ?? 0;
        if (accepted.forward !== null) await append(accepted.forward, incoming.version, accepted.rejectedSamples);
        metrics.accepted(request.transport, accepted, forwardedBytes);
        return { accepted };
      } catch (error) {
        const refused = refusalOf(error);
        if (refused.reason === 'internal') logger.error('a message made the receiver fail', { ...errorFields(error), error: describeBug(error) });
        metrics.refused(request.transport, refused.reason, samples);
        return { refused };
      }
    },
    // Forgotten after a while: whoever goes by it may send nothing, and then nothing would show that it is over.
    trouble: () => (performance.now() - troubleMillis < troubleKnownMillis ? trouble : null),
  };
}

export const describeBug = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

// Reads a request body into memory within bounds, whatever the transport.
import type { Readable } from 'node:stream';
import { PipelineError } from '../lib/errors.ts';
import type { Hold } from './in-flight.ts';
import { Parts } from './parts.ts';

/**
 * Resolves with the body, or with null where the sender is gone before its end. `keep` sees each part with
 * what came before it, gives what of it belongs to the body, and may throw.
 */
export function readBody(
  stream: Readable,
  { bytesMax, hold }: { readonly bytesMax: number; readonly hold: Hold },
  keep: (part: Buffer, before: number) => Buffer = (part) => part,
): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const parts = new Parts(hold);
    let total = 0;
    const settle = (finish: () => void): void => {
      hold.received();
      stream.off('data', onData);
      stream.off('end', onEnd);
      stream.off('close', onClose);
      finish();
    };
    const onData = (part: Buffer): void => {
      try {
        const kept = keep(part, total);
        total += part.length;
        if (parts.length + kept.length > bytesMax) throw tooLarge(bytesMax);
        parts.add(kept);
      } catch (error) {
        stream.pause();
        settle(() => reject(error));
      }
    };
    // An HTTP/2 stream that is cut off ends first and is closed then; only `aborted` tells it from a whole one.
    const onEnd = (): void => settle(() => resolve((stream as MaybeAborted).aborted ? null : parts.join()));
    const onClose = (): void => settle(() => resolve(null));
    // Its 'close' follows; without a listener an error of one connection would end the process.
    stream.on('error', () => {});
    hold.receiving((error) => {
      stream.pause();
      settle(() => reject(error));
    });
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('close', onClose);
  });
}

interface MaybeAborted {
  readonly aborted?: boolean;
}

export const tooLarge = (bytesMax: number): PipelineError =>
  new PipelineError('message_too_large', `message of more than ${bytesMax} bytes, at most that is taken; send it in parts`);

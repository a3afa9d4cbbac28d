// Reads a request body into memory within bounds, whatever the transport.
import type { Readable } from 'node:stream';
import { PipelineError } from '../lib/errors.ts';
import type { Hold } from './in-flight.ts';

/**
 * Resolves with the body, or with null where the sender is gone before its end. `check` sees each part
 * with what came before it, and may throw.
 */
export function readBody(
  stream: Readable,
  bounds: { readonly bytesMax: number; readonly hold: Hold },
  check: (part: Buffer, before: number) => void = () => {},
): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let total = 0;
    const settle = (finish: () => void): void => {
      bounds.hold.received();
      stream.off('data', onData);
      stream.off('end', onEnd);
      stream.off('close', onClose);
      finish();
      // The stream lives on while the rest of it is thrown away, and what listens to it holds this.
      parts.length = 0;
    };
    const onData = (part: Buffer): void => {
      try {
        check(part, total);
        total += part.length;
        if (total > bounds.bytesMax) throw tooLarge(bounds.bytesMax);
        bounds.hold.take(part.length);
        parts.push(part);
      } catch (error) {
        stream.pause();
        settle(() => reject(error));
      }
    };
    // An HTTP/2 stream that is cut off ends first and is closed then; only `aborted` tells it from a whole one.
    const onEnd = (): void => settle(() => resolve((stream as MaybeAborted).aborted ? null : whole(parts)));
    const onClose = (): void => settle(() => resolve(null));
    bounds.hold.receiving((error) => {
      stream.pause();
      settle(() => reject(error));
    });
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('close', onClose);
    // Its 'close' follows; without a listener an error of one connection would end the process.
    stream.on('error', () => {});
  });
}

interface MaybeAborted {
  readonly aborted?: boolean;
}

const whole = (parts: Buffer[]): Buffer => (parts.length === 1 ? parts[0]! : Buffer.concat(parts));

export const tooLarge = (bytesMax: number): PipelineError =>
  new PipelineError('message_too_large', `message of more than ${bytesMax} bytes, at most that is taken; send it in parts`);

// The thread behind checker.ts: large messages, one after the other.
import { parentPort } from 'node:worker_threads';
import { PipelineError } from '../lib/errors.ts';
import { letGo } from '../lib/let-go.ts';
import { type CheckReply, type CheckRequest, checkHere } from './checker.ts';

const port = parentPort;
if (port === null) throw new Error('checker-worker.ts runs as a worker thread');

port.on('message', ({ body, isJson }: CheckRequest) => {
  const reply = answer(body, isJson);
  const forward = 'admission' in reply ? reply.admission.forward : null;
  port.postMessage(reply, forward === null ? [] : [forward.buffer as ArrayBuffer]);
  letGo(body);
});

function answer(body: Uint8Array, isJson: boolean): CheckReply {
  try {
    const admission = checkHere(body, isJson);
    // Plain and whole, so that it can be given away.
    const forward = admission.forward === null ? null : whole(admission.forward);
    return { admission: { ...admission, forward } };
  } catch (error) {
    if (error instanceof PipelineError) return { refused: { code: error.code, message: error.message, context: plain(error.context) } };
    return { bug: error };
  }
}

const whole = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes);

/** Numbers and texts: what the answer is made from. */
function plain(context: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(context).filter(([, value]) => typeof value === 'string' || typeof value === 'number'));
}

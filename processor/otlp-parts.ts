// What the readers of the dictionary and of the profiles share.
import { PipelineError } from '../lib/errors.ts';
import type { Uint32List } from '../lib/lists.ts';
import { malformed, position, readInt32, readPacked, skip } from '../lib/wire.ts';

/** A repeated int32 of table indices, packed or one entry of it. Negative ones become huge and fail the check. */
export function readIndices(tag: number, list: Uint32List): void {
  if ((tag & 7) === 0) list.push(readInt32());
  else readPacked(list);
}

/** Passes over a field that nobody knows; one of the message's own fields in another wire type is not passed over. */
export function otherField(tag: number, message: string, knownMax: number): void {
  if (tag >>> 3 <= knownMax) throw malformed(`wire type ${tag & 7} of ${message} field ${tag >>> 3}`, 'the one of the protocol, once');
  skip(tag);
}

export function tooMany(what: string, max: number): PipelineError {
  return new PipelineError('message_too_large', `OTLP message, byte ${position()}: more ${what} than the ${max} allowed; send it in parts`);
}

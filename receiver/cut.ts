// A message without what cannot be taken: those bytes are left out and the lengths of what holds them
// are written anew. Every other byte stays as the sender wrote it.
import { closeWire, enterSpan, more, openWire, position, readBytes, readTag, skip } from '../lib/wire.ts';
import type { Span } from './walk.ts';

interface Cut {
  readonly message: Uint8Array;
  readonly spans: readonly Span[];
  /** The first span that is still ahead. */
  next: number;
}

/** `spans` are Walked.cuts of this message. */
export function withoutSpans(message: Uint8Array, spans: readonly Span[]): Buffer {
  openWire(message);
  try {
    return Buffer.concat(cutLevel({ message, spans, next: 0 }, 0, 0, message.byteLength));
  } finally {
    closeWire();
  }
}

/** What is left of [from, to), the content of the message (level 0), a ResourceProfiles (1) or a ScopeProfiles (2). */
function cutLevel(cut: Cut, level: number, from: number, to: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const holderTag = level === 0 ? 10 : 18;
  let keptFrom = from;
  enterSpan(from, to - from);
  while (more()) {
    const start = position();
    const tag = readTag();
    if (tag !== holderTag) {
      skip(tag);
      continue;
    }
    const body = readBytes();
    const end = position();
    const span = cut.spans[cut.next];
    if (span === undefined || span.start >= end) continue;
    pieces.push(cut.message.subarray(keptFrom, start));
    keptFrom = end;
    if (span.start === start) {
      cut.next++;
    } else {
      const inner = cutLevel(cut, level + 1, body, end);
      pieces.push(fieldHead(tag, inner));
      for (const piece of inner) pieces.push(piece);
      enterSpan(end, to - end);
    }
  }
  pieces.push(cut.message.subarray(keptFrom, to));
  return pieces;
}

/** Tag and length of a field that holds these pieces. */
function fieldHead(tag: number, pieces: readonly Uint8Array[]): Uint8Array {
  const head = [tag];
  let length = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  while (length >= 0x80) {
    head.push((length % 0x80) | 0x80);
    length = Math.floor(length / 0x80);
  }
  return Uint8Array.from([...head, length]);
}

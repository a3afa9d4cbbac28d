// How many frames the stacks of a dictionary stand for, exactly. A location with inlined calls is as many
// frames as it has lines, so that a few bytes of stack could be any number of them; locations may come
// behind the stacks that use them. Needed only where the plain product of both counts is too large.
import { enter, leave, more, readInt32, readTag, skip } from '../lib/wire.ts';

/** The cursor stands in the dictionary, which was walked before; two walks, `rewind` goes back to its start. */
export function countFrames(locations: number, rewind: () => void): number {
  rewind();
  const lines = new Uint32Array(locations);
  let location = 0;
  while (more()) {
    const tag = readTag();
    if (tag === 18) lines[location++] = countLines();
    else skip(tag);
  }
  rewind();
  let frames = 0;
  while (more()) {
    const tag = readTag();
    if (tag === 58) frames += framesOfStack(lines);
    else skip(tag);
  }
  return frames;
}

function countLines(): number {
  let lines = 0;
  const outer = enter();
  while (more()) {
    const tag = readTag();
    if (tag === 26) lines++;
    skip(tag);
  }
  leave(outer);
  return lines;
}

function framesOfStack(lines: Uint32Array): number {
  let frames = 0;
  const outer = enter();
  while (more()) {
    const tag = readTag();
    if (tag === 8) frames += framesOf(lines, readInt32());
    else if (tag === 10) {
      const inner = enter();
      while (more()) frames += framesOf(lines, readInt32());
      leave(inner);
    } else skip(tag);
  }
  leave(outer);
  return frames;
}

const framesOf = (lines: Uint32Array, location: number): number => Math.max(1, lines[location] ?? 0);

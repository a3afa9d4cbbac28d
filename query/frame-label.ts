// What a frame is called on a page. A frame without a name says where it is, never what it might be:
// `libfoo.so+0x1234`. The macro frame_name (views.ts) gives the same words; a test holds them together.
import type { FrameTable } from './weighted-stacks.ts';

export function frameLabel(frames: FrameTable, index: number): string {
  const name = frames.function[index];
  if (name) return name;
  const mapping = frames.mapping[index];
  const address = frames.address[index];
  if (mapping) return baseName(mapping) + (address ? `+${address}` : ' [no symbol]');
  return address ?? '[unknown]';
}

/** In tables, where a name per address would shred the ranking: `libfoo.so [no symbols]`. */
export function functionLabel(frames: FrameTable, index: number): string {
  const name = frames.function[index];
  if (name) return name;
  const mapping = frames.mapping[index];
  if (mapping) return `${baseName(mapping)} [no symbols]`;
  return `[unknown ${frames.type[index] ?? 'code'}]`;
}

export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

export const cutLabel = (reason: string): string => `[cut: ${reason}]`;
export const missingStackLabel = '[stack missing]';
export const noFramesLabel = '[no frames]';
export const omittedLabel = (stacks: number): string => `[${stacks} lighter stacks]`;
export const foldedLabel = (nodes: number): string => `[${nodes} smaller frames]`;

// Frames as they will stand in the lake, for stacks that a shard does not have yet.
import { frameTypes } from '../schemas/otlp/attributes.ts';
import type { FrameRow } from '../schemas/rows/builder.ts';
import type { Mapping } from './message-mappings.ts';
import type { Location, MessageTables } from './message-stacks.ts';

/** Names for native frames that came without. */
export type NameOf = (mapping: Mapping, address: bigint, isFileOffset: boolean) => string | null;

/** Of one location, leaf first: one with inlined calls is several frames. */
export function framesOf(tables: MessageTables, index: number, location: Location, nameOf: NameOf): FrameRow[] {
  const { mapping, type } = location;
  const address = (BigInt(location.addressHigh) << 32n) | BigInt(location.addressLow);
  const hasBuildId = mapping.buildId !== '';
  // The stack is stored once for all that have its id: an address that the id does not cover would be the
  // first sender's alone. (So is the path of a file with a build id, but that is one of its names.)
  const shared = { type, mapping: mapping.name, buildId: mapping.buildId, address: hasBuildId ? address : 0n };
  const { length, lineStart } = tables.otlp.dictionary.locations;
  const [first, last] = index < length ? [lineStart[index]!, lineStart[index + 1]!] : [0, 0];
  const frames: FrameRow[] = [];
  for (let line = first; line < last; line++) frames.push({ ...lineOf(tables, line), ...shared, inlined: line < last - 1 });
  if (frames.length === 0) frames.push(shared);
  const isNameless = frames.length === 1 && !frames[0]!.function && (type === '' || type === frameTypes.native);
  const name = isNameless && hasBuildId ? nameOf(mapping, address, location.isFileOffset) : null;
  if (name !== null) frames[0] = { ...frames[0], function: name, systemName: name };
  return frames;
}

function lineOf({ otlp, texts }: MessageTables, line: number): FrameRow {
  const { lines, functions } = otlp.dictionary;
  const called = lines.function[line]!;
  const place = { line: signed(lines.line, line), column: signed(lines.column, line) };
  if (called === 0) return place;
  const systemName = texts.text(functions.systemName[called]!);
  // A function of which only the linker's name is known is shown by it.
  return { function: texts.text(functions.name[called]!) || systemName, systemName, file: texts.text(functions.filename[called]!), ...place };
}

function signed(halves: Uint32Array, index: number): bigint {
  const [low, high] = [halves[2 * index]!, halves[2 * index + 1]!];
  return high === 0 ? BigInt(low) : (BigInt(high | 0) << 32n) | BigInt(low);
}

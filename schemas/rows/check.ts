// What a decoded row message must hold before anybody indexes with it.
import { PipelineError } from '../../lib/errors.ts';
import { type RowsMessage, resourceStringColumns, type SampleColumns } from './message.ts';

const stackIdLength = 16;

// Every index is looked at once, here; whoever reads the message afterwards need not.
export function checkMessage(message: RowsMessage): void {
  const { strings, maps, types, links, stackIdBytes, resources, samples, stacks } = message;
  if (strings[0] !== '' || maps[0]!.length !== 0 || links[0]!.some((part) => part !== 0)) throw malformed('another entry 0', "'', an empty map and no link");
  for (const entry of [...maps.flat(), ...types, ...links]) for (const index of entry) checkIndex(index, strings.length, 'string of a table');
  for (const name of resourceStringColumns) checkIndices(resources.strings[name], strings.length, name);
  checkIndices(resources.attributes, maps.length, 'resource attributes');
  checkSamples(samples, message);
  checkIndices(stacks.id, stackIdBytes.length / stackIdLength, 'stack id of a stack');
  for (const column of [stacks.serviceName, stacks.cut]) checkIndices(column, strings.length, 'string of a stack');
  checkEnds(stacks.frameStart.subarray(1), stacks.frame.length, 'frame');
  if (stacks.frame.length > 0) checkIndices(stacks.frame, stacks.frames.length, 'frame of a stack');
  const { frames } = stacks;
  for (const column of [frames.function, frames.systemName, frames.file, frames.type, frames.mapping, frames.buildId]) {
    checkIndices(column, strings.length, 'string of a frame');
  }
  checkSegments(message);
}

function checkSamples(samples: SampleColumns, { strings, maps, types, links, stackIdBytes, resources }: RowsMessage): void {
  checkIndices(samples.type, types.length, 'type');
  checkIndices(samples.stack, stackIdBytes.length / stackIdLength, 'stack id of a sample');
  checkIndices(samples.link, links.length, 'link');
  checkIndices(samples.resource, resources.length, 'resource');
  checkIndices(samples.attributes, maps.length, 'attributes');
  for (const column of [samples.scopeName, samples.profileId, samples.threadName]) checkIndices(column, strings.length, 'string of a sample');
  for (const weight of samples.weight) if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) throw malformed(`weight ${weight}`, 'a number from 0 on');
}

function checkSegments({ segments, samples, stacks, from, to }: RowsMessage): void {
  let [before, row, stack] = [from, 0, 0];
  for (const segment of segments) {
    if (!Number.isSafeInteger(segment.offset) || segment.offset <= before || segment.offset > to) {
      throw malformed(`segment of offset ${segment.offset} after ${before}`, `ascending offsets in (${from}, ${to}]`);
    }
    if (!Number.isSafeInteger(segment.appendTimeMillis)) throw malformed(`append time ${segment.appendTimeMillis}`, 'milliseconds');
    if (segment.rowEnd < row || segment.stackEnd < stack) throw malformed(`segment of offset ${segment.offset} that ends before it begins`, 'rows in order');
    for (const profile of segment.profiles) {
      if (profile.rowEnd < row || profile.rowEnd > segment.rowEnd)
        throw malformed(`profile that ends at row ${profile.rowEnd}`, 'rows of its segment, in order');
      row = profile.rowEnd;
    }
    if (row !== segment.rowEnd) throw malformed(`profiles up to row ${row}`, `all rows of their segment, up to ${segment.rowEnd}`);
    [before, stack] = [segment.offset, segment.stackEnd];
  }
  if (row !== samples.length || stack !== stacks.length) {
    throw malformed(`segments of ${row} rows and ${stack} stacks`, `all ${samples.length} rows and ${stacks.length} stacks`);
  }
}

function checkIndices(column: Uint32Array, length: number, what: string): void {
  let max = -1;
  for (let row = 0; row < column.length; row++) if (column[row]! > max) max = column[row]!;
  checkIndex(max, length, what);
}

function checkIndex(index: number, length: number, what: string): void {
  if (index >= length) throw malformed(`${what} ${index}`, `an index below ${length}`);
}

export function checkEnds(ends: Uint32Array, length: number, what: string): void {
  let before = 0;
  for (const end of ends) {
    if (end < before) throw malformed(`${what} end ${end} after ${before}`, 'ends in order');
    before = end;
  }
  if (before !== length) throw malformed(`${what} ends up to ${before}`, `${length}`);
}

export function malformed(found: string, expected: string): PipelineError {
  return new PipelineError('message_malformed', `row message: found ${found}, expected ${expected}`);
}

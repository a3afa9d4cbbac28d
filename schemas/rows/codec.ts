// The wire form of a row message on flamelake.rows. All that the exporter needs per row lies as
// columns that decode as views over one buffer; counts stand first, so that the place of everything
// and the whole size follow from them.
//
//   message  = "FLRW" version:u32 payloadBytes:u64 zstd(payload)
//   payload  = header columns8 columns4 columns1            all little endian
//   header   = 19 numbers, f64: from to partition shard routing, then the counts: strings stringBytes
//              maps mapEntries types links stackIds resources samples stacks stackFrames frames segments profiles
//              The last two strings are the log id and the topic of the source; they are no part of the
//              message's own table.
//   columns8 = resources: processPid · samples: time durationNanos value count weight threadId ·
//              frames: line column address · segments: offset appendTimeMillis (f64)
//   columns4 = stringEnd[strings] mapEnd[maps] mapEntry[mapEntries × 2] type[types × 2] link[links × 3] ·
//              resources: the string columns in resourceStringColumns' order, attributes ·
//              samples: type stack link resource scopeName profileId threadName attributes cpuLogicalNumber ·
//              stacks: id date serviceName cut frameEnd · frame[stackFrames] · frames: function systemName file type mapping buildId ·
//              segments: rowEnd stackEnd profileEnd · profiles: rowEnd
//   columns1 = stackId[stackIds × 16] digest[profiles × 16] frames: inlined · UTF-8 of all strings
//
// `…End` is where entry i ends; it begins where entry i - 1 ends. A new version has a new number: an
// older reader stops with one clear line, and whatever it cannot check it does not believe.
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { PipelineError } from '../../lib/errors.ts';
import { checkEnds, checkMessage, malformed } from './check.ts';
import { Columns, decodeStrings, encodeStrings, packHex, stackIdTexts, unpackHex } from './columns.ts';
import {
  type FrameColumns,
  type ProfileRange,
  type ResourceColumns,
  type ResourceStringColumn,
  type RowsMessage,
  resourceStringColumns,
  rowsMessageVersion,
  type SampleColumns,
  type Segment,
  type StackColumns,
} from './message.ts';

const magic = 0x57524c46;
const prefixBytes = 16;
/** The processor splits at a hundredth of this; more is a broken length. */
export const rowsPayloadBytesMax = 1 << 30;
/** Level 1: the message lives for minutes in the log, and higher levels cost more than its bytes. */
const compressionLevel = 1;
const idBytes = 16;

const headerNames = ['from', 'to', 'partition', 'shard', 'routing'] as const;
const countNames = [
  'strings',
  'stringBytes',
  'maps',
  'mapEntries',
  'types',
  'links',
  'stackIds',
  'resources',
  'samples',
  'stacks',
  'stackFrames',
  'frames',
  'segments',
  'profiles',
] as const;
type Header = Readonly<Record<(typeof headerNames)[number], number>>;
type Counts = Readonly<Record<(typeof countNames)[number], number>>;
const headerBytes = (headerNames.length + countNames.length) * 8;

/**
 * Version 1 had no stackFrames and no frame column: a stack's frames lay one after the other among all
 * frames. Still read, for a log that an upgrade finds.
 */
const firstVersion = 1;
const countNamesOf = (version: number) => (version === firstVersion ? countNames.filter((name) => name !== 'stackFrames') : countNames);

export function encodeRows(message: RowsMessage): Uint8Array {
  const strings = encodeStrings([...message.strings, message.logId, message.topic]);
  const counts = countsOf(message, strings.ends.length, strings.bytes.length);
  const payload = new Uint8Array(payloadBytes(counts));
  const writer = new Columns(payload);
  writer.put(Float64Array.from([...headerNames.map((name) => message[name]), ...countNames.map((name) => counts[name])]));
  putColumns8(writer, message);
  putColumns4(writer, message, strings.ends);
  putColumns1(writer, message, strings.bytes);
  writer.finish();
  return frame(payload);
}

export function decodeRows(bytes: Uint8Array): RowsMessage {
  const { payload, version } = unframe(bytes);
  const names = countNamesOf(version);
  const headerNumbers = headerNames.length + names.length;
  if (payload.length < 8 * headerNumbers) throw malformed(`a payload of ${payload.length} bytes`, `a header of ${8 * headerNumbers}`);
  const reader = new Columns(payload);
  const numbers = reader.float64(headerNumbers);
  const header = Object.fromEntries(headerNames.map((name, index) => [name, numbers[index]!])) as unknown as Header;
  const found = Object.fromEntries(names.map((name, index) => [name, numbers[headerNames.length + index]!]));
  const counts = { stackFrames: 0, ...found } as unknown as Counts;
  checkHeader(header, counts);
  const bytesSaid = payloadBytes(counts) - 8 * (countNames.length - names.length);
  if (bytesSaid !== payload.length) throw malformed(`a payload of ${payload.length} bytes`, `the ${bytesSaid} that its counts make`);
  const message = takeColumns(reader, header, counts, version);
  checkMessage(message);
  return message;
}

function countsOf(message: RowsMessage, strings: number, stringBytes: number): Counts {
  return {
    strings,
    stringBytes,
    maps: message.maps.length,
    mapEntries: message.maps.reduce((sum, map) => sum + map.length, 0),
    types: message.types.length,
    links: message.links.length,
    stackIds: message.stackIdBytes.length / idBytes,
    resources: message.resources.length,
    samples: message.samples.length,
    stacks: message.stacks.length,
    stackFrames: message.stacks.frame.length,
    frames: message.stacks.frames.length,
    segments: message.segments.length,
    profiles: message.segments.reduce((sum, segment) => sum + segment.profiles.length, 0),
  };
}

/** Must stay in step with the three putColumns functions; `finish` says when it does not. */
function payloadBytes(counts: Counts): number {
  const eights = counts.resources + 6 * counts.samples + 3 * counts.frames + 2 * counts.segments;
  const fours =
    counts.strings +
    counts.maps +
    2 * counts.mapEntries +
    2 * counts.types +
    3 * counts.links +
    (resourceStringColumns.length + 1) * counts.resources +
    9 * counts.samples +
    5 * counts.stacks +
    counts.stackFrames +
    6 * counts.frames +
    3 * counts.segments +
    counts.profiles;
  return headerBytes + 8 * eights + 4 * fours + idBytes * (counts.stackIds + counts.profiles) + counts.frames + counts.stringBytes;
}

function putColumns8(writer: Columns, { resources, samples, stacks, segments }: RowsMessage): void {
  writer.put(resources.processPid);
  for (const column of [samples.time, samples.durationNanos, samples.value, samples.count, samples.weight, samples.threadId]) writer.put(column);
  for (const column of [stacks.frames.line, stacks.frames.column, stacks.frames.address]) writer.put(column);
  writer.put(Float64Array.from(segments, (segment) => segment.offset));
  writer.put(Float64Array.from(segments, (segment) => segment.appendTimeMillis));
}

function putColumns4(writer: Columns, message: RowsMessage, stringEnds: Uint32Array): void {
  const { resources, samples, stacks, segments } = message;
  writer.put(stringEnds);
  let end = 0;
  writer.put(
    Uint32Array.from(message.maps, (map) => {
      end += map.length;
      return end;
    }),
  );
  writer.put(Uint32Array.from(message.maps.flat(2)));
  writer.put(Uint32Array.from(message.types.flat()));
  writer.put(Uint32Array.from(message.links.flat()));
  for (const name of resourceStringColumns) writer.put(resources.strings[name]);
  writer.put(resources.attributes);
  for (const column of [samples.type, samples.stack, samples.link, samples.resource]) writer.put(column);
  for (const column of [samples.scopeName, samples.profileId, samples.threadName, samples.attributes, samples.cpuLogicalNumber]) writer.put(column);
  for (const column of [stacks.id, stacks.date, stacks.serviceName, stacks.cut, stacks.frameStart.subarray(1), stacks.frame]) writer.put(column);
  const { frames } = stacks;
  for (const column of [frames.function, frames.systemName, frames.file, frames.type, frames.mapping, frames.buildId]) writer.put(column);
  writer.put(Uint32Array.from(segments, (segment) => segment.rowEnd));
  writer.put(Uint32Array.from(segments, (segment) => segment.stackEnd));
  end = 0;
  writer.put(
    Uint32Array.from(segments, (segment) => {
      end += segment.profiles.length;
      return end;
    }),
  );
  writer.put(Uint32Array.from(segments.flatMap((segment) => segment.profiles.map((profile) => profile.rowEnd))));
}

function putColumns1(writer: Columns, { stackIdBytes, segments, stacks }: RowsMessage, stringBytes: Uint8Array): void {
  writer.put(stackIdBytes);
  writer.put(
    packHex(
      segments.flatMap((segment) => segment.profiles.map((profile) => profile.digest)),
      'digest',
    ),
  );
  writer.put(stacks.frames.inlined);
  writer.put(stringBytes);
}

function takeColumns(reader: Columns, header: Header, counts: Counts, version: number): RowsMessage {
  // In the order of the grammar.
  const processPid = reader.int64(counts.resources);
  const eights = takeSamples8(reader, counts.samples);
  const frames8 = { line: reader.int64(counts.frames), column: reader.int64(counts.frames), address: reader.uint64(counts.frames) };
  const offsets = reader.float64(counts.segments);
  const appendTimes = reader.float64(counts.segments);
  const stringEnds = reader.uint32(counts.strings);
  const mapEnds = reader.uint32(counts.maps);
  const mapEntries = reader.uint32(2 * counts.mapEntries);
  const types = pairs(reader.uint32(2 * counts.types));
  const links = triples(reader.uint32(3 * counts.links));
  const resources = takeResources4(reader, counts.resources, processPid);
  const samples: SampleColumns = { length: counts.samples, ...eights, ...takeSamples4(reader, counts.samples) };
  const stacks4 = { ...takeStacks4(reader, counts.stacks), frame: version === firstVersion ? ascending(counts.frames) : reader.uint32(counts.stackFrames) };
  const frames4 = takeFrames4(reader, counts.frames);
  const ends = { rows: reader.uint32(counts.segments), stacks: reader.uint32(counts.segments), profiles: reader.uint32(counts.segments) };
  const profileEnds = reader.uint32(counts.profiles);
  const stackIdBytes = reader.uint8(idBytes * counts.stackIds);
  const digests = unpackHex(reader.uint8(idBytes * counts.profiles));
  const frames: FrameColumns = { length: counts.frames, ...frames8, ...frames4, inlined: reader.uint8(counts.frames) };
  const table = decodeStrings(stringEnds, reader.uint8(counts.stringBytes));
  const topic = table.pop()!;
  const logId = table.pop()!;
  const stacks: StackColumns = { length: counts.stacks, ...stacks4, frames };
  const segments = segmentsOf(offsets, appendTimes, ends, profileEnds, digests);
  const maps = mapsOf(mapEnds, mapEntries);
  const texts = stackIdTexts(stackIdBytes);
  return {
    ...header,
    logId,
    topic,
    strings: table,
    maps,
    types,
    links,
    stackIdBytes,
    get stackIds() {
      return texts();
    },
    resources,
    samples,
    stacks,
    segments,
  };
}

const ascending = (length: number): Uint32Array => Uint32Array.from({ length }, (_, index) => index);

function takeSamples8(reader: Columns, length: number) {
  return {
    time: reader.int64(length),
    durationNanos: reader.int64(length),
    value: reader.int64(length),
    count: reader.int64(length),
    weight: reader.float64(length),
    threadId: reader.int64(length),
  };
}

function takeSamples4(reader: Columns, length: number) {
  return {
    type: reader.uint32(length),
    stack: reader.uint32(length),
    link: reader.uint32(length),
    resource: reader.uint32(length),
    scopeName: reader.uint32(length),
    profileId: reader.uint32(length),
    threadName: reader.uint32(length),
    attributes: reader.uint32(length),
    cpuLogicalNumber: reader.int32(length),
  };
}

function takeResources4(reader: Columns, length: number, processPid: BigInt64Array): ResourceColumns {
  const strings = {} as Record<ResourceStringColumn, Uint32Array>;
  for (const name of resourceStringColumns) strings[name] = reader.uint32(length);
  return { length, strings, processPid, attributes: reader.uint32(length) };
}

function takeStacks4(reader: Columns, length: number) {
  const columns = { id: reader.uint32(length), date: reader.int32(length), serviceName: reader.uint32(length), cut: reader.uint32(length) };
  const frameStart = new Uint32Array(length + 1);
  frameStart.set(reader.uint32(length), 1);
  return { ...columns, frameStart };
}

function takeFrames4(reader: Columns, length: number) {
  return {
    function: reader.uint32(length),
    systemName: reader.uint32(length),
    file: reader.uint32(length),
    type: reader.uint32(length),
    mapping: reader.uint32(length),
    buildId: reader.uint32(length),
  };
}

function segmentsOf(
  offsets: Float64Array,
  appendTimes: Float64Array,
  ends: { rows: Uint32Array; stacks: Uint32Array; profiles: Uint32Array },
  profileEnds: Uint32Array,
  digests: readonly string[],
): Segment[] {
  checkEnds(ends.profiles, profileEnds.length, 'profile');
  const segments: Segment[] = [];
  for (let index = 0; index < offsets.length; index++) {
    const rowStart = index === 0 ? 0 : ends.rows[index - 1]!;
    const profiles: ProfileRange[] = [];
    let profileStart = rowStart;
    for (let at = index === 0 ? 0 : ends.profiles[index - 1]!; at < ends.profiles[index]!; at++) {
      profiles.push({ digest: digests[at]!, rowStart: profileStart, rowEnd: profileEnds[at]! });
      profileStart = profileEnds[at]!;
    }
    segments.push({
      offset: offsets[index]!,
      appendTimeMillis: appendTimes[index]!,
      rowStart,
      rowEnd: ends.rows[index]!,
      stackStart: index === 0 ? 0 : ends.stacks[index - 1]!,
      stackEnd: ends.stacks[index]!,
      profiles,
    });
  }
  return segments;
}

function mapsOf(ends: Uint32Array, entries: Uint32Array): (readonly [number, number])[][] {
  checkEnds(ends, entries.length / 2, 'map');
  const all = pairs(entries);
  return Array.from(ends, (end, index) => all.slice(index === 0 ? 0 : ends[index - 1]!, end));
}

function pairs(flat: Uint32Array): (readonly [number, number])[] {
  return Array.from({ length: flat.length / 2 }, (_, index) => [flat[2 * index]!, flat[2 * index + 1]!] as const);
}

function triples(flat: Uint32Array): (readonly [number, number, number])[] {
  return Array.from({ length: flat.length / 3 }, (_, index) => [flat[3 * index]!, flat[3 * index + 1]!, flat[3 * index + 2]!] as const);
}

// What a header may say, before anything is made from it.
function checkHeader(header: Header, counts: Counts): void {
  for (const name of countNames) {
    const count = counts[name];
    if (!Number.isInteger(count) || count < 0 || count > rowsPayloadBytesMax) throw malformed(`${name} = ${count}`, 'a count');
  }
  if (counts.strings < 3) throw malformed(`${counts.strings} strings`, "'', the log id and the topic");
  if (counts.maps < 1 || counts.links < 1) throw malformed('no entry 0 in maps or links', 'one that stands for none');
  for (const name of ['partition', 'shard', 'routing'] as const) {
    if (!Number.isSafeInteger(header[name]) || header[name] < 0) throw malformed(`${name} = ${header[name]}`, 'a whole number from 0 on');
  }
  const { from, to } = header;
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < -1 || to <= from) throw malformed(`source range (${from}, ${to}]`, 'from < to');
}

function frame(payload: Uint8Array): Uint8Array {
  const body = zstdCompressSync(payload, { params: { [constants.ZSTD_c_compressionLevel]: compressionLevel } });
  const bytes = Buffer.allocUnsafeSlow(prefixBytes + body.length);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE(rowsMessageVersion, 4);
  bytes.writeBigUInt64LE(BigInt(payload.length), 8);
  bytes.set(body, prefixBytes);
  return bytes;
}

function unframe(bytes: Uint8Array): { payload: Uint8Array; version: number } {
  if (bytes.length < prefixBytes) throw malformed(`${bytes.length} bytes`, `at least ${prefixBytes}`);
  const prefix = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (prefix.readUInt32LE(0) !== magic) throw malformed('other first bytes', 'FLRW');
  const version = prefix.readUInt32LE(4);
  if (version !== rowsMessageVersion && version !== firstVersion) {
    throw new PipelineError(
      'message_version',
      `row message: version ${version} was found, this flamelake reads ${firstVersion} to ${rowsMessageVersion}; run the version of the processor that wrote it, or a newer one`,
      { context: { version } },
    );
  }
  const length = Number(prefix.readBigUInt64LE(8));
  if (length > rowsPayloadBytesMax) throw malformed(`a payload of ${length} bytes`, `at most ${rowsPayloadBytesMax}`);
  const payload = decompress(bytes.subarray(prefixBytes), length);
  if (payload.length !== length) throw malformed(`a payload of ${payload.length} bytes`, `the ${length} that it says`);
  // Views need their alignment; a small output may lie anywhere in a pool.
  return { payload: payload.byteOffset % 8 === 0 ? payload : new Uint8Array(payload), version };
}

function decompress(body: Uint8Array, length: number): Uint8Array {
  try {
    return zstdDecompressSync(body, { maxOutputLength: Math.max(1, length) });
  } catch (cause) {
    throw new PipelineError('message_malformed', `row message: found bytes that zstd does not read (${(cause as Error).message}), expected ${length}`, {
      cause,
    });
  }
}

// From a raw stack to locations of a batch. Native frames leave the host as build id + address in the
// file; the kernel's are named here, where its symbols are. What has neither keeps the name of its memory
// and no address: addresses of JIT code and of anonymous memory are new at each start.
// A program without frame pointers leads the kernel's walk astray: where the chain of frame pointers does
// not end as it should, a caller that lies in no executable memory is none, and the stack is cut there.
import { type ElfSegment, fileOffsetToAddress } from '../lib/elf/elf.ts';
import { addressKindAttribute, addressKindFileOffset, cutFunctionName, frameTypes, stackCutAttribute } from '../schemas/otlp/attributes.ts';
import type { ProfilesWriter } from '../schemas/otlp/writer.ts';
import { stackCut, userFrameLayout, userFrameStatus } from './bpf/layout.gen.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile, MappedFileResult, MappedFiles } from './mapped-files.ts';
import { type ExecutableMapping, mappingAt } from './proc/maps.ts';
import type { Process, Processes } from './processes.ts';
import type { RawStack } from './raw-stacks.ts';

export interface FrameSources {
  readonly kernel: Kernel;
  readonly files: MappedFiles;
  readonly processes: Processes;
}

/** The reason that is written down, most telling first. */
const cutReasons = [
  [stackCut.cutUserUnreadable, 'user_stack_unreadable'],
  [stackCut.cutUserDepth, 'user_stack_too_deep'],
  [stackCut.cutFramePointer, 'frame_pointer_missing'],
  [stackCut.cutExec, 'process_in_exec'],
  [stackCut.cutExit, 'process_ending'],
  [stackCut.cutKernelUnreadable, 'kernel_stack_unreadable'],
  [stackCut.cutKernelDepth, 'kernel_stack_too_deep'],
] as const;
export type CutReason = (typeof cutReasons)[number][1];

export function cutReason(cut: number): CutReason | null {
  return cutReasons.find(([bit]) => (cut & bit) !== 0)?.[1] ?? null;
}

export interface WrittenStack {
  /** In the batch's stack table. */
  readonly index: number;
  readonly cut: CutReason | null;
  /** Afterwards its addresses may mean something else, or be known at last. */
  readonly validUntilMillis: number;
}

interface FileSearch {
  /** Null = the process has none with that build id. */
  readonly file: MappedFile | null;
  readonly validUntilMillis: number;
}

interface FrameContext {
  readonly process: Process;
  readonly nowMillis: number;
  /** Whether this caller may be none: whatever the frame pointer register held. */
  readonly mayStray: boolean;
}

/** In place of a location: no code lies there. */
const astray = -1;
/** In place of a location: the return address of a first function, which has no caller. */
const noCaller = -2;
/** No file system has larger ones; the kernel gives a build id and an offset far beyond it for an address below the file's memory. */
const fileBytesMax = 2n ** 53n;
const pageBytes = 4096n;
/** The byte before 0. */
const noAddress = 2n ** 64n - 1n;

/** Locations of one batch; what was worked out for a frame once is not worked out again. */
export class FrameWriter {
  readonly #writer: ProfilesWriter;
  readonly #sources: FrameSources;
  readonly #kernelLocations = new Map<bigint, number>();
  /** By file and address, shared by all processes. */
  readonly #fileLocations = new Map<MappedFile, Map<bigint, number>>();
  readonly #fileMappings = new Map<MappedFile, Map<number, number>>();
  /** The file of a process that has a build id; looking for it costs a walk over all its mappings. */
  readonly #filesOfProcess = new Map<Process, Map<string, FileSearch>>();

  /** Of the stack at hand. */
  #validUntilMillis = Number.POSITIVE_INFINITY;

  constructor(writer: ProfilesWriter, sources: FrameSources) {
    this.#writer = writer;
    this.#sources = sources;
  }

  stack(raw: RawStack, process: Process, nowMillis: number): WrittenStack {
    const locations = raw.kernelAddresses.map((address, index) => this.#kernelLocation(index === 0 ? address : address - 1n));
    const frames = new DataView(raw.userFrames.buffer, raw.userFrames.byteOffset, raw.userFrames.byteLength);
    const count = raw.userFrames.length / userFrameLayout.bytes;
    let cut = cutReason(raw.cut);
    this.#validUntilMillis = Number.POSITIVE_INFINITY;
    for (let index = 0; index < count; index++) {
      const location = this.#userLocation(frames, index, raw, { process, nowMillis, mayStray: index > 0 && isChainBroken(raw) });
      if (location === noCaller) break;
      if (location === astray) {
        cut = 'frame_pointer_missing';
        break;
      }
      locations.push(location);
    }
    if (cut !== null) locations.push(this.#cutLocation(cut));
    return { index: this.#writer.stack(locations), cut, validUntilMillis: process.isAlive ? this.#validUntilMillis : Number.POSITIVE_INFINITY };
  }

  #kernelLocation(address: bigint): number {
    const known = this.#kernelLocations.get(address);
    if (known !== undefined) return known;
    const location = this.#newKernelLocation(address);
    this.#kernelLocations.set(address, location);
    return location;
  }

  #newKernelLocation(address: bigint): number {
    const type = this.#writer.attribute('profile.frame.type', frameTypes.kernel);
    const found = this.#sources.kernel.locate(address);
    if (found === null) return this.#writer.location(this.#namedMemory('[kernel]'), 0n, [], [type]);
    const buildId = this.#sources.kernel.buildId(found.module);
    const mapping = this.#writer.mapping({
      memoryStart: 0n,
      memoryLimit: found.module.end - found.module.start,
      fileOffset: 0n,
      fileName: found.module.name,
      attributes: buildId === '' ? [] : [this.#writer.attribute('process.executable.build_id.gnu', buildId)],
    });
    const lines = found.function === '' ? [] : [{ function: this.#writer.function(found.function, '', ''), line: 0n, column: 0n }];
    return this.#writer.location(mapping, found.offset, lines, [type]);
  }

  #userLocation(frames: DataView, index: number, raw: RawStack, context: FrameContext): number {
    const at = index * userFrameLayout.bytes;
    // The leaf is where the CPU is; every other is a return address, and the call lies before it.
    const back = index === 0 ? 0n : 1n;
    const value = BigInt.asUintN(64, frames.getBigUint64(at + userFrameLayout.offsetOrIp, true) - back);
    const status = frames.getInt32(at + userFrameLayout.status, true);
    const isBelowAll = status === userFrameStatus.frameBuildId ? value >= fileBytesMax : value === noAddress;
    if (isBelowAll) return this.#belowAllLocation(index, raw, context);
    if (status === userFrameStatus.frameBuildId) {
      const buildId = Buffer.from(raw.userFrames.buffer, raw.userFrames.byteOffset + at + userFrameLayout.buildId, 20).toString('hex');
      return this.#buildIdLocation(buildId, value, context);
    }
    if (status === userFrameStatus.frameIp) return this.#addressLocation(value, context);
    return this.#unknownLocation();
  }

  /** The last of a whole chain is the 0 above a first function; what a broken one comes upon is anything. */
  #belowAllLocation(index: number, raw: RawStack, { mayStray }: FrameContext): number {
    if (mayStray) return astray;
    return index > 0 && index === raw.userFrames.length / userFrameLayout.bytes - 1 ? noCaller : this.#unknownLocation();
  }

  #buildIdLocation(padded: string, offset: bigint, context: FrameContext): number {
    const file = this.#fileOf(padded, context);
    if (file !== null) return this.#fileLocation(file, offset, context.mayStray);
    const mapping = this.#writer.mapping({
      memoryStart: 0n,
      memoryLimit: 0n,
      fileOffset: 0n,
      fileName: '',
      attributes: [
        this.#writer.attribute('process.executable.build_id.gnu', unpadded(padded)),
        this.#writer.attribute(addressKindAttribute, addressKindFileOffset),
      ],
    });
    return this.#writer.location(mapping, offset, [], [this.#nativeType()]);
  }

  #fileOf(padded: string, context: FrameContext): MappedFile | null {
    const { process } = context;
    let files = this.#filesOfProcess.get(process);
    if (files === undefined) {
      files = new Map();
      this.#filesOfProcess.set(process, files);
    }
    const known = files.get(padded);
    const isGood = known !== undefined && context.nowMillis <= known.validUntilMillis;
    const search = isGood ? known : this.#searchFileOf(padded, context);
    if (!isGood) files.set(padded, search);
    this.#validUntilMillis = Math.min(this.#validUntilMillis, search.validUntilMillis);
    return search.file;
  }

  #searchFileOf(padded: string, context: FrameContext): FileSearch {
    const file = this.#findFileOf(padded, context);
    if (file === 'later') return { file: null, validUntilMillis: 0 };
    return { file, validUntilMillis: file === null ? nextLookMillis(context.process) : Number.POSITIVE_INFINITY };
  }

  /**
   * The process's own file first: copies of a file, stripped ones too, share a build id. One that
   * ended before it could be looked at gets the file that another process has.
   */
  #findFileOf(padded: string, { process, nowMillis }: FrameContext): MappedFile | null | 'later' {
    const { files, processes } = this.#sources;
    const elsewhere = files.byBuildId(unpadded(padded));
    if (!process.isAlive) return elsewhere;
    if (elsewhere !== null && process.mappings.some(({ path }) => path === elsewhere.path)) return elsewhere;
    const own = this.#searchFiles(padded, process, nowMillis);
    if (own !== null && own !== 'later') return own;
    if (elsewhere !== null) return elsewhere;
    if (own === 'later') return own;
    return processes.rereadMaps(process, nowMillis) ? this.#searchFiles(padded, process, nowMillis) : null;
  }

  #searchFiles(padded: string, process: Process, nowMillis: number): MappedFile | null | 'later' {
    let isComplete = true;
    for (const mapping of process.mappings) {
      const file = this.#sources.files.find(process.pid, mapping, nowMillis);
      if (file === 'later') isComplete = false;
      else if (typeof file === 'object' && file.ids.gnu !== null && file.ids.gnu.padEnd(40, '0').slice(0, 40) === padded) return file;
    }
    return isComplete ? null : 'later';
  }

  #addressLocation(address: bigint, context: FrameContext): number {
    const { process, mayStray } = context;
    const found = this.#memoryAt(address, context);
    // Without maps, or with more than we read, it may be anything.
    if (found === null) {
      this.#validUntilMillis = Math.min(this.#validUntilMillis, nextLookMillis(process));
      return mayStray && knowsItsMemory(process) ? astray : this.#unknownLocation();
    }
    const { mapping, file } = found;
    if (typeof file === 'object') return this.#fileLocation(file, address - mapping.start + mapping.fileOffset, mayStray);
    if (file === 'none') return this.#writer.location(this.#namedMemory(memoryName(mapping)), 0n, [], []);
    this.#validUntilMillis = file === 'later' ? 0 : Math.min(this.#validUntilMillis, nextLookMillis(process));
    return this.#unknownLocation();
  }

  /** What is mapped at an address now; maps that know nothing of it, or not what is there any more, are read again. */
  #memoryAt(address: bigint, { process, nowMillis }: FrameContext): { mapping: ExecutableMapping; file: MappedFileResult } | null {
    const { files, processes } = this.#sources;
    for (let isLast = false; ; isLast = true) {
      const mapping = mappingAt(process.mappings, address);
      const file = mapping === null ? null : files.findNow(process, mapping, nowMillis);
      const isKnown = mapping !== null && file !== null && file !== 'gone';
      if (isKnown) this.#validUntilMillis = Math.min(this.#validUntilMillis, files.trustedUntilMillis(mapping));
      if (isKnown || isLast || !processes.rereadMaps(process, nowMillis)) return mapping === null || file === null ? null : { mapping, file };
    }
  }

  #fileLocation(file: MappedFile, offset: bigint, mayStray: boolean): number {
    let locations = this.#fileLocations.get(file);
    if (locations === undefined) {
      locations = new Map();
      this.#fileLocations.set(file, locations);
    }
    const known = locations.get(offset);
    if (known !== undefined) return known;
    const address = offset < fileBytesMax ? fileOffsetToAddress(file, Number(offset)) : null;
    if (address === null && mayStray && file.segments.length > 0) return astray;
    const location = this.#newFileLocation(file, offset, address);
    locations.set(offset, location);
    return location;
  }

  #newFileLocation(file: MappedFile, offset: bigint, address: bigint | null): number {
    const segment = address === null ? -1 : file.segments.findIndex((candidate) => isIn(candidate, address));
    return this.#writer.location(this.#fileMapping(file, segment), address ?? offset, [], [this.#nativeType()]);
  }

  /** One mapping per executable segment, in the file's own addresses, the same for every process that maps it. */
  #fileMapping(file: MappedFile, segmentIndex: number): number {
    let mappings = this.#fileMappings.get(file);
    if (mappings === undefined) {
      mappings = new Map();
      this.#fileMappings.set(file, mappings);
    }
    const known = mappings.get(segmentIndex);
    if (known !== undefined) return known;
    const segment = file.segments[segmentIndex];
    const mapping = this.#writer.mapping({
      memoryStart: segment?.address ?? 0n,
      memoryLimit: segment === undefined ? 0n : segment.address + BigInt(segment.memoryBytes),
      fileOffset: BigInt(segment?.offset ?? 0),
      fileName: file.path,
      attributes: [...this.#buildIdAttributes(file), ...(segment === undefined ? [this.#writer.attribute(addressKindAttribute, addressKindFileOffset)] : [])],
    });
    mappings.set(segmentIndex, mapping);
    return mapping;
  }

  #buildIdAttributes({ ids }: MappedFile): number[] {
    const attributes = [this.#writer.attribute('process.executable.build_id.htlhash', ids.htlhash)];
    if (ids.gnu !== null) attributes.push(this.#writer.attribute('process.executable.build_id.gnu', ids.gnu));
    if (ids.go !== null) attributes.push(this.#writer.attribute('process.executable.build_id.go', ids.go));
    return attributes;
  }

  #namedMemory(fileName: string): number {
    return this.#writer.mapping({ memoryStart: 0n, memoryLimit: 0n, fileOffset: 0n, fileName, attributes: [] });
  }

  #unknownLocation(): number {
    return this.#writer.location(this.#namedMemory('[unknown]'), 0n, [], []);
  }

  #nativeType(): number {
    return this.#writer.attribute('profile.frame.type', frameTypes.native);
  }

  #cutLocation(reason: CutReason): number {
    const name = this.#writer.function(cutFunctionName(reason), '', '');
    return this.#writer.location(0, 0n, [{ function: name, line: 0n, column: 0n }], [this.#writer.attribute(stackCutAttribute, reason)]);
  }
}

/** Bytes that linkers write: sha1, md5 and uuid, and lld's fast hash. */
const buildIdBytes = [20, 16, 8] as const;

/**
 * The kernel pads build ids to 20 bytes with zeros, and does not say how many. Four zero bytes at the end
 * are taken for that: of sha1 ids one in 2^32 ends so.
 */
export function unpadded(padded: string): string {
  const significant = padded.replace(/(00)+$/, '').length / 2;
  if (significant > 16) return padded;
  const standard = buildIdBytes.findLast((bytes) => bytes >= significant && bytes - significant < 4);
  return padded.slice(0, 2 * (standard ?? significant));
}

const isChainBroken = ({ cut }: RawStack): boolean => (cut & (stackCut.cutFramePointer | stackCut.cutUserDepth)) !== 0;

/** Before this its maps are not read again, and nothing more is known of it. */
const nextLookMillis = ({ readAtMillis, mapsWaitMillis }: Process): number => readAtMillis + mapsWaitMillis;

/** Whether an address outside its mappings is none of its code. */
const knowsItsMemory = ({ isAlive, mappings, hasAllMappings }: Process): boolean => isAlive && mappings.length > 0 && hasAllMappings;

/** The kernel maps whole pages. */
const isIn = ({ address: start, memoryBytes }: ElfSegment, address: bigint): boolean =>
  address >= start - (start % pageBytes) && address < start + BigInt(memoryBytes);

/** Memory without a file, or with one that is no ELF file: a JIT's. */
function memoryName(mapping: ExecutableMapping): string {
  return mapping.path === '' ? '[anon]' : mapping.path;
}

// ELF headers of executables and libraries: what maps a file offset to an address, and where notes
// and symbols lie. 64- and 32-bit, little endian. The files belong to anybody: every count is capped,
// every range checked, and nothing is read before it is asked for.
import { PipelineError } from '../errors.ts';
import type { ByteSource } from './source.ts';

export type { ByteSource } from './source.ts';

export const segmentLoad = 1;
export const segmentNote = 4;
export const segmentExecutable = 1;
export const sectionSymbols = 2;
export const sectionNote = 7;
export const sectionNoBits = 8;
export const sectionDynamicSymbols = 11;

export interface ElfSegment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: bigint;
  readonly fileBytes: number;
  readonly memoryBytes: number;
  readonly align: number;
}

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: bigint;
  readonly offset: number;
  readonly bytes: number;
  /** Index of the section it belongs to, e.g. the strings of a symbol table. */
  readonly link: number;
  readonly entryBytes: number;
  readonly align: number;
}

export interface ElfFile {
  readonly source: ByteSource;
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly type: number;
  readonly segments: readonly ElfSegment[];
  /** Read at the first call; empty where the file was stripped of its section table. */
  sections(): readonly ElfSection[];
}

/** Linkers write tens; the format's escape for more than 65,534 is only seen in core files. */
const segmentsMax = 65_535;
/** One section per function (-ffunction-sections) in an unlinked object of a large program. */
const sectionsMax = 1 << 20;
const sectionNamesBytesMax = 64 << 20;
const pageBytes = 4096;
/** "The count is in section 0." */
const segmentsEscape = 0xffff;

interface ElfHeader {
  readonly bits: 32 | 64;
  readonly type: number;
  readonly machine: number;
  readonly segmentsOffset: number;
  readonly segmentBytes: number;
  readonly segmentCount: number;
  readonly sectionsOffset: number;
  readonly sectionBytes: number;
  readonly sectionCount: number;
  readonly namesIndex: number;
}

export function readElf(source: ByteSource): ElfFile {
  const header = readHeader(source);
  const segments = readSegments(source, header);
  let sections: readonly ElfSection[] | null = null;
  return {
    source,
    bits: header.bits,
    machine: header.machine,
    type: header.type,
    segments,
    sections() {
      sections ??= readSections(source, header);
      return sections;
    },
  };
}

/**
 * The ELF address at which the byte at a file offset is loaded as code, or null. The kernel maps whole
 * pages, so code at the edge of a segment's page belongs to it unless another segment holds it.
 */
export function fileOffsetToAddress(elf: Pick<ElfFile, 'segments'>, offset: number): bigint | null {
  let byPage: bigint | null = null;
  for (const segment of elf.segments) {
    if (segment.type !== segmentLoad || (segment.flags & segmentExecutable) === 0 || segment.fileBytes === 0) continue;
    const end = segment.offset + segment.fileBytes;
    const address = BigInt.asUintN(64, segment.address + BigInt(offset - segment.offset));
    if (offset >= segment.offset && offset < end) return address;
    const pageStart = segment.offset - (segment.offset % pageBytes);
    const pageEnd = Math.ceil(end / pageBytes) * pageBytes;
    if (offset >= pageStart && offset < pageEnd) byPage ??= address;
  }
  return byPage;
}

function readHeader(source: ByteSource): ElfHeader {
  if (source.bytes < 52) throw malformed(`a file of ${source.bytes} bytes`, 'an ELF header');
  const ident = source.read(0, 16);
  if (ident[0] !== 0x7f || ident[1] !== 0x45 || ident[2] !== 0x4c || ident[3] !== 0x46) throw malformed('other first bytes', '7f 45 4c 46 (ELF)');
  if (ident[4] !== 1 && ident[4] !== 2) throw malformed(`class ${ident[4]}`, 'class 1 (32-bit) or 2 (64-bit)');
  if (ident[5] !== 1) throw malformed(`data encoding ${ident[5]}`, '1 (little endian)');
  const bits = ident[4] === 2 ? 64 : 32;
  const view = viewOf(source.read(0, bits === 64 ? 64 : 52));
  // From e_ehsize on both classes have the same fields.
  const tail = bits === 64 ? 52 : 40;
  const header = {
    bits,
    type: view.getUint16(16, true),
    machine: view.getUint16(18, true),
    segmentsOffset: bits === 64 ? wide(view, 32) : view.getUint32(28, true),
    sectionsOffset: bits === 64 ? wide(view, 40) : view.getUint32(32, true),
    segmentBytes: view.getUint16(tail + 2, true),
    segmentCount: view.getUint16(tail + 4, true),
    sectionBytes: view.getUint16(tail + 6, true),
    sectionCount: view.getUint16(tail + 8, true),
    namesIndex: view.getUint16(tail + 10, true),
  } as const;
  return header.segmentCount === segmentsEscape || header.sectionCount === 0 || header.namesIndex === 0xffff ? withEscapes(source, header) : header;
}

/** Counts that do not fit 16 bits stand in section 0. */
function withEscapes(source: ByteSource, header: ElfHeader): ElfHeader {
  if (header.sectionsOffset === 0) return header;
  const isThere = header.sectionBytes >= sectionEntryBytes(header.bits) && header.sectionsOffset + header.sectionBytes <= source.bytes;
  if (!isThere) return { ...header, sectionsOffset: 0 };
  const view = viewOf(source.read(header.sectionsOffset, sectionEntryBytes(header.bits)));
  const first = sectionAt(view, 0, header.bits);
  return {
    ...header,
    segmentCount: header.segmentCount === segmentsEscape ? first.info : header.segmentCount,
    sectionCount: header.sectionCount === 0 ? first.bytes : header.sectionCount,
    namesIndex: header.namesIndex === 0xffff ? first.link : header.namesIndex,
  };
}

function readSegments(source: ByteSource, header: ElfHeader): ElfSegment[] {
  const entryBytes = header.bits === 64 ? 56 : 32;
  if (header.segmentsOffset === 0 || header.segmentCount === 0) return [];
  if (header.segmentCount > segmentsMax) throw malformed(`${header.segmentCount} segments`, `at most ${segmentsMax}`);
  if (header.segmentBytes < entryBytes) throw malformed(`segment entries of ${header.segmentBytes} bytes`, `${entryBytes}`);
  const view = viewOf(source.read(header.segmentsOffset, header.segmentBytes * header.segmentCount));
  const segments: ElfSegment[] = [];
  for (let index = 0; index < header.segmentCount; index++) segments.push(segmentAt(view, index * header.segmentBytes, header.bits));
  return segments;
}

function segmentAt(view: DataView, at: number, bits: 32 | 64): ElfSegment {
  if (bits === 64) {
    return {
      type: view.getUint32(at, true),
      flags: view.getUint32(at + 4, true),
      offset: wide(view, at + 8),
      address: view.getBigUint64(at + 16, true),
      fileBytes: wide(view, at + 32),
      memoryBytes: wide(view, at + 40),
      align: wide(view, at + 48),
    };
  }
  return {
    type: view.getUint32(at, true),
    offset: view.getUint32(at + 4, true),
    address: BigInt(view.getUint32(at + 8, true)),
    fileBytes: view.getUint32(at + 16, true),
    memoryBytes: view.getUint32(at + 20, true),
    flags: view.getUint32(at + 24, true),
    align: view.getUint32(at + 28, true),
  };
}

function readSections(source: ByteSource, header: ElfHeader): ElfSection[] {
  if (header.sectionsOffset === 0 || header.sectionCount === 0) return [];
  const entryBytes = sectionEntryBytes(header.bits);
  if (header.sectionCount > sectionsMax) throw malformed(`${header.sectionCount} sections`, `at most ${sectionsMax}`);
  if (header.sectionBytes < entryBytes) throw malformed(`section entries of ${header.sectionBytes} bytes`, `${entryBytes}`);
  const view = viewOf(source.read(header.sectionsOffset, header.sectionBytes * header.sectionCount));
  const raw = Array.from({ length: header.sectionCount }, (_, index) => sectionAt(view, index * header.sectionBytes, header.bits));
  const names = sectionNames(source, raw[header.namesIndex]);
  return raw.map(({ nameOffset, info: _, ...section }) => ({ ...section, name: textAt(names, nameOffset) }));
}

/** Names are for people and for choosing; a file whose name table is broken still has its sections. */
function sectionNames(source: ByteSource, section: { type: number; offset: number; bytes: number } | undefined): Uint8Array {
  const inside = section && section.type !== sectionNoBits && section.bytes <= sectionNamesBytesMax && section.offset + section.bytes <= source.bytes;
  return inside ? source.read(section.offset, section.bytes) : new Uint8Array(0);
}

const sectionEntryBytes = (bits: 32 | 64): number => (bits === 64 ? 64 : 40);

function sectionAt(view: DataView, at: number, bits: 32 | 64) {
  const is64 = bits === 64;
  return {
    nameOffset: view.getUint32(at, true),
    type: view.getUint32(at + 4, true),
    flags: is64 ? wide(view, at + 8) : view.getUint32(at + 8, true),
    address: is64 ? view.getBigUint64(at + 16, true) : BigInt(view.getUint32(at + 12, true)),
    offset: is64 ? wide(view, at + 24) : view.getUint32(at + 16, true),
    bytes: is64 ? wide(view, at + 32) : view.getUint32(at + 20, true),
    link: view.getUint32(at + (is64 ? 40 : 24), true),
    info: view.getUint32(at + (is64 ? 44 : 28), true),
    align: is64 ? wide(view, at + 48) : view.getUint32(at + 32, true),
    entryBytes: is64 ? wide(view, at + 56) : view.getUint32(at + 36, true),
  };
}

/** A NUL-terminated name inside a string table; '' where it does not lie there. */
export function textAt(table: Uint8Array, offset: number): string {
  if (offset >= table.length) return '';
  const end = table.indexOf(0, offset);
  return Buffer.from(table.buffer, table.byteOffset + offset, (end < 0 ? table.length : end) - offset).toString('utf8');
}

/** A 64-bit size or offset. Above 2^53 it lies outside any file; the inexact number still fails every range check. */
function wide(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function malformed(found: string, expected: string): PipelineError {
  return new PipelineError('elf_malformed', `ELF file: found ${found}, expected ${expected}`);
}

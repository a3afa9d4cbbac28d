// Build ids of an executable or library: what names a file whatever its path. gnu and go are notes
// that the linker wrote; htlhash is OpenTelemetry's hash of head, tail and length, which every file has.
import { createHash } from 'node:crypto';
import { isPipelineError } from '../errors.ts';
import { type ElfFile, sectionNote, segmentNote } from './elf.ts';

export interface BuildIds {
  /** Lower hex of the NT_GNU_BUILD_ID note. */
  readonly gnu: string | null;
  /** Go's own build id, as text. */
  readonly go: string | null;
  /** 32 lower hex digits. */
  readonly htlhash: string;
}

const gnuBuildIdType = 3;
const goBuildIdType = 4;
/** Linkers write 8 to 20 bytes, --build-id=0x… any number. */
const gnuBytesMin = 4;
const gnuBytesMax = 64;
/** Go writes about 83. */
const goBytesMax = 256;
/** Notes are hundreds of bytes; core files, which hold megabytes, have no build ids of their own. */
const notesBytesMax = 1 << 20;
const hashedBytes = 4096;

export function readBuildIds(elf: ElfFile): BuildIds {
  const { gnu, go } = idsIn(elf, segmentNotes(elf));
  // Segments are what stripping leaves; the section table is only read where they have no gnu id
  // (Go's linker has both notes, and a segment for its own alone).
  const rest = gnu === null ? idsIn(elf, sectionNotes(elf)) : null;
  return { gnu: gnu ?? rest?.gnu ?? null, go: go ?? rest?.go ?? null, htlhash: headTailLengthHash(elf) };
}

interface NoteIds {
  readonly gnu: string | null;
  readonly go: string | null;
}

interface NoteArea {
  readonly offset: number;
  readonly bytes: number;
  readonly align: number;
}

function idsIn(elf: ElfFile, areas: readonly NoteArea[]): NoteIds {
  let ids: NoteIds = { gnu: null, go: null };
  for (const { offset, bytes, align } of areas) {
    if (bytes > notesBytesMax || offset + bytes > elf.source.bytes) continue;
    const found = readNotes(elf.source.read(offset, bytes), align >= 8 ? 8 : 4);
    ids = { gnu: ids.gnu ?? found.gnu, go: ids.go ?? found.go };
  }
  return ids;
}

function segmentNotes(elf: ElfFile): NoteArea[] {
  return elf.segments.filter(({ type }) => type === segmentNote).map(({ offset, fileBytes, align }) => ({ offset, bytes: fileBytes, align }));
}

/** A broken section table does not take the file's hash away. */
function sectionNotes(elf: ElfFile): NoteArea[] {
  try {
    return elf.sections().filter(({ type }) => type === sectionNote);
  } catch (error) {
    if (isPipelineError(error, 'elf_malformed')) return [];
    throw error;
  }
}

/** note = nameBytes descriptionBytes type name description, the latter two padded. A note that does not fit ends the walk. */
function readNotes(area: Uint8Array, align: number): NoteIds {
  const view = new DataView(area.buffer, area.byteOffset, area.byteLength);
  const text = Buffer.from(area.buffer, area.byteOffset, area.byteLength);
  let { gnu, go } = { gnu: null as string | null, go: null as string | null };
  for (let at = 0; at + 12 <= area.length; ) {
    const nameBytes = view.getUint32(at, true);
    const bytes = view.getUint32(at + 4, true);
    const type = view.getUint32(at + 8, true);
    const start = at + Math.ceil((12 + nameBytes) / align) * align;
    if (start + bytes > area.length) break;
    // Go counts the padding of its name as part of it.
    const name = text.toString('latin1', at + 12, at + 12 + nameBytes).replace(/\0+$/, '');
    if (name === 'GNU' && type === gnuBuildIdType && bytes >= gnuBytesMin && bytes <= gnuBytesMax) gnu ??= text.toString('hex', start, start + bytes);
    if (name === 'Go' && type === goBuildIdType && bytes > 0 && bytes <= goBytesMax) go ??= text.toString('utf8', start, start + bytes);
    at = start + Math.ceil(bytes / align) * align;
  }
  return { gnu, go };
}

/** First 16 bytes of SHA-256(first 4096 bytes, last 4096 bytes, length as big-endian u64); the parts may overlap. */
function headTailLengthHash({ source }: ElfFile): string {
  const part = Math.min(hashedBytes, source.bytes);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(source.bytes));
  const hash = createHash('sha256');
  hash.update(source.read(0, part));
  hash.update(source.read(source.bytes - part, part));
  return hash.update(length).digest('hex').slice(0, 32);
}

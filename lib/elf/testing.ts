// ELF files made by hand, for tests of whoever reads them.

export interface TestSegment {
  readonly type: number;
  readonly flags?: number;
  readonly offset: number;
  readonly address: bigint;
  readonly bytes: number;
  readonly align?: number;
}

export interface TestSymbol {
  readonly name: string;
  readonly value: bigint;
  readonly size: bigint;
  /** 1 global, 0 local, 2 weak. */
  readonly bind?: number;
  /** 2 function, 10 indirect function, 1 object. */
  readonly type?: number;
  /** Index of its section; 0 = undefined. Default 1 (.text). */
  readonly section?: number;
}

export interface TestElf {
  readonly bits?: 32 | 64;
  readonly machine?: number;
  readonly segments?: readonly TestSegment[];
  readonly notes?: readonly { readonly name: string; readonly type: number; readonly description: Uint8Array }[];
  /** Where notes are to be found. Default: a segment. */
  readonly notesIn?: 'segment' | 'section';
  readonly symbols?: readonly TestSymbol[];
  readonly symbolsIn?: 'symtab' | 'dynsym';
  /** Address range of .text, section 1. */
  readonly text?: { readonly address: bigint; readonly bytes: number };
}

export function buildElf(elf: TestElf): Buffer {
  const is64 = (elf.bits ?? 64) === 64;
  const parts: Buffer[] = [Buffer.alloc(is64 ? 64 : 52)];
  let at = parts[0]!.length;
  const add = (bytes: Buffer): number => {
    const padding = (8 - (at % 8)) % 8;
    parts.push(Buffer.alloc(padding), bytes);
    const start = at + padding;
    at = start + bytes.length;
    return start;
  };
  const notes = Buffer.concat((elf.notes ?? []).map(noteBytes));
  const notesAt = add(notes);
  const names = Buffer.from(`\0${(elf.symbols ?? []).map(({ name }) => `${name}\0`).join('')}`);
  const namesAt = add(names);
  const symbols = Buffer.concat((elf.symbols ?? []).map((symbol) => symbolBytes(symbol, names, is64)));
  const symbolsAt = add(symbols);
  const sectionNames = Buffer.from('\0.text\0.notes\0.symbols\0.strings\0.shstrtab\0');
  const sectionNamesAt = add(sectionNames);
  const nameAt = (name: string) => sectionNames.indexOf(`${name}\0`);
  const notesIn = elf.notesIn ?? 'segment';
  const segments: TestSegment[] = [...(elf.segments ?? [])];
  if (notes.length > 0 && notesIn === 'segment') segments.push({ type: 4, offset: notesAt, address: 0n, bytes: notes.length, align: 4 });
  const segmentsAt = add(Buffer.concat(segments.map((segment) => segmentBytes(segment, is64))));
  const text = elf.text ?? { address: 0n, bytes: 0 };
  const symbolsType = elf.symbolsIn === 'dynsym' ? 11 : 2;
  const sections = [
    section({ name: 0, type: 0, address: 0n, offset: 0, bytes: 0, link: 0, entry: 0 }, is64),
    section({ name: nameAt('.text'), type: 8, address: text.address, offset: 0, bytes: text.bytes, link: 0, entry: 0 }, is64),
    section({ name: nameAt('.notes'), type: notesIn === 'section' ? 7 : 1, address: 0n, offset: notesAt, bytes: notes.length, link: 0, entry: 0 }, is64),
    section({ name: nameAt('.symbols'), type: symbolsType, address: 0n, offset: symbolsAt, bytes: symbols.length, link: 4, entry: is64 ? 24 : 16 }, is64),
    section({ name: nameAt('.strings'), type: 3, address: 0n, offset: namesAt, bytes: names.length, link: 0, entry: 0 }, is64),
    section({ name: nameAt('.shstrtab'), type: 3, address: 0n, offset: sectionNamesAt, bytes: sectionNames.length, link: 0, entry: 0 }, is64),
  ];
  const sectionsAt = add(Buffer.concat(sections));
  const header = parts[0]!;
  header.set([0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1]);
  header.writeUInt16LE(3, 16);
  header.writeUInt16LE(elf.machine ?? 62, 18);
  if (is64) {
    header.writeBigUInt64LE(BigInt(segmentsAt), 32);
    header.writeBigUInt64LE(BigInt(sectionsAt), 40);
  } else {
    header.writeUInt32LE(segmentsAt, 28);
    header.writeUInt32LE(sectionsAt, 32);
  }
  const tail = is64 ? 52 : 40;
  const counts = [header.length, is64 ? 56 : 32, segments.length, is64 ? 64 : 40, sections.length, 5];
  for (const [index, value] of counts.entries()) header.writeUInt16LE(value, tail + 2 * index);
  return Buffer.concat(parts);
}

function noteBytes(note: { readonly name: string; readonly type: number; readonly description: Uint8Array }): Buffer {
  const pad = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  const name = Buffer.from(`${note.name}\0`);
  const head = Buffer.alloc(12);
  head.writeUInt32LE(name.length, 0);
  head.writeUInt32LE(note.description.length, 4);
  head.writeUInt32LE(note.type, 8);
  return Buffer.concat([head, pad(name), pad(Buffer.from(note.description))]);
}

function symbolBytes(symbol: TestSymbol, names: Buffer, is64: boolean): Buffer {
  const name = symbol.name === '' ? 0 : names.indexOf(`\0${symbol.name}\0`) + 1;
  const info = ((symbol.bind ?? 1) << 4) | (symbol.type ?? 2);
  const bytes = Buffer.alloc(is64 ? 24 : 16);
  bytes.writeUInt32LE(name, 0);
  if (is64) {
    bytes.writeUInt8(info, 4);
    bytes.writeUInt16LE(symbol.section ?? 1, 6);
    bytes.writeBigUInt64LE(symbol.value, 8);
    bytes.writeBigUInt64LE(symbol.size, 16);
  } else {
    bytes.writeUInt32LE(Number(symbol.value), 4);
    bytes.writeUInt32LE(Number(symbol.size), 8);
    bytes.writeUInt8(info, 12);
    bytes.writeUInt16LE(symbol.section ?? 1, 14);
  }
  return bytes;
}

function segmentBytes(segment: TestSegment, is64: boolean): Buffer {
  const bytes = Buffer.alloc(is64 ? 56 : 32);
  const flags = segment.flags ?? 5;
  bytes.writeUInt32LE(segment.type, 0);
  if (is64) {
    bytes.writeUInt32LE(flags, 4);
    const words = [BigInt(segment.offset), segment.address, segment.address, BigInt(segment.bytes), BigInt(segment.bytes), BigInt(segment.align ?? 4096)];
    for (const [index, value] of words.entries()) bytes.writeBigUInt64LE(value, 8 + 8 * index);
    return bytes;
  }
  const words = [segment.offset, Number(segment.address), Number(segment.address), segment.bytes, segment.bytes, flags, segment.align ?? 4096];
  for (const [index, value] of words.entries()) bytes.writeUInt32LE(value, 4 + 4 * index);
  return bytes;
}

interface Section {
  readonly name: number;
  readonly type: number;
  readonly address: bigint;
  readonly offset: number;
  readonly bytes: number;
  readonly link: number;
  readonly entry: number;
}

function section(values: Section, is64: boolean): Buffer {
  const bytes = Buffer.alloc(is64 ? 64 : 40);
  bytes.writeUInt32LE(values.name, 0);
  bytes.writeUInt32LE(values.type, 4);
  if (is64) {
    bytes.writeBigUInt64LE(values.address, 16);
    bytes.writeBigUInt64LE(BigInt(values.offset), 24);
    bytes.writeBigUInt64LE(BigInt(values.bytes), 32);
    bytes.writeUInt32LE(values.link, 40);
    bytes.writeBigUInt64LE(BigInt(values.entry), 56);
  } else {
    for (const [index, value] of [Number(values.address), values.offset, values.bytes, values.link].entries()) bytes.writeUInt32LE(value, 12 + 4 * index);
    bytes.writeUInt32LE(values.entry, 36);
  }
  return bytes;
}

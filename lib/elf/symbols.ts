// Function names of an executable or library, as a compact table for many lookups: the symbol table
// (.symtab, else .dynsym) flattened into ranges that do not overlap, so that a lookup is one binary
// search and only ever finds a symbol whose own range holds the address. What no symbol covers has no
// name: the nearest one before it would be a guess.
import { PipelineError } from '../errors.ts';
import { type ElfFile, type ElfSection, sectionDynamicSymbols, sectionSymbols } from './elf.ts';

export interface SymbolTable {
  /** Ranges [starts[i], ends[i]), ascending. User-space addresses are exact as doubles. */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  /** Name i is names[nameStarts[i]] up to the next NUL, as it stands in the file. */
  readonly nameStarts: Uint32Array;
  readonly names: Uint8Array;
}

/** chromium has a million functions; 24 bytes an entry on disk, and as much again while it is sorted. */
const symbolsMax = 8_000_000;
const namesBytesMax = 1 << 29;
/** A mangled name of more is a broken table; such a symbol is left out. */
const nameBytesMax = 16_384;

const typeFunction = 2;
/** Chosen at load time by a resolver; its address is the resolver's. */
const typeIndirectFunction = 10;
const bindLocal = 0;
const sectionUndefined = 0;
const machineArm = 40;

/** Bytes that a table takes, for caches. */
export function symbolTableBytes(table: SymbolTable): number {
  return table.starts.byteLength + table.ends.byteLength + table.nameStarts.byteLength + table.names.byteLength;
}

/** Empty where the file has no symbols. Throws `elf_malformed`. */
export function readFunctionSymbols(elf: ElfFile): SymbolTable {
  const sections = elf.sections();
  for (const type of [sectionSymbols, sectionDynamicSymbols]) {
    const section = sections.find((candidate) => candidate.type === type);
    if (!section) continue;
    const functions = readFunctions(elf, sections, section);
    if (functions.count > 0) return flatten(functions);
  }
  return { starts: new Float64Array(0), ends: new Float64Array(0), nameStarts: new Uint32Array(0), names: new Uint8Array(0) };
}

/** Index of the range that holds an address, or -1. */
export function findSymbol(table: SymbolTable, address: number): number {
  let [low, high] = [0, table.starts.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (table.starts[middle]! <= address) low = middle + 1;
    else high = middle;
  }
  return low > 0 && address < table.ends[low - 1]! ? low - 1 : -1;
}

export function symbolName({ names, nameStarts }: SymbolTable, index: number): string {
  const start = nameStarts[index]!;
  const end = names.indexOf(0, start);
  return Buffer.from(names.buffer, names.byteOffset + start, (end < 0 ? names.length : end) - start).toString('utf8');
}

interface Functions {
  count: number;
  readonly start: Float64Array;
  /** Equal to start where the size is not known. */
  readonly end: Float64Array;
  /** Where its section ends, for those without a size. */
  readonly sectionEnd: Float64Array;
  readonly name: Uint32Array;
  readonly nameBytes: Uint32Array;
  readonly isLocal: Uint8Array;
  readonly names: Uint8Array;
}

function readFunctions(elf: ElfFile, sections: readonly ElfSection[], section: ElfSection): Functions {
  const is64 = elf.bits === 64;
  const entryBytes = is64 ? 24 : 16;
  const strings = sections[section.link];
  if (section.entryBytes !== entryBytes) throw malformed(`symbols of ${section.entryBytes} bytes`, `${entryBytes}`);
  const entries = Math.floor(section.bytes / entryBytes);
  if (entries > symbolsMax) throw malformed(`${entries} symbols`, `at most ${symbolsMax}`);
  if (!strings || strings.bytes > namesBytesMax) throw malformed(`${strings ? strings.bytes : 'no'} bytes of symbol names`, `at most ${namesBytesMax}`);
  const bytes = elf.source.read(section.offset, entries * entryBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const functions = emptyFunctions(countFunctions(bytes, entryBytes, is64 ? 4 : 12), elf.source.read(strings.offset, strings.bytes));
  for (let at = 0; at < bytes.length; at += entryBytes) {
    const info = view.getUint8(at + (is64 ? 4 : 12));
    if (!isFunction(info)) continue;
    const sectionIndex = view.getUint16(at + (is64 ? 6 : 14), true);
    const value = is64 ? Number(view.getBigUint64(at + 8, true)) : view.getUint32(at + 4, true);
    const size = is64 ? Number(view.getBigUint64(at + 16, true)) : view.getUint32(at + 8, true);
    // Thumb code is marked in the lowest bit, which is none of the address.
    const start = elf.machine === machineArm ? value - (value % 2) : value;
    if (sectionIndex === sectionUndefined || !(start + size <= Number.MAX_SAFE_INTEGER)) continue;
    const own = sections[sectionIndex];
    addFunction(functions, start, size, own ? Number(own.address) + own.bytes : start, view.getUint32(at, true), info >>> 4 === bindLocal);
  }
  return functions;
}

function isFunction(info: number): boolean {
  const type = info & 15;
  return type === typeFunction || type === typeIndirectFunction;
}

function countFunctions(bytes: Uint8Array, entryBytes: number, infoOffset: number): number {
  let count = 0;
  for (let at = infoOffset; at < bytes.length; at += entryBytes) if (isFunction(bytes[at]!)) count++;
  return count;
}

function emptyFunctions(capacity: number, names: Uint8Array): Functions {
  return {
    count: 0,
    start: new Float64Array(capacity),
    end: new Float64Array(capacity),
    sectionEnd: new Float64Array(capacity),
    name: new Uint32Array(capacity),
    nameBytes: new Uint32Array(capacity),
    isLocal: new Uint8Array(capacity),
    names,
  };
}

function addFunction(functions: Functions, start: number, size: number, sectionEnd: number, name: number, isLocal: boolean): void {
  const { names, count } = functions;
  if (name >= names.length) return;
  const nameEnd = names.indexOf(0, name);
  const nameBytes = (nameEnd < 0 ? names.length : nameEnd) - name;
  if (nameBytes === 0 || nameBytes > nameBytesMax) return;
  functions.start[count] = start;
  functions.end[count] = start + size;
  functions.sectionEnd[count] = sectionEnd;
  functions.name[count] = name;
  functions.nameBytes[count] = nameBytes;
  functions.isLocal[count] = isLocal ? 1 : 0;
  functions.count = count + 1;
}

/**
 * Ascending by start; at one start the largest first, so that what it holds comes after it; among equal
 * ranges the name to show first: global before local, fewest leading underscores (`write`, not
 * `__write`), shortest, then by bytes. So two hosts show the same name whatever order a linker wrote.
 */
function sortedOrder(functions: Functions): Uint32Array {
  const { start, end, isLocal, nameBytes, name, names } = functions;
  const underscores = (index: number) => {
    let count = 0;
    while (names[name[index]! + count] === 0x5f) count++;
    return count;
  };
  const order = Uint32Array.from({ length: functions.count }, (_, index) => index);
  return order.sort((left, right) => {
    if (start[left] !== start[right]) return start[left]! - start[right]!;
    if (end[left] !== end[right]) return end[right]! - end[left]!;
    if (isLocal[left] !== isLocal[right]) return isLocal[left]! - isLocal[right]!;
    const difference = underscores(left) - underscores(right);
    if (difference !== 0) return difference;
    if (nameBytes[left] !== nameBytes[right]) return nameBytes[left]! - nameBytes[right]!;
    return Buffer.compare(nameOf(functions, left), nameOf(functions, right));
  });
}

function nameOf({ names, name, nameBytes }: Functions, index: number): Uint8Array {
  return names.subarray(name[index]!, name[index]! + nameBytes[index]!);
}

/** Aliases go; the rest become ranges without overlap, in which a function inside another one wins. */
function flatten(functions: Functions): SymbolTable {
  const order = withoutAliases(functions, sortedOrder(functions));
  giveSizes(functions, order);
  const ranges = new Ranges(functions, 2 * order.length);
  // Functions that began and have not ended; each lies inside the one below it, or sticks out of it.
  const open: number[] = [];
  for (const index of order) {
    const start = functions.start[index]!;
    if (functions.end[index] === start) continue;
    ranges.closeUpTo(open, start);
    ranges.begin(index, start);
    open.push(index);
  }
  ranges.closeUpTo(open, Number.POSITIVE_INFINITY);
  return ranges.table();
}

/** One function for each range: the first in order. Where one with a size begins, one without says nothing. */
function withoutAliases({ start, end }: Functions, order: Uint32Array): Uint32Array {
  return order.filter((index, at) => {
    const before = order[at - 1];
    if (before === undefined || start[before] !== start[index]) return true;
    return end[before] !== end[index] && end[index] !== start[index];
  });
}

/** A function without a size (assembly) reaches up to the next one of the table, within its section. */
function giveSizes(functions: Functions, order: Uint32Array): void {
  for (const [at, index] of order.entries()) {
    if (functions.end[index] !== functions.start[index]) continue;
    const next = order[at + 1];
    const following = next === undefined ? Number.POSITIVE_INFINITY : functions.start[next]!;
    functions.end[index] = Math.max(functions.start[index]!, Math.min(following, functions.sectionEnd[index]!));
  }
}

/** Ranges in the making: one is open at its end, the last that began. */
class Ranges {
  readonly #functions: Functions;
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #owners: Uint32Array;
  #length = 0;

  constructor(functions: Functions, capacity: number) {
    this.#functions = functions;
    this.#starts = new Float64Array(capacity);
    this.#ends = new Float64Array(capacity);
    this.#owners = new Uint32Array(capacity);
  }

  begin(owner: number, start: number): void {
    this.#endLast(start);
    this.#starts[this.#length] = start;
    this.#ends[this.#length] = this.#functions.end[owner]!;
    this.#owners[this.#length] = owner;
    this.#length++;
  }

  /** Ends those that end by `address`; what lies below them goes on from there. */
  closeUpTo(open: number[], address: number): void {
    const { end } = this.#functions;
    while (open.length > 0 && end[open.at(-1)!]! <= address) {
      const ended = end[open.pop()!]!;
      while (open.length > 0 && end[open.at(-1)!]! <= ended) open.pop();
      const below = open.at(-1);
      if (below !== undefined && ended < address) this.begin(below, ended);
    }
  }

  #endLast(end: number): void {
    const last = this.#length - 1;
    if (last < 0) return;
    if (this.#ends[last]! > end) this.#ends[last] = end;
    if (this.#ends[last] === this.#starts[last]) this.#length--;
  }

  /** Keeps only the names that are used. */
  table(): SymbolTable {
    const owners = this.#owners.subarray(0, this.#length);
    const { nameBytes } = this.#functions;
    const written = new Map<number, number>();
    let bytes = 0;
    for (const owner of owners) {
      if (written.has(owner)) continue;
      written.set(owner, bytes);
      bytes += nameBytes[owner]! + 1;
    }
    const names = new Uint8Array(bytes);
    for (const [owner, at] of written) names.set(nameOf(this.#functions, owner), at);
    return {
      starts: this.#starts.slice(0, this.#length),
      ends: this.#ends.slice(0, this.#length),
      nameStarts: Uint32Array.from(owners, (owner) => written.get(owner)!),
      names,
    };
  }
}

function malformed(found: string, expected: string): PipelineError {
  return new PipelineError('elf_malformed', `ELF symbols: found ${found}, expected ${expected}`);
}

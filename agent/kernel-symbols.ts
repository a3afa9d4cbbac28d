// Names of kernel functions from /proc/kallsyms, modules included: addresses and one blob of names, 5 MB
// where the text has 10. Lines are `address type name`, and a tab and `[module]` behind those of a module.
// A function is named only up to the next symbol of any kind, and only inside the text of the kernel or
// of the module that it belongs to: between modules lie BPF programs and data that come and go. Without
// the right to see addresses all are zero, and then there are no names.
import { PipelineError } from '../lib/errors.ts';
import { kallsymsBytesMax } from './limits.ts';

/** Where a part of the kernel lies. Pseudo modules of kallsyms ([bpf], [__builtin__ftrace]) have no range and give no names. */
export interface KernelModule {
  /** 'vmlinux' or the module's name. */
  readonly name: string;
  readonly start: bigint;
  /** Exclusive. */
  readonly end: bigint;
}

export interface KernelSymbols {
  /** Ascending, from `addressBase`; no two alike. */
  readonly addresses: Float64Array;
  /** Index into `moduleList`, or noModule: here something begins that has no name for us. */
  readonly owners: Uint16Array;
  /** Bytes of names, in no order. */
  readonly names: Buffer;
  readonly nameStarts: Uint32Array;
  readonly nameBytes: Uint16Array;
  readonly moduleList: readonly KernelModule[];
}

export interface KernelLocation {
  readonly module: KernelModule;
  /** From the module's start. */
  readonly offset: bigint;
  /** '' = no symbol starts at or before it in its module. */
  readonly function: string;
}

export const kernelImageName = 'vmlinux';

/** /proc/modules: `name size references users state address`. */
export function parseModules(text: string): KernelModule[] {
  const modules: KernelModule[] = [];
  for (const line of text.split('\n')) {
    const match = /^(\S+) (\d+) \S+ \S+ \S+ 0x([0-9a-f]+)/.exec(line);
    if (!match) continue;
    const start = BigInt(`0x${match[3]}`);
    if (start !== 0n) modules.push({ name: match[1]!, start, end: start + BigInt(match[2]!) });
  }
  return modules;
}

/** Memory for so many is reserved at once. What is not needed of it is never touched, and so never resident; growing would leave copies behind. */
export interface ExpectedSize {
  readonly symbols: number;
  readonly nameBytes: number;
}

/** Null where the kernel hides its addresses. `chunks` are the file's bytes in order. */
export function parseKernelSymbols(
  chunks: Iterable<Uint8Array>,
  modules: readonly KernelModule[],
  expected: ExpectedSize = { symbols: 1 << 13, nameBytes: 1 << 17 },
): KernelSymbols | null {
  const reader = new SymbolReader(modules, expected);
  let bytes = 0;
  for (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > kallsymsBytesMax) throw new PipelineError('bpf_layout', `/proc/kallsyms has more than ${kallsymsBytesMax} bytes, expected about 15 MB`);
    reader.add(chunk);
  }
  return reader.finish();
}

export function locateKernel(symbols: KernelSymbols, address: bigint): KernelLocation | null {
  const { addresses, owners, moduleList } = symbols;
  if (address < addressBase) return null;
  const at = Number(address - addressBase);
  let low = 0;
  let high = addresses.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (addresses[middle]! <= at) low = middle + 1;
    else high = middle;
  }
  const index = low - 1;
  const module = moduleAt(moduleList, address);
  if (module === null) return null;
  const isAfterModuleStart = index >= 0 && addresses[index]! >= Number(module.start - addressBase);
  if (!isAfterModuleStart) return { module, offset: address - module.start, function: '' };
  if (moduleList[owners[index]!] !== module) return null;
  const start = symbols.nameStarts[index]!;
  return { module, offset: address - module.start, function: symbols.names.toString('latin1', start, start + symbols.nameBytes[index]!) };
}

/** Sizes in /proc/modules count data that lies elsewhere, so ranges may overlap: the one that starts last is the right one. */
function moduleAt(modules: readonly KernelModule[], address: bigint): KernelModule | null {
  let found: KernelModule | null = null;
  for (const module of modules) if (address >= module.start && address < module.end && (found === null || module.start > found.start)) found = module;
  return found;
}

/** Everything of the kernel lies in the last 2^48 bytes, which a double counts exactly. */
const addressBase = 0xffff_0000_0000_0000n;
const addressBaseHigh = 0xffff_0000;
const newline = 10;
const tab = 9;
const space = 32;
const openBracket = 91;
const closeBracket = 93;
/** Functions: text, global and local, and weak ones. */
const functionTypes = new Set([...'tTwW'].map((letter) => letter.charCodeAt(0)));
/** Bounds of the kernel's own text; both are symbols of kallsyms on every architecture. */
const imageStart = '_text';
const imageEnd = '_etext';
export const noModule = 0xffff;
/** KSYM_NAME_LEN is 512; the rest is address, type and module. */
const lineBytesMax = 1024;
const modulesMax = 0xfffe;

class SymbolReader {
  readonly #moduleIndex: Map<string, number>;
  readonly #modules: readonly KernelModule[];
  #addresses: Float64Array;
  #owners: Uint16Array;
  #nameStarts: Uint32Array;
  #nameBytes: Uint16Array;
  #count = 0;
  #isAscending = true;
  #names: Buffer;
  #namesLength = 0;
  /** The start of a line whose rest is in the next chunk. */
  #rest: Buffer = Buffer.alloc(0);
  #imageStart = 0n;
  #imageEnd = 0n;

  constructor(modules: readonly KernelModule[], { symbols, nameBytes }: ExpectedSize) {
    this.#addresses = new Float64Array(symbols);
    this.#owners = new Uint16Array(symbols);
    this.#nameStarts = new Uint32Array(symbols);
    this.#nameBytes = new Uint16Array(symbols);
    this.#names = Buffer.allocUnsafeSlow(nameBytes);
    this.#modules = modules.slice(0, modulesMax - 1);
    // 0 is the kernel itself.
    this.#moduleIndex = new Map(this.#modules.map((module, index) => [module.name, index + 1]));
  }

  add(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    let at = 0;
    if (this.#rest.length > 0) {
      const end = bytes.indexOf(newline);
      if (this.#rest.length + (end < 0 ? bytes.length : end) > lineBytesMax) throw lineTooLong();
      const line = Buffer.concat([this.#rest, end < 0 ? bytes : bytes.subarray(0, end)]);
      if (end < 0) {
        this.#rest = line;
        return;
      }
      this.#line(line, 0, line.length);
      at = end + 1;
    }
    for (let end = bytes.indexOf(newline, at); end >= 0; end = bytes.indexOf(newline, at)) {
      this.#line(bytes, at, end);
      at = end + 1;
    }
    if (bytes.length - at > lineBytesMax) throw lineTooLong();
    this.#rest = Buffer.from(bytes.subarray(at));
  }

  finish(): KernelSymbols | null {
    if (this.#count === 0 || this.#imageStart === 0n || this.#imageEnd <= this.#imageStart) return null;
    const image: KernelModule = { name: kernelImageName, start: this.#imageStart, end: this.#imageEnd };
    return { ...this.#columns(), names: this.#names.subarray(0, this.#namesLength), moduleList: [image, ...this.#modules] };
  }

  #line(bytes: Buffer, start: number, end: number): void {
    const addressEnd = bytes.indexOf(space, start);
    if (addressEnd < 0 || addressEnd + 3 >= end || bytes[addressEnd + 2] !== space) return;
    const nameStart = addressEnd + 3;
    const address = parseAddress(bytes, start, addressEnd);
    if (address < 0) return;
    const tabAt = bytes[end - 1] === closeBracket ? bytes.lastIndexOf(tab, end) : -1;
    const isOfModule = tabAt > nameStart;
    const nameEnd = isOfModule ? tabAt : end;
    if (!isOfModule) this.#noteBounds(bytes, nameStart, nameEnd, address);
    const isFunction = functionTypes.has(bytes[addressEnd + 1]!);
    const owner = !isFunction ? noModule : isOfModule ? this.#owner(bytes, nameEnd + 1, end) : 0;
    // The kernel's own data lies behind its text: no need to know where.
    if (owner === noModule && !isOfModule) return;
    this.#push(address, owner, bytes, nameStart, owner === noModule ? nameStart : nameEnd);
  }

  #noteBounds(bytes: Buffer, start: number, end: number, address: number): void {
    if (end - start === imageStart.length && bytes.toString('latin1', start, end) === imageStart) this.#imageStart = BigInt(address) + addressBase;
    else if (end - start === imageEnd.length && bytes.toString('latin1', start, end) === imageEnd) this.#imageEnd = BigInt(address) + addressBase;
  }

  #owner(bytes: Buffer, start: number, end: number): number {
    if (bytes[start] !== openBracket) return noModule;
    return this.#moduleIndex.get(bytes.toString('latin1', start + 1, end - 1)) ?? noModule;
  }

  #push(address: number, owner: number, bytes: Buffer, start: number, end: number): void {
    const index = this.#count;
    if (index === this.#addresses.length) {
      this.#addresses = doubled(this.#addresses, new Float64Array(2 * index));
      this.#owners = doubled(this.#owners, new Uint16Array(2 * index));
      this.#nameStarts = doubled(this.#nameStarts, new Uint32Array(2 * index));
      this.#nameBytes = doubled(this.#nameBytes, new Uint16Array(2 * index));
    }
    if (this.#namesLength + end - start > this.#names.length) {
      const larger = Buffer.allocUnsafeSlow(2 * this.#names.length + end - start);
      this.#names.copy(larger, 0, 0, this.#namesLength);
      this.#names = larger;
    }
    if (index > 0 && address <= this.#addresses[index - 1]!) this.#isAscending = false;
    this.#addresses[index] = address;
    this.#owners[index] = owner;
    this.#nameStarts[index] = this.#namesLength;
    this.#nameBytes[index] = end - start;
    this.#count++;
    this.#namesLength += bytes.copy(this.#names, this.#namesLength, start, end);
  }

  #columns(): Omit<KernelSymbols, 'names' | 'moduleList'> {
    const kept = this.#isAscending ? null : this.#keptInOrder();
    const column = <T extends Float64Array | Uint16Array | Uint32Array>(from: T): T => {
      if (kept === null) return from.subarray(0, this.#count) as T;
      return from.slice(0, kept.length).map((_: number, position: number) => from[kept[position]!]!) as T;
    };
    return {
      addresses: column(this.#addresses),
      owners: column(this.#owners),
      nameStarts: column(this.#nameStarts),
      nameBytes: column(this.#nameBytes),
    };
  }

  /** By address, each once: the first name that the kernel gives, and a name before none. An Array's sort makes use of the long sorted stretches. */
  #keptInOrder(): number[] {
    const [addresses, owners] = [this.#addresses, this.#owners];
    const order = Array.from({ length: this.#count }, (_, index) => index);
    order.sort((a, b) => addresses[a]! - addresses[b]! || Number(owners[a] === noModule) - Number(owners[b] === noModule) || a - b);
    return order.filter((index, position) => position === 0 || addresses[index] !== addresses[order[position - 1]!]);
  }
}

function doubled<T extends Float64Array | Uint16Array | Uint32Array>(from: T, into: T): T {
  into.set(from);
  return into;
}

/** From addressBase; -1 where it is no address of the kernel. */
function parseAddress(bytes: Buffer, start: number, end: number): number {
  if (end - start > 16) return -1;
  let high = 0;
  let low = 0;
  for (let at = start; at < end; at++) {
    const character = bytes[at]!;
    const digit = character >= 97 ? character - 87 : character - 48;
    if (digit < 0 || digit > 15) return -1;
    high = ((high << 4) | (low >>> 28)) >>> 0;
    low = ((low << 4) | digit) >>> 0;
  }
  return high < addressBaseHigh ? -1 : (high - addressBaseHigh) * 2 ** 32 + low;
}

function lineTooLong(): PipelineError {
  return new PipelineError('bpf_layout', `/proc/kallsyms has a line of more than ${lineBytesMax} bytes, expected names of at most 512`);
}

// Names of kernel functions from /proc/kallsyms, modules included: sorted addresses and one blob of
// names, 3 MB where the text has 10. Lines are `address type name`, and a tab and `[module]` behind those
// of a module. A name is given only inside the text of the kernel or of the module that the symbol
// belongs to, never beyond; without the right to see addresses all are zero, and then there are no names.
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
  /** Ascending, no two alike. */
  readonly addresses: BigUint64Array;
  /** Bytes of names, one after the other. */
  readonly names: Buffer;
  /** Name i is names[nameStarts[i] .. nameStarts[i + 1]). */
  readonly nameStarts: Uint32Array;
  /** Index into `modules`. */
  readonly modules: Uint16Array;
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

/** Null where the kernel hides its addresses. `chunks` are the file's bytes in order. */
export function parseKernelSymbols(chunks: Iterable<Uint8Array>, modules: readonly KernelModule[]): KernelSymbols | null {
  const reader = new SymbolReader(modules);
  let bytes = 0;
  for (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > kallsymsBytesMax) throw new PipelineError('bpf_layout', `/proc/kallsyms has more than ${kallsymsBytesMax} bytes, expected about 15 MB`);
    reader.add(chunk);
  }
  return reader.finish();
}

export function locateKernel(symbols: KernelSymbols, address: bigint): KernelLocation | null {
  const module = symbols.moduleList.find(({ start, end }) => address >= start && address < end);
  if (!module) return null;
  let low = 0;
  let high = symbols.addresses.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (symbols.addresses[middle]! <= address) low = middle + 1;
    else high = middle;
  }
  const index = low - 1;
  const isInModule = index >= 0 && symbols.moduleList[symbols.modules[index]!] === module;
  const name = isInModule ? symbols.names.toString('latin1', symbols.nameStarts[index], symbols.nameStarts[index + 1]) : '';
  return { module, offset: address - module.start, function: name };
}

const newline = 10;
const tab = 9;
const space = 32;
const openBracket = 91;
/** Functions: text, global and local, and weak ones. */
const functionTypes = new Set([...'tTwW'].map((letter) => letter.charCodeAt(0)));
/** Bounds of the kernel's own text; both are symbols of kallsyms on every architecture. */
const imageStart = '_text';
const imageEnd = '_etext';
const noModule = 0xffff;
const modulesMax = 0xfffe;

class SymbolReader {
  readonly #moduleIndex: Map<string, number>;
  readonly #modules: readonly KernelModule[];
  #addresses = new BigUint64Array(1 << 16);
  #owners = new Uint16Array(1 << 16);
  #starts = new Uint32Array(1 << 16);
  #count = 0;
  #names = Buffer.allocUnsafeSlow(1 << 20);
  #nameBytes = 0;
  #rest: Buffer = Buffer.alloc(0);
  #imageStart = 0n;
  #imageEnd = 0n;

  constructor(modules: readonly KernelModule[]) {
    this.#modules = modules.slice(0, modulesMax - 1);
    // 0 is the kernel itself.
    this.#moduleIndex = new Map(this.#modules.map((module, index) => [module.name, index + 1]));
  }

  add(chunk: Uint8Array): void {
    const bytes = Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, at)) {
      this.#line(bytes, at, end);
      at = end + 1;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
  }

  finish(): KernelSymbols | null {
    if (this.#count === 0 || this.#imageStart === 0n || this.#imageEnd <= this.#imageStart) return null;
    const image: KernelModule = { name: kernelImageName, start: this.#imageStart, end: this.#imageEnd };
    return this.#sorted([image, ...this.#modules]);
  }

  #line(bytes: Buffer, start: number, end: number): void {
    const addressEnd = bytes.indexOf(space, start);
    if (addressEnd < 0 || addressEnd + 3 >= end || bytes[addressEnd + 2] !== space) return;
    const address = parseHex(bytes, start, addressEnd);
    if (address === 0n) return;
    const tabAt = bytes.subarray(addressEnd + 3, end).indexOf(tab);
    const nameStart = addressEnd + 3;
    const nameEnd = tabAt < 0 ? end : nameStart + tabAt;
    if (tabAt < 0) this.#noteBounds(bytes, nameStart, nameEnd, address);
    if (!functionTypes.has(bytes[addressEnd + 1]!)) return;
    const owner = tabAt < 0 ? 0 : this.#owner(bytes, nameEnd + 1, end);
    if (owner !== noModule) this.#push(address, owner, bytes, nameStart, nameEnd);
  }

  #noteBounds(bytes: Buffer, start: number, end: number, address: bigint): void {
    if (end - start === imageStart.length && bytes.toString('latin1', start, end) === imageStart) this.#imageStart = address;
    else if (end - start === imageEnd.length && bytes.toString('latin1', start, end) === imageEnd) this.#imageEnd = address;
  }

  #owner(bytes: Buffer, start: number, end: number): number {
    if (bytes[start] !== openBracket) return noModule;
    return this.#moduleIndex.get(bytes.toString('latin1', start + 1, end - 1)) ?? noModule;
  }

  #push(address: bigint, owner: number, bytes: Buffer, start: number, end: number): void {
    if (this.#count === this.#addresses.length) {
      this.#addresses = doubled(this.#addresses, new BigUint64Array(2 * this.#count));
      this.#owners = doubled(this.#owners, new Uint16Array(2 * this.#count));
      this.#starts = doubled(this.#starts, new Uint32Array(2 * this.#count));
    }
    if (this.#nameBytes + end - start > this.#names.length) {
      const larger = Buffer.allocUnsafeSlow(2 * this.#names.length + end - start);
      this.#names.copy(larger, 0, 0, this.#nameBytes);
      this.#names = larger;
    }
    this.#addresses[this.#count] = address;
    this.#owners[this.#count] = owner;
    this.#starts[this.#count] = this.#nameBytes;
    this.#count++;
    this.#nameBytes += bytes.copy(this.#names, this.#nameBytes, start, end);
  }

  #sorted(moduleList: readonly KernelModule[]): KernelSymbols {
    const order = Uint32Array.from({ length: this.#count }, (_, index) => index);
    // The kernel's own come sorted, those of modules by module; a stable sort keeps the first of two names for one address.
    order.sort((a, b) => (this.#addresses[a]! < this.#addresses[b]! ? -1 : this.#addresses[a]! > this.#addresses[b]! ? 1 : a - b));
    const kept = order.filter((index, position) => position === 0 || this.#addresses[index] !== this.#addresses[order[position - 1]!]);
    const names = Buffer.allocUnsafeSlow(this.#nameBytes);
    const nameStarts = new Uint32Array(kept.length + 1);
    let length = 0;
    for (const [position, index] of kept.entries()) {
      const end = index + 1 < this.#count ? this.#starts[index + 1]! : this.#nameBytes;
      nameStarts[position] = length;
      length += this.#names.copy(names, length, this.#starts[index], end);
    }
    nameStarts[kept.length] = length;
    return {
      addresses: BigUint64Array.from(kept, (index) => this.#addresses[index]!),
      names: Buffer.from(names.subarray(0, length)),
      nameStarts,
      modules: Uint16Array.from(kept, (index) => this.#owners[index]!),
      moduleList,
    };
  }
}

function doubled<T extends BigUint64Array | Uint16Array | Uint32Array>(from: T, into: T): T {
  (into as BigUint64Array).set(from as BigUint64Array);
  return into;
}

/** Two halves as numbers: parsing 120,000 bigints from text would take twice as long. */
function parseHex(bytes: Buffer, start: number, end: number): bigint {
  let high = 0;
  let low = 0;
  for (let at = start; at < end; at++) {
    const character = bytes[at]!;
    const digit = character >= 97 ? character - 87 : character - 48;
    if (digit < 0 || digit > 15 || end - start > 16) return 0n;
    high = ((high << 4) | (low >>> 28)) >>> 0;
    low = ((low << 4) | digit) >>> 0;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}

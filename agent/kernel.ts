// The kernel's side of a stack: symbols and build ids of the running kernel and its modules, read when
// the agent starts and again when modules came or went. /proc/modules is looked at before each drain, which
// costs some microseconds; /proc/kallsyms costs 200 ms.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { isPipelineError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import {
  type KernelLocation,
  type KernelModule,
  type KernelSymbols,
  kernelImageName,
  locateKernel,
  parseKernelSymbols,
  parseModules,
} from './kernel-symbols.ts';
import { kallsymsRereadMillis, modulesBytesMax } from './limits.ts';

export interface KernelFiles {
  readonly kallsyms: string;
  readonly modules: string;
}

export class Kernel {
  readonly #logger: Logger;
  readonly #files: KernelFiles;
  readonly #moduleList: ModuleList;
  #symbols: KernelSymbols | null = null;
  /** The modules when the symbols were read. */
  #modules = '';
  /** Modules came or went since: what lies where they do is not known. */
  #isStale = false;
  #readAt = Number.NEGATIVE_INFINITY;
  #hasWarned = false;
  readonly #buildIds = new Map<string, string>();

  constructor(logger: Logger, files: KernelFiles = { kallsyms: '/proc/kallsyms', modules: '/proc/modules' }) {
    this.#logger = logger;
    this.#files = files;
    this.#moduleList = new ModuleList(files.modules);
    this.#read(performance.now());
  }

  /** Whether kernel frames can be named at all. */
  get hasNames(): boolean {
    return this.#symbols !== null;
  }

  /** Called before each drain: true where modules came or went since the last one, and no address is what it was. */
  hasChanged(): boolean {
    if (this.#isStale || !this.#moduleList.look()) return false;
    this.#isStale = this.#moduleList.text !== this.#modules;
    return this.#isStale;
  }

  /** Called after each batch: what was named is written. */
  refresh(nowMillis: number): void {
    if (this.#isStale && nowMillis - this.#readAt >= kallsymsRereadMillis) this.#read(nowMillis);
  }

  /** Null where the address belongs to no part of the kernel that we know. */
  locate(address: bigint): KernelLocation | null {
    const found = this.#symbols && locateKernel(this.#symbols, address);
    return this.#isStale && found?.module.name !== kernelImageName ? null : found;
  }

  /** Lower hex; '' where the kernel doesn't tell. */
  buildId(module: KernelModule): string {
    const known = this.#buildIds.get(module.name);
    if (known !== undefined) return known;
    const path = module.name === kernelImageName ? '/sys/kernel/notes' : `/sys/module/${module.name}/notes/.note.gnu.build-id`;
    const buildId = readNotes(path);
    this.#buildIds.set(module.name, buildId);
    return buildId;
  }

  #read(nowMillis: number): void {
    this.#readAt = nowMillis;
    this.#buildIds.clear();
    this.#moduleList.look();
    this.#modules = this.#moduleList.text;
    this.#symbols = this.#readSymbols();
    // A module that came or went while we read: the next batch reads again.
    this.#moduleList.look();
    this.#isStale = this.#moduleList.text !== this.#modules;
    if (this.#symbols === null)
      this.#warnOnce(
        'kernel addresses are hidden in /proc/kallsyms, so kernel frames stay without names; give the agent CAP_SYSLOG and set kernel.kptr_restrict to 0 or 1',
      );
  }

  #readSymbols(): KernelSymbols | null {
    try {
      return parseKernelSymbols(chunksOf(this.#files.kallsyms), parseModules(this.#modules), expectedSymbols);
    } catch (error) {
      // A kernel that writes it otherwise than any we know: no reason to sample nothing.
      if (!isPipelineError(error, 'bpf_layout')) throw error;
      this.#warnOnce(`kernel frames stay without names: ${error.message}`);
      return null;
    }
  }

  #warnOnce(message: string): void {
    if (!this.#hasWarned) this.#logger.warn(message);
    this.#hasWarned = true;
  }
}

/** /proc/modules, kept open: it is looked at some times a second. */
class ModuleList {
  readonly #fd: number | null;
  #bytes = Buffer.allocUnsafeSlow(16 * 1024);
  #seen = Buffer.alloc(0);
  /** Names, sizes and addresses; who uses them changes all the time and means nothing here. */
  text = '';

  constructor(path: string) {
    try {
      this.#fd = openSync(path, 'r');
    } catch {
      // A kernel without modules has no such file.
      this.#fd = null;
    }
  }

  /** Whether the file says anything else than before. */
  look(): boolean {
    if (this.#fd === null) return false;
    const bytes = this.#read(this.#fd);
    if (bytes.equals(this.#seen)) return false;
    this.#seen = Buffer.from(bytes);
    this.text = bytes.toString('latin1').replace(/^(\S+ \d+) \S+ \S+ (\S+)/gm, '$1 - - $2');
    return true;
  }

  #read(fd: number): Buffer {
    let length = 0;
    for (;;) {
      const read = readSync(fd, this.#bytes, length, this.#bytes.length - length, length);
      length += read;
      if (read === 0 || length >= modulesBytesMax) return this.#bytes.subarray(0, length);
      if (length === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * length);
    }
  }
}

const chunkBytes = 256 * 1024;
/** Distributions' kernels with their modules have 120,000 to 250,000 functions, whose names take 22 bytes on average. */
const expectedSymbols = { symbols: 1 << 18, nameBytes: 1 << 23 };

function* chunksOf(path: string): Generator<Uint8Array> {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return;
  }
  try {
    const chunk = Buffer.allocUnsafeSlow(chunkBytes);
    for (let read = readSync(fd, chunk, 0, chunkBytes, null); read > 0; read = readSync(fd, chunk, 0, chunkBytes, null)) yield chunk.subarray(0, read);
  } finally {
    closeSync(fd);
  }
}

/** The build id note of a file that holds nothing but ELF notes: name size, description size, type, name, description. */
export function parseBuildIdNote(notes: Buffer): string {
  for (let at = 0; at + 12 <= notes.length; ) {
    const nameBytes = notes.readUInt32LE(at);
    const descriptionBytes = notes.readUInt32LE(at + 4);
    const type = notes.readUInt32LE(at + 8);
    const description = at + 12 + ((nameBytes + 3) & ~3);
    const end = description + descriptionBytes;
    if (nameBytes > notes.length || descriptionBytes > notes.length || end > notes.length) return '';
    if (type === 3 && nameBytes === 4 && notes.toString('latin1', at + 12, at + 16) === 'GNU\0') return notes.toString('hex', description, end);
    at = description + ((descriptionBytes + 3) & ~3);
  }
  return '';
}

function readNotes(path: string): string {
  try {
    return parseBuildIdNote(readFileSync(path));
  } catch {
    return '';
  }
}

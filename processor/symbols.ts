// Names for native frames from the files of this host (embedded mode): build id -> symbol table, read by
// a worker (symbols-worker.ts), because a file system may be slow or never answer. A table is used only
// if the file's own build id is the mapping's; nothing is guessed. Asked for a whole batch before its rows
// are made, for a bounded time: a sample never waits longer for its names. The demangling and the names
// of files that are elsewhere are the symbolizer's.
import { Worker } from 'node:worker_threads';
import { findSymbol, type SymbolTable, symbolName, symbolTableBytes } from '../lib/elf/symbols.ts';
import type { Logger } from '../lib/logger.ts';
import { moduleUrl } from '../lib/module-url.ts';
import { symbolBytesMax, symbolFilesMax, symbolHangMillis, symbolMissesMax, symbolMissMillis, symbolWaitMillis } from './limits.ts';
import type { Mapping } from './message-mappings.ts';

/** One file that may have the build id. */
export interface SymbolRequest {
  readonly buildId: string;
  readonly gnu: string;
  readonly go: string;
  readonly htlhash: string;
  /** Where to look, best first. */
  readonly paths: readonly string[];
}

export interface SymbolAnswer {
  readonly buildId: string;
  readonly found: FileSymbols | null;
}

export interface FileSymbols {
  readonly table: SymbolTable;
  /** Executable segments, three numbers each: file offset, bytes, address. */
  readonly segments: Float64Array;
}

export interface SymbolCounts {
  named: number;
  /** The file is known, but no symbol of it holds the address. */
  withoutSymbol: number;
  withoutFile: number;
}

export interface Symbols {
  readonly counts: SymbolCounts;
  /** Waits, not for long, until the tables of these mappings are there or known to be missing. */
  prepare(wanted: readonly { readonly mapping: Mapping; readonly pid: bigint | null }[]): Promise<void>;
  nameOf(mapping: Mapping, address: bigint, isFileOffset: boolean): string | null;
  close(): Promise<void>;
}

export const noSymbols: Symbols = {
  counts: { named: 0, withoutSymbol: 0, withoutFile: 0 },
  prepare: () => Promise.resolve(),
  nameOf: () => null,
  close: () => Promise.resolve(),
};

/** Workers given up because a file system did not answer; each costs a thread that hangs in it. */
const workersMax = 3;

export class LocalSymbols implements Symbols {
  readonly counts: SymbolCounts = { named: 0, withoutSymbol: 0, withoutFile: 0 };
  readonly #logger: Logger;
  /** In the order of use, so that the first is the one to forget. */
  readonly #files = new Map<string, FileSymbols>();
  #bytes = 0;
  /** Build ids looked for in vain, until when. */
  readonly #misses = new Map<string, number>();
  readonly #pending = new Map<string, { readonly promise: Promise<void>; readonly resolve: () => void }>();
  /** When the worker last gave an answer, or was asked with nothing else to do. */
  #progressMillis = 0;
  #worker: Worker | null = null;
  #workers = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  async prepare(wanted: readonly { readonly mapping: Mapping; readonly pid: bigint | null }[]): Promise<void> {
    this.#giveUpHanging();
    const now = Date.now();
    const requests: SymbolRequest[] = [];
    const waiting: Promise<void>[] = [];
    for (const { mapping, pid } of wanted) {
      const { buildId, gnu, go, htlhash, name } = mapping;
      const file = this.#files.get(buildId);
      if (file) this.#touch(buildId, file);
      if (file || !name.startsWith('/') || (this.#misses.get(buildId) ?? 0) > now) continue;
      const pending = this.#pending.get(buildId);
      if (pending) waiting.push(pending.promise);
      else if (this.#pending.size < symbolFilesMax) {
        waiting.push(this.#expect(buildId));
        requests.push({ buildId, gnu, go, htlhash, paths: pathsOf(name, pid) });
      }
    }
    if (requests.length > 0) this.#ask(requests);
    if (waiting.length > 0) await Promise.race([Promise.all(waiting), elapsed(symbolWaitMillis)]);
  }

  nameOf(mapping: Mapping, address: bigint, isFileOffset: boolean): string | null {
    const file = this.#files.get(mapping.buildId);
    if (!file) {
      this.counts.withoutFile++;
      return null;
    }
    const found = isFileOffset ? addressOf(file.segments, Number(address)) : Number(address);
    const index = found === null ? -1 : findSymbol(file.table, found);
    if (index < 0) {
      this.counts.withoutSymbol++;
      return null;
    }
    this.counts.named++;
    return symbolName(file.table, index);
  }

  async close(): Promise<void> {
    // A worker that hangs in a file system can't be waited for.
    if (this.#worker && this.#pending.size === 0) await this.#worker.terminate();
    else void this.#worker?.terminate();
  }

  #expect(buildId: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#pending.size === 0) this.#progressMillis = Date.now();
    this.#pending.set(buildId, { promise, resolve });
    return promise;
  }

  #ask(requests: readonly SymbolRequest[]): void {
    if (this.#workers > workersMax) {
      for (const { buildId } of requests) this.#answer({ buildId, found: null });
      return;
    }
    this.#worker ??= this.#start();
    this.#worker.postMessage(requests);
  }

  #start(): Worker {
    const worker = new Worker(moduleUrl('./symbols-worker', import.meta.url));
    this.#workers++;
    worker.unref();
    worker.on('message', (answer: SymbolAnswer) => this.#answer(answer));
    worker.on('error', (error) => {
      this.#logger.error('reading symbol tables failed; native frames of this batch stay without names', { error: String(error) });
      if (this.#worker === worker) this.#abandon();
    });
    return worker;
  }

  #answer({ buildId, found }: SymbolAnswer): void {
    this.#progressMillis = Date.now();
    this.#pending.get(buildId)?.resolve();
    this.#pending.delete(buildId);
    if (found) this.#keep(buildId, found);
    else this.#miss(buildId);
  }

  #keep(buildId: string, file: FileSymbols): void {
    this.#misses.delete(buildId);
    this.#files.set(buildId, file);
    this.#bytes += symbolTableBytes(file.table);
    for (const [oldest, { table }] of this.#files) {
      if (this.#bytes <= symbolBytesMax) break;
      this.#files.delete(oldest);
      this.#bytes -= symbolTableBytes(table);
    }
  }

  #miss(buildId: string): void {
    this.#misses.delete(buildId);
    this.#misses.set(buildId, Date.now() + symbolMissMillis);
    for (const oldest of this.#misses.keys()) {
      if (this.#misses.size <= symbolMissesMax) break;
      this.#misses.delete(oldest);
    }
  }

  #touch(buildId: string, file: FileSymbols): void {
    this.#files.delete(buildId);
    this.#files.set(buildId, file);
  }

  #giveUpHanging(): void {
    if (this.#pending.size === 0 || Date.now() - this.#progressMillis < symbolHangMillis) return;
    this.#logger.warn(`a file asked for its symbols did not answer for ${symbolHangMillis / 1000} s; its frames stay without names`);
    this.#abandon();
  }

  /** What was asked for counts as missing; the next batch begins with a worker of its own. */
  #abandon(): void {
    void this.#worker?.terminate();
    this.#worker = null;
    for (const buildId of [...this.#pending.keys()]) this.#answer({ buildId, found: null });
    if (this.#workers > workersMax) this.#logger.error('symbols of local files are given up until the next start; native frames stay without names');
  }
}

/** The path as this process sees it, then as the profiled one does (containers). The build id decides whether it is the file. */
function pathsOf(name: string, pid: bigint | null): string[] {
  return pid === null || pid <= 0n ? [name] : [name, `/proc/${pid}/root${name}`];
}

function addressOf(segments: Float64Array, offset: number): number | null {
  for (let at = 0; at < segments.length; at += 3) {
    const start = segments[at]!;
    if (offset >= start && offset < start + segments[at + 1]!) return offset - start + segments[at + 2]!;
  }
  return null;
}

function elapsed(millis: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, millis).unref();
  });
}

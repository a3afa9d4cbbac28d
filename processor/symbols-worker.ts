// The thread that reads symbol tables for symbols.ts: opens each candidate, compares its build id, reads
// its functions. What does not work out is no error, only no names.
import { parentPort } from 'node:worker_threads';
import { readBuildIds } from '../lib/elf/build-id.ts';
import { type ElfFile, readElf, segmentExecutable, segmentLoad } from '../lib/elf/elf.ts';
import { openFileSource } from '../lib/elf/file.ts';
import { readFunctionSymbols } from '../lib/elf/symbols.ts';
import type { FileSymbols, SymbolAnswer, SymbolRequest } from './symbols.ts';

parentPort?.on('message', (requests: readonly SymbolRequest[]) => {
  for (const request of requests) {
    const found = findFile(request);
    const moved = found ? [found.table.starts, found.table.ends, found.table.nameStarts, found.table.names, found.segments] : [];
    parentPort?.postMessage({ buildId: request.buildId, found } satisfies SymbolAnswer, [...new Set(moved.map((array) => array.buffer as ArrayBuffer))]);
  }
});

function findFile(request: SymbolRequest): FileSymbols | null {
  for (const path of request.paths) {
    try {
      const found = readFile(path, request);
      if (found) return found;
    } catch {
      // Not there, not ours to read, not an ELF file: the next path.
    }
  }
  return null;
}

function readFile(path: string, request: SymbolRequest): FileSymbols | null {
  const source = openFileSource(path);
  try {
    const elf = readElf(source);
    return isTheFile(elf, request) ? { table: readFunctionSymbols(elf), segments: executableSegments(elf) } : null;
  } finally {
    source.close();
  }
}

/** By the strongest id that the sender knew. */
function isTheFile(elf: ElfFile, { gnu, go, htlhash }: SymbolRequest): boolean {
  const ids = readBuildIds(elf);
  if (gnu !== '') return ids.gnu === gnu;
  if (go !== '') return ids.go === go;
  return ids.htlhash === htlhash;
}

function executableSegments(elf: ElfFile): Float64Array {
  const loads = elf.segments.filter(({ type, flags }) => type === segmentLoad && (flags & segmentExecutable) !== 0);
  return Float64Array.from(loads.flatMap(({ offset, fileBytes, address }) => [offset, fileBytes, Number(address)]));
}

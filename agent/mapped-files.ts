// Executables and libraries that sampled processes have mapped: build ids and segments, read once per
// file. A file is known by what stat says of it, so that one that was replaced under its name, or got
// the inode of a deleted one, is read anew.
import { statSync } from 'node:fs';
import { type BuildIds, readBuildIds } from '../lib/elf/build-id.ts';
import { type ElfSegment, readElf } from '../lib/elf/elf.ts';
import { openFileSource } from '../lib/elf/file.ts';
import { filesMax, newFilesPerDrainMax } from './limits.ts';
import type { ExecutableMapping } from './proc/maps.ts';

export interface MappedFile {
  readonly path: string;
  readonly ids: BuildIds;
  readonly segments: readonly ElfSegment[];
}

/** `later`: too many new files in this drain. `none`: no file, not readable, or no ELF file. */
export type MappedFileResult = MappedFile | 'none' | 'later';

export class MappedFiles {
  readonly #byIdentity = new Map<string, MappedFile | 'none'>();
  readonly #byBuildId = new Map<string, MappedFile>();
  /** What a mapping led to: asked for each frame without build id, and good until the process's maps are read again. */
  readonly #byMapping = new WeakMap<ExecutableMapping, MappedFile | 'none'>();
  #newInDrain = 0;

  startDrain(): void {
    this.#newInDrain = 0;
  }

  /** The file behind a mapping of a process that is still there. */
  find(pid: number, mapping: ExecutableMapping): MappedFileResult {
    const known = this.#byMapping.get(mapping);
    if (known !== undefined) return known;
    const found = this.#look(pid, mapping);
    if (found !== 'later') this.#byMapping.set(mapping, found);
    return found;
  }

  #look(pid: number, mapping: ExecutableMapping): MappedFileResult {
    if (mapping.inode === 0n || !mapping.path.startsWith('/')) return 'none';
    const located = locate(pid, mapping);
    if (located === null) return 'none';
    const known = this.#byIdentity.get(located.identity);
    if (known !== undefined) {
      // Most recently used last.
      this.#byIdentity.delete(located.identity);
      this.#byIdentity.set(located.identity, known);
      return known;
    }
    if (this.#newInDrain >= newFilesPerDrainMax) return 'later';
    this.#newInDrain++;
    return this.#remember(located.identity, readMappedFile(located.path, mapping.path));
  }

  /** A file seen in any process, by its gnu build id: for processes that ended before they could be looked at. */
  byBuildId(gnu: string): MappedFile | null {
    return this.#byBuildId.get(gnu) ?? null;
  }

  #remember(identity: string, file: MappedFile | 'none'): MappedFile | 'none' {
    this.#byIdentity.set(identity, file);
    if (file !== 'none' && file.ids.gnu !== null) this.#byBuildId.set(file.ids.gnu, file);
    if (this.#byIdentity.size > filesMax) {
      const [oldest, dropped] = this.#byIdentity.entries().next().value!;
      this.#byIdentity.delete(oldest);
      if (dropped !== 'none' && dropped.ids.gnu !== null && this.#byBuildId.get(dropped.ids.gnu) === dropped) this.#byBuildId.delete(dropped.ids.gnu);
    }
    return file;
  }
}

/** Through map_files it is that very inode, deleted or not; by name only where the inode still is the mapped one. */
function locate(pid: number, mapping: ExecutableMapping): { path: string; identity: string } | null {
  const exact = `/proc/${pid}/map_files/${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
  const byName = `/proc/${pid}/root${mapping.path}`;
  for (const path of mapping.deleted ? [exact] : [exact, byName]) {
    try {
      const stat = statSync(path, { bigint: true });
      if (path === byName && stat.ino !== mapping.inode) continue;
      return { path, identity: `${stat.dev}:${stat.ino}:${stat.mtimeNs}:${stat.size}` };
    } catch {}
  }
  return null;
}

function readMappedFile(path: string, name: string): MappedFile | 'none' {
  try {
    const source = openFileSource(path);
    try {
      const elf = readElf(source);
      return { path: name, ids: readBuildIds(elf), segments: elf.segments };
    } finally {
      source.close();
    }
  } catch {
    // Not ELF (JIT code in a file, a data file mapped executable), unreadable, or gone meanwhile.
    return 'none';
  }
}

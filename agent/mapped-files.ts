// Executables and libraries that sampled processes have mapped: build ids and segments, read once per
// file. A file is known by what stat says of it, so that one that was replaced under its name, or got
// the inode of a deleted one, is read anew.
import { type BigIntStats, statSync } from 'node:fs';
import { type BuildIds, readBuildIds } from '../lib/elf/build-id.ts';
import { type ElfSegment, readElf, segmentExecutable, segmentLoad } from '../lib/elf/elf.ts';
import { openFileSource } from '../lib/elf/file.ts';
import { filesMax, mappingRecheckMillis, mappingTrustMillis, newFilesPerDrainMax, newFilesPerStackMax } from './limits.ts';
import type { ExecutableMapping } from './proc/maps.ts';
import { hasEnded, type ProcessIdentity } from './processes.ts';

export interface MappedFile {
  readonly path: string;
  readonly ids: BuildIds;
  /** Those that are loaded as code. */
  readonly segments: readonly ElfSegment[];
}

const isCode = ({ type, flags }: ElfSegment): boolean => type === segmentLoad && (flags & segmentExecutable) !== 0;

/**
 * `none`: no file, not readable, or no ELF file. `later`: too many new files for now. `gone`: it is not
 * mapped there any more.
 */
export type MappedFileResult = MappedFile | 'none' | 'later' | 'gone';

interface Located {
  /** Where the file can be opened. */
  readonly path: string;
  readonly identity: string;
}

/** What a mapping led to; good until the process's maps are read again. */
interface Found {
  readonly file: MappedFile | 'none';
  /** '' where there is no file to look for. */
  readonly identity: string;
  /** When that file was last seen to be mapped there. */
  seenAtMillis: number;
}

export class MappedFiles {
  readonly #byIdentity = new Map<string, MappedFile | 'none'>();
  readonly #byBuildId = new Map<string, MappedFile>();
  readonly #byMapping = new WeakMap<ExecutableMapping, Found>();
  #newInDrain = 0;

  startDrain(): void {
    this.#newInDrain = 0;
  }

  /** Whether the drain may go on to stacks that may bring new files. */
  get hasTime(): boolean {
    return this.#newInDrain < newFilesPerDrainMax;
  }

  /** The file that is or was mapped there, for who can tell it by its build id. */
  find(pid: number, mapping: ExecutableMapping, nowMillis: number): MappedFileResult {
    return this.#byMapping.get(mapping)?.file ?? this.#look(pid, mapping, nowMillis);
  }

  /** The file that is mapped there now, for who has nothing but an address. */
  findNow(process: ProcessIdentity, mapping: ExecutableMapping, nowMillis: number): MappedFileResult {
    const known = this.#byMapping.get(mapping);
    if (known === undefined) return this.#look(process.pid, mapping, nowMillis);
    const ageMillis = nowMillis - known.seenAtMillis;
    if (known.identity === '' || ageMillis <= mappingRecheckMillis) return known.file;
    if (locate(process.pid, mapping)?.identity !== known.identity) return ageMillis <= mappingTrustMillis && hasEnded(process) ? known.file : 'gone';
    known.seenAtMillis = nowMillis;
    return known.file;
  }

  /** Until when what findNow said of a mapping may be taken to be so still. */
  trustedUntilMillis(mapping: ExecutableMapping): number {
    const known = this.#byMapping.get(mapping);
    return known === undefined ? 0 : known.identity === '' ? Number.POSITIVE_INFINITY : known.seenAtMillis + mappingRecheckMillis;
  }

  /** A file seen in any process, by its gnu build id: for processes that ended before they could be looked at. */
  byBuildId(gnu: string): MappedFile | null {
    return this.#byBuildId.get(gnu) ?? null;
  }

  #look(pid: number, mapping: ExecutableMapping, nowMillis: number): MappedFileResult {
    if (mapping.inode === 0n || !mapping.path.startsWith('/')) {
      this.#byMapping.set(mapping, { file: 'none', identity: '', seenAtMillis: nowMillis });
      return 'none';
    }
    const located = locate(pid, mapping);
    if (located === null) return 'gone';
    const file = this.#fileOf(located, mapping.path);
    if (file !== 'later' && file !== 'gone') this.#byMapping.set(mapping, { file, identity: located.identity, seenAtMillis: nowMillis });
    return file;
  }

  #fileOf(located: Located, name: string): MappedFileResult {
    const known = this.#byIdentity.get(located.identity);
    if (known !== undefined) {
      // Most recently used last.
      this.#byIdentity.delete(located.identity);
      this.#byIdentity.set(located.identity, known);
      return known;
    }
    if (this.#newInDrain >= newFilesPerDrainMax + newFilesPerStackMax) return 'later';
    this.#newInDrain++;
    const file = readMappedFile(located, name);
    if (file !== 'gone') this.#remember(located.identity, file);
    return file;
  }

  #remember(identity: string, file: MappedFile | 'none'): void {
    this.#byIdentity.set(identity, file);
    if (file !== 'none' && file.ids.gnu !== null) this.#byBuildId.set(file.ids.gnu, file);
    if (this.#byIdentity.size > filesMax) {
      const [oldest, dropped] = this.#byIdentity.entries().next().value!;
      this.#byIdentity.delete(oldest);
      if (dropped !== 'none' && dropped.ids.gnu !== null && this.#byBuildId.get(dropped.ids.gnu) === dropped) this.#byBuildId.delete(dropped.ids.gnu);
    }
  }
}

/**
 * Through map_files it is that very inode, deleted or not, and nothing where the range is mapped no more.
 * By name only where we may not look there, and only where the name still leads to the mapped inode.
 */
function locate(pid: number, mapping: ExecutableMapping): Located | null {
  try {
    const path = `/proc/${pid}/map_files/${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
    return { path, identity: identityOf(statSync(path, { bigint: true })) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (mapping.deleted || (code !== 'EPERM' && code !== 'EACCES')) return null;
  }
  try {
    const path = `/proc/${pid}/root${mapping.path}`;
    const stat = statSync(path, { bigint: true });
    return stat.ino === mapping.inode ? { path, identity: identityOf(stat) } : null;
  } catch {
    return null;
  }
}

const identityOf = ({ dev, ino, mtimeNs, size }: BigIntStats): string => `${dev}:${ino}:${mtimeNs / 1_000_000n}:${size}`;

function readMappedFile(located: Located, name: string): MappedFile | 'none' | 'gone' {
  try {
    const source = openFileSource(located.path);
    try {
      const { dev, inode, mtimeMillis, bytes } = source.identity;
      // Replaced between the look and the opening.
      if (`${dev}:${inode}:${mtimeMillis}:${bytes}` !== located.identity) return 'gone';
      const elf = readElf(source);
      return { path: name, ids: readBuildIds(elf), segments: elf.segments.filter(isCode) };
    } finally {
      source.close();
    }
  } catch {
    // Not ELF (JIT code in a file, a data file mapped executable), unreadable, or gone meanwhile.
    return 'none';
  }
}

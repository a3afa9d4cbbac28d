import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { readBuildIds } from '../lib/elf/build-id.ts';
import { readElf } from '../lib/elf/elf.ts';
import { openFileSource } from '../lib/elf/file.ts';
import { buildElf } from '../lib/elf/testing.ts';
import { newFilesPerDrainMax } from './limits.ts';
import { MappedFiles } from './mapped-files.ts';
import { type ExecutableMapping, parseMaps } from './proc/maps.ts';
import { readProc } from './proc/read.ts';

/** Reading /proc/PID/map_files takes rights; without, only names are left. */
const isRoot = process.getuid?.() === 0;
const folder = mkdtempSync(join(tmpdir(), 'flamelake-files-'));
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill();
});
afterAll(() => rmSync(folder, { recursive: true }));

const idsOf = (path: string) => {
  const source = openFileSource(path);
  try {
    return readBuildIds(readElf(source));
  } finally {
    source.close();
  }
};

/** A copy of a program of the host, running. */
function runCopy(name: string): { path: string; pid: number; mappings: ExecutableMapping[] } {
  const path = join(folder, name);
  copyFileSync('/bin/sleep', path);
  const child = spawn(path, ['60']);
  children.push(child);
  return { path, pid: child.pid!, mappings: parseMaps(readProc(`/proc/${child.pid}/maps`, 1 << 20)!.bytes) };
}

const mappingOf = (pid: number, path: string) => parseMaps(readProc(`/proc/${pid}/maps`, 1 << 20)!.bytes).find((mapping) => mapping.path === path)!;

describe('files behind mappings', () => {
  test('an executable and its library, by build ids and segments; once read, found by build id too', () => {
    const { path, pid, mappings } = runCopy('plain');
    const files = new MappedFiles();
    const found = files.find(pid, mappings.find((mapping) => mapping.path === path)!);
    expect(found).toMatchObject({ path, ids: idsOf(path) });
    const gnu = idsOf(path).gnu;
    if (gnu !== null) expect(files.byBuildId(gnu)).toBe(found);
    const library = mappings.find((mapping) => mapping.path.includes('.so'))!;
    expect(files.find(pid, library)).toMatchObject({ path: library.path, ids: idsOf(library.path) });
    for (const special of mappings.filter((mapping) => mapping.inode === 0n)) expect(files.find(pid, special)).toBe('none');
  });
  test.skipIf(!isRoot)('a file that was deleted while it runs', () => {
    const { path, pid } = runCopy('deleted');
    const ids = idsOf(path);
    unlinkSync(path);
    const mapping = mappingOf(pid, path);
    expect(mapping.deleted).toBe(true);
    expect(new MappedFiles().find(pid, mapping)).toMatchObject({ path, ids });
  });
  test('a file that was replaced under its name is never taken for the running one', () => {
    const { path, pid, mappings } = runCopy('replaced');
    const ids = idsOf(path);
    copyFileSync(process.execPath, `${path}.new`);
    renameSync(`${path}.new`, path);
    // As it was read before the replacement, and as it reads now.
    for (const mapping of [mappings.find((candidate) => candidate.path === path)!, mappingOf(pid, path)]) {
      const found = new MappedFiles().find(pid, mapping);
      if (isRoot) expect(found).toMatchObject({ ids });
      else expect(found).toBe('none');
    }
  });
  test('of a process that is gone, none', () => {
    const { path, pid, mappings } = runCopy('gone');
    expect(new MappedFiles().find(4_000_000, mappings.find((mapping) => mapping.path === path)!)).toBe('none');
    expect(pid).toBeGreaterThan(0);
  });
  test('too many new files in one drain wait for the next', () => {
    const mappings = Array.from({ length: newFilesPerDrainMax + 2 }, (_, index): ExecutableMapping => {
      const path = join(folder, `small-${index}`);
      writeFileSync(path, buildElf({ notes: [{ name: 'GNU', type: 3, description: Buffer.alloc(20, index) }] }));
      // A range that nothing has: what is left is the name, and the inode must be the same.
      return { start: 0x1000n, end: 0x2000n, fileOffset: 0n, device: '00:00', inode: statSync(path, { bigint: true }).ino, path, deleted: false };
    });
    const files = new MappedFiles();
    const found = () => mappings.map((mapping) => files.find(process.pid, mapping));
    expect(found().filter((file) => file === 'later')).toHaveLength(2);
    files.startDrain();
    expect(found().every((file) => typeof file === 'object')).toBe(true);
    expect(files.find(process.pid, { ...mappings[0]!, inode: 1n })).toBe('none');
  });
});

import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { readBuildIds } from '../lib/elf/build-id.ts';
import { readElf } from '../lib/elf/elf.ts';
import { openFileSource } from '../lib/elf/file.ts';
import { buildElf } from '../lib/elf/testing.ts';
import { until } from '../test/e2e/until.ts';
import { buildProgram } from '../test/programs/programs.ts';
import { mappingRecheckMillis, mappingTrustMillis, newFilesPerDrainMax, newFilesPerStackMax } from './limits.ts';
import { MappedFiles } from './mapped-files.ts';
import { type ExecutableMapping, parseMaps } from './proc/maps.ts';
import { readProc } from './proc/read.ts';
import { identityOf } from './testing.ts';

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

const mappingsOf = (pid: number) => parseMaps(readProc(`/proc/${pid}/maps`, 1 << 20)!.bytes);
const mappingOf = (pid: number, path: string) => mappingsOf(pid).find((mapping) => mapping.path === path)!;

/** A copy of a program of the host, running. */
async function runCopy(name: string): Promise<{ path: string; pid: number; mappings: ExecutableMapping[] }> {
  const path = join(folder, name);
  copyFileSync('/bin/sleep', path);
  const child = spawn(path, ['60']);
  children.push(child);
  const pid = child.pid!;
  await until('it has mapped its libraries and sleeps', 10_000, () => / S /.test(readFileSync(`/proc/${pid}/stat`, 'latin1')));
  return { path, pid, mappings: mappingsOf(pid) };
}

/** A process that has mapped the files, and maps others in their place. */
async function mapping(paths: readonly string[]) {
  const program = buildProgram('map_files', folder);
  const child = spawn(program.path, paths, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  await lines.next();
  return {
    pid: child.pid!,
    async replace(index: number, path: string) {
      child.stdin.write(`${index} ${path}\n`);
      await lines.next();
    },
  };
}

function smallFile(index: number): string {
  const path = join(folder, `small-${index}`);
  writeFileSync(path, buildElf({ notes: [{ name: 'GNU', type: 3, description: Buffer.alloc(20, index) }] }));
  return path;
}

describe('files behind mappings', () => {
  test('an executable and its library, by build ids and segments; once read, found by build id too', async () => {
    const { path, pid, mappings } = await runCopy('plain');
    const files = new MappedFiles();
    const found = files.find(pid, mappings.find((mapping) => mapping.path === path)!, 0);
    expect(found).toMatchObject({ path, ids: idsOf(path) });
    const gnu = idsOf(path).gnu;
    if (gnu !== null) expect(files.byBuildId(gnu)).toBe(found);
    const library = mappings.find((mapping) => mapping.path.includes('.so'))!;
    expect(files.find(pid, library, 0)).toMatchObject({ path: library.path, ids: idsOf(library.path) });
    for (const special of mappings.filter((mapping) => mapping.inode === 0n)) expect(files.find(pid, special, 0)).toBe('none');
  });
  test.skipIf(!isRoot)('a file that was deleted while it runs', async () => {
    const { path, pid } = await runCopy('deleted');
    const ids = idsOf(path);
    unlinkSync(path);
    const mapping = mappingOf(pid, path);
    expect(mapping.deleted).toBe(true);
    expect(new MappedFiles().find(pid, mapping, 0)).toMatchObject({ path, ids });
  });
  test('a file that was replaced under its name is never taken for the running one', async () => {
    const { path, pid, mappings } = await runCopy('replaced');
    const ids = idsOf(path);
    copyFileSync(process.execPath, `${path}.new`);
    renameSync(`${path}.new`, path);
    // As it was read before the replacement, and as it reads now.
    for (const mapping of [mappings.find((candidate) => candidate.path === path)!, mappingOf(pid, path)]) {
      const found = new MappedFiles().find(pid, mapping, 0);
      if (isRoot) expect(found).toMatchObject({ ids });
      else expect(found).toBe('gone');
    }
  });
  test('of a process that is gone, none', async () => {
    const { path, mappings } = await runCopy('gone');
    expect(new MappedFiles().find(4_000_000, mappings.find((mapping) => mapping.path === path)!, 0)).toBe('gone');
  });
  test.skipIf(!isRoot)('another file in the place of one is noticed by who has only an address; who has a build id need not ask', async () => {
    const paths = [smallFile(1), smallFile(2)];
    const { pid, replace } = await mapping([paths[0]!]);
    const identity = identityOf(pid);
    const files = new MappedFiles();
    const first = mappingOf(pid, paths[0]!);
    const found = files.findNow(identity, first, 0);
    expect(found).toMatchObject({ ids: { gnu: '01'.repeat(20) } });
    expect(files.findNow(identity, first, mappingRecheckMillis + 1)).toBe(found);
    await replace(0, paths[1]!);
    expect(files.findNow(identity, first, 2 * mappingRecheckMillis + 1)).toBe(found);
    expect(files.findNow(identity, first, 2 * mappingRecheckMillis + 2)).toBe('gone');
    expect(files.find(pid, first, 2 * mappingRecheckMillis + 2)).toBe(found);
    expect(files.findNow(identity, mappingOf(pid, paths[1]!), 2 * mappingRecheckMillis + 2)).toMatchObject({ ids: { gnu: '02'.repeat(20) } });
  });
  test.skipIf(!isRoot)('a process that has ended since keeps what was there lately, though nobody has waited for it', async () => {
    const path = join(folder, 'ended');
    copyFileSync('/bin/sleep', path);
    // What becomes of the shell waits for nobody: its child stays a zombie.
    const parent = spawn('sh', ['-c', '"$0" 60 & echo $!; exec sleep 60', path], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(parent);
    const pid = Number((await createInterface(parent.stdout)[Symbol.asyncIterator]().next()).value);
    const state = () => readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) (.).*$/s, '$1');
    await until('it sleeps', 10_000, () => state() === 'S' && mappingOf(pid, path) !== undefined);
    const identity = identityOf(pid);
    const files = new MappedFiles();
    const mapping = mappingOf(pid, path);
    const found = files.findNow(identity, mapping, 0);
    expect(found).toMatchObject({ path });
    process.kill(pid);
    await until('it is a zombie', 10_000, () => state() === 'Z');
    expect(files.findNow(identity, mapping, mappingTrustMillis)).toBe(found);
    expect(files.findNow(identity, mapping, mappingTrustMillis + 1)).toBe('gone');
  });
  test.skipIf(!isRoot)('so does an image that an execve has ended', async () => {
    const path = join(folder, 'image');
    copyFileSync('/bin/sh', path);
    const child = spawn(path, ['-c', 'echo; read line; exec sleep 60'], { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    const pid = child.pid!;
    await createInterface(child.stdout)[Symbol.asyncIterator]().next();
    const identity = identityOf(pid);
    const files = new MappedFiles();
    const mapping = mappingOf(pid, path);
    const found = files.findNow(identity, mapping, 0);
    expect(found).toMatchObject({ path });
    child.stdin.write('go\n');
    await until('it is another program', 10_000, () => identityOf(pid).image !== identity.image && mappingOf(pid, path) === undefined);
    expect(files.findNow(identity, mapping, mappingTrustMillis)).toBe(found);
    expect(files.findNow(identity, mapping, mappingTrustMillis + 1)).toBe('gone');
    // The one that runs there now can't take it over.
    expect(files.findNow(identityOf(pid), mapping, mappingTrustMillis)).toBe('gone');
  });
  test.skipIf(!isRoot)('many new files end a drain; more than any process has wait for the next', async () => {
    const count = newFilesPerDrainMax + newFilesPerStackMax + 2;
    const { pid } = await mapping(Array.from({ length: count }, (_, index) => smallFile(index)));
    const mappings = mappingsOf(pid).filter(({ path }) => path.startsWith(join(folder, 'small-')));
    expect(mappings).toHaveLength(count);
    const files = new MappedFiles();
    const found = (of: readonly ExecutableMapping[]) => of.map((mapping) => files.find(pid, mapping, 0));
    found(mappings.slice(1, newFilesPerDrainMax));
    expect(files.hasTime).toBe(true);
    found(mappings.slice(0, 1));
    expect(files.hasTime).toBe(false);
    expect(found(mappings).filter((file) => file === 'later')).toHaveLength(2);
    files.startDrain();
    expect(files.hasTime).toBe(true);
    expect(found(mappings).every((file) => typeof file === 'object')).toBe(true);
  });
});

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { readBuildIds } from '../lib/elf/build-id.ts';
import { readElf } from '../lib/elf/elf.ts';
import { openFileSource } from '../lib/elf/file.ts';
import { memorySource } from '../lib/elf/source.ts';
import { buildElf } from '../lib/elf/testing.ts';
import type { Mapping } from './message-mappings.ts';
import { LocalSymbols, type Symbols } from './symbols.ts';
import { testHost } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'flamelake-symbols-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let symbols: Symbols = new LocalSymbols(testHost().logger);
afterEach(async () => {
  await symbols.close();
  symbols = new LocalSymbols(testHost().logger);
});

const mapping = (name: string, ids: { gnu?: string | null; go?: string | null; htlhash?: string }): Mapping => ({
  index: 1,
  name,
  buildId: ids.gnu || ids.go || ids.htlhash || '',
  gnu: ids.gnu ?? '',
  go: ids.go ?? '',
  htlhash: ids.htlhash ?? '',
  memoryStart: 0n,
  memoryLimit: 0n,
  fileOffset: 0n,
  isMarkedFileOffset: false,
});
const ask = async (wanted: Mapping, address: bigint, options: { pid?: number; isFileOffset?: boolean } = {}) => {
  // A busy machine may take longer to read a table than one batch waits for it; where nothing is being read nothing waits.
  for (let batch = 0; batch < 8; batch++) await symbols.prepare([{ mapping: wanted, pid: options.pid === undefined ? null : BigInt(options.pid) }]);
  return symbols.nameOf(wanted, address, options.isFileOffset ?? false);
};

const elf = buildElf({
  notes: [{ name: 'GNU', type: 3, description: Buffer.alloc(20, 0xab) }],
  segments: [{ type: 1, flags: 5, offset: 0x800, address: 0x401800n, bytes: 0x400 }],
  text: { address: 0x401800n, bytes: 0x400 },
  symbols: [{ name: '_Z4spinv', value: 0x401900n, size: 0x20n }],
});
const ids = readBuildIds(readElf(memorySource(elf)));
const file = join(folder, 'app');
writeFileSync(file, elf);

test('a frame is named by the file of its mapping, at its address alone', async () => {
  expect(await ask(mapping(file, ids), 0x401910n)).toBe('_Z4spinv');
  expect(await ask(mapping(file, ids), 0x401920n)).toBe(null);
  expect(await ask(mapping(file, ids), 0x910n, { isFileOffset: true })).toBe('_Z4spinv');
  expect(await ask(mapping(file, ids), 0x401910n, { isFileOffset: true })).toBe(null);
  expect(symbols.counts).toEqual({ named: 2, withoutSymbol: 2, withoutFile: 0 });
});

test('a file with another build id names nothing, by any kind of id', async () => {
  for (const other of [{ gnu: 'cd'.repeat(20) }, { gnu: 'cd'.repeat(20), htlhash: ids.htlhash }, { go: 'x/y' }, { htlhash: '0'.repeat(32) }]) {
    expect(await ask(mapping(file, other), 0x401910n)).toBe(null);
  }
  expect(await ask(mapping(file, { htlhash: ids.htlhash }), 0x401910n)).toBe('_Z4spinv');
});

test('what is no ELF file, not there or no path names nothing', async () => {
  writeFileSync(join(folder, 'script'), '#!/bin/sh\n');
  const paths = [join(folder, 'script'), join(folder, 'missing'), folder, '/dev/zero', 'app', '[vdso]', ''];
  for (const [index, path] of paths.entries()) expect(await ask(mapping(path, { gnu: `${index}`.repeat(8) }), 1n)).toBe(null);
});

test.skipIf(process.getuid?.() !== 0)('a file that only the profiled process sees under that path (a container) is found through it', async () => {
  // In a mount namespace of its own, /mnt is our folder.
  const child = spawn('unshare', ['-m', 'sh', '-c', `mount --bind ${folder} /mnt && echo ready && exec sleep 60`], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    expect(await ask(mapping('/mnt/app', ids), 0x401910n)).toBe(null);
    await symbols.close();
    symbols = new LocalSymbols(testHost().logger);
    expect(await ask(mapping('/mnt/app', ids), 0x401910n, { pid: child.pid! })).toBe('_Z4spinv');
  } finally {
    child.kill('SIGKILL');
  }
});

test('this very process has its functions, as nm lists them', async () => {
  const source = openFileSource(process.execPath);
  const own = readBuildIds(readElf(source));
  source.close();
  const listed = execFileSync('sh', ['-c', `nm --defined-only "${process.execPath}" | grep -E ' T (main|uv_run|napi_create_object)$'`], { encoding: 'utf8' });
  const lines = listed
    .trim()
    .split('\n')
    .map((line) => line.split(' '));
  expect(lines.length).toBe(3);
  for (const [address, , name] of lines) expect(await ask(mapping(process.execPath, own), BigInt(`0x${address}`))).toBe(name);
});

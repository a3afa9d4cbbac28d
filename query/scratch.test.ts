import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeScratch, spillRoom, sweepScratch } from './scratch.ts';

let place: string;
beforeEach(async () => {
  place = await mkdtemp(path.join(tmpdir(), 'flamelake-scratch-'));
});
afterEach(() => rm(place, { recursive: true }));

test('a folder is there for as long as its owner wants it', async () => {
  const { folder, remove } = await makeScratch(place);
  await sweepScratch(place);
  expect(existsSync(folder)).toBe(true);
  await remove();
  expect(await readdir(place)).toEqual([]);
});

test('what a process that was killed left behind goes at the next start; nothing else does', async () => {
  const script = `
    const { makeScratch } = await import(${JSON.stringify(new URL('./scratch.ts', import.meta.url).href)});
    process.stdout.write((await makeScratch(${JSON.stringify(place)})).folder);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = await once(child.stdout, 'data');
  const theirs = String(said);
  await writeFile(path.join(theirs, 'spilled'), 'x');
  await mkdir(path.join(place, 'other'));
  await writeFile(path.join(place, '1234-draft'), '');
  await mkdir(path.join(place, '.query-1-young'));
  const mine = await makeScratch(place);

  await sweepScratch(place);
  expect(existsSync(theirs)).toBe(true);

  child.kill('SIGKILL');
  await once(child, 'exit');
  await sweepScratch(place);
  expect((await readdir(place)).sort()).toEqual(['.query-1-young', '1234-draft', path.basename(mine.folder), 'other'].sort());
  await mine.remove();
});

test('a query spills into half of the room beyond what is kept for the others', () => {
  expect(spillRoom(place)).toBeGreaterThanOrEqual(0);
  expect(spillRoom(place)).toBeLessThanOrEqual(4096 * 2 ** 20);
});

import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { sweepScratch } from './scratch.ts';

test('what a dead process left behind goes after an hour; nothing else does', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'flamelake-scratch-'));
  const dead = spawnSync('true').pid;
  const names = [`flamelake-query-${dead}-abc`, `flamelake-query-${process.pid}-abc`, 'flamelake-query-x', 'other'];
  for (const name of names) await mkdir(path.join(folder, name, 'inside'), { recursive: true });
  await sweepScratch(folder, Date.now());
  expect((await readdir(folder)).sort()).toEqual([...names].sort());
  await sweepScratch(folder, Date.now() + 3_700_000);
  expect((await readdir(folder)).sort()).toEqual(names.slice(1).sort());
  await rm(folder, { recursive: true });
});

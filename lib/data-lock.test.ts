import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDataDirectory } from './data-lock.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'flamelake-lock-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A process that takes the lock, says so and keeps it. */
async function holder() {
  const script = `
    const { lockDataDirectory } = await import(${JSON.stringify(new URL('./data-lock.ts', import.meta.url).href)});
    await lockDataDirectory(${JSON.stringify(dir)});
    process.stdout.write('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

test('a second holder is told which directory and which process', async () => {
  const child = await holder();
  try {
    await expect(lockDataDirectory(dir)).rejects.toMatchObject({
      code: 'data_locked',
      message: expect.stringMatching(new RegExp(`${dir} .*process ${child.pid};`)),
      context: { dir, pid: child.pid },
    });
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

test('kill -9 frees it at once', async () => {
  const child = await holder();
  child.kill('SIGKILL');
  await once(child, 'exit');
  (await lockDataDirectory(dir)).release();
});

test('within one process too, and release gives it back', async () => {
  const first = await lockDataDirectory(dir);
  await expect(lockDataDirectory(dir)).rejects.toMatchObject({ code: 'data_locked', context: { pid: process.pid } });
  // The refused attempt has closed its own descriptor: the lock must not go with it.
  await expect(lockDataDirectory(dir)).rejects.toMatchObject({ code: 'data_locked' });
  first.release();
  first.release();
  (await lockDataDirectory(dir)).release();
});

test('a child that outlives its parent does not hold the lock on', async () => {
  const lock = await lockDataDirectory(dir);
  const child = spawn(process.execPath, ['-e', 'process.stdout.write("up"); setInterval(() => {}, 1000)'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    lock.release();
    (await lockDataDirectory(dir)).release();
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

test('a leftover file with any content is no lock', async () => {
  writeFileSync(path.join(dir, 'lock'), 'not a pid');
  (await lockDataDirectory(dir)).release();
});

test('the directory is made; a file in its place is refused in one line', async () => {
  (await lockDataDirectory(path.join(dir, 'new', 'data'))).release();
  writeFileSync(path.join(dir, 'file'), '');
  await expect(lockDataDirectory(path.join(dir, 'file'))).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('--data') });
});

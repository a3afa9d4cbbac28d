import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, expect, test } from 'vitest';
import { makeFolder } from './make-folder.ts';

const root = mkdtempSync(path.join(tmpdir(), 'flamelake-folder-'));
afterAll(() => rmSync(root, { recursive: true }));

test('what is missing above is made, each folder that got a name is told once', () => {
  const told: string[] = [];
  const folder = path.join(root, 'a/b/c');
  makeFolder(folder, (parent) => told.push(path.relative(root, parent)));
  makeFolder(folder, (parent) => told.push(parent));
  expect(existsSync(folder)).toBe(true);
  expect(told).toEqual(['', 'a', 'a/b']);
});

test('several at once, each finding what another has just made', async () => {
  const module = JSON.stringify(new URL('./make-folder.ts', import.meta.url).href);
  const script = `
    const { makeFolder } = await import(${module});
    for (let index = 0; index < 400; index++) makeFolder(${JSON.stringify(root)} + '/race/' + index + '/x/y/z');`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`);
  const workers = Array.from({ length: 4 }, () => new Worker(url, { execArgv: [] }));
  const codes = await Promise.all(
    workers.map(
      (worker) =>
        new Promise((resolve, reject) => {
          worker.once('error', reject);
          worker.once('exit', resolve);
        }),
    ),
  );
  expect(codes).toEqual([0, 0, 0, 0]);
  expect(existsSync(path.join(root, 'race/399/x/y/z'))).toBe(true);
});

test('a file system that refuses every name ends with its own error', () => {
  expect(() => makeFolder('/proc/flamelake/log')).toThrow(/ENOENT/);
});

test('a file in the way is an error', () => {
  expect(() => makeFolder(path.join(import.meta.filename, 'below'))).toThrow(/ENOTDIR/);
});

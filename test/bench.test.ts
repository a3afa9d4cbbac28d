// Every bench in its small form: it runs, and what it computes is the same twice.
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Bench, figure, report } from '../bench/measure.ts';

const folder = join(import.meta.dirname, '../bench');
const files = globSync('*.bench.ts', { cwd: folder }).sort();

test.each(files)(
  '%s, small',
  async (file) => {
    const { bench } = (await import(join(folder, file))) as { bench: Bench };
    const first = await bench('small');
    expect(first.input).toMatch(/\d/);
    expect(first.figures.length).toBeGreaterThan(0);
    expect(first.figures.every(({ median, least, most }) => least <= median && median <= most && least > 0)).toBe(true);
    if (first.resultHash !== null) expect((await bench('small')).resultHash).toBe(first.resultHash);
    expect(report(file, 'small', first).join('\n')).toContain(first.figures[0]!.name);
  },
  120_000,
);

test('median and spread', () => {
  expect(figure('x', 's', [3, 1, 2])).toMatchObject({ median: 2, least: 1, most: 3, rounds: 3 });
  expect(figure('x', 's', [4, 1, 2, 3])).toMatchObject({ median: 2.5 });
  expect(() => figure('x', 's', [])).toThrow('no rounds');
});

import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renderLayout } from '../../scripts/bpf-layout.ts';

const object = new URL('./sample.bpf.o', import.meta.url).pathname;

test.skipIf(!existsSync(object))('layout.gen.ts is what the built object says', () => {
  expect(readFileSync(new URL('./layout.gen.ts', import.meta.url), 'utf8'), 'run: node scripts/bpf-layout.ts').toBe(renderLayout(object));
});

// The pages that are made from code are what the code says now.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { errorCodes } from '../lib/errors.ts';
import { prometheusName } from '../lib/prometheus.ts';
import { metricGroups, metricsPage } from './metrics-page.ts';
import { withErrorTable } from './operations-page.ts';

const page = (name: string) => readFileSync(new URL(`../docs/${name}.md`, import.meta.url), 'utf8');

test('docs/metrics.md is what `npm run docs` makes', () => {
  expect(page('metrics')).toBe(metricsPage());
});

test("docs/operations.md's table of errors is what `npm run docs` makes, and has every code once", () => {
  expect(page('operations')).toBe(withErrorTable(page('operations')));
  for (const code of errorCodes) expect(page('operations').split(`\n| \`${code}\` |`), code).toHaveLength(2);
});

test('a page without its marks is told, not left as it is', () => {
  expect(() => withErrorTable('# Operations\n')).toThrow('docs/operations.md lacks the lines');
});

const specs = metricGroups.flatMap(({ table }) => Object.entries(table));

test('no two metrics have one name, in OTLP or on /metrics', () => {
  const names = specs.map(([name]) => name);
  const shown = specs.map(([name, { unit, kind }]) => prometheusName({ name, unit, kind }));
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(shown).size).toBe(shown.length);
});

test.each(specs)('%s says what it counts', (name, { description, unit, attributes }) => {
  expect(name).toMatch(/^(flamelake|process|nodejs)(\.[a-z0-9_]+)+$/);
  expect(description).toMatch(/^[A-Z0-9].*[^.]$/);
  expect(unit).toMatch(/^(s|us|By|1|\{[a-z]+\})$/);
  if (name.endsWith('.lost')) expect(Object.keys(attributes ?? {})).toContain('reason');
});

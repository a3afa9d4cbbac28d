import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { findCommand } from './command-table.ts';
import { commandHelp, configurationPage, mainHelp } from './help.ts';
import { commandNames, flagName, optionNames, optionsOf } from './option-table.ts';

describe('help', () => {
  test('each command is in the overview, each option in its command', () => {
    for (const command of commandNames) {
      expect(mainHelp('1.2.3')).toContain(`  ${command} `);
      for (const name of optionsOf(command)) expect(commandHelp(command)).toContain(`  --${flagName(name)}`);
    }
  });

  test('fits a terminal of 100 columns', () => {
    for (const command of commandNames)
      expect(
        Math.max(
          ...commandHelp(command)
            .split('\n')
            .map((line) => line.length),
        ),
      ).toBeLessThanOrEqual(120);
  });
});

describe('docs/configuration.md', () => {
  test('is what `npm run docs` makes', () => {
    expect(readFileSync(new URL('../docs/configuration.md', import.meta.url), 'utf8')).toBe(configurationPage());
  });

  test('has every option', () => {
    for (const name of optionNames) expect(configurationPage()).toContain(`| \`--${flagName(name)}`);
  });
});

test('a command is found at the head of the arguments', () => {
  expect(findCommand(['lake', 'check', '--json'])).toEqual({ name: 'lake check', rest: ['--json'] });
  expect(findCommand(['up'])).toEqual({ name: 'up', rest: [] });
  expect(findCommand(['lake'])).toBeNull();
  expect(findCommand(['--data', 'up'])).toBeNull();
});

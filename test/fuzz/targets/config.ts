// What a user writes: the YAML file, environment variables, arguments, files of tokens.
import { parseConfig } from '../../../cli/config-file.ts';
import { commandNames, envNames, flagName, optionNames, optionSpec } from '../../../cli/option-table.ts';
import { parseCommand } from '../../../cli/options.ts';
import { parseTokens } from '../../../lib/door/tokens.ts';
import { isPipelineError } from '../../../lib/errors.ts';
import { below, type Random } from '../../../schemas/otlp/testing-data.ts';
import { mutateBytes } from '../mutate.ts';
import { refusedOr, type Target } from '../target.ts';

const values = [
  '20',
  '1s',
  '128MB',
  'true',
  '127.0.0.1:4317',
  '[::1]:0',
  'http://localhost:4317',
  'a=b,c=d%20e',
  'cpu',
  '-15m',
  'now',
  '2026-11-24',
  '~',
  "''",
  '"x"',
  '0x10',
  '1e3',
  '{a: b}',
  '[1, 2]',
  '&a x',
  '*a',
  '|\n  text',
  '!!int 3',
  '1_0',
  '.nan',
  'é',
];
const pick = <T>(random: Random, items: readonly T[]): T => items[below(random, items.length)]!;
/** Inside, a NUL cannot be given to a process. */
const noNul = (text: string): string => text.replaceAll('\0', '');

export const yaml: Target = {
  name: 'config-yaml',
  shortRuns: 600,
  weight: 2000,
  open: async () => ({
    make: (random) => {
      const lines = Array.from({ length: below(random, 6) }, () => `${flagName(pick(random, optionNames))}: ${pick(random, values)}\n`);
      return mutateBytes(Buffer.from(lines.join('')), random, 3);
    },
    feed: (input) => {
      const parsed = refusedOr(() => parseConfig('f', Buffer.from(input).toString('utf8')))?.value;
      if (parsed === undefined) return 'refused';
      for (const [name, { text, place }] of parsed) {
        if (!/^f:\d+:\d+$/.test(place)) throw new Error(`place ${place}`);
        optionSpec(name).type.parse(text);
      }
      return 'taken';
    },
  }),
};

export const options: Target = {
  name: 'options',
  shortRuns: 600,
  weight: 5000,
  open: async () => ({
    // One word a line: the command, then arguments, with VARIABLE=value among them.
    make: (random) => {
      const words = Array.from({ length: below(random, 5) }, () => {
        const name = pick(
          random,
          optionNames.filter((each) => each !== 'config'),
        );
        if (below(random, 3) === 0) return `${pick(random, envNames(name))}=${noNul(pick(random, values))}`;
        return below(random, 2) === 0 ? `--${flagName(name)}=${pick(random, values)}` : `--${flagName(name)}\n${pick(random, values)}`;
      });
      return mutateBytes(Buffer.from([pick(random, commandNames), ...words].join('\n')), random, 2);
    },
    feed: async (input) => {
      const [command, ...words] = Buffer.from(input).toString('utf8').split('\n');
      const known = commandNames.find((name) => name === command) ?? 'up';
      const env: Record<string, string> = {};
      const args: string[] = [];
      for (const word of words) {
        const [, variable, value] = /^((?:OTEL|FLAMELAKE)_[A-Z_]+)=(.*)$/s.exec(word) ?? [];
        if (variable === undefined) args.push(word);
        else if (variable !== 'FLAMELAKE_CONFIG') env[variable] = value!;
      }
      if (args.some((arg) => arg.startsWith('--config'))) return 'refused';
      try {
        await parseCommand(known, args, env);
        return 'taken';
      } catch (error) {
        if (isPipelineError(error) && !error.message.includes('\n')) return 'refused';
        throw error;
      }
    },
  }),
};

export const tokens: Target = {
  name: 'token-files',
  shortRuns: 1000,
  weight: 15_000,
  open: async () => ({
    make: (random) => mutateBytes(Buffer.from('# comment\n\nabcdefghijklmnopqrstuvwxyz==\r\n0123456789abcdef0123456789abcdef\n'), random),
    feed: (input) => (refusedOr(() => parseTokens(Buffer.from(input).toString('utf8'), 'f')) ? 'taken' : 'refused'),
  }),
};

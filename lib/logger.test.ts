import { expect, test } from 'vitest';
import { PipelineError } from './errors.ts';
import { createLogger, errorFields } from './logger.ts';

test("machines get an error's kind as error.type, people read it in the text", () => {
  const lines: string[] = [];
  for (const format of ['json', 'text'] as const) {
    const logger = createLogger({ name: 'receiver', level: 'info', format, write: (line) => lines.push(line) });
    logger.warn('the log takes nothing', { ...errorFields(new PipelineError('log_full', 'full')), shard: 1 });
  }
  expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'warn', name: 'receiver', message: 'the log takes nothing', 'error.type': 'log_full', shard: 1 });
  expect(lines[1]).toBe('receiver  warn: the log takes nothing shard=1\n');
});

test('what is no error of ours has the name of its class', () => {
  expect([new TypeError('x'), 'a text', null].map((error) => errorFields(error)['error.type'])).toEqual(['TypeError', 'string', 'object']);
});

// What Node and a failed fsync write of themselves, in both formats of the log.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { asksForJsonLog } from './process-log.ts';

const imports = ['cli/process-log', 'lib/logger', 'lib/fatal'].map((name) => path.join(import.meta.dirname, '..', `${name}.ts`));

function run(format: 'text' | 'json', code: string): { status: number | null; lines: string[] } {
  const source = `
    const [{ logAllThatIsSaid }, { createLogger }, { endProcess }] = await Promise.all(${JSON.stringify(imports)}.map((file) => import(file)));
    const logger = createLogger({ name: 'probe', level: 'info', format: '${format}', write: (line) => process.stderr.write(line) });
    logAllThatIsSaid(logger, '${format}');
    ${code}`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' });
  return { status, lines: stderr.trimEnd().split('\n') };
}

test.each([
  ['a crash', "setTimeout(() => { throw new Error('in a callback'); })", 1, { level: 'error', error: expect.stringContaining('in a callback') }],
  ['a promise that nobody waits for', "Promise.reject(new Error('unheard'))", 1, { level: 'error', error: expect.stringContaining('unheard') }],
  ['a warning of Node', "process.emitWarning('old', 'DeprecationWarning')", 0, { level: 'warn', message: 'old', warning: 'DeprecationWarning' }],
  [
    'the end after a failed fsync',
    "endProcess('fsync of a file failed')",
    74,
    { level: 'error', message: expect.stringMatching(/^fsync of a file failed; ending/) },
  ],
])('%s is one JSON line', (_, code, status, expected) => {
  const found = run('json', code);
  expect(found.lines).toHaveLength(1);
  expect(JSON.parse(found.lines[0]!)).toMatchObject(expected);
  expect(found.status).toBe(status);
});

test('as text they are what they always were', () => {
  const { status, lines } = run('text', "setTimeout(() => { throw new Error('in a callback'); })");
  expect(status).toBe(1);
  expect(lines.some((line) => /^Error: in a callback$/.test(line))).toBe(true);
  expect(run('text', "endProcess('fsync of a file failed')").lines).toEqual([expect.stringMatching(/^flamelake: fsync of a file failed; ending/)]);
});

test('whether errors of the options are to be JSON is told before they are read', () => {
  expect(asksForJsonLog(['up', '--log-format', 'json'], {})).toBe(true);
  expect(asksForJsonLog(['up', '--log-format=json'], { FLAMELAKE_LOG_FORMAT: 'text' })).toBe(true);
  expect(asksForJsonLog(['up', '--log-format', 'text'], { FLAMELAKE_LOG_FORMAT: 'json' })).toBe(false);
  expect(asksForJsonLog(['up'], { FLAMELAKE_LOG_FORMAT: 'json' })).toBe(true);
  expect(asksForJsonLog(['up'], {})).toBe(false);
});

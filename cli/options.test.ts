import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseConfig } from './config-file.ts';
import { nearest } from './nearest.ts';
import { commandNames, envNames, flagName, optionNames, optionSpec } from './option-table.ts';
import { misspelledVariables, parseCommand } from './options.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'flamelake-options-'));
afterAll(() => rmSync(dir, { recursive: true }));

function configFile(text: string): string {
  const file = path.join(dir, `${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(file, text);
  return file;
}

/** The error line without the folder of the test. */
async function problem(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    return (error as Error).message.replace(/\S+\.yaml/, 'FILE');
  }
  return 'no error';
}

describe('precedence', () => {
  test('flag before environment before file before default', async () => {
    const file = configFile('rate: 30\n');
    expect((await parseCommand('up', [], {})).values.rate).toBe(20);
    expect((await parseCommand('up', ['--config', file], {})).values.rate).toBe(30);
    expect((await parseCommand('up', [], { FLAMELAKE_CONFIG: file })).values.rate).toBe(30);
    expect((await parseCommand('up', ['--config', file], { FLAMELAKE_RATE: '40' })).values.rate).toBe(40);
    expect((await parseCommand('up', ['--config', file, '--rate', '50'], { FLAMELAKE_RATE: '40' })).values.rate).toBe(50);
  });

  test('the last flag wins, an empty variable is not set', async () => {
    expect((await parseCommand('up', ['--rate=5', '--rate', '9'], { FLAMELAKE_RATE: '' })).values.rate).toBe(9);
    expect((await parseCommand('up', [], { FLAMELAKE_RATE: '' })).values.rate).toBe(20);
  });

  test('the variable for profiles goes before the one for all signals', async () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://all:4317', OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT: 'https://profiles:4318/x' };
    expect((await parseCommand('agent', [], env)).values.endpoint).toBe('https://profiles:4318/x');
    expect((await parseCommand('agent', [], { ...env, OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT: '' })).values.endpoint).toBe('http://all:4317');
    expect((await parseCommand('agent', ['--endpoint', 'http://flag:1'], env)).values.endpoint).toBe('http://flag:1');
    expect((await parseCommand('agent', [], { OTEL_EXPORTER_OTLP_TIMEOUT: '2500' })).values.timeout).toBe(2500);
  });

  test('variables of other commands are not looked at', async () => {
    expect((await parseCommand('sql', ['SELECT 1'], { FLAMELAKE_RATE: 'fast' })).positionals).toEqual(['SELECT 1']);
    expect((await parseCommand('up', [], { OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT: 'nonsense' })).values.endpoint).toBeUndefined();
  });

  test('what was given is told from what is a default', async () => {
    const { given } = await parseCommand('up', ['--rate', '20'], { FLAMELAKE_LISTEN: '[::1]:0' });
    expect(Object.fromEntries(given)).toEqual({ listen: 'FLAMELAKE_LISTEN', rate: '--rate' });
  });
});

describe('values', () => {
  test('become what the stages take', async () => {
    const { values } = await parseCommand('up', ['--publish-interval', '90s', '--publish-bytes', '2MiB', '--no-agent', '--data', '-x'], {});
    expect(values).toMatchObject({ publishInterval: 90_000, publishBytes: 2 * 2 ** 20, noAgent: true, data: '-x', hotInterval: 3000 });
    expect(values).toMatchObject({ retainAge: 30 * 86_400_000, retainBytes: undefined });
    expect((await parseCommand('up', ['--retain-age', 'forever', '--retain-bytes', '1TB'], {})).values).toMatchObject({ retainAge: null, retainBytes: 1e12 });
    await expect(parseCommand('up', ['--retain-age', 'never'], {})).rejects.toThrow(/--retain-age is "never"; allowed: a duration .* or forever/);
  });

  test('a time may begin with a dash', async () => {
    const { values } = await parseCommand('top', ['--from', '-1h', '--to=2026-11-24T08:00:00Z'], {});
    expect(values.to).toBe(Date.UTC(2026, 10, 24, 8));
    expect(Math.abs(Date.now() - 3_600_000 - values.from!)).toBeLessThan(60_000);
  });

  test('a switch can be turned back', async () => {
    expect((await parseCommand('up', ['--no-agent=false'], { FLAMELAKE_NO_AGENT: 'true' })).values.noAgent).toBe(false);
  });

  test('pairs are percent-decoded, and maps in the file', async () => {
    const env = { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20a%3Db, x-scope = 1,' };
    expect((await parseCommand('agent', [], env)).values.headers).toEqual({ authorization: 'Bearer a=b', 'x-scope': '1' });
    const file = configFile('resource-attributes:\n  deployment.environment.name: "a,b=ü"\n  n: 1\n');
    expect((await parseCommand('agent', ['--config', file], {})).values.resourceAttributes).toEqual({ 'deployment.environment.name': 'a,b=ü', n: '1' });
  });

  test('every default is one that its own option allows', async () => {
    for (const name of optionNames) {
      const spec = optionSpec(name);
      if (spec.default !== null) expect(spec.type.parse(spec.default), name).toBeDefined();
    }
  });
});

describe('one line for what is wrong: found, where, allowed', () => {
  test.each([
    [['--rate', '5000'], {}, '--rate is "5000"; allowed: a whole number from 1 to 1000 (samples a second on each CPU)'],
    [['--rate', '2e1'], {}, '--rate is "2e1"; allowed: a whole number from 1 to 1000 (samples a second on each CPU)'],
    [[], { FLAMELAKE_PUBLISH_INTERVAL: '15' }, 'FLAMELAKE_PUBLISH_INTERVAL is "15"; allowed: a duration from 1s to 1h, such as 30s or 1h30m'],
    [['--listen', '4040'], {}, '--listen is "4040"; allowed: HOST:PORT, such as 127.0.0.1:4317, [::1]:4317 or 0.0.0.0:4317 (every interface)'],
    [['--raet', '5'], {}, 'unknown option --raet; did you mean --rate?'],
    [['--frobnicate'], {}, 'unknown option --frobnicate; flamelake up --help lists them'],
    [['-r', '5'], {}, 'unknown option -r; flamelake up --help lists them'],
    [['--limit', '5'], {}, '--limit is no option of flamelake up, only of: sql, top'],
    [['--data'], {}, '--data needs a value; allowed: a directory on a local disk'],
    [['--data', '--no-agent'], {}, '--data needs a value; allowed: a directory on a local disk'],
    [['--data='], {}, '--data is ""; allowed: a directory on a local disk'],
    [['--no-agent=maybe'], {}, '--no-agent is "maybe"; allowed: true or false'],
    [['--config', '/nonexistent.yaml'], {}, "FILE: the configuration can't be read (ENOENT)"],
  ])('%j %j', async (args, env, message) => {
    expect(await problem(() => parseCommand('up', args, env as Record<string, string>))).toBe(message);
  });

  test.each([
    ['rate: 20\n raet: 5\n', 'FILE:1:7: no valid YAML: '],
    ['data: x\nraet: 5\n', 'FILE:2:1: unknown key "raet"; did you mean rate?'],
    ['data: x\n  \nrate: 5000\n', 'FILE:3:1: rate is "5000"; allowed: a whole number from 1 to 1000 (samples a second on each CPU)'],
    ['rate: 0x14\n', 'FILE:1:1: rate is "0x14"; allowed:'],
    ['limit: none\n', 'FILE:1:1: limit is "none"; allowed:'],
    ['rate: [1]\n', 'FILE:1:1: rate must be one plain value; allowed:'],
    ['rate: {a: 1}\n', 'FILE:1:1: rate must be one plain value; allowed:'],
    ['rate: 1\nrate: 2\n', 'FILE:2:1: no valid YAML'],
    ['- rate\n', 'FILE:1:1: expected a map of options'],
    ['? [a]\n: 1\n', 'FILE:1:3: a key must be the name of an option'],
    ['a: &x 1\nrate: *x\n', 'FILE:1:1: unknown key "a"'],
    ['data: &x 1\nrate: *x\n', 'FILE:2:1: rate must be one plain value'],
    ['config: other.yaml\n', 'FILE:1:1: config can be given by flag and environment only'],
    ['"rate\n', 'FILE:'],
    ['data: x\n---\nrate: 5\n', 'FILE:'],
  ])('in the file %j', async (text, message) => {
    const file = configFile(text);
    expect(await problem(() => parseCommand('up', ['--config', file], {}))).toContain(message);
  });

  test('a file may be empty and leave keys open', async () => {
    expect(parseConfig('x', '').size).toBe(0);
    expect(parseConfig('x', '# nothing\n').size).toBe(0);
    expect(parseConfig('x', 'rate:\ndata: ~\n').size).toBe(0);
  });

  test('a header is not repeated, it may be a secret', async () => {
    const message = await problem(() => parseCommand('agent', [], { OTEL_EXPORTER_OTLP_HEADERS: 'Bearer hunter2' }));
    expect(message).toContain('OTEL_EXPORTER_OTLP_HEADERS is not well-formed');
    expect(message).not.toContain('hunter2');
  });

  test('a user, a scheme or a query in the endpoint', async () => {
    for (const endpoint of ['localhost:4317', 'ftp://x', 'http://u:p@x', 'http://x?y=1', 'x']) {
      expect(await problem(() => parseCommand('agent', ['--endpoint', endpoint], {})), endpoint).toContain('allowed: an http:// or https:// URL');
    }
  });
});

describe('names', () => {
  test('flags, keys and variables are unique', async () => {
    expect(new Set(optionNames.map(flagName)).size).toBe(optionNames.length);
    // OpenTelemetry's variables for all signals are each asked for by profiles and by metrics.
    const variables = optionNames.flatMap(envNames).filter((name) => !/^OTEL_EXPORTER_OTLP_(?!PROFILES_|METRICS_)/.test(name));
    expect(new Set(variables).size).toBe(variables.length);
  });

  test('each command has options', async () => {
    for (const command of commandNames) await expect(parseCommand(command, [], {})).resolves.toBeDefined();
  });

  test('near misses in the environment are told, those of others are not', async () => {
    expect(misspelledVariables({ FLAMELAKE_RAET: '5', FLAMELAKE_RATE: '5', FLAMELAKE_SERVICE_PORT_4317_TCP_ADDR: 'x', OTHER: 'y' })).toEqual([
      'environment variable FLAMELAKE_RAET is not known; did you mean FLAMELAKE_RATE?',
    ]);
    expect(nearest('publsh-interval', ['publish-interval', 'publish-bytes'])).toBe('publish-interval');
    expect(nearest('zzzz', ['rate'])).toBeNull();
  });
});

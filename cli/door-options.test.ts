import { expect, test } from 'vitest';
import { checkDoors, isOtlpLocked } from './door-options.ts';
import { parseCommand } from './options.ts';

const check = async (...args: string[]): Promise<void> => checkDoors((await parseCommand('up', args, {})).values);
const tls = ['--tls-cert-file', 'c', '--tls-key-file', 'k'];

test('on the loopback nothing is asked for', async () => {
  await check();
  await check('--listen', '[::1]:0', '--otlp-grpc', 'localhost:1', '--otlp-http', '127.1.2.3:1');
});

test.each([
  [['--listen', '0.0.0.0:4040'], '--listen 0.0.0.0:4040 is reached from other hosts; give --tls-cert-file and --tls-key-file, and --api-token-file or'],
  [
    ['--otlp-grpc', '10.0.0.1:4317'],
    '--otlp-grpc 10.0.0.1:4317 is reached from other hosts; give --tls-cert-file and --tls-key-file, and --otlp-token-file or',
  ],
  [['--otlp-http', '[::]:4318', ...tls], '--otlp-http [::]:4318 is reached from other hosts; give --otlp-token-file or --otlp-client-ca-file, or'],
  // Who may write is not who may read.
  [['--listen', '0.0.0.0:4040', ...tls, '--otlp-token-file', 't'], 'give --api-token-file or'],
  [['--listen', '0.0.0.0:4040', '--api-token-file', 't'], 'give --tls-cert-file and --tls-key-file, or'],
  [['--tls-cert-file', 'c'], 'tls-cert-file is given without tls-key-file'],
  [['--tls-key-file', 'k'], 'tls-key-file is given without tls-cert-file'],
  [['--otlp-client-ca-file', 'a'], 'otlp-client-ca-file is given without tls-cert-file'],
  [['--api-client-ca-file', 'a', '--insecure'], 'api-client-ca-file is given without tls-cert-file'],
])('%j is refused', async (args, message) => {
  await expect(check(...args)).rejects.toMatchObject({ code: 'config_invalid', message: expect.stringContaining(message) });
});

test.each([
  [['--listen', '0.0.0.0:4040', ...tls, '--api-token-file', 't']],
  [['--listen', '0.0.0.0:4040', ...tls, '--api-client-ca-file', 'a']],
  [['--otlp-grpc', '0.0.0.0:1', '--otlp-http', '0.0.0.0:2', ...tls, '--otlp-client-ca-file', 'a']],
  [['--listen', '0.0.0.0:1', '--otlp-grpc', '0.0.0.0:2', '--otlp-http', '0.0.0.0:3', '--insecure']],
])('%j is allowed', async (args) => {
  await check(...args);
});

test('the own agent needs a way of its own where others need credentials', async () => {
  const locked = async (...args: string[]) => isOtlpLocked((await parseCommand('up', args, {})).values);
  expect([await locked(), await locked('--api-token-file', 't'), await locked(...tls), await locked('--otlp-token-file', 't')]).toEqual([
    false,
    false,
    true,
    true,
  ]);
});

// flamelake up behind locks, as a user sets it up: TLS with certificates of an own CA, client
// certificates and tokens. Its own agent comes in, an agent elsewhere comes in by OpenTelemetry's
// variables, nobody else does; and no secret stands where others of the host can read it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTransport } from '../../agent/send/open.ts';
import type { SendResult } from '../../agent/send/transport.ts';
import { agentOptions } from '../../cli/agent-options.ts';
import { parseCommand } from '../../cli/options.ts';
import { makeCertificates, type TestCertificates } from '../../lib/door/testing.ts';
import { createLogger } from '../../lib/logger.ts';
import { createMetricRegistry } from '../../lib/metrics.ts';
import { type Receiver, startReceiver } from '../../receiver/main.ts';
import { ProfilesDataSchema } from '../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { seeded, someData } from '../../schemas/otlp/testing-data.ts';
import { freePorts, isRoot, killStarted, launcher, runCommand, startCommand, startUp, temporaryFolder } from './flamelake.ts';
import { Hopeless, until } from './until.ts';

const folder = temporaryFolder('door');
afterAll(async () => {
  await killStarted();
  folder.remove();
});

const otlpToken = 'a-token-for-those-who-write';
const apiToken = 'a-token-for-those-who-read';

test.each([
  [['--listen', '0.0.0.0:0'], /^flamelake: --listen 0\.0\.0\.0:0 is reached from other hosts; give --tls-cert-file .* or say --insecure\n$/],
  [['--otlp-grpc', '0.0.0.0:0', '--otlp-token-file', 'x'], /^flamelake: --otlp-grpc 0\.0\.0\.0:0 .*\n$/],
])('%j ends with 2 and says what to do', async (flags, message) => {
  const { code, stdout, stderr } = await runCommand(['up', '--data', join(folder.path, 'refused'), ...flags]);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(message);
});

describe("OpenTelemetry's variables of an agent", () => {
  let receiver: Receiver;
  let made: TestCertificates;
  let sent = 0;
  beforeAll(async () => {
    made = makeCertificates(folder.path);
    const tokenFile = join(folder.path, 'tokens');
    writeFileSync(tokenFile, `${otlpToken}\n`);
    const door = { certFile: made.serverCert, keyFile: made.serverKey, clientCaFile: made.ca, tokenFile };
    const log = pathToFileURL(join(folder.path, 'log')).href;
    const host = { logger: createLogger({ name: 'receiver', level: 'error', format: 'text', write: () => {} }), meter: createMetricRegistry().meter };
    receiver = await startReceiver({ grpcListen: '127.0.0.1:0', httpListen: '127.0.0.1:0', door, messageBytesMax: 2 ** 20, log }, host);
  });
  afterAll(() => receiver.stop());

  async function send(env: Record<string, string>): Promise<SendResult> {
    const { values, given } = await parseCommand('agent', [], env);
    const transport = await openTransport({ ...agentOptions(values, given, '1'), userAgent: 'test' });
    try {
      return await transport.send(Buffer.from(toBinary(ProfilesDataSchema, someData(seeded(++sent)))), new AbortController().signal);
    } finally {
      transport.close();
    }
  }

  const portOf = (address: string | null): string => address!.split(':')[1]!;
  test.each(['grpc', 'http/protobuf'])('over %s: CA, client certificate, key and headers open the door, none of them may be missing', async (protocol) => {
    const whole = {
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_EXPORTER_OTLP_ENDPOINT: `https://localhost:${portOf(protocol === 'grpc' ? receiver.grpcAddress : receiver.httpAddress)}`,
      OTEL_EXPORTER_OTLP_CERTIFICATE: made.ca,
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: made.clientCert,
      OTEL_EXPORTER_OTLP_CLIENT_KEY: made.clientKey,
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${otlpToken}`,
    };
    expect(await send(whole)).toEqual({ kind: 'accepted', rejected: 0, message: '' });
    expect(await send({ ...whole, OTEL_EXPORTER_OTLP_HEADERS: '' })).toMatchObject({
      kind: 'retry',
      isUntaken: true,
      message: expect.stringContaining('no valid token'),
    });
    expect(await send({ ...whole, OTEL_EXPORTER_OTLP_CERTIFICATE: '' })).toMatchObject({ kind: 'retry' });
    expect(await send({ ...whole, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: '', OTEL_EXPORTER_OTLP_CLIENT_KEY: '' })).toMatchObject({ kind: 'retry' });
    const stranger = { OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: made.strangerCert, OTEL_EXPORTER_OTLP_CLIENT_KEY: made.strangerKey };
    expect(await send({ ...whole, ...stranger })).toMatchObject({ kind: 'retry' });
  });
});

describe.skipIf(!isRoot)('with TLS, client certificates and tokens', () => {
  test('its own agent and one elsewhere come in; nobody else does; no secret is seen', async () => {
    const made = makeCertificates(folder.path);
    const tokenFiles = { otlp: join(folder.path, 'otlp-tokens'), api: join(folder.path, 'api-tokens') };
    writeFileSync(tokenFiles.otlp, `${otlpToken}\n`);
    writeFileSync(tokenFiles.api, `${apiToken}\n`);
    const tls = ['--tls-cert-file', made.serverCert, '--tls-key-file', made.serverKey, '--otlp-client-ca-file', made.ca];
    const flags = [...tls, '--otlp-token-file', tokenFiles.otlp, '--api-token-file', tokenFiles.api, '--rate', '50', '--hot-interval', '500ms'];
    const ports = await freePorts();
    const up = startUp({ dataDir: join(folder.path, 'data'), flags }, ports);

    const get = (path: string, token?: string): Promise<{ status: number; text: string }> =>
      new Promise((resolve, reject) => {
        const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
        const asked = request({ host: '127.0.0.1', port: ports.listen, path, ca: readFileSync(made.ca), headers }, (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('end', () => resolve({ status: response.statusCode!, text: Buffer.concat(parts).toString() }));
        });
        asked.on('error', reject);
        asked.end();
      });
    const isUp = async (): Promise<boolean> => {
      if (up.exited()) throw new Hopeless(`it ended\n${up.output()}`);
      return (await get('/healthz')).status === 200;
    };
    await until('flamelake up answers over TLS', 40_000, () => isUp().catch((error: unknown) => (error instanceof Hopeless ? Promise.reject(error) : false)));

    const agentEnv = {
      OTEL_EXPORTER_OTLP_ENDPOINT: `https://localhost:${ports.grpc}`,
      OTEL_EXPORTER_OTLP_CERTIFICATE: made.ca,
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: made.clientCert,
      OTEL_EXPORTER_OTLP_CLIENT_KEY: made.clientKey,
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${otlpToken}`,
    };
    const agent = startCommand(launcher, ['agent'], { env: { ...agentEnv, OTEL_RESOURCE_ATTRIBUTES: 'host.name=elsewhere' } });

    await until('its own agent delivers', 40_000, async () => /^agent: ready: samples/m.test((await get('/readyz', apiToken)).text));
    await until('the other agent delivers', 40_000, async () => {
      const q = encodeURIComponent("SELECT count(*) FROM samples WHERE host_name = 'elsewhere'");
      return (JSON.parse((await get(`/api/v1/sql?q=${q}`, apiToken)).text) as { rows: [[number]] }).rows[0][0] > 0;
    });

    expect((await get('/api/v1/status')).status).toBe(401);
    expect((await get('/api/v1/status', otlpToken)).status).toBe(401);
    expect((await get('/api/v1/status', apiToken)).status).toBe(200);
    expect((await get('/metrics')).status).toBe(401);
    expect(up.output()).toContain(`Look at    https://localhost:${ports.listen}`);

    const seen = [up.output(), agent.output(), (await get('/metrics', apiToken)).text, (await get('/readyz', apiToken)).text, argumentsOfAll()];
    for (const text of seen) expect(text).not.toMatch(/a-token-for-those/);
    // The token between the own agent and the receiver is 64 hex digits.
    expect(argumentsOfAll(up.pid)).not.toMatch(/[0-9a-f]{64}/);
    agent.child.kill('SIGTERM');
    expect((await until('its end', 15_000, agent.exited)).code, agent.output()).toBe(0);
    await up.stop();
  });
});

/** What anybody on the host may read of every process, or of one and its children. */
function argumentsOfAll(parent?: number): string {
  const lines: string[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const parentPid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      if (parent === undefined || Number(name) === parent || parentPid === parent) lines.push(readFileSync(`/proc/${name}/cmdline`, 'latin1'));
    } catch {
      // It has ended meanwhile.
    }
  }
  return lines.join('\n');
}

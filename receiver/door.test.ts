// TLS, client certificates and tokens with real clients: whoever has them is served over both
// transports, whoever has not is turned away before a byte of a message is read.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect as connectTls } from 'node:tls';
import { pathToFileURL } from 'node:url';
import { toBinary } from '@bufbuild/protobuf';
import { ChannelCredentials, Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DoorFiles } from '../lib/door/door.ts';
import { makeCertificates, type TestCertificates } from '../lib/door/testing.ts';
import type { Log } from '../lib/log/log.ts';
import { openLog } from '../lib/log/open.ts';
import { createLogger } from '../lib/logger.ts';
import { createMetricRegistry, type MetricRegistry } from '../lib/metrics.ts';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { seeded, someData } from '../schemas/otlp/testing-data.ts';
import { profilesTopic } from '../schemas/topics.ts';
import { type Receiver, startReceiver } from './main.ts';

const message = Buffer.from(toBinary(ProfilesDataSchema, someData(seeded(1))));
const method = '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export';
const tokens = ['the-token-that-was-before', 'the-token-that-comes-next'];
const ownToken = 'the-token-of-the-agent-next-door';

let folder: string;
let made: TestCertificates;
let reader: Log;
let metrics: MetricRegistry;
const lines: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'flamelake-door-'));
  made = makeCertificates(folder);
  writeFileSync(path.join(folder, 'tokens'), `${tokens.join('\n')}\n`);
  reader = await openLog(pathToFileURL(path.join(folder, 'log')).href);
});
afterAll(async () => {
  await reader.close();
  rmSync(folder, { recursive: true, force: true });
});

async function start(door: DoorFiles): Promise<Receiver> {
  metrics = createMetricRegistry();
  const logger = createLogger({ name: 'receiver', level: 'debug', format: 'text', write: (line) => lines.push(line) });
  const log = pathToFileURL(path.join(folder, 'log')).href;
  const listen = '127.0.0.1:0';
  return startReceiver(
    { grpcListen: listen, httpListen: listen, door, own: { listen, token: ownToken }, messageBytesMax: 1024 * 1024, log },
    { meter: metrics.meter, logger },
  );
}

const pem = (file: string): Buffer => readFileSync(file);

function post(
  address: string,
  options: RequestOptions,
  headers: Record<string, string> = {},
): Promise<{ status: number; challenge: string | undefined } | Error> {
  const [host, port] = address.split(':');
  const all = { host, port, path: '/v1development/profiles', method: 'POST', headers: { 'content-type': 'application/x-protobuf', ...headers }, ...options };
  return new Promise((resolve) => {
    const request = (options.ca === undefined ? plainRequest : httpsRequest)(all, (response) => {
      response.resume();
      resolve({ status: response.statusCode!, challenge: response.headers['www-authenticate'] });
    });
    request.on('error', resolve);
    request.end(message);
  });
}

function call(address: string, channel: ChannelCredentials, authorization?: string): Promise<number> {
  const client = new Client(address, channel, { 'grpc.enable_retries': 0 });
  const metadata = new Metadata();
  if (authorization !== undefined) metadata.set('authorization', authorization);
  const bytes = (body: Buffer): Buffer => body;
  return new Promise((resolve) => {
    client.makeUnaryRequest(method, bytes, bytes, message, metadata, { deadline: Date.now() + 15_000 }, (error: ServiceError | null) => {
      client.close();
      resolve(error?.code ?? status.OK);
    });
  });
}

const storedCount = async (): Promise<number> => (await reader.range(profilesTopic, 0)).end;

async function counted(name: string, labels: Record<string, string>): Promise<number> {
  const metric = (await metrics.collect()).find((each) => each.name === `flamelake.receiver.${name}`);
  const points = metric?.points.filter((point) => Object.entries(labels).every(([key, value]) => point.labels[key] === value)) ?? [];
  return points.reduce((sum, point) => sum + (point.value as number), 0);
}

describe('tokens', () => {
  test('each of them opens both transports, nothing else does', async () => {
    const receiver = await start({ tokenFile: path.join(folder, 'tokens') });
    const before = await storedCount();
    const plain = credentials.createInsecure();
    for (const token of tokens) {
      expect(await post(receiver.httpAddress!, {}, { authorization: `Bearer ${token}` })).toMatchObject({ status: 200 });
      expect(await call(receiver.grpcAddress!, plain, `Bearer ${token}`)).toBe(status.OK);
    }
    expect(await storedCount()).toBe(before + 4);
    for (const wrong of [undefined, 'Bearer', `Bearer ${tokens[0]}x`, `Basic ${tokens[0]}`, `Bearer ${ownToken}`]) {
      expect(await post(receiver.httpAddress!, {}, wrong === undefined ? {} : { authorization: wrong }), wrong).toEqual({ status: 401, challenge: 'Bearer' });
      expect(await call(receiver.grpcAddress!, plain, wrong), wrong).toBe(status.UNAUTHENTICATED);
    }
    expect(await storedCount()).toBe(before + 4);
    expect(await counted('refused_requests', { reason: 'unauthenticated' })).toBe(10);
    await receiver.stop();
  });

  test('the agent next door comes in by its own, over its own listener', async () => {
    const receiver = await start({ tokenFile: path.join(folder, 'tokens') });
    const plain = credentials.createInsecure();
    expect(await call(receiver.ownAddress!, plain, `Bearer ${ownToken}`)).toBe(status.OK);
    expect(await call(receiver.ownAddress!, plain)).toBe(status.UNAUTHENTICATED);
    expect(await call(receiver.ownAddress!, plain, `Bearer ${tokens[0]}`)).toBe(status.UNAUTHENTICATED);
    await receiver.stop();
  });

  test('a page in a browser is turned away', async () => {
    const receiver = await start({});
    for (const origin of ['http://evil.example', 'null', `http://${receiver.httpAddress}`]) {
      expect(await post(receiver.httpAddress!, {}, { origin }), origin).toMatchObject({ status: 403 });
    }
    expect(await post(receiver.httpAddress!, {})).toMatchObject({ status: 200 });
    await receiver.stop();
  });
});

describe('TLS', () => {
  test('gRPC and HTTPS with a certificate that the client knows', async () => {
    const receiver = await start({ certFile: made.serverCert, keyFile: made.serverKey });
    const before = await storedCount();
    expect(await post(receiver.httpAddress!, { ca: pem(made.ca) })).toMatchObject({ status: 200 });
    expect(await call(receiver.grpcAddress!, ChannelCredentials.createSsl(pem(made.ca)))).toBe(status.OK);
    expect(await storedCount()).toBe(before + 2);
    // Who does not speak TLS, or trusts somebody else, is not served.
    expect(await post(receiver.httpAddress!, {})).toBeInstanceOf(Error);
    expect(await post(receiver.httpAddress!, { ca: pem(made.strangerCert) })).toBeInstanceOf(Error);
    expect(await call(receiver.grpcAddress!, credentials.createInsecure())).toBe(status.UNAVAILABLE);
    expect(await storedCount()).toBe(before + 2);
    expect(receiver.status().text).toBe(`OTLP/gRPC on ${receiver.grpcAddress} with TLS, OTLP/HTTP on https://${receiver.httpAddress}/v1development/profiles`);
    await expect.poll(() => counted('dropped_connections', { reason: 'tls', transport: 'http' })).toBe(2);
    await expect.poll(() => counted('dropped_connections', { reason: 'tls', transport: 'grpc' })).toBeGreaterThan(0);
    await receiver.stop();
  });

  test('speaks h2 alone on the gRPC port, and nothing older than TLS 1.2', async () => {
    const receiver = await start({ certFile: made.serverCert, keyFile: made.serverKey });
    const [host, port] = receiver.grpcAddress!.split(':');
    const shake = (more: object): Promise<string> =>
      new Promise((resolve) => {
        const socket = connectTls({ host, port: Number(port), ca: pem(made.ca), ...more }, () => {
          resolve(`${socket.alpnProtocol} ${socket.getProtocol()}`);
          socket.destroy();
        });
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      });
    expect(await shake({ ALPNProtocols: ['http/1.1', 'h2'] })).toBe('h2 TLSv1.3');
    expect(await shake({ ALPNProtocols: ['http/1.1'] })).not.toContain('TLSv1');
    expect(await shake({ ALPNProtocols: ['h2'], minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' })).not.toMatch(/^h2/);
    await receiver.stop();
  });

  test('mTLS: a certificate of the CA opens, none or another does not', async () => {
    const receiver = await start({ certFile: made.serverCert, keyFile: made.serverKey, clientCaFile: made.ca });
    const before = await storedCount();
    const ca = pem(made.ca);
    expect(await post(receiver.httpAddress!, { ca, cert: pem(made.clientCert), key: pem(made.clientKey) })).toMatchObject({ status: 200 });
    expect(await call(receiver.grpcAddress!, ChannelCredentials.createSsl(ca, pem(made.clientKey), pem(made.clientCert)))).toBe(status.OK);
    expect(await storedCount()).toBe(before + 2);
    expect(await post(receiver.httpAddress!, { ca })).toBeInstanceOf(Error);
    expect(await post(receiver.httpAddress!, { ca, cert: pem(made.strangerCert), key: pem(made.strangerKey) })).toBeInstanceOf(Error);
    expect(await call(receiver.grpcAddress!, ChannelCredentials.createSsl(ca))).toBe(status.UNAVAILABLE);
    expect(await call(receiver.grpcAddress!, ChannelCredentials.createSsl(ca, pem(made.strangerKey), pem(made.strangerCert)))).toBe(status.UNAVAILABLE);
    expect(await storedCount()).toBe(before + 2);
    await receiver.stop();
  });

  test('a wrong file keeps it from starting, in one line', async () => {
    await expect(start({ certFile: made.serverCert, keyFile: made.clientKey })).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/^TLS: [^\n]+$/),
    });
  });
});

test('no token is logged or measured', async () => {
  expect(lines.length).toBeGreaterThan(0);
  const said = lines.join('') + JSON.stringify(await metrics.collect());
  for (const token of [...tokens, ownToken]) expect(said).not.toContain(token);
});

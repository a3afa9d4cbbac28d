import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { Metadata, Server, ServerCredentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { createLogger } from '../../lib/logger.ts';
import { RetryInfoSchema } from '../../schemas/otlp/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../schemas/otlp/gen/google/rpc/status_pb.ts';
import { ExportProfilesServiceResponseSchema } from '../../schemas/otlp/gen/opentelemetry/proto/collector/profiles/v1development/profiles_service_pb.ts';
import { queueBytesMax } from '../limits.ts';
import { backoffMillis, Delivery } from './delivery.ts';
import { openGrpc } from './grpc.ts';
import { openHttp, parseRetryAfter } from './http.ts';
import { openTransport } from './open.ts';
import { readAnswer, readRetryDelay, type SendResult, type Transport, type TransportOptions } from './transport.ts';

const body = Buffer.from('a batch of profiles');
const never = new AbortController().signal;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const options = (endpoint: string, more: Partial<TransportOptions> = {}): TransportOptions => ({
  endpoint,
  compression: 'none',
  headers: { 'x-key': 'v' },
  timeoutMillis: 5_000,
  userAgent: 'test/1',
  tls: { ca: null, certificate: null, key: null },
  ...more,
});

const partial = toBinary(
  ExportProfilesServiceResponseSchema,
  create(ExportProfilesServiceResponseSchema, { partialSuccess: { rejectedProfiles: 3n, errorMessage: 'bad\nones' } }),
);
const retryStatus = (seconds: bigint, nanos: number): Buffer =>
  Buffer.from(
    toBinary(
      StatusSchema,
      create(StatusSchema, { code: 14, message: 'later', details: [anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: { seconds, nanos } }))] }),
    ),
  );

describe('answers', () => {
  test('partial success, empty, and not protobuf', () => {
    expect(readAnswer(partial)).toEqual({ kind: 'accepted', rejected: 3, message: 'bad ones' });
    expect(readAnswer(new Uint8Array(0))).toEqual({ kind: 'accepted', rejected: 0, message: '' });
    expect(readAnswer(Buffer.from('<html>'))).toEqual({ kind: 'accepted', rejected: 0, message: '' });
  });
  test('retry delays', () => {
    expect(readRetryDelay(retryStatus(2n, 500_000_000))).toBe(2500);
    expect(readRetryDelay(toBinary(StatusSchema, create(StatusSchema, { code: 14 })))).toBeNull();
    expect(readRetryDelay(Buffer.from('garbage'))).toBeNull();
    expect(parseRetryAfter('7', 0)).toBe(7000);
    expect(parseRetryAfter('Thu, 01 Jan 1970 00:01:00 GMT', 10_000)).toBe(50_000);
    expect(parseRetryAfter('soon', 0)).toBeNull();
    expect(parseRetryAfter(undefined, 0)).toBeNull();
  });
});

async function httpServer(answer: (request: IncomingMessage, response: ServerResponse, received: Buffer) => void): Promise<string> {
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    answer(request, response, Buffer.concat(parts));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1development/profiles`;
}

describe('HTTP', () => {
  const decoders = { none: (bytes: Buffer) => bytes, gzip: gunzipSync, zstd: zstdDecompressSync };
  test.each(['none', 'gzip', 'zstd'] as const)('compression %s, headers, path', async (compression) => {
    let seen: unknown;
    const endpoint = await httpServer((request, response, received) => {
      const { headers, url, method } = request;
      seen = [
        method,
        url,
        headers['content-type'],
        headers['content-encoding'],
        headers['x-key'],
        headers['otlp-profiles-development-version'],
        decoders[compression](received).toString(),
      ];
      response.end(partial);
    });
    const transport = openHttp(options(endpoint, { compression }));
    expect(await transport.send(body, never)).toEqual({ kind: 'accepted', rejected: 3, message: 'bad ones' });
    expect(seen).toEqual([
      'POST',
      '/v1development/profiles',
      'application/x-protobuf',
      compression === 'none' ? undefined : compression,
      'v',
      '1',
      body.toString(),
    ]);
    transport.close();
  });
  test.each([
    [429, 'retry'],
    [502, 'retry'],
    [503, 'retry'],
    [504, 'retry'],
    [400, 'refused'],
    [404, 'refused'],
    [413, 'refused'],
    [500, 'refused'],
  ] as const)('%d is %s', async (code, kind) => {
    const transport = openHttp(options(await httpServer((_, response) => response.writeHead(code, { 'retry-after': '3' }).end('why'))));
    const result = await transport.send(body, never);
    expect(result).toEqual(kind === 'retry' ? { kind, afterMillis: 3000, message: `HTTP ${code}: why` } : { kind, message: `HTTP ${code}: why` });
    transport.close();
  });
  test.each([401, 403])('%d: kept, and said where to mend it', async (code) => {
    const transport = openHttp(options(await httpServer((_, response) => response.writeHead(code).end('who are you'))));
    expect(await transport.send(body, never)).toEqual({
      kind: 'retry',
      afterMillis: null,
      isUntaken: true,
      message: `HTTP ${code}: who are you; mend the headers, or the client certificate, what is not sent is kept`,
    });
    transport.close();
  });
  test('nobody there, nobody answers, too long an answer', async () => {
    const gone = openHttp(options('http://127.0.0.1:9/'));
    expect(await gone.send(body, never)).toMatchObject({ kind: 'retry', afterMillis: null });
    const silent = openHttp(options(await httpServer(() => {}), { timeoutMillis: 50 }));
    expect(await silent.send(body, never)).toMatchObject({ kind: 'retry', message: 'no answer within 50 ms' });
    const endless = openHttp(options(await httpServer((_, response) => response.end(Buffer.alloc(5 << 20)))));
    expect(await endless.send(body, never)).toMatchObject({ kind: 'retry' });
    for (const transport of [gone, silent, endless]) transport.close();
  });
});

type GrpcAnswer = Uint8Array | Partial<ServiceError>;

async function grpcServer(answer: (received: Buffer, metadata: Metadata) => GrpcAnswer): Promise<string> {
  const server = new Server();
  const pass = (bytes: Buffer) => bytes;
  const path = '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export';
  server.addService(
    {
      Export: {
        path,
        requestStream: false,
        responseStream: false,
        requestSerialize: pass,
        requestDeserialize: pass,
        responseSerialize: pass,
        responseDeserialize: pass,
      },
    },
    {
      Export: (call: { request: Buffer; metadata: Metadata }, respond: (error: Partial<ServiceError> | null, bytes?: Uint8Array) => void) => {
        const answered = answer(call.request, call.metadata);
        if (answered instanceof Uint8Array) respond(null, Buffer.from(answered));
        else respond(answered);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  closers.push(() => server.forceShutdown());
  return `http://127.0.0.1:${port}`;
}

describe('gRPC', () => {
  test.each(['none', 'gzip'] as const)('compression %s, metadata', async (compression) => {
    let seen: unknown;
    const endpoint = await grpcServer((received, metadata) => {
      seen = [received.toString(), metadata.get('x-key'), metadata.get('otlp-profiles-development-version')];
      return partial;
    });
    const transport = openGrpc(options(endpoint, { compression }));
    expect(await transport.send(body, never)).toEqual({ kind: 'accepted', rejected: 3, message: 'bad ones' });
    expect(seen).toEqual([body.toString(), ['v'], ['1']]);
    transport.close();
  });
  test.each([
    [status.UNAVAILABLE, null, { kind: 'retry', afterMillis: null }],
    [status.UNAVAILABLE, 1n, { kind: 'retry', afterMillis: 1000 }],
    [status.RESOURCE_EXHAUSTED, 2n, { kind: 'retry', afterMillis: 2000 }],
    [status.RESOURCE_EXHAUSTED, null, { kind: 'refused' }],
    [status.INVALID_ARGUMENT, null, { kind: 'refused' }],
    [status.UNIMPLEMENTED, null, { kind: 'refused' }],
    [status.UNAUTHENTICATED, null, { kind: 'retry', isUntaken: true }],
    [status.PERMISSION_DENIED, null, { kind: 'retry', isUntaken: true }],
    [status.ABORTED, null, { kind: 'retry' }],
  ] as const)('code %d, retry info %s', async (code, seconds, expected) => {
    const metadata = new Metadata();
    if (seconds !== null) metadata.set('grpc-status-details-bin', retryStatus(seconds, 0));
    const transport = openGrpc(options(await grpcServer(() => ({ code, details: 'why', metadata }))));
    expect(await transport.send(body, never)).toMatchObject(expected);
    transport.close();
  });
  test('nobody there', async () => {
    const transport = openGrpc(options('http://127.0.0.1:9'));
    expect(await transport.send(body, never)).toMatchObject({ kind: 'retry' });
    transport.close();
  });
});

describe.each(['grpc', 'http/protobuf'] as const)('a token from a file, %s', (protocol) => {
  test('goes with every attempt as it is then', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'flamelake-token-'));
    closers.push(() => rmSync(folder, { recursive: true, force: true }));
    const tokenFile = path.join(folder, 'token');
    const seen: unknown[] = [];
    const good = 'Bearer the-second-one';
    const endpoint = await (protocol === 'grpc'
      ? grpcServer((_, metadata) => {
          const [shown] = metadata.get('authorization');
          seen.push(shown);
          return shown === good ? new Uint8Array(0) : { code: status.UNAUTHENTICATED, details: 'no valid token' };
        })
      : httpServer((request, response) => {
          seen.push(request.headers.authorization);
          response.writeHead(request.headers.authorization === good ? 200 : 401).end();
        }));
    const { headers, timeoutMillis, userAgent } = options(endpoint);
    const open = () => openTransport({ endpoint, protocol, compression: 'none', headers, timeoutMillis, userAgent, tokenFile });
    await expect(open()).rejects.toThrow(`endpoint-token-file ${tokenFile}: can't be read (ENOENT)`);
    writeFileSync(tokenFile, '# of July\n\nthe-first-one\nanother\n');
    const transport = await open();
    const refused = await transport.send(body, never);
    expect(refused).toMatchObject({ kind: 'retry', isUntaken: true, message: expect.stringContaining(`mend the token in ${tokenFile}`) });
    expect(refused.message).not.toContain('the-first-one');
    rmSync(tokenFile);
    expect(await transport.send(body, never)).toMatchObject({ kind: 'retry', isUntaken: true });
    writeFileSync(tokenFile, 'the-second-one');
    expect(await transport.send(body, never)).toMatchObject({ kind: 'accepted' });
    expect(seen).toEqual(['Bearer the-first-one', good]);
    transport.close();
  });
});

/** Answers by list; remembers what it was sent. */
function scripted(answers: SendResult[]): Transport & { readonly sent: Uint8Array[] } {
  const sent: Uint8Array[] = [];
  return {
    endpoint: 'test',
    sent,
    send: async (bytes) => {
      sent.push(bytes);
      return answers.shift() ?? { kind: 'accepted', rejected: 0, message: '' };
    },
    close: () => {},
  };
}

describe('delivery', () => {
  const logger = createLogger({ name: 'test', level: 'error', format: 'text', write: () => {} });
  const start = (transport: Transport) => {
    const lost: [string, number][] = [];
    return { lost, delivery: new Delivery({ transport, logger, onLost: (reason, { samples }) => lost.push([reason, samples]) }) };
  };
  const accepted: SendResult = { kind: 'accepted', rejected: 0, message: '' };

  test('identical bytes again, then the next, in order', async () => {
    const transport = scripted([{ kind: 'retry', afterMillis: 1, message: 'busy' }, accepted, accepted]);
    const { delivery, lost } = start(transport);
    const [first, second] = [Buffer.from('1'), Buffer.from('2')];
    delivery.add({ bytes: first, samples: 1, losses: new Map() });
    delivery.add({ bytes: second, samples: 1, losses: new Map() });
    await delivery.stop(10_000);
    expect(transport.sent).toEqual([first, first, second]);
    expect(transport.sent[0]).toBe(transport.sent[1]);
    expect(lost).toEqual([]);
    expect(delivery.isConnected).toBe(true);
  });
  test('what is refused is counted, and the next goes on', async () => {
    const transport = scripted([{ kind: 'refused', message: 'no' }, accepted]);
    const { delivery, lost } = start(transport);
    delivery.add({ bytes: Buffer.from('1'), samples: 7, losses: new Map() });
    delivery.add({ bytes: Buffer.from('2'), samples: 1, losses: new Map() });
    await delivery.stop(10_000);
    expect(lost).toEqual([['rejected', 7]]);
    expect(transport.sent).toHaveLength(2);
    expect(delivery.attempts).toEqual({ accepted: 1, retry: 0, refused: 1 });
  });
  test('asked to wait longer than the lake remembers: given up and counted', async () => {
    const transport = scripted([{ kind: 'retry', afterMillis: 16 * 60_000, message: 'much later' }]);
    const { delivery, lost } = start(transport);
    delivery.add({ bytes: Buffer.from('1'), samples: 5, losses: new Map() });
    await delivery.stop(10_000);
    expect(lost).toEqual([['unconfirmed', 5]]);
  });
  test('turned away for its credentials it has not been tried, and is sent once they are good', async () => {
    const away: SendResult = { kind: 'retry', afterMillis: 16 * 60_000, isUntaken: true, message: 'who are you' };
    const kept = start(scripted([away]));
    kept.delivery.add({ bytes: Buffer.from('1'), samples: 5, losses: new Map() });
    await kept.delivery.stop(100);
    expect(kept.lost).toEqual([['stopped', 5]]);
    const transport = scripted([{ ...away, afterMillis: null }, accepted]);
    const { delivery, lost } = start(transport);
    delivery.add({ bytes: Buffer.from('1'), samples: 5, losses: new Map() });
    await delivery.stop(10_000);
    expect([transport.sent.length, lost]).toEqual([2, []]);
  });
  test('asked to wait, it waits with whatever comes next', async () => {
    const transport = scripted([{ kind: 'retry', afterMillis: 16 * 60_000, message: 'much later' }]);
    const { delivery, lost } = start(transport);
    delivery.add({ bytes: Buffer.from('1'), samples: 5, losses: new Map() });
    delivery.add({ bytes: Buffer.from('2'), samples: 6, losses: new Map() });
    await delivery.stop(100);
    expect(transport.sent).toHaveLength(1);
    expect(lost).toEqual([
      ['unconfirmed', 5],
      ['stopped', 6],
    ]);
  });
  test('profiles that were left out of a batch are counted', async () => {
    const { delivery, lost } = start(scripted([{ kind: 'accepted', rejected: 3, message: 'too old' }, accepted]));
    for (const name of ['1', '2']) delivery.add({ bytes: Buffer.from(name), samples: 7, losses: new Map() });
    await delivery.stop(10_000);
    expect([delivery.rejectedProfiles, delivery.sentBytes, lost]).toEqual([3, 2, []]);
  });
  test('stopped while the endpoint is away: bounded, and counted', async () => {
    const transport = scripted(Array.from({ length: 100 }, (): SendResult => ({ kind: 'retry', afterMillis: 60_000, message: 'away' })));
    const { delivery, lost } = start(transport);
    delivery.add({ bytes: Buffer.from('1'), samples: 5, losses: new Map() });
    delivery.add({ bytes: Buffer.from('2'), samples: 6, losses: new Map() });
    await delivery.stop(20);
    expect(lost).toEqual([
      ['unconfirmed', 5],
      ['stopped', 6],
    ]);
  });
  test('a full queue drops the oldest that is not on its way', async () => {
    const transport = scripted(Array.from({ length: 100 }, (): SendResult => ({ kind: 'retry', afterMillis: 60_000, message: 'away' })));
    const { delivery, lost } = start(transport);
    const half = Buffer.alloc(queueBytesMax / 2);
    for (const samples of [1, 2, 3]) delivery.add({ bytes: half, samples, losses: new Map() });
    expect(lost).toEqual([['queue_full', 2]]);
    expect(delivery.queuedBytes).toBe(queueBytesMax);
    await delivery.stop(1);
  });
  test('backoff grows to a minute, with jitter', () => {
    expect(backoffMillis(0, 0)).toBe(500);
    expect(backoffMillis(0, 1)).toBe(1000);
    expect(backoffMillis(3, 1)).toBe(8000);
    expect(backoffMillis(1000, 1)).toBe(60_000);
  });
});

// Real clients against a real receiver on a real embedded log: every answer, and what it left behind.
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { createRegistry, fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { Client, compressionAlgorithms, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isPipelineError } from '../lib/errors.ts';
import type { Log, LogRecord } from '../lib/log/log.ts';
import { openLog } from '../lib/log/open.ts';
import { createLogger } from '../lib/logger.ts';
import { createMetricRegistry, type Metric, type MetricRegistry } from '../lib/metrics.ts';
import { BadRequestSchema, RetryInfoSchema } from '../schemas/otlp/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../schemas/otlp/gen/google/rpc/status_pb.ts';
import { ExportProfilesServiceResponseSchema } from '../schemas/otlp/gen/opentelemetry/proto/collector/profiles/v1development/profiles_service_pb.ts';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { seeded, smallShape, someData } from '../schemas/otlp/testing-data.ts';
import { profilesTopic, versionHeader } from '../schemas/topics.ts';
import { partBytesMin, requestBytes } from './limits.ts';
import { type Receiver, type ReceiverOptions, startReceiver } from './main.ts';

const mebibyte = 1024 * 1024;
const exportPath = '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export';
const registry = createRegistry(BadRequestSchema, RetryInfoSchema);

let directory: string;
let logUrl: string;
let receiver: Receiver;
let metrics: MetricRegistry;
let stopped = true;
/** Reads what the receiver wrote, as a processor would: from another handle. */
let reader: Log;
let readFrom: number;
let countedBefore: Metric[];

const quiet = createLogger({ name: 'receiver', level: 'error', format: 'text', write: (line) => process.stderr.write(line) });

async function start(options: Partial<ReceiverOptions> = {}): Promise<void> {
  await stop();
  metrics = createMetricRegistry();
  countedBefore = [];
  const defaults = { grpcListen: '127.0.0.1:0', httpListen: '127.0.0.1:0', messageBytesMax: 4 * mebibyte, log: logUrl };
  receiver = await startReceiver({ ...defaults, ...options }, { meter: metrics.meter, logger: quiet });
  stopped = false;
}

async function stop(): Promise<void> {
  if (stopped) return;
  stopped = true;
  await receiver.stop();
}

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'receiver-'));
  logUrl = pathToFileURL(path.join(directory, 'log')).href;
  reader = await openLog(logUrl);
  await start();
});

afterAll(async () => {
  await stop();
  await reader.close();
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  if (stopped) await start();
  readFrom = (await reader.range(profilesTopic, 0)).end;
  countedBefore = await metrics.collect();
});

/** What came into the topic during the test, in order. */
async function stored(): Promise<LogRecord[]> {
  return [...(await reader.read(profilesTopic, 0, readFrom, { bytesMax: 512 * mebibyte, waitMillis: 0 })).records];
}

const storedBytes = async (): Promise<Buffer[]> => (await stored()).map((record) => Buffer.from(record.value));

/** What was counted during the test; of a gauge, what it shows. */
async function counted(name: string, labels: Record<string, string>): Promise<number> {
  const sum = (collected: Metric[]): number => {
    const metric = collected.find((each) => each.name === `flamelake.receiver.${name}`);
    const points = metric?.points.filter((point) => Object.entries(labels).every(([key, value]) => point.labels[key] === value)) ?? [];
    return points.reduce((total, point) => total + (point.value as number), 0);
  };
  const now = await metrics.collect();
  const isGauge = now.find((each) => each.name === `flamelake.receiver.${name}`)?.kind === 'gauge';
  return sum(now) - (isGauge ? 0 : sum(countedBefore));
}

const good = (seed: number): Buffer => Buffer.from(toBinary(ProfilesDataSchema, someData(seeded(seed))));

/** Its first profile's first sample leads nowhere. */
function partlyBad(seed: number): { bytes: Buffer; left: Buffer } {
  const data = someData(seeded(seed));
  const scope = data.resourceProfiles[0]!.scopeProfiles[0]!;
  scope.profiles[0]!.samples[0]!.stackIndex = 99;
  const bytes = Buffer.from(toBinary(ProfilesDataSchema, data));
  scope.profiles.shift();
  return { bytes, left: Buffer.from(toBinary(ProfilesDataSchema, data)) };
}

const garbage = Buffer.from('this is no profile at all, but some text that somebody posted here');

// ── HTTP

interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const protobuf: OutgoingHttpHeaders = { 'content-type': 'application/x-protobuf' };

function post(
  body: Uint8Array | string,
  headers: OutgoingHttpHeaders = protobuf,
  options: { path?: string; method?: string; agent?: Agent } = {},
): Promise<HttpAnswer> {
  const [host, port] = receiver.httpAddress!.split(':');
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host, port, path: '/v1development/profiles', method: 'POST', headers, ...options }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts) }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

function statusIn(answer: HttpAnswer): { code: number; message: string } {
  const isJson = answer.headers['content-type'] === 'application/json';
  const found = isJson ? fromJsonString(StatusSchema, answer.body.toString(), { registry }) : fromBinary(StatusSchema, new Uint8Array(answer.body));
  return { code: found.code, message: found.message };
}

// ── gRPC

interface GrpcAnswer {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
  readonly response: Buffer | null;
}

async function call(message: Buffer, metadata: Record<string, string | string[]> = {}, gzip = false, method = exportPath): Promise<GrpcAnswer> {
  const client = new Client(receiver.grpcAddress!, credentials.createInsecure(), {
    'grpc.default_compression_algorithm': gzip ? compressionAlgorithms.gzip : compressionAlgorithms.identity,
    'grpc.max_send_message_length': -1,
    'grpc.enable_retries': 0,
  });
  const sent = new Metadata();
  for (const [key, value] of Object.entries(metadata)) for (const each of [value].flat()) sent.add(key, each);
  try {
    return await new Promise((resolve) => {
      const identity = (bytes: Buffer): Buffer => bytes;
      const options = { deadline: Date.now() + 15_000 };
      client.makeUnaryRequest(method, identity, identity, message, sent, options, (error: ServiceError | null, response?: Buffer) => {
        if (error) resolve({ code: error.code, details: error.details, metadata: error.metadata, response: null });
        else resolve({ code: status.OK, details: '', metadata: new Metadata(), response: response! });
      });
    });
  } finally {
    client.close();
  }
}

/** A call of raw HTTP/2, for what no client library would send. */
function rawCall(body: Uint8Array, headers: Record<string, string>, endStream = true): Promise<Record<string, string>> {
  const session = connectHttp2(`http://${receiver.grpcAddress}`);
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    const stream = session.request({ ':method': 'POST', ':path': exportPath, 'content-type': 'application/grpc', te: 'trailers', ...headers });
    const answer: Record<string, string> = {};
    const note = (found: Record<string, unknown>): void => {
      for (const [key, value] of Object.entries(found)) answer[key] = String(value);
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('error', () => {});
    stream.on('close', () => {
      session.destroy();
      resolve(answer);
    });
    stream.resume();
    if (endStream) stream.end(body);
    else stream.write(body);
  });
}

function framed(message: Uint8Array, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const retryIn = (answer: GrpcAnswer): number => {
  const found = fromBinary(StatusSchema, new Uint8Array(answer.metadata.get('grpc-status-details-bin')[0] as Buffer));
  return Number(found.details.map((detail) => anyUnpack(detail, RetryInfoSchema)).find((detail) => detail !== undefined)?.retryDelay?.seconds ?? -1);
};

describe('what is taken', () => {
  test('lies in the log byte for byte, whatever the way', async () => {
    const messages = Array.from({ length: 10 }, (_, index) => good(index));
    const compressed: [string, (bytes: Uint8Array) => Buffer][] = [
      ['gzip', gzipSync],
      ['zstd', zstdCompressSync],
      ['deflate', deflateSync],
      ['zlib', deflateSync],
      ['identity', (bytes) => Buffer.from(bytes)],
    ];
    expect((await post(messages[0]!)).status).toBe(200);
    for (const [index, [encoding, encode]] of compressed.entries()) {
      expect((await post(encode(messages[index + 1]!), { ...protobuf, 'content-encoding': encoding })).status).toBe(200);
    }
    expect((await call(messages[6]!)).code).toBe(status.OK);
    expect((await call(messages[7]!, {}, true)).code).toBe(status.OK);
    expect((await post(messages[8]!, { 'content-type': 'application/x-protobuf; charset=utf-8', 'transfer-encoding': 'chunked' })).status).toBe(200);
    expect((await post(messages[9]!, { 'content-type': 'application/protobuf' })).headers['content-type']).toBe('application/protobuf');
    expect(await storedBytes()).toEqual(messages);
    expect(await counted('accepted_profile_samples', { transport: 'http' })).toBe(8 * 12);
    expect(await counted('accepted_profile_samples', { transport: 'grpc' })).toBe(2 * 12);
    expect(await counted('in_flight', {})).toBe(0);
  });

  test('is answered with an empty response in the format of the request', async () => {
    expect(await post(good(1))).toMatchObject({ status: 200, headers: { 'content-type': 'application/x-protobuf', 'content-length': '0' } });
    const json = toJsonString(ProfilesDataSchema, someData(seeded(1), { ...smallShape, resources: 0 }));
    const answer = await post(json.replace(/"(traceId|spanId)":"[^"]*"/g, '"$1":""'), { 'content-type': 'application/json; charset=UTF-8' });
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } });
    expect(answer.body.toString()).toBe('{}');
    expect((await call(good(1))).response).toEqual(Buffer.alloc(0));
  });

  test('JSON lies there as protobuf', async () => {
    const json = '{"resourceProfiles":[{"scopeProfiles":[{"profiles":[{"samples":[{"stackIndex":1,"values":["5"]}]}]}]}],"dictionary":{"stackTable":[{},{}]}}';
    expect((await post(gzipSync(json), { 'content-type': 'application/json', 'content-encoding': 'gzip' })).status).toBe(200);
    const [bytes] = await storedBytes();
    expect(fromBinary(ProfilesDataSchema, new Uint8Array(bytes!)).resourceProfiles[0]!.scopeProfiles[0]!.profiles[0]!.samples[0]).toMatchObject({
      stackIndex: 1,
      values: [5n],
    });
  });

  test('without samples is answered, not stored', async () => {
    const empty = Buffer.from(toBinary(ProfilesDataSchema, someData(seeded(1), { ...smallShape, samplesPerProfile: 0 })));
    expect((await post(empty)).status).toBe(200);
    expect((await post('')).status).toBe(200);
    expect((await call(empty)).code).toBe(status.OK);
    expect((await call(Buffer.alloc(0))).code).toBe(status.OK);
    expect(await stored()).toEqual([]);
    expect(await counted('requests', { outcome: 'empty' })).toBe(4);
  });

  test('carries the version that its sender gave, and none where none was given', async () => {
    expect((await post(good(1), { ...protobuf, 'OTLP-Profiles-Development-Version': '1' })).status).toBe(200);
    expect((await call(good(2), { [versionHeader]: '1' })).code).toBe(status.OK);
    expect((await post(good(3))).status).toBe(200);
    expect((await stored()).map((record) => record.headers[versionHeader])).toEqual(['1', '1', undefined]);
  });

  test('in part leaves out the bad profile and says so', async () => {
    const { bytes, left } = partlyBad(4);
    const message = '1 profile rejected: resource_profiles[0].scope_profiles[0].profiles[0]: samples[0].stack_index is 99, stack_table has 6 entries';
    const answer = await post(bytes);
    expect(answer.status).toBe(200);
    expect(fromBinary(ExportProfilesServiceResponseSchema, new Uint8Array(answer.body)).partialSuccess).toMatchObject({
      rejectedProfiles: 1n,
      errorMessage: message,
    });
    const called = await call(bytes);
    expect(fromBinary(ExportProfilesServiceResponseSchema, new Uint8Array(called.response!)).partialSuccess).toMatchObject({
      rejectedProfiles: 1n,
      errorMessage: message,
    });
    expect(await storedBytes()).toEqual([left, left]);
    expect(await counted('rejected_profiles', { reason: 'malformed' })).toBe(2);
    expect(await counted('refused_profile_samples', { reason: 'malformed' })).toBe(6);
  });
});

describe('what is refused over HTTP', () => {
  const cases: Record<string, [() => Promise<HttpAnswer>, number, RegExp, string]> = {
    garbage: [() => post(garbage), 400, /^protobuf message, byte \d+: found/, 'malformed'],
    'a cut message': [() => post(good(1).subarray(0, -3)), 400, /protobuf message/, 'malformed'],
    'nothing but bad profiles': [
      () => {
        const data = someData(seeded(1), { ...smallShape, resources: 1, profilesPerScope: 1 });
        data.resourceProfiles[0]!.scopeProfiles[0]!.profiles[0]!.samples[0]!.linkIndex = 9;
        return post(toBinary(ProfilesDataSchema, data));
      },
      400,
      /^1 profile rejected/,
      'malformed',
    ],
    'wrong JSON': [
      () => post('{"resourceProfiles":[{"scopeProfiles":7}]}', { 'content-type': 'application/json' }),
      400,
      /ResourceProfiles.scope_profiles/,
      'malformed',
    ],
    'gzip that is none': [() => post(garbage, { ...protobuf, 'content-encoding': 'gzip' }), 400, /^gzip body: found Z_DATA_ERROR/, 'malformed'],
    'gzip that is cut': [() => post(gzipSync(good(1)).subarray(0, -9), { ...protobuf, 'content-encoding': 'gzip' }), 400, /^gzip body/, 'malformed'],
    'zstd that is cut': [() => post(zstdCompressSync(good(1)).subarray(0, -1), { ...protobuf, 'content-encoding': 'zstd' }), 400, /^zstd body/, 'malformed'],
    'snappy that is none': [() => post(garbage, { ...protobuf, 'content-encoding': 'snappy' }), 400, /^snappy body/, 'malformed'],
    'a version that is to come': [
      () => post(good(1), { ...protobuf, [versionHeader]: '2' }),
      400,
      /is "2", which is not supported; supported version is 1$/,
      'version',
    ],
    'a version that is none': [() => post(good(1), { ...protobuf, [versionHeader]: '01' }), 400, /not one positive integer/, 'version'],
    'an empty version': [() => post(good(1), { ...protobuf, [versionHeader]: '' }), 400, /not one positive integer/, 'version'],
    'two versions': [() => post(good(1), { ...protobuf, [versionHeader]: ['1', '1'] }), 400, /is "1, 1", which is not one/, 'version'],
    'another content type': [
      () => post(good(1), { 'content-type': 'text/plain' }),
      415,
      /content-type "text\/plain", expected application\/x-protobuf or application\/json/,
      'content_type',
    ],
    'no content type': [() => post(good(1), {}), 415, /content-type ""/, 'content_type'],
    'another charset': [() => post('{}', { 'content-type': 'application/json; charset=latin1' }), 415, /content-type/, 'content_type'],
    'another encoding': [
      () => post(good(1), { ...protobuf, 'content-encoding': 'br' }),
      415,
      /^content-encoding "br", expected one of identity, gzip/,
      'encoding',
    ],
    'encodings one over the other': [() => post(good(1), { ...protobuf, 'content-encoding': 'gzip, gzip' }), 415, /content-encoding/, 'encoding'],
    'another method': [() => post('', protobuf, { method: 'GET' }), 405, /^method GET, expected POST$/, 'method'],
    'another path': [
      () => post(good(1), protobuf, { path: '/v1/profiles' }),
      404,
      /path "\/v1\/profiles" is not served; OTLP profiles go to \/v1development\/profiles/,
      'path',
    ],
    'too large': [() => post(Buffer.alloc(4 * mebibyte + 1)), 413, /message of more than 4194304 bytes/, 'too_large'],
    'too large, unannounced': [
      () => post(Buffer.alloc(5 * mebibyte), { ...protobuf, 'transfer-encoding': 'chunked' }),
      413,
      /more than 4194304 bytes/,
      'too_large',
    ],
    'a gzip bomb': [() => post(gzipSync(Buffer.alloc(64 * mebibyte)), { ...protobuf, 'content-encoding': 'gzip' }), 413, /when decompressed/, 'too_large'],
    'a zstd bomb': [
      () => post(zstdCompressSync(Buffer.alloc(64 * mebibyte)), { ...protobuf, 'content-encoding': 'zstd' }),
      413,
      /when decompressed/,
      'too_large',
    ],
    'a snappy bomb': [
      () => post(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0]), { ...protobuf, 'content-encoding': 'snappy' }),
      413,
      /when decompressed/,
      'too_large',
    ],
  };
  test.each(Object.entries(cases))('%s', async (_name, [send, expected, message, reason]) => {
    await post(good(50));
    const answer = await send();
    expect(answer.status).toBe(expected);
    expect(statusIn(answer).message).toMatch(message);
    expect(answer.headers['retry-after']).toBeUndefined();
    expect(await counted('refused_requests', { transport: 'http', reason })).toBe(1);
    await post(good(51));
    expect(await storedBytes()).toEqual([good(50), good(51)]);
    expect(await counted('in_flight', {})).toBe(0);
  });

  test('says what would be taken', async () => {
    expect((await post('', protobuf, { method: 'PUT' })).headers.allow).toBe('POST');
    expect((await post('', { ...protobuf, 'content-encoding': 'br' })).headers['accept-encoding']).toBe(
      'identity, gzip, zstd, deflate, zlib, snappy, x-snappy-framed',
    );
    const answer = await post('{', { 'content-type': 'application/json' });
    expect(answer.headers['content-type']).toBe('application/json');
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 3, details: [{ '@type': 'type.googleapis.com/google.rpc.BadRequest' }] });
  });

  test('a sender that goes on after an early answer reads it and may use its connection again', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      expect((await post(Buffer.alloc(6 * mebibyte), protobuf, { agent })).status).toBe(413);
      expect((await post(good(1), protobuf, { agent })).status).toBe(200);
    } finally {
      agent.destroy();
    }
  });

  test('a sender that never ends is cut', async () => {
    const [host, port] = receiver.httpAddress!.split(':');
    const socket = connect(Number(port), host);
    socket.write('POST /v1development/profiles HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ntransfer-encoding: chunked\r\n\r\n');
    const closed = new Promise<number>((resolve) => {
      let sent = 0;
      const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536), Buffer.from('\r\n')]);
      const write = (): void => {
        while (!socket.destroyed) {
          sent += 65_536;
          if (!socket.write(chunk)) break;
        }
      };
      socket.on('drain', write);
      socket.on('error', () => {});
      socket.on('close', () => resolve(sent));
      socket.resume();
      write();
    });
    expect(await closed).toBeLessThan(200 * mebibyte);
    expect((await post(good(1))).status).toBe(200);
  });
});

describe('what is refused over gRPC', () => {
  const cases: Record<string, [() => Promise<GrpcAnswer>, number, RegExp]> = {
    garbage: [() => call(garbage), status.INVALID_ARGUMENT, /^protobuf message, byte \d+: found/],
    'garbage, compressed': [() => call(garbage, {}, true), status.INVALID_ARGUMENT, /^protobuf message/],
    'a version that is to come': [() => call(good(1), { [versionHeader]: '2' }), status.INVALID_ARGUMENT, /supported version is 1/],
    'two versions': [() => call(good(1), { [versionHeader]: ['1', '1'] }), status.INVALID_ARGUMENT, /not one positive integer/],
    'too large': [() => call(Buffer.alloc(8 * mebibyte)), status.RESOURCE_EXHAUSTED, /more than 4194304 bytes/],
    'a gzip bomb': [() => call(Buffer.alloc(64 * mebibyte), {}, true), status.RESOURCE_EXHAUSTED, /when decompressed/],
    'another method': [
      () => call(good(1), {}, false, '/opentelemetry.proto.collector.trace.v1.TraceService/Export'),
      status.UNIMPLEMENTED,
      /TraceService\/Export" is not served/,
    ],
  };
  test.each(Object.entries(cases))('%s', async (_name, [send, code, details]) => {
    await call(good(50));
    const answer = await send();
    expect(answer.code).toBe(code);
    expect(answer.details).toMatch(details);
    const [packed] = answer.metadata.get('grpc-status-details-bin');
    const found = fromBinary(StatusSchema, new Uint8Array(packed as Buffer));
    expect(found.code).toBe(code);
    expect(found.details.some((detail) => anyUnpack(detail, RetryInfoSchema) !== undefined)).toBe(false);
    await call(good(51));
    expect(await storedBytes()).toEqual([good(50), good(51)]);
    expect(await counted('in_flight', {})).toBe(0);
    // A call that is not over in the server's eyes would keep its connection, and hold up a stop.
    await expect.poll(() => counted('connections', { transport: 'grpc' })).toBe(0);
  });

  const rawCases: Record<string, [() => Promise<Record<string, string>>, Record<string, string>]> = {
    'another encoding': [
      () => rawCall(framed(zstdCompressSync(good(1)), 1), { 'grpc-encoding': 'zstd' }),
      { 'grpc-status': '12', 'grpc-accept-encoding': 'identity,gzip' },
    ],
    'gzip that is none': [() => rawCall(framed(garbage, 1), { 'grpc-encoding': 'gzip' }), { 'grpc-status': '3' }],
    'compressed without an encoding': [() => rawCall(framed(good(1), 1), {}), { 'grpc-status': '3' }],
    'an unknown flag': [() => rawCall(framed(good(1), 7), {}), { 'grpc-status': '3' }],
    'a cut message': [() => rawCall(framed(good(1)).subarray(0, -1), {}), { 'grpc-status': '3' }],
    'no message': [() => rawCall(Buffer.alloc(0), {}), { 'grpc-status': '3' }],
    'two messages': [() => rawCall(Buffer.concat([framed(good(1)), framed(good(2))]), {}), { 'grpc-status': '3' }],
    'a huge announced length, before its bytes': [() => rawCall(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), {}, false), { 'grpc-status': '8' }],
    'no gRPC': [() => rawCall(good(1), { 'content-type': 'application/json' }), { ':status': '415' }],
    'another encoding of a plain message, which is no matter': [() => rawCall(framed(good(52)), { 'grpc-encoding': 'zstd' }), { 'grpc-status': '0' }],
  };
  test.each(Object.entries(rawCases))('%s', async (_name, [send, expected]) => {
    expect(await send()).toMatchObject(expected);
    await call(good(51));
    expect((await storedBytes()).at(-1)).toEqual(good(51));
    expect(await counted('in_flight', {})).toBe(0);
  });
});

describe('when there is too much', () => {
  /** The body is begun and held back, so that what came stays in work. */
  function beginPost(bytes: Buffer): { end(): void; status: Promise<number> } {
    const [host, port] = receiver.httpAddress!.split(':');
    const request = httpRequest({ host, port, path: '/v1development/profiles', method: 'POST', headers: { ...protobuf, 'content-length': bytes.length } });
    const answered = new Promise<number>((resolve, reject) => {
      request.on('response', (response) => resolve(response.statusCode!));
      request.on('error', reject);
    });
    request.write(bytes.subarray(0, -1));
    return { end: () => request.end(bytes.subarray(-1)), status: answered };
  }

  test('in work, senders of both transports are asked to wait, and are welcome afterwards', async () => {
    const message = Buffer.from(toBinary(ProfilesDataSchema, someData(seeded(9), { ...smallShape, samplesPerProfile: 8500 })));
    await start({ messageBytesMax: message.length });
    // 5 of 1.1 MiB and what each takes beside, of the 15/16 of 6.3 MiB that are for large ones; a sixth has no room.
    const held = Array.from({ length: 5 }, () => beginPost(message));
    await expect.poll(() => counted('in_flight', {}), { interval: 5 }).toBeGreaterThanOrEqual(5 * (message.length - 1));
    const refused = await post(message);
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': '5' } });
    const called = await call(message);
    expect(called.code).toBe(status.UNAVAILABLE);
    expect(retryIn(called)).toBe(5);
    for (const each of held) each.end();
    // Each lacks one byte, for which it has room.
    expect(await Promise.all(held.map((each) => each.status))).toEqual(held.map(() => 200));
    expect((await post(message)).status).toBe(200);
    expect(await storedBytes()).toHaveLength(held.length + 1);
    expect(await counted('refused_requests', { reason: 'overloaded' })).toBe(2);
    await stop();
  });

  test('a sender that goes away gives back what it held, and nothing of it is stored', async () => {
    const [host, port] = receiver.httpAddress!.split(':');
    const socket = connect(Number(port), host);
    socket.write(
      `POST /v1development/profiles HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 100000\r\n\r\n${'x'.repeat(50_000)}`,
    );
    await expect.poll(() => counted('in_flight', {})).toBeGreaterThanOrEqual(50_000);
    socket.destroy();
    await expect.poll(() => counted('in_flight', {})).toBe(0);
    const session = connectHttp2(`http://${receiver.grpcAddress}`);
    session.on('error', () => {});
    const stream = session.request({ ':method': 'POST', ':path': exportPath, 'content-type': 'application/grpc' });
    stream.on('error', () => {});
    stream.write(framed(good(1)).subarray(0, 400));
    await expect.poll(() => counted('in_flight', {})).toBe(requestBytes + partBytesMin);
    session.destroy();
    await expect.poll(() => counted('in_flight', {})).toBe(0);
    expect(await counted('requests', { outcome: 'gone' })).toBe(2);
    expect(await stored()).toEqual([]);
  });
});

test('a full log: senders of both transports are told to come again, the stage says why, and goes on when there is room', async () => {
  await stop();
  const other = path.join(directory, 'small');
  const small = pathToFileURL(other).href;
  await start({ log: small, logBytesMax: 8 * mebibyte });
  const message = Buffer.from(toBinary(ProfilesDataSchema, someData(seeded(9), { ...smallShape, samplesPerProfile: 3000 })));
  let accepted = 0;
  let answer = await post(message);
  for (; answer.status === 200 && accepted < 1000; answer = await post(message)) accepted++;
  expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
  expect(statusIn(answer)).toMatchObject({ code: status.UNAVAILABLE });
  const called = await call(message);
  expect(called.code).toBe(status.UNAVAILABLE);
  expect(retryIn(called)).toBe(5);
  expect(receiver.status()).toMatchObject({ ready: false, text: expect.stringContaining('waits for the log') });
  expect(await counted('refused_requests', { reason: 'log_full' })).toBe(2);
  expect(await counted('refused_profile_samples', { reason: 'log_full' })).toBe(24_000);
  // A message too bad to be taken is still told so at once: waiting would not help it.
  expect((await post(garbage)).status).toBe(400);
  const log = await openLog(small);
  try {
    expect((await log.range(profilesTopic, 0)).end).toBe(accepted);
    await log.trim(profilesTopic, 0, accepted);
    await expect.poll(async () => (await post(message)).status, { timeout: 90_000, interval: 100 }).toBe(200);
    await expect.poll(() => receiver.status().ready, { timeout: 90_000 }).toBe(true);
  } finally {
    await log.close();
    await stop();
  }
});

describe('starting and stopping', () => {
  test('a port in use is one clear line, and leaves nothing open', async () => {
    const error = await startReceiver(
      { grpcListen: receiver.grpcAddress, httpListen: null, messageBytesMax: mebibyte, log: logUrl },
      { meter: createMetricRegistry().meter, logger: quiet },
    ).catch((found: unknown) => found);
    expect(isPipelineError(error, 'port_in_use')).toBe(true);
    expect((error as Error).message).toBe(
      `OTLP/gRPC: ${receiver.grpcAddress} is in use by another program; stop that one or choose another address with --otlp-grpc`,
    );
    expect((await post(good(1))).status).toBe(200);
  });

  test.each(['localhost', '127.0.0.1:99999', ':::1:4318', ''])('address %j is refused', async (address) => {
    const options = { grpcListen: null, httpListen: address, messageBytesMax: mebibyte, log: logUrl };
    await expect(startReceiver(options, { meter: createMetricRegistry().meter, logger: quiet })).rejects.toMatchObject({ code: 'config_invalid' });
  });

  test('says where it listens, on IPv6 too', async () => {
    expect(receiver.status()).toEqual({
      ready: true,
      text: `OTLP/gRPC on ${receiver.grpcAddress}, OTLP/HTTP on http://${receiver.httpAddress}/v1development/profiles`,
    });
    await start({ grpcListen: null, httpListen: '[::1]:0' });
    expect(receiver.status().text).toMatch(/^OTLP\/HTTP on http:\/\/\[::1\]:\d+\/v1development\/profiles$/);
    await stop();
  });

  test('finishes what is in work, on connections that would be kept', async () => {
    const agent = new Agent({ keepAlive: true });
    const keptIdle = await post(good(1), protobuf, { agent });
    expect(keptIdle.status).toBe(200);
    const [host, port] = receiver.httpAddress!.split(':');
    const message = good(2);
    const request = httpRequest({
      host,
      port,
      path: '/v1development/profiles',
      method: 'POST',
      agent,
      headers: { ...protobuf, 'content-length': message.length },
    });
    const answer = new Promise<number>((resolve) => request.on('response', (response) => resolve(response.resume().statusCode!)));
    request.write(message.subarray(0, 10));
    await expect.poll(() => counted('in_flight', {})).toBe(requestBytes + partBytesMin);
    const session = connectHttp2(`http://${receiver.grpcAddress}`);
    const stream = session.request({ ':method': 'POST', ':path': exportPath, 'content-type': 'application/grpc' });
    const trailers = new Promise<unknown>((resolve) => stream.on('trailers', (found) => resolve(found['grpc-status'])));
    stream.resume();
    stream.write(framed(good(3)).subarray(0, 100));
    await expect.poll(() => counted('in_flight', {})).toBe(2 * (requestBytes + partBytesMin));
    const stopping = stop();
    await expect.poll(() => receiver.status()).toEqual({ ready: false, text: 'stopping' });
    await pause(50);
    request.end(message.subarray(10));
    stream.end(framed(good(3)).subarray(100));
    expect(await answer).toBe(200);
    expect(await trailers).toBe('0');
    await stopping;
    agent.destroy();
    expect(await storedBytes()).toEqual(expect.arrayContaining([good(1), good(2), good(3)]));
  });
});

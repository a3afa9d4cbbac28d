// Bytes that no client would send, on both ports: changed recordings of real requests and plain noise.
// Whatever they are, the receiver goes on taking what is good, stores nothing that cannot be read and
// holds nothing afterwards.
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Log } from '../lib/log/log.ts';
import { openLog } from '../lib/log/open.ts';
import { createLogger } from '../lib/logger.ts';
import { createMetricRegistry, type MetricRegistry } from '../lib/metrics.ts';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { below, type Random, seeded, someData } from '../schemas/otlp/testing-data.ts';
import { profilesTopic } from '../schemas/topics.ts';
import { type Receiver, startReceiver } from './main.ts';
import { walkProfiles } from './walk.ts';

const runs = Number(process.env.FLAMELAKE_FUZZ_RUNS ?? 300);
const message = Buffer.from(toBinary(ProfilesDataSchema, someData(seeded(1))));
const httpHead = `POST /v1development/profiles HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: ${message.length}\r\nconnection: close\r\n\r\n`;

let directory: string;
let receiver: Receiver;
let reader: Log;
let metrics: MetricRegistry;
const failures: string[] = [];

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'receiver-'));
  const log = pathToFileURL(directory).href;
  metrics = createMetricRegistry();
  const logger = createLogger({ name: 'receiver', level: 'error', format: 'text', write: (line) => failures.push(line) });
  receiver = await startReceiver({ grpcListen: '127.0.0.1:0', httpListen: '127.0.0.1:0', messageBytesMax: 1024 * 1024, log }, { meter: metrics.meter, logger });
  reader = await openLog(log);
});

afterAll(async () => {
  await receiver.stop();
  await reader.close();
  rmSync(directory, { recursive: true, force: true });
});

/** What a client of node:http2 sends for one call, before it hears anything. */
async function recordCall(): Promise<Buffer> {
  const parts: Buffer[] = [];
  const server = createServer((socket) => socket.on('data', (part) => parts.push(part)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  session.on('error', () => {});
  const path = '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export';
  const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' });
  stream.on('error', () => {});
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([head, message]));
  await expect.poll(() => parts.reduce((sum, part) => sum + part.length, 0)).toBeGreaterThan(message.length + 100);
  session.destroy();
  server.close();
  return Buffer.concat(parts);
}

function changed(bytes: Buffer, random: Random): Buffer {
  const at = below(random, bytes.length);
  const length = below(random, 40);
  switch (below(random, 5)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(Array.from({ length }, () => below(random, 256))), bytes.subarray(at)]);
    case 3:
      return Buffer.from(Array.from({ length: 1 + length * 10 }, () => below(random, 256)));
    default: {
      const copy = Buffer.from(bytes);
      // Mostly where the protocol is: the body has its own fuzz test.
      for (let change = 0; change < 3; change++) copy[below(random, Math.min(copy.length, 300))] = below(random, 256);
      return copy;
    }
  }
}

/** Sends, and goes away once the other side says or does something, or has nothing to say. */
function send(address: string, bytes: Buffer): Promise<void> {
  const [host, port] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('data', () => socket.end());
    socket.setTimeout(20, () => socket.destroy());
    socket.write(bytes);
  });
}

function post(): Promise<number> {
  const [host, port] = receiver.httpAddress!.split(':');
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-protobuf' };
    const request = httpRequest({ host, port, path: '/v1development/profiles', method: 'POST', headers }, (response) => resolve(response.resume().statusCode!));
    request.on('error', reject);
    request.end(message);
  });
}

async function gauge(name: string): Promise<number> {
  const metric = (await metrics.collect()).find((each) => each.name === `flamelake.receiver.${name}`);
  return metric!.points.reduce((sum, point) => sum + (point.value as number), 0);
}

test(`${runs} connections of each kind`, async () => {
  const random = seeded(42);
  const recordings = [
    [receiver.httpAddress!, Buffer.concat([Buffer.from(httpHead), message])],
    [receiver.grpcAddress!, await recordCall()],
  ] as const;
  for (const [address, recording] of recordings) {
    await send(address, recording);
    for (let run = 0; run < runs; run += 10) await Promise.all(Array.from({ length: 10 }, () => send(address, changed(recording, random))));
  }
  const stored = (await reader.range(profilesTopic, 0)).end;
  expect(await post()).toBe(200);
  const { records } = await reader.read(profilesTopic, 0, 0, { bytesMax: 2 ** 30, waitMillis: 0 });
  expect(records.length).toBe(stored + 1);
  // The unchanged recordings are among them, or nothing came through at all.
  expect(stored).toBeGreaterThanOrEqual(2);
  for (const record of records) expect(walkProfiles(record.value).rejected).toEqual([]);
  await expect.poll(() => gauge('in_flight')).toBe(0);
  expect(failures).toEqual([]);
  expect(receiver.status().ready).toBe(true);
});

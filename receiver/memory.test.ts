// What requests hold against what the account says they hold: the memory behind buffers, counted by Node
// after a garbage collection, with a receiver and its senders in this process.
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLogger } from '../lib/logger.ts';
import { createMetricRegistry, type MetricRegistry } from '../lib/metrics.ts';
import { type Receiver, startReceiver } from './main.ts';
import { frame, preface } from './testing-frames.ts';

const mebibyte = 1024 * 1024;
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

let folder: string;
let receiver: Receiver;
let metrics: MetricRegistry;
let before: number;

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'flamelake-memory-'));
  metrics = createMetricRegistry();
  const logger = createLogger({ name: 'receiver', level: 'error', format: 'text', write: () => {} });
  const options = { grpcListen: '127.0.0.1:0', httpListen: '127.0.0.1:0', messageBytesMax: 8 * mebibyte, log: pathToFileURL(folder).href };
  receiver = await startReceiver(options, { meter: metrics.meter, logger });
  collectGarbage();
  before = process.memoryUsage().arrayBuffers;
});
afterEach(async () => {
  await receiver.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function counted(name: string): Promise<number> {
  const metric = (await metrics.collect()).find((each) => each.name === `flamelake.receiver.${name}`);
  return metric!.points.reduce((sum, point) => sum + (point.value as number), 0);
}

/** Bytes of buffers that are there and not counted; what sockets and decoders have just let go may take a moment. */
async function uncounted(): Promise<number> {
  collectGarbage();
  return process.memoryUsage().arrayBuffers - before - (await counted('in_flight'));
}

/** POST of Export with content-type application/grpc, as literals without an index. */
function callHeaders(): Buffer {
  const field = (name: string, value: string): Buffer =>
    Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
  return Buffer.concat([
    Buffer.from([0x83, 0x86]),
    field(':authority', 'x'),
    field(':path', '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export'),
    field('content-type', 'application/grpc'),
  ]);
}

test('a byte that is waited with keeps nothing alive of what came with it', async () => {
  const [host, port] = receiver.grpcAddress!.split(':');
  const socket = connect(Number(port), host);
  socket.on('error', () => {});
  socket.resume();
  socket.write(Buffer.concat([preface, frame(4, 0, 0, Buffer.alloc(0))]));
  const announced = Buffer.from([0, 0, 0x10, 0, 0]);
  socket.write(Buffer.concat([frame(1, 4, 1, callHeaders()), frame(0, 0, 1, announced)]));
  const rounds = 200;
  const bulk = frame(0, 1, 0, Buffer.concat([Buffer.from([0, 0, 0, 0x3f, 0xfb]), Buffer.alloc(16_379, 1)]));
  for (let round = 1; round <= rounds; round++) {
    const headers = frame(1, 4, 2 * round + 1, callHeaders());
    bulk.writeUInt32BE(2 * round + 1, 5);
    // A whole call that is refused, and a byte of the one that waits, in one packet.
    socket.write(Buffer.concat([headers, bulk, frame(0, 0, 1, Buffer.alloc(1))]));
    await expect.poll(() => counted('refused_requests'), { interval: 1 }).toBe(round);
  }
  expect(await counted('in_flight')).toBeGreaterThan(rounds);
  // 200 reads of 16 KiB are 3.3 MB.
  await expect.poll(uncounted).toBeLessThan(mebibyte);
  socket.destroy();
  await expect.poll(() => counted('in_flight')).toBe(0);
});

test('what is counted is what there is, also of those that had to make room', async () => {
  const [host, port] = receiver.httpAddress!.split(':');
  const body = Buffer.alloc(64 * 1024, 1);
  const head = `POST /v1development/profiles HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: ${8 * mebibyte}\r\n\r\n`;
  const sockets = Array.from({ length: 12 }, () => {
    const socket = connect(Number(port), host);
    socket.on('error', () => {});
    socket.resume();
    socket.write(head);
    return socket;
  });
  // More than there is room for: 12 of 4 MiB, where 34 MiB are given.
  for (let part = 0; part < 64; part++) {
    for (const socket of sockets) socket.write(body);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await expect.poll(() => counted('in_flight')).toBeGreaterThan(24 * mebibyte);
  await expect.poll(() => counted('refused_requests')).toBeGreaterThan(0);
  await expect.poll(async () => Math.abs(await uncounted())).toBeLessThan(2 * mebibyte);
  for (const socket of sockets) socket.destroy();
  await expect.poll(() => counted('in_flight')).toBe(0);
  await expect.poll(uncounted).toBeLessThan(2 * mebibyte);
});

test('a bomb leaves nothing', async () => {
  const [host, port] = receiver.httpAddress!.split(':');
  const headers = { 'content-type': 'application/x-protobuf', 'content-encoding': 'gzip' };
  const bomb = gzipSync(Buffer.alloc(9 * mebibyte));
  const send = (): Promise<number> =>
    new Promise((resolve, reject) => {
      request({ host, port, path: '/v1development/profiles', method: 'POST', headers }, (response) => resolve(response.resume().statusCode!))
        .on('error', reject)
        .end(bomb);
    });
  expect(await Promise.all([send(), send(), send(), send()])).toEqual([413, 413, 413, 413]);
  expect(await counted('in_flight')).toBe(0);
  await expect.poll(uncounted).toBeLessThan(2 * mebibyte);
});

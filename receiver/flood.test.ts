// Frames that cost a sender little and a server much (rapid reset, PING, SETTINGS, CONTINUATION, endless
// headers), and senders that trickle: each is cut off, and a good sender is served beside it.
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLogger } from '../lib/logger.ts';
import { createMetricRegistry, type MetricRegistry } from '../lib/metrics.ts';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { seeded, someData } from '../schemas/otlp/testing-data.ts';
import { type Receiver, startReceiver } from './main.ts';
import { frame, preface } from './testing-frames.ts';

/** Long enough for the slowest machine to send its headers. */
const headersMillis = 1500;

let folder: string;
let receiver: Receiver;
let metrics: MetricRegistry;
const complaints: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'flamelake-flood-'));
  metrics = createMetricRegistry();
  const logger = createLogger({ name: 'receiver', level: 'error', format: 'text', write: (line) => complaints.push(line) });
  const options = { grpcListen: '127.0.0.1:0', httpListen: '127.0.0.1:0', messageBytesMax: 1024 * 1024, headersMillis, log: pathToFileURL(folder).href };
  receiver = await startReceiver(options, { meter: metrics.meter, logger });
});
afterAll(async () => {
  await receiver.stop();
  rmSync(folder, { recursive: true, force: true });
  expect(complaints).toEqual([]);
});

const settings = frame(4, 0, 0, Buffer.alloc(0));
/** `:method POST, :scheme http, :path /`, from HPACK's static table. */
const headerBlock = Buffer.from([0x83, 0x86, 0x84]);

interface Flood {
  readonly socket: Socket;
  isClosed(): boolean;
}

function open(address: string): Flood {
  const [host, port] = address.split(':');
  const socket = connect(Number(port), host);
  let closed = false;
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
  });
  socket.resume();
  return { socket, isClosed: () => closed };
}

/** Goes on until it is cut off. */
async function pour({ socket, isClosed }: Flood, part: (round: number) => Buffer, roundsMax: number): Promise<void> {
  for (let round = 0; round < roundsMax && !isClosed(); round++) {
    await new Promise<void>((resolve) => {
      if (socket.write(part(round))) setImmediate(resolve);
      else {
        socket.once('drain', resolve);
        socket.once('close', resolve);
      }
    });
  }
}

const message = Buffer.from(toBinary(ProfilesDataSchema, someData(seeded(1))));

function post(): Promise<number> {
  const [host, port] = receiver.httpAddress!.split(':');
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-protobuf' };
    request({ host, port, path: '/v1development/profiles', method: 'POST', headers }, (response) => resolve(response.resume().statusCode!))
      .on('error', reject)
      .end(message);
  });
}

async function gauge(name: string): Promise<number> {
  const metric = (await metrics.collect()).find((each) => each.name === `flamelake.receiver.${name}`);
  return metric!.points.reduce((sum, point) => sum + (point.value as number), 0);
}

const hundred = (make: (index: number) => Buffer): Buffer => Buffer.concat(Array.from({ length: 100 }, (_, index) => make(index)));

describe('over HTTP/2', () => {
  const floods: [string, (round: number) => Buffer][] = [
    [
      'requests that are taken back at once',
      (round) =>
        hundred((index) => {
          const stream = 2 * (100 * round + index) + 1;
          return Buffer.concat([frame(1, 4, stream, headerBlock), frame(3, 0, stream, Buffer.from([0, 0, 0, 8]))]);
        }),
    ],
    ['PING', () => hundred(() => frame(6, 0, 0, Buffer.alloc(8)))],
    ['SETTINGS', () => hundred(() => settings)],
    ['CONTINUATION without an end', (round) => (round === 0 ? frame(1, 0, 1, headerBlock) : hundred(() => frame(9, 0, 1, Buffer.alloc(0))))],
    // An indexed name of the static table with a value of 8 KiB, again and again.
    [
      'headers without an end',
      (round) =>
        round === 0 ? frame(1, 0, 1, headerBlock) : frame(9, 0, 1, Buffer.concat([Buffer.from([0x0f, 0x2b, 0x7f, 0x81, 0x3f]), Buffer.alloc(8192, 0x61)])),
    ],
    ['frames of no type that is known, for a stream that is none', () => hundred(() => frame(0, 0, 99, Buffer.alloc(1)))],
  ];

  test.each(floods)('%s: cut off', async (_name, part) => {
    const flood = open(receiver.grpcAddress!);
    flood.socket.write(Buffer.concat([preface, settings]));
    // Answers are not read: what must be kept for them is the sender's to pay.
    flood.socket.pause();
    const poured = pour(flood, part, 5000);
    expect(await post()).toBe(200);
    await poured;
    flood.socket.resume();
    await expect.poll(flood.isClosed, { timeout: 90_000 }).toBe(true);
    expect(await post()).toBe(200);
    await expect.poll(() => gauge('in_flight')).toBe(0);
  });
});

// All of them wait for the same time.
describe.concurrent('senders that trickle', () => {
  test.each([
    ['HTTP/2, nothing', () => receiver.grpcAddress!, ''],
    ['HTTP/2, half a preface', () => receiver.grpcAddress!, 'PRI * HTTP/2.0'],
    ['HTTP, nothing', () => receiver.httpAddress!, ''],
    ['HTTP, half a header', () => receiver.httpAddress!, 'POST /v1development/profiles HTTP/1.1\r\nhost: x\r\n'],
  ])('%s: let go', async (_name, address, text) => {
    const flood = open(address());
    flood.socket.write(text);
    await expect.poll(flood.isClosed, { timeout: 90_000 }).toBe(true);
  });
});

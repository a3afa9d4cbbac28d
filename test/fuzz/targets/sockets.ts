// Bytes that no client would send, on both ports of a real receiver: changed recordings of real requests
// and plain noise. Whatever they are, the receiver goes on taking what is good, stores nothing that
// cannot be read and holds nothing afterwards.
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { toBinary } from '@bufbuild/protobuf';
import { openLog } from '../../../lib/log/open.ts';
import { createLogger } from '../../../lib/logger.ts';
import { createMetricRegistry } from '../../../lib/metrics.ts';
import { startReceiver } from '../../../receiver/main.ts';
import { walkProfiles } from '../../../receiver/walk.ts';
import { ProfilesDataSchema } from '../../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { below, type Random, seeded, someData } from '../../../schemas/otlp/testing-data.ts';
import { profilesTopic } from '../../../schemas/topics.ts';
import { until } from '../../e2e/until.ts';
import { mutateBytes } from '../mutate.ts';
import type { Fuzzed, Target, Verdict } from '../target.ts';

const message = Buffer.from(toBinary(ProfilesDataSchema, someData(seeded(1))));
const httpHead = `POST /v1development/profiles HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: ${message.length}\r\nconnection: close\r\n\r\n`;
const exportPath = '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export';
/** A good message after so many bad ones. */
const goodEvery = 50;

/** What a client of node:http2 sends for one call, before it hears anything. */
async function recordCall(): Promise<Buffer> {
  const parts: Buffer[] = [];
  const server = createServer((socket) => socket.on('data', (part) => parts.push(part)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  session.on('error', () => {});
  const stream = session.request({ ':method': 'POST', ':path': exportPath, 'content-type': 'application/grpc', te: 'trailers' });
  stream.on('error', () => {});
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([head, message]));
  await until('a recorded call', 10_000, () => parts.reduce((sum, part) => sum + part.length, 0) > message.length + 100);
  session.destroy();
  server.close();
  return Buffer.concat(parts);
}

/** HTTP/2's frames after the preface, each whole: doubled, dropped or in another order. */
function shuffleFrames(recording: Buffer, random: Random): Buffer {
  const preface = recording.subarray(0, 24);
  const frames: Buffer[] = [];
  for (let at = 24; at + 9 <= recording.length; ) {
    const end = at + 9 + recording.readUIntBE(at, 3);
    frames.push(Buffer.from(recording.subarray(at, end)));
    at = end;
  }
  for (let changes = 1 + below(random, 3); changes > 0; changes--) {
    const at = below(random, frames.length);
    const frame = frames[at];
    if (frame === undefined) break;
    switch (below(random, 4)) {
      case 0:
        frames.splice(at, 1);
        break;
      case 1:
        frames.splice(below(random, frames.length), 0, frame);
        break;
      case 2:
        // Type, flags or stream.
        frame[3 + below(random, 6)] = below(random, 12);
        break;
      default:
        frames.splice(at, 0, ...Array.from({ length: below(random, 200) }, () => someFrame(random)));
    }
  }
  return Buffer.concat([preface, ...frames]);
}

/** PING, SETTINGS, RST_STREAM, WINDOW_UPDATE, PRIORITY, GOAWAY, CONTINUATION … with a content of about the right length. */
function someFrame(random: Random): Buffer {
  const type = below(random, 11);
  const length = [5, 6, 5, 4, 6 * below(random, 3), 8, 8, 8, 4, below(random, 20), 3][type]!;
  const frame = Buffer.alloc(9 + length, below(random, 256));
  frame.writeUIntBE(length, 0, 3);
  frame[3] = type;
  frame[4] = below(random, 3) === 0 ? below(random, 256) : 0;
  frame.writeUInt32BE([0, 1, 3, below(random, 2 ** 31)][below(random, 4)]!, 5);
  return frame;
}

/** Sends, and goes away once the other side says or does something, or has nothing to say. */
function send(address: string, bytes: Uint8Array): Promise<void> {
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

function post(address: string): Promise<number> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-protobuf' };
    const request = httpRequest({ host, port, path: '/v1development/profiles', method: 'POST', headers }, (response) => resolve(response.resume().statusCode!));
    request.on('error', reject);
    request.end(message);
  });
}

async function open(): Promise<Fuzzed> {
  const directory = mkdtempSync(path.join(tmpdir(), 'flamelake-fuzz-'));
  const log = pathToFileURL(directory).href;
  const metrics = createMetricRegistry();
  const failures: string[] = [];
  const logger = createLogger({ name: 'receiver', level: 'error', format: 'text', write: (line) => failures.push(line) });
  const receiver = await startReceiver(
    { grpcListen: '127.0.0.1:0', httpListen: '127.0.0.1:0', messageBytesMax: 1024 * 1024, log },
    { meter: metrics.meter, logger },
  );
  const recordings = { http: Buffer.concat([Buffer.from(httpHead), message]), grpc: await recordCall() };
  let fed = 0;
  const good = async (): Promise<void> => {
    const status = await post(receiver.httpAddress!);
    if (status !== 200) throw new Error(`a good message was answered ${status}`);
  };
  const inFlight = async (): Promise<number> => {
    const metric = (await metrics.collect()).find(({ name }) => name === 'flamelake.receiver.in_flight');
    return metric!.points.reduce((sum, point) => sum + (point.value as number), 0);
  };
  return {
    // The port is the first byte.
    make: (random) => {
      const isHttp = below(random, 2) === 0;
      if (below(random, 10) === 0) return Buffer.from([isHttp ? 0 : 1, ...Array.from({ length: 1 + below(random, 400) }, () => below(random, 256))]);
      if (isHttp) return Buffer.concat([Buffer.from([0]), mutateBytes(recordings.http, random)]);
      const bytes = below(random, 2) === 0 ? shuffleFrames(recordings.grpc, random) : mutateBytes(recordings.grpc, random);
      return Buffer.concat([Buffer.from([1]), bytes]);
    },
    feed: async (input): Promise<Verdict> => {
      await send(input[0] === 0 ? receiver.httpAddress! : receiver.grpcAddress!, input.subarray(1));
      if (++fed % goodEvery === 0) await good();
      if (failures.length > 0) throw new Error(failures.join(''));
      return 'taken';
    },
    close: async () => {
      await good();
      await until('nothing is held', 30_000, async () => (await inFlight()) === 0);
      await checkStored(log, Math.floor(fed / goodEvery) + 1);
      await receiver.stop();
      rmSync(directory, { recursive: true, force: true });
      if (failures.length > 0) throw new Error(failures.join(''));
    },
  };
}

async function checkStored(log: string, goodCount: number): Promise<void> {
  const reader = await openLog(log);
  const { end } = await reader.range(profilesTopic, 0);
  let unchanged = 0;
  for (let from = 0; from < end; ) {
    const { records } = await reader.read(profilesTopic, 0, from, { bytesMax: 2 ** 24, waitMillis: 0 });
    for (const { value, offset } of records) {
      if (walkProfiles(value).rejected.length > 0) throw new Error('something was stored that cannot be read whole');
      if (message.equals(value)) unchanged++;
      from = offset + 1;
    }
  }
  await reader.close();
  if (unchanged < goodCount) throw new Error(`${goodCount} good messages were acknowledged, ${unchanged} are stored`);
}

export const sockets: Target = { name: 'sockets', shortRuns: 300, weight: 60, oneSided: true, open };

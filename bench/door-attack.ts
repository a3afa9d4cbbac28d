// The other side of door.bench.ts, in a process of its own so that the good client has its own:
// door-attack.ts GRPC_ADDRESS HTTP_ADDRESS CONNECTIONS BOMBERS SECONDS. Says how its bombs were answered.
import { request } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { messageBytesMaxDefault } from '../receiver/limits.ts';

const exportPath = '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export';
const bodyBytes = 60 * 1024 * 1024;
/** Of one slow body: within the minute that a request may take. */
const bodyMillis = 50_000;
/** Twice what is taken. */
const bombBytes = 2 * messageBytesMaxDefault;

const [grpc, http, ...numbers] = process.argv.slice(2) as [string, string, string, string, string];
const [connections, bombers, seconds] = numbers.map(Number) as [number, number, number];
const zeros = Buffer.alloc(bombBytes);
const bombs = { gzip: gzipSync(zeros), zstd: zstdCompressSync(zeros) };
const answers: Record<string, number> = {};
const until = performance.now() + seconds * 1000;
process.send!('begins');
await Promise.all([
  ...Array.from({ length: connections }, (_, index) => slowSender(() => (index % 2 === 0 ? httpFlow(http) : grpcFlow(grpc)))),
  ...Array.from({ length: bombers }, (_, index) => bomber(index % 2 === 0 ? 'gzip' : 'zstd')),
]);
process.send!(answers, () => process.exit(0));

/** Writes its body evenly over the time, and begins anew when it is turned away. */
async function slowSender(open: () => Flow): Promise<void> {
  const part = Buffer.alloc(64 * 1024, 1);
  const partMillis = bodyMillis / (bodyBytes / part.length);
  while (performance.now() < until) {
    const flow = open();
    let nextMillis = performance.now();
    for (let sent = 0; sent < bodyBytes && flow.isOpen() && performance.now() < until; sent += part.length) {
      // Whoever is not read from any more is not waited for.
      await Promise.race([flow.write(part), pause(2_000, undefined, { ref: false })]);
      nextMillis += partMillis;
      await pause(Math.max(0, nextMillis - performance.now()));
    }
    flow.end();
    await pause(100);
  }
}

interface Flow {
  isOpen(): boolean;
  write(part: Buffer): Promise<void>;
  end(): void;
}

function httpFlow(address: string): Flow {
  const [host, port] = address.split(':');
  const socket: Socket = connect(Number(port), host);
  let open = true;
  socket.on('error', () => {});
  socket.on('close', () => {
    open = false;
  });
  // An answer before the end is a refusal.
  socket.on('data', () => {
    open = false;
  });
  socket.write(`POST /v1development/profiles HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: ${bodyBytes}\r\n\r\n`);
  const write = (part: Buffer): Promise<void> => (open ? new Promise((resolve) => socket.write(part, () => resolve())) : Promise.resolve());
  return { isOpen: () => open, write, end: () => socket.destroy() };
}

function grpcFlow(address: string): Flow {
  const session: ClientHttp2Session = connectHttp2(`http://${address}`);
  session.on('error', () => {});
  const stream = session.request({ ':method': 'POST', ':path': exportPath, 'content-type': 'application/grpc', te: 'trailers' });
  let open = true;
  stream.on('error', () => {});
  stream.on('response', () => {
    open = false;
  });
  stream.on('close', () => {
    open = false;
  });
  stream.resume();
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bodyBytes, 1);
  stream.write(head);
  const write = (part: Buffer): Promise<void> => (open ? new Promise((resolve) => stream.write(part, () => resolve())) : Promise.resolve());
  return { isOpen: () => open, write, end: () => session.destroy() };
}

async function bomber(encoding: 'gzip' | 'zstd'): Promise<void> {
  while (performance.now() < until) {
    const status = await post(bombs[encoding], encoding);
    answers[status] = (answers[status] ?? 0) + 1;
    await pause(50);
  }
}

/** Its answer, or `cut` where there was none. */
function post(body: Buffer, encoding: string): Promise<string> {
  const [host, port] = http.split(':');
  const headers = { 'content-type': 'application/x-protobuf', 'content-encoding': encoding };
  return new Promise((resolve) => {
    const asked = request({ host, port, path: '/v1development/profiles', method: 'POST', headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(String(response.statusCode)));
      response.on('error', () => resolve('cut'));
    });
    asked.on('error', () => resolve('cut'));
    asked.end(body);
  });
}

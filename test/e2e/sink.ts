// An OTLP endpoint that keeps the bytes of what it is sent, for looking at what our agent says. It
// answers as told, so that retries can be seen.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { Server, ServerCredentials, type ServerUnaryCall, type ServiceDefinition, type sendUnaryData, status } from '@grpc/grpc-js';

export interface Received {
  readonly body: Uint8Array;
  readonly encoding: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeMillis: number;
}

export interface Sink {
  readonly url: string;
  readonly received: readonly Received[];
  /** The next `count` requests are answered UNAVAILABLE or 503; they are kept too, in `refused`. */
  refuseNext(count: number): void;
  readonly refused: readonly Received[];
  close(): Promise<void>;
}

const messageBytesMax = 64 * 1024 * 1024;

class Book {
  readonly received: Received[] = [];
  readonly refused: Received[] = [];
  toRefuse = 0;

  /** Whether it is taken. */
  enter(entry: Received): boolean {
    if (this.toRefuse === 0) {
      this.received.push(entry);
      return true;
    }
    this.toRefuse--;
    this.refused.push(entry);
    return false;
  }
}

/** What is sent where; profiles unless something else is asked for. */
export type Signal = 'profiles' | 'metrics';
const httpPaths: Readonly<Record<Signal, string>> = { profiles: '/v1development/profiles', metrics: '/v1/metrics' };
const grpcPaths: Readonly<Record<Signal, string>> = {
  profiles: '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
};

export async function httpSink(signal: Signal = 'profiles'): Promise<Sink> {
  const book = new Book();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const encoding = request.headers['content-encoding'] ?? 'identity';
      const bytes = Buffer.concat(chunks);
      const body = encoding === 'gzip' ? gunzipSync(bytes) : encoding === 'zstd' ? zstdDecompressSync(bytes) : bytes;
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      const isRight = request.method === 'POST' && request.url === httpPaths[signal] && headers['content-type'] === 'application/x-protobuf';
      if (!isRight) response.writeHead(404).end(`${request.method} ${request.url}`);
      else if (book.enter({ body, encoding, headers, timeMillis: Date.now() })) response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
      else response.writeHead(503, { 'retry-after': '1' }).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    received: book.received,
    refused: book.refused,
    refuseNext: (count) => {
      book.toRefuse = count;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const serviceOf = (signal: Signal): ServiceDefinition => ({
  Export: {
    path: grpcPaths[signal],
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
});

export async function grpcSink(signal: Signal = 'profiles'): Promise<Sink> {
  const book = new Book();
  const server = new Server({ 'grpc.max_receive_message_length': messageBytesMax });
  server.addService(serviceOf(signal), {
    Export: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      const headers = Object.fromEntries(Object.entries(call.metadata.getMap()).map(([name, value]) => [name, String(value)]));
      const entry = { body: call.request, encoding: headers['grpc-encoding'] ?? 'unknown', headers, timeMillis: Date.now() };
      if (book.enter(entry)) answer(null, Buffer.alloc(0));
      else answer({ code: status.UNAVAILABLE, details: 'refused on purpose' });
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    received: book.received,
    refused: book.refused,
    refuseNext: (count) => {
      book.toRefuse = count;
    },
    close: async () => server.forceShutdown(),
  };
}

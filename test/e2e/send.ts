// A client that sends counted messages over either transport and keeps on until each is acknowledged,
// as the protocol asks of clients. It repeats identical bytes, so that what was taken but not answered
// must be recognised.
import { createRequire } from 'node:module';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { Client, compressionAlgorithms, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { CountedMessage } from '../otlp/messages.ts';

// It has no types.
const { compress: snappyCompress } = createRequire(import.meta.url)('snappyjs') as { compress(bytes: Buffer): Buffer };

export const transports = ['grpc', 'grpc+gzip', 'http', 'http+gzip', 'http+zstd', 'http+deflate', 'http+snappy'] as const;
export type Transport = (typeof transports)[number];

export interface Endpoints {
  /** host:port */
  readonly otlpGrpc: string;
  /** http://host:port */
  readonly otlpHttp: string;
}

const method = '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export';
const httpPath = '/v1development/profiles';
const requestMillis = 10_000;
const retryMillis = 100;

export interface Sender {
  /** One try. Throws `Refused` for an answer that must not be repeated, any other error for what may be. */
  send(message: CountedMessage, transport: Transport): Promise<void>;
  /** Tries until it is acknowledged; gives the number of tries. */
  sendUntilAcknowledged(message: CountedMessage, transport: Transport, timeoutMillis: number): Promise<number>;
  close(): void;
}

export class Refused extends Error {}

/** JSON goes over HTTP only. */
export function transportsFor(message: CountedMessage): readonly Transport[] {
  return message.contentType === 'application/json' ? transports.filter((transport) => transport.startsWith('http')) : transports;
}

export function createSender(endpoints: Endpoints): Sender {
  const clients = { grpc: grpcClient(endpoints.otlpGrpc, false), 'grpc+gzip': grpcClient(endpoints.otlpGrpc, true) };
  const send = async (message: CountedMessage, transport: Transport): Promise<void> => {
    if (transport === 'grpc' || transport === 'grpc+gzip') await sendGrpc(clients[transport], message);
    else await sendHttp(endpoints.otlpHttp, message, transport);
  };
  return {
    send,
    sendUntilAcknowledged: async (message, transport, timeoutMillis) => {
      const deadline = performance.now() + timeoutMillis;
      for (let tries = 1; ; tries++) {
        try {
          await send(message, transport);
          return tries;
        } catch (error) {
          if (error instanceof Refused || performance.now() > deadline) throw error;
          await new Promise((resolve) => setTimeout(resolve, retryMillis));
        }
      }
    },
    close: () => {
      for (const client of Object.values(clients)) client.close();
    },
  };
}

function grpcClient(address: string, isCompressed: boolean): Client {
  return new Client(address, credentials.createInsecure(), {
    'grpc.default_compression_algorithm': isCompressed ? compressionAlgorithms.gzip : compressionAlgorithms.identity,
    // A server that was killed is there again within a second: don't wait long for it.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 300,
  });
}

const retryableCodes: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNAVAILABLE,
  status.DATA_LOSS,
  status.RESOURCE_EXHAUSTED,
]);

function sendGrpc(client: Client, message: CountedMessage): Promise<void> {
  const identity = (bytes: Uint8Array) => Buffer.from(bytes);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method,
      identity,
      (bytes) => bytes,
      message.body,
      new Metadata(),
      { deadline: Date.now() + requestMillis },
      (error: ServiceError | null, answer?: Buffer) => {
        if (error) reject(retryableCodes.has(error.code) ? error : new Refused(`${message.name}: ${error.message}`));
        else if (answer && answer.length > 0) reject(new Refused(`${message.name}: partial success ${answer.toString('hex')}`));
        else resolve();
      },
    );
  });
}

const compressors: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  gzip: gzipSync,
  zstd: zstdCompressSync,
  deflate: deflateSync,
  snappy: (bytes) => snappyCompress(Buffer.from(bytes)),
};

async function sendHttp(endpoint: string, message: CountedMessage, transport: Transport): Promise<void> {
  const encoding = transport.split('+')[1];
  const headers: Record<string, string> = { 'content-type': message.contentType };
  if (encoding !== undefined) headers['content-encoding'] = encoding;
  const body = encoding === undefined ? message.body : compressors[encoding]!(message.body);
  const answer = await fetch(`${endpoint}${httpPath}`, { method: 'POST', headers, body: Uint8Array.from(body), signal: AbortSignal.timeout(requestMillis) });
  const text = await answer.text();
  if (answer.status === 200) {
    if (/rejected/i.test(text)) throw new Refused(`${message.name}: partial success ${text}`);
    return;
  }
  if ([429, 502, 503, 504].includes(answer.status)) throw new Error(`${message.name}: ${answer.status} ${text}`);
  throw new Refused(`${message.name}: ${answer.status} ${text}`);
}

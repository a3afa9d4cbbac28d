// OTLP/gRPC. Bodies are encoded already, so the client passes bytes through. Which codes may be sent
// again is OTLP's list; RESOURCE_EXHAUSTED only where the endpoint says when.
import { ChannelCredentials, Client, compressionAlgorithms, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { responseBytesMax } from '../limits.ts';
import {
  authorizationOf,
  plain,
  readAnswer,
  readRetryDelay,
  type SendResult,
  signals,
  type Transport,
  type TransportOptions,
  turnedAway,
} from './transport.ts';

const retryable = new Set([status.CANCELLED, status.DEADLINE_EXCEEDED, status.ABORTED, status.OUT_OF_RANGE, status.UNAVAILABLE, status.DATA_LOSS]);
/** Of the sender, not of the message. */
const credentialCodes = new Set([status.UNAUTHENTICATED, status.PERMISSION_DENIED]);
const passBytes = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

export function openGrpc(options: TransportOptions): Transport {
  const url = new URL(options.endpoint);
  const signal = signals[options.signal ?? 'profiles'];
  const client = new Client(target(url), channelCredentials(url, options), {
    'grpc.default_compression_algorithm': options.compression === 'gzip' ? compressionAlgorithms.gzip : compressionAlgorithms.identity,
    'grpc.max_receive_message_length': responseBytesMax,
    'grpc.primary_user_agent': options.userAgent,
    'grpc.enable_retries': 0,
    // An endpoint that comes back is found again soon; our own backoff decides how often it is asked.
    'grpc.initial_reconnect_backoff_ms': 500,
    'grpc.max_reconnect_backoff_ms': 5_000,
  });
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(options.headers)) metadata.set(name, value);
  for (const [name, value] of Object.entries(signal.headers)) metadata.set(name, value);
  return {
    endpoint: url.host,
    send: (body, abort) =>
      new Promise<SendResult>((resolve) => {
        const authorization = authorizationOf(options);
        if ('missing' in authorization) return resolve(authorization.missing);
        for (const [name, value] of Object.entries(authorization.headers)) metadata.set(name, value);
        const deadline = Date.now() + options.timeoutMillis;
        const call = client.makeUnaryRequest(
          signal.grpcMethod,
          passBytes,
          (bytes: Buffer) => bytes,
          body,
          metadata,
          { deadline },
          (error, answer) => {
            abort.removeEventListener('abort', cancel);
            resolve(error ? resultOfError(error, options) : readAnswer(answer ?? new Uint8Array(0)));
          },
        );
        const cancel = () => call.cancel();
        if (abort.aborted) cancel();
        else abort.addEventListener('abort', cancel, { once: true });
      }),
    close: () => client.close(),
  };
}

/** grpc-js takes 443 where no port is named; a URL's own default depends on its scheme, and `new URL` leaves it out. */
const target = (url: URL): string => `${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`;

function channelCredentials(url: URL, { tls }: TransportOptions): ChannelCredentials {
  return url.protocol === 'https:' ? ChannelCredentials.createSsl(tls.ca, tls.key, tls.certificate) : credentials.createInsecure();
}

/**
 * The library's notes about name resolution, mostly empty, its time of day and OpenSSL's thread number:
 * what differs each time would be said each time.
 */
function withoutNoise(details: string): string {
  return details
    .replace(/\s*Resolution note:.*$/s, '')
    .replace(/\s*\(\d{4}-\d\d-\d\dT[^)]*\)\.?/, '')
    .replace(/\b[0-9A-F]{8,16}:error:/, 'error:');
}

function resultOfError(error: ServiceError, options: TransportOptions): SendResult {
  const message = `gRPC ${status[error.code] ?? error.code}: ${plain(withoutNoise(error.details))}`;
  if (credentialCodes.has(error.code)) return turnedAway(message, options);
  const [details] = error.metadata?.get('grpc-status-details-bin') ?? [];
  const afterMillis = details instanceof Uint8Array ? readRetryDelay(details) : null;
  const mayRetry = retryable.has(error.code) || (error.code === status.RESOURCE_EXHAUSTED && afterMillis !== null);
  return mayRetry ? { kind: 'retry', afterMillis, message } : { kind: 'refused', message };
}

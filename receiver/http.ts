// OTLP/HTTP: POST /v1development/profiles, protobuf or JSON, compressed or not, with TLS or without.
import { createServer, type IncomingMessage, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { create, toBinary, toJsonString } from '@bufbuild/protobuf';
import type { Door } from '../lib/door/door.ts';
import { PipelineError } from '../lib/errors.ts';
import { errorFields, type Logger } from '../lib/logger.ts';
import { ExportProfilesServiceResponseSchema } from '../schemas/otlp/gen/opentelemetry/proto/collector/profiles/v1development/profiles_service_pb.ts';
import { versionHeader } from '../schemas/topics.ts';
import type { Admission } from './admit.ts';
import { readBody, tooLarge } from './body.ts';
import { type ContentEncoding, contentEncodings, decompress } from './decompress.ts';
import type { InFlight } from './in-flight.ts';
import type { Ingest } from './ingest.ts';
import { describeBug } from './ingest.ts';
import { connectionsMax, drainBytesMax, drainMillisMax, idleMillisMax, requestMillisMax } from './limits.ts';
import { type Listener, listenOn, stopServer } from './listen.ts';
import type { ReceiverMetrics } from './metrics.ts';
import type { Permits } from './permits.ts';
import { grpcCodes, type Refusal, refusal, statusBytes, statusJson, unauthenticated } from './refusal.ts';
import { checkVersion } from './version.ts';

export const profilesPath = '/v1development/profiles';

export interface TransportOptions {
  readonly messageBytesMax: number;
  /** For the headers of a request, and for the first word of a connection. */
  readonly headersMillis: number;
  readonly door: Door;
  readonly ingest: Ingest;
  readonly inFlight: InFlight;
  readonly largeDecodes: Permits;
  readonly metrics: ReceiverMetrics;
  readonly logger: Logger;
}

/** How a body is written, and its answer likewise. */
interface Format {
  readonly contentType: string;
  readonly isJson: boolean;
}

export function createHttpListener(options: TransportOptions): Listener {
  const serverOptions: ServerOptions = {
    headersTimeout: options.headersMillis,
    requestTimeout: requestMillisMax,
    keepAliveTimeout: idleMillisMax,
    connectionsCheckingInterval: options.headersMillis / 2,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    noDelay: true,
  };
  const { tls } = options.door;
  const server = tls === null ? createServer(serverOptions) : createTlsServer({ ...serverOptions, ...tls });
  if ('setSecureContext' in server) options.door.attach(server);
  // Counted, and no matter of ours: whoever shakes hands wrongly is told so by TLS.
  server.on('tlsClientError', (_error: Error, socket: Socket) => {
    options.metrics.connectionDropped('http', 'tls');
    socket.destroy();
  });
  let connections = 0;
  server.maxConnections = connectionsMax;
  server.on('drop', () => options.metrics.connectionDropped('http', 'too_many'));
  server.on('connection', (socket) => {
    connections++;
    socket.on('close', () => connections--);
  });
  const answering = new Set<ServerResponse>();
  server.on('request', (request, response) => {
    answering.add(response);
    response.on('close', () => answering.delete(response));
    serve(request, response, options).catch((error: unknown) => {
      // One request must not end the process and with it the others'.
      options.logger.error('a request made the receiver fail', { ...errorFields(error), error: describeBug(error) });
      response.destroy();
    });
  });
  return {
    listen: (address) => listenOn(server, address, { what: 'OTLP/HTTP', option: '--otlp-http' }),
    connections: () => connections,
    stop: () =>
      stopServer(server, {
        askToEnd: () => {
          for (const response of answering) response.shouldKeepAlive = false;
          server.closeIdleConnections();
        },
        end: () => server.closeAllConnections(),
      }),
  };
}

async function serve(request: IncomingMessage, response: ServerResponse, options: TransportOptions): Promise<void> {
  // The socket's errors come here too; the 'close' that follows is what counts.
  response.on('error', () => {});
  const format = formatOf(request.headers['content-type']);
  const misrouted = routeRefusal(request, format, options.door);
  if (misrouted !== null) {
    options.metrics.refused('http', misrouted.reason, 0);
    refuse(request, response, misrouted, format);
    return;
  }
  const hold = options.inFlight.hold();
  const bounds = { bytesMax: options.messageBytesMax, hold, largeDecodes: options.largeDecodes };
  const outcome = await options.ingest.take({ transport: 'http', gone: () => response.destroyed }, async () => {
    const version = checkVersion(request.headers[versionHeader]);
    const encoding = encodingOf(request.headers['content-encoding']);
    if (Number(request.headers['content-length'] ?? 0) > bounds.bytesMax) throw tooLarge(bounds.bytesMax);
    const body = await readBody(request, bounds);
    if (body === null) return null;
    options.metrics.received('http', body.length);
    return { body: await decompress(body, encoding, bounds), isJson: format?.isJson ?? false, version };
  });
  hold.release();
  if (outcome === null) response.destroy();
  else if ('refused' in outcome) refuse(request, response, outcome.refused, format);
  else accept(response, outcome.accepted, format!);
}

/** What is wrong before the message is looked at; null = nothing. */
function routeRefusal(request: IncomingMessage, format: Format | null, door: Door): Refusal | null {
  if (!door.admits(request.headers.authorization)) return unauthenticated();
  // A browser that some page drives says where that is from; no OTLP client does.
  if (request.headers.origin !== undefined) return refusal('origin', 403, grpcCodes.permissionDenied, 'requests made by web pages are not taken');
  const path = (request.url ?? '').replace(/[?#].*$/s, '');
  if (path !== profilesPath)
    return refusal('path', 404, grpcCodes.unimplemented, `path ${JSON.stringify(path.slice(0, 200))} is not served; OTLP profiles go to ${profilesPath}`);
  if (request.method !== 'POST') return refusal('method', 405, grpcCodes.unimplemented, `method ${request.method}, expected POST`);
  if (format === null) {
    const found = JSON.stringify((request.headers['content-type'] ?? '').slice(0, 200));
    return refusal('content_type', 415, grpcCodes.unimplemented, `content-type ${found}, expected application/x-protobuf or application/json`);
  }
  return null;
}

function formatOf(contentType: string | undefined): Format | null {
  const [type = '', ...parameters] = (contentType ?? '').toLowerCase().split(';');
  const charset = parameters.map((parameter) => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/.exec(parameter)?.[1]).find((found) => found !== undefined);
  switch (type.trim()) {
    case 'application/json':
      return charset === undefined || charset === 'utf-8' || charset === 'utf8' ? { contentType: 'application/json', isJson: true } : null;
    case 'application/x-protobuf':
    case 'application/protobuf':
      return { contentType: type.trim(), isJson: false };
    default:
      return null;
  }
}

function encodingOf(header: string | undefined): ContentEncoding {
  const name = (header ?? '').trim().toLowerCase();
  if (name === '' || name === 'none') return 'identity';
  const encoding = contentEncodings.find((known) => known === name);
  if (encoding !== undefined) return encoding;
  throw new PipelineError('encoding_unsupported', `content-encoding ${JSON.stringify(name.slice(0, 80))}, expected one of ${contentEncodings.join(', ')}`);
}

function accept(response: ServerResponse, admission: Admission, format: Format): void {
  const partial =
    admission.rejectedProfiles > 0 ? { partialSuccess: { rejectedProfiles: BigInt(admission.rejectedProfiles), errorMessage: admission.message } } : {};
  const answer = create(ExportProfilesServiceResponseSchema, partial);
  send(
    response,
    200,
    format.contentType,
    format.isJson ? toJsonString(ExportProfilesServiceResponseSchema, answer) : toBinary(ExportProfilesServiceResponseSchema, answer),
    {},
  );
}

/** A sender whose format is unknown gets JSON, for its person to read. */
function refuse(request: IncomingMessage, response: ServerResponse, answer: Refusal, format: Format | null): void {
  const headers: Record<string, string> = {};
  if (answer.httpStatus === 401) headers['www-authenticate'] = 'Bearer';
  if (answer.httpStatus === 405) headers.allow = 'POST';
  if (answer.reason === 'encoding') headers['accept-encoding'] = contentEncodings.join(', ');
  if (answer.retrySeconds !== null) headers['retry-after'] = String(answer.retrySeconds);
  if (!request.complete) drain(request);
  const isJson = format?.isJson ?? true;
  send(response, answer.httpStatus, format?.contentType ?? 'application/json', isJson ? statusJson(answer) : statusBytes(answer), headers);
}

function send(response: ServerResponse, status: number, contentType: string, body: string | Uint8Array, headers: Record<string, string>): void {
  if (response.destroyed) return;
  response.writeHead(status, { ...headers, 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

/**
 * Reads on behind an early answer, without `connection: close`: closing on a sender that still writes
 * would reset the connection, and it would never see why. Within bounds, for it may write for ever.
 */
function drain(request: IncomingMessage): void {
  let drained = 0;
  const end = (): void => void request.destroy();
  const timer = setTimeout(end, drainMillisMax).unref();
  request.on('close', () => clearTimeout(timer));
  request.on('data', (part: Buffer) => {
    drained += part.length;
    if (drained > drainBytesMax) end();
  });
  request.resume();
}

// OTLP/gRPC: ProfilesService/Export over HTTP/2, with TLS or without. The protocol of one unary call is written
// here on node:http2 and not taken from @grpc/grpc-js, which cannot do what OTLP asks of a receiver: it
// names no accepted encodings when it refuses one, reads whole messages before anybody may count their
// bytes, and answers a broken body with INTERNAL. It also costs a third more CPU per request.
//
//   request:  HEADERS, then one message: flag (1 = compressed as grpc-encoding says), 4 bytes of length, bytes
//   answer:   HEADERS, a message, trailers with grpc-status; or, without a message, all of it in one HEADERS
import {
  constants,
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { create, toBinary } from '@bufbuild/protobuf';
import type { Door } from '../lib/door/door.ts';
import { PipelineError } from '../lib/errors.ts';
import { errorFields } from '../lib/logger.ts';
import {
  ExportProfilesServiceResponseSchema,
  ProfilesService,
} from '../schemas/otlp/gen/opentelemetry/proto/collector/profiles/v1development/profiles_service_pb.ts';
import { versionHeader } from '../schemas/topics.ts';
import type { Admission } from './admit.ts';
import { readBody, tooLarge } from './body.ts';
import { type Bounds, decompress } from './decompress.ts';
import type { TransportOptions } from './http.ts';
import { describeBug } from './ingest.ts';
import {
  connectionsMax,
  controlFramesPerSecondMax,
  idleSessionMillisMax,
  requestMillisMax,
  sessionWindowBytes,
  streamsPerConnectionMax,
  streamWindowBytes,
} from './limits.ts';
import { type Listener, listenOn, stopServer } from './listen.ts';
import { grpcCodes, type Refusal, refusal, statusBytes, unauthenticated } from './refusal.ts';
import { checkVersion } from './version.ts';

const exportPath = `/${ProfilesService.typeName}/${ProfilesService.method.export.name}`;
const acceptedEncodings = 'identity,gzip';
const prefixBytes = 5;

export function createGrpcListener(options: TransportOptions): Listener {
  const sessions = new Set<ServerHttp2Session>();
  const serverOptions = {
    settings: { maxConcurrentStreams: streamsPerConnectionMax, initialWindowSize: streamWindowBytes },
    // In MB; message bytes are counted by in-flight.ts, this bounds what node:http2 keeps beside them.
    maxSessionMemory: 64,
  };
  const { tls } = options.door;
  const server = tls === null ? createServer(serverOptions) : createSecureServer({ ...serverOptions, ...tls });
  if ('setSecureContext' in server) options.door.attach(server);
  server.on('tlsClientError', () => options.metrics.connectionDropped('grpc', 'tls'));
  server.maxConnections = connectionsMax;
  server.on('drop', () => options.metrics.connectionDropped('grpc', 'too_many'));
  server.on('connection', (socket) => socket.setKeepAlive(true, 60_000));
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    // A broken connection is its sender's matter: the calls on it end by their own 'close'.
    session.on('error', () => {});
    session.setLocalWindowSize(sessionWindowBytes);
    watchSession(session, options);
    session.setTimeout(idleSessionMillisMax, () => session.close());
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream, headers) => {
    serve(stream, headers, options).catch((error: unknown) => {
      // One call must not end the process and with it the others'.
      options.logger.error('a call made the receiver fail', { ...errorFields(error), error: describeBug(error) });
      stream.destroy();
    });
  });
  return {
    listen: (address) => listenOn(server, address, { what: 'OTLP/gRPC', option: '--otlp-grpc' }),
    connections: () => sessions.size,
    stop: () =>
      stopServer(server, {
        askToEnd: () => {
          for (const session of sessions) session.close();
        },
        end: () => {
          for (const session of sessions) session.destroy();
        },
      }),
  };
}

/** Every client opens with its settings, and sends few of them and few pings later: what answers itself is for free. */
function watchSession(session: ServerHttp2Session, { metrics, headersMillis }: TransportOptions): void {
  const cut = (reason: 'silent' | 'flood'): void => {
    if (session.destroyed) return;
    metrics.connectionDropped('grpc', reason);
    session.destroy();
  };
  const silent = setTimeout(() => cut('silent'), headersMillis);
  let second = 0;
  let frames = 0;
  const onControl = (): void => {
    clearTimeout(silent);
    const now = Math.floor(performance.now() / 1000);
    frames = now === second ? frames + 1 : 1;
    second = now;
    if (frames > controlFramesPerSecondMax) cut('flood');
  };
  session.on('remoteSettings', onControl);
  session.on('ping', onControl);
  session.once('close', () => clearTimeout(silent));
}

async function serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, options: TransportOptions): Promise<void> {
  stream.on('error', () => {});
  const misrouted = routeRefusal(stream, headers, options.door);
  if (misrouted !== null) {
    options.metrics.refused('grpc', misrouted.reason, 0);
    refuse(stream, misrouted);
    return;
  }
  const slow = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), requestMillisMax);
  const hold = options.inFlight.hold();
  const outcome = await options.ingest.take({ transport: 'grpc', gone: () => stream.destroyed }, async () => {
    const version = checkVersion(headers[versionHeader]);
    const body = await readMessage(stream, headers, { bytesMax: options.messageBytesMax, hold, largeDecodes: options.largeDecodes }, options);
    clearTimeout(slow);
    return body === null ? null : { body, isJson: false, version };
  });
  clearTimeout(slow);
  hold.release();
  if (outcome === null) stream.close(constants.NGHTTP2_CANCEL);
  else if ('refused' in outcome) refuse(stream, outcome.refused);
  else accept(stream, outcome.accepted);
}

/** What is no gRPC gets an HTTP status; null = it is a call of Export. */
function routeRefusal(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, door: Door): Refusal | null {
  const type = headers['content-type'] ?? '';
  if (headers[':method'] !== 'POST' || !/^application\/grpc($|[+;])/.test(type)) {
    stream.respond(
      { ':status': 415, 'grpc-status': grpcCodes.unimplemented, 'grpc-message': 'expected POST with content-type application/grpc' },
      { endStream: true },
    );
    return refusal('content_type', 415, grpcCodes.unimplemented, '');
  }
  if (!door.admits(headers.authorization)) return unauthenticated();
  if (headers[':path'] !== exportPath)
    return refusal('path', 404, grpcCodes.unimplemented, `method ${JSON.stringify(String(headers[':path']).slice(0, 200))} is not served; ${exportPath} is`);
  return null;
}

async function readMessage(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, bounds: Bounds, options: TransportOptions): Promise<Uint8Array | null> {
  const prefix = Buffer.alloc(prefixBytes);
  const message = await readFramed(stream, bounds, prefix);
  if (message === null) return null;
  options.metrics.received('grpc', prefixBytes + message.length);
  const flag = prefix[0]!;
  if (flag === 0) return message;
  const encoding = String(headers['grpc-encoding'] ?? 'identity').toLowerCase();
  if (flag === 1 && encoding === 'gzip') return decompress(message, 'gzip', bounds);
  if (flag === 1 && encoding !== 'identity') {
    throw new PipelineError('encoding_unsupported', `grpc-encoding ${JSON.stringify(encoding.slice(0, 80))}, expected one of ${acceptedEncodings}`);
  }
  throw malformed(flag === 1 ? 'a compressed message without grpc-encoding' : `flag ${flag}`, 'a flag of 0, or 1 with grpc-encoding');
}

/** The message behind its prefix, which is filled in; refused by the announced length before the rest has come. */
async function readFramed(stream: ServerHttp2Stream, bounds: Bounds, prefix: Buffer): Promise<Buffer | null> {
  let found = 0;
  let announced = Number.POSITIVE_INFINITY;
  const message = await readBody(stream, bounds, (part, before) => {
    found = before + part.length;
    if (before < prefixBytes) part.copy(prefix, before);
    if (found < prefixBytes) return part.subarray(part.length);
    announced = prefixBytes + prefix.readUInt32BE(1);
    if (announced > prefixBytes + bounds.bytesMax) throw tooLarge(bounds.bytesMax);
    if (found > announced) throw malformed('bytes behind the message', 'one message in a call of Export');
    return part.subarray(Math.max(0, prefixBytes - before));
  });
  if (message !== null && found !== announced) throw malformed(`${found} bytes`, 'a message to the length that it announces');
  return message;
}

const malformed = (found: string, expected: string): PipelineError => new PipelineError('message_malformed', `gRPC body: found ${found}, expected ${expected}`);

const answerHeaders: OutgoingHttpHeaders = { ':status': 200, 'content-type': 'application/grpc', 'grpc-accept-encoding': acceptedEncodings };

function accept(stream: ServerHttp2Stream, admission: Admission): void {
  if (stream.destroyed) return;
  const partial =
    admission.rejectedProfiles > 0 ? { partialSuccess: { rejectedProfiles: BigInt(admission.rejectedProfiles), errorMessage: admission.message } } : {};
  const message = toBinary(ExportProfilesServiceResponseSchema, create(ExportProfilesServiceResponseSchema, partial));
  const framed = Buffer.alloc(prefixBytes + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, prefixBytes);
  stream.respond(answerHeaders, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': String(grpcCodes.ok) }));
  stream.end(framed);
}

function refuse(stream: ServerHttp2Stream, answer: Refusal): void {
  if (stream.destroyed) return;
  if (!stream.headersSent) {
    const status = {
      'grpc-status': String(answer.grpcCode),
      'grpc-message': percentEncode(answer.message),
      'grpc-status-details-bin': Buffer.from(statusBytes(answer)).toString('base64'),
    };
    stream.respond({ ...answerHeaders, ...status }, { endStream: true });
  }
  if (stream.readableEnded) return;
  // Tells a sender that still writes to stop; the answer is whole, so that is no error (RFC 9113, 8.1).
  // What has come already must be read away, or the stream never counts as closed.
  stream.resume();
  stream.close(constants.NGHTTP2_NO_ERROR);
}

/** As gRPC has it for grpc-message: printable ASCII stays, all else and % by its UTF-8 bytes. */
function percentEncode(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/g, (run) => encodeURIComponent(run));
}

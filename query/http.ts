// The HTTP edge: the page and its files, health, metrics and the API, on node:http. Everything that
// comes in is bounded; a browser that another site drives is turned away (Host, Origin, Sec-Fetch-Site).
// With tokens, all but the page's own files and health asks for one (session.ts).
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { hostOf, isLoopback, isOwnOrigin } from '../lib/door/address.ts';
import type { Door } from '../lib/door/door.ts';
import { PipelineError } from '../lib/errors.ts';
import { errorFields, type Logger } from '../lib/logger.ts';
import { prometheusContentType } from '../lib/prometheus.ts';
import { type Answer, type ApiContext, answerApi, json } from './api.ts';
import type { Gate } from './gate.ts';
import { limits } from './limits.ts';
import { closeSession, isAdmitted, openSession } from './session.ts';
import { loadWebFiles, type WebFile } from './web-files.ts';

export interface HttpOptions {
  readonly listen: ListenAddress;
  readonly door: Door;
  readonly api: ApiContext;
  readonly gate: Gate;
  /** Of users' SQL, which may take a minute each: it must not hold up the page. */
  readonly sqlGate: Gate;
  readonly metricsText: () => Promise<string>;
  readonly logger: Logger;
  /** Told of each answer, for metrics. `route` is one of a few words, never the sender's text. */
  readonly answered: (route: string, status: number, millis: number) => void;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `127.0.0.1:4040`, `[::1]:4040`, `localhost:4040`. */
export function parseListen(text: string): ListenAddress {
  const [, inBrackets, plain, digits] = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const host = inBrackets ?? plain;
  if (host === undefined || !(port <= 65_535))
    throw new PipelineError('usage', `listen address ${JSON.stringify(text)}: host:port is allowed, for example 127.0.0.1:4040 or [::1]:4040`);
  return { host, port };
}

const securityHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

export async function startHttp(options: HttpOptions): Promise<{ server: Server; url: string }> {
  const files = loadWebFiles();
  const serverOptions: ServerOptions = {
    maxHeaderSize: limits.urlCharsMax + 16 * 1024,
    requestTimeout: limits.requestMillisMax,
    headersTimeout: limits.requestMillisMax,
    connectionsCheckingInterval: 5_000,
    keepAliveTimeout: 30_000,
  };
  const { tls } = options.door;
  const answer = (request: IncomingMessage, response: ServerResponse) => void serve(options, files, request, response);
  const server = tls === null ? createServer(serverOptions, answer) : createTlsServer({ ...serverOptions, ...tls }, answer);
  if ('setSecureContext' in server) options.door.attach(server);
  server.on('tlsClientError', (_error: Error, socket: Socket) => socket.destroy());
  server.maxConnections = limits.connectionsMax;
  await listen(server, options.listen);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.listen.port;
  return { server, url: `http${tls === null ? '' : 's'}://${isIP(options.listen.host) === 6 ? `[${options.listen.host}]` : options.listen.host}:${port}` };
}

function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        reject(new PipelineError('port_in_use', `${host}:${port} is in use by another program; stop it or choose another --listen`, { cause: error }));
      else if (error.code === 'EACCES')
        reject(
          new PipelineError('rights_missing', `${host}:${port} may not be listened on by this user; choose a port above 1023 with --listen`, { cause: error }),
        );
      else
        reject(
          new PipelineError('usage', `${host}:${port} cannot be listened on (${error.code ?? error.message}); choose an address of this host with --listen`, {
            cause: error,
          }),
        );
    });
    server.listen(port, host, () => resolve());
  });
}

async function serve(options: HttpOptions, files: ReadonlyMap<string, WebFile>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const started = performance.now();
  const abort = new AbortController();
  response.on('close', () => abort.abort());
  let route = 'other';
  let answer: Answer | WebFile;
  try {
    refuseForeign(options, request);
    const url = URL.parse(request.url ?? '/', 'http://localhost');
    if (!url || (request.url?.length ?? 0) > limits.urlCharsMax)
      throw new PipelineError('usage', `the address is wrong or longer than ${limits.urlCharsMax} characters`);
    [route, answer] = await routed(options, files, url, request, abort.signal);
  } catch (error) {
    answer = errorAnswer(error, options.logger);
  }
  const status = 'status' in answer ? answer.status : 200;
  options.answered(route, status, performance.now() - started);
  if (abort.signal.aborted) return;
  send(request, response, answer);
}

async function routed(
  options: HttpOptions,
  files: ReadonlyMap<string, WebFile>,
  url: URL,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<[string, Answer | WebFile]> {
  const { pathname } = url;
  const isAllowed = isAdmitted(options.door, request, options.api.nowMillis());
  if (pathname.startsWith('/api/v1/')) return isAllowed ? api(options, url, request, signal) : ['api', unauthenticated()];
  if (pathname === '/session') return ['session', await session(options, request)];
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return ['other', { ...json(405, { error: `${request.method} is not taken here`, code: 'usage' }), headers: { allow: 'GET, HEAD' } }];
  }
  const file = files.get(pathname);
  if (file) return ['page', file];
  switch (pathname) {
    case '/healthz':
      return ['health', text(200, 'ok\n')];
    case '/readyz':
      return ['health', readiness(options.api, isAllowed)];
    case '/metrics':
      return isAllowed ? ['metrics', { status: 200, contentType: prometheusContentType, body: await options.metricsText() }] : ['metrics', unauthenticated()];
    default:
      return ['other', json(404, { error: 'nothing is here; the page is at /, the API under /api/v1/', code: 'usage' })];
  }
}

async function api(options: HttpOptions, url: URL, request: IncomingMessage, signal: AbortSignal): Promise<[string, Answer]> {
  const path = url.pathname.slice('/api/v1/'.length);
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  if (method !== 'GET' && method !== 'POST')
    return ['api', { ...json(405, { error: `${String(request.method)} is not taken here`, code: 'usage' }), headers: { allow: 'GET, POST' } }];
  const body = method === 'POST' ? await readBody(request) : '';
  const asked = { method, path, parameters: url.searchParams, contentType: request.headers['content-type'] ?? '', body, signal } as const;
  const answer = await (path === 'sql' ? options.sqlGate : options.gate).run(signal, () => answerApi(options.api, asked));
  if (answer.body.length > limits.responseBytesMax) {
    throw new PipelineError(
      'query_failed',
      `the answer has ${answer.body.length} characters, at most ${limits.responseBytesMax} are sent; ask for fewer rows or nodes`,
    );
  }
  return [answer.status === 404 ? 'other' : path, answer];
}

function unauthenticated(): Answer {
  const error = 'no valid token came with this request; send the header "authorization: Bearer TOKEN", or sign in on the page';
  return { ...json(401, { error, code: 'unauthenticated' }), headers: { 'www-authenticate': 'Bearer' } };
}

/** POST {"token": "…"} signs in, DELETE signs out. */
async function session({ door, api: { nowMillis } }: HttpOptions, request: IncomingMessage): Promise<Answer> {
  if (request.method === 'DELETE') return { ...json(200, {}), headers: { 'set-cookie': closeSession(door) } };
  if (request.method !== 'POST')
    return { ...json(405, { error: `${String(request.method)} is not taken here`, code: 'usage' }), headers: { allow: 'POST, DELETE' } };
  const cookie = openSession(door, tokenIn(await readBody(request), request.headers['content-type']), nowMillis());
  if (cookie === null) return json(401, { error: 'this is no token of this page', code: 'unauthenticated' });
  return { ...json(200, {}), headers: { 'set-cookie': cookie } };
}

/** '' where there is none. JSON only: a form of another site cannot send that. */
function tokenIn(body: string, contentType = ''): string {
  if (!/^application\/json\b/i.test(contentType)) return '';
  try {
    const { token } = JSON.parse(body) as { token?: unknown };
    return typeof token === 'string' ? token : '';
  } catch {
    return '';
  }
}

/** Who is not signed in learns which stages are ready, and not what they say of themselves. */
function readiness(context: ApiContext, isAllowed: boolean): Answer {
  const reports = context.reports();
  const lines = reports.map(
    ({ name, ready, text: words }) => `${name}: ${ready ? 'ready' : 'not ready'}${isAllowed ? `: ${words.replace(/[\u0000-\u001f]/g, ' ')}` : ''}\n`,
  );
  return text(reports.every((report) => report.ready) ? 200 : 503, lines.join(''));
}

const text = (status: number, body: string): Answer => ({ status, contentType: 'text/plain; charset=utf-8', body });

/**
 * A page of another site may make a browser ask us, under our address or (DNS rebinding) under a name
 * of its own that points at the loopback. Neither gets an answer.
 */
function refuseForeign({ listen: address, door }: HttpOptions, request: IncomingMessage): void {
  // A token does not come by itself under another name; then a proxy of this host may have asked.
  if (!door.asksToken && isLoopback(address.host) && !isLoopback(hostOf(request.headers.host ?? ''))) {
    throw new PipelineError(
      'usage',
      `the Host header names ${JSON.stringify((request.headers.host ?? '').slice(0, 100))}, but this listens on the loopback only: use localhost`,
      { context: { status: 421 } },
    );
  }
  const { origin, host = '' } = request.headers;
  const site = request.headers['sec-fetch-site'] ?? (origin === undefined || isOwnOrigin(origin, host) ? undefined : 'cross-site');
  const navigates = request.headers['sec-fetch-mode'] === 'navigate' && request.method === 'GET' && !request.url?.startsWith('/api/');
  if ((site === 'cross-site' || site === 'same-site') && !navigates) {
    throw new PipelineError('usage', 'requests made by pages of other sites are not answered', { context: { status: 403 } });
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limits.bodyBytesMax) throw new PipelineError('usage', `the body is longer than ${limits.bodyBytesMax} bytes`, { context: { status: 413 } });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function errorAnswer(error: unknown, logger: Logger): Answer {
  if (!(error instanceof PipelineError)) {
    logger.error('a question failed for a reason of our own', {
      ...errorFields(error),
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    return json(500, { error: 'this failed for a reason of our own; the log has it', code: 'internal' });
  }
  const status = errorStatus(error);
  if (status >= 500 && status !== 503) logger.warn('a question was not answered', { ...errorFields(error), error: error.message });
  const answer = json(status, { error: error.message, code: error.code });
  return status === 503 ? { ...answer, headers: { 'retry-after': '1' } } : answer;
}

function errorStatus(error: PipelineError): number {
  if (typeof error.context.status === 'number') return error.context.status;
  if (error.context.reason === 'timeout') return 504;
  if (error.code === 'usage' || error.code === 'query_failed') return 400;
  return error.code === 'overloaded' || error.code.startsWith('store_') ? 503 : 500;
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer | WebFile): void {
  const status = 'status' in answer ? answer.status : 200;
  const body = typeof answer.body === 'string' ? Buffer.from(answer.body) : answer.body;
  const own = 'headers' in answer ? answer.headers : undefined;
  response.writeHead(status, { ...securityHeaders, 'content-type': answer.contentType, 'content-length': body.length, ...own });
  response.end(request.method === 'HEAD' ? undefined : body);
  // What is left of a refused body is not read.
  if (request.method === 'POST' && !request.complete) response.once('finish', () => request.destroy());
}

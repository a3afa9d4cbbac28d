// OTLP/HTTP with protobuf bodies. What may be sent again is 429, 502, 503 and 504, and what never
// reached the endpoint; Retry-After is obeyed in both of its forms.
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { promisify } from 'node:util';
import { gzip, zstdCompress } from 'node:zlib';
import { responseBytesMax } from '../limits.ts';
import { authorizationOf, plain, readAnswer, type SendResult, signals, type Transport, type TransportOptions, turnedAway } from './transport.ts';

const retryableStatus = new Set([429, 502, 503, 504]);
/** Of the sender, not of the message. */
const credentialStatus = new Set([401, 403]);
const compress = { gzip: promisify(gzip), zstd: promisify(zstdCompress) };

/** `endpoint` is the whole URL. */
export function openHttp(options: TransportOptions): Transport {
  const url = new URL(options.endpoint);
  const isTls = url.protocol === 'https:';
  const { ca, certificate, key } = options.tls;
  const agent = isTls
    ? new HttpsAgent({ keepAlive: true, maxSockets: 1, ...(ca && { ca }), ...(certificate && { cert: certificate }), ...(key && { key }) })
    : new HttpAgent({ keepAlive: true, maxSockets: 1 });
  const headers: Record<string, string> = {
    'user-agent': options.userAgent,
    ...options.headers,
    'content-type': 'application/x-protobuf',
    ...signals[options.signal ?? 'profiles'].headers,
  };
  if (options.compression !== 'none') headers['content-encoding'] = options.compression;
  return {
    endpoint: `${url.origin}${url.pathname}`,
    async send(body, signal) {
      const authorization = authorizationOf(options);
      if ('missing' in authorization) return authorization.missing;
      const sent = options.compression === 'none' ? body : await compress[options.compression](body);
      const limited = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMillis)]);
      return new Promise<SendResult>((resolve) => {
        const failed = (error: Error) =>
          resolve({ kind: 'retry', afterMillis: null, message: plain(limited.aborted ? `no answer within ${options.timeoutMillis} ms` : error.message) });
        const request = (isTls ? httpsRequest : httpRequest)(
          url,
          { method: 'POST', agent, signal: limited, headers: { ...headers, ...authorization.headers, 'content-length': sent.length } },
          (response) => {
            readBody(response).then((answer) => resolve(resultOf(response, answer, options)), failed);
          },
        );
        request.on('error', failed);
        request.end(sent);
      });
    },
    close: () => agent.destroy(),
  };
}

async function readBody(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > responseBytesMax) {
      response.destroy();
      throw new Error(`an answer of more than ${responseBytesMax} bytes`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts, length);
}

function resultOf(response: IncomingMessage, body: Buffer, options: TransportOptions): SendResult {
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return readAnswer(body);
  const message = `HTTP ${status}${body.length === 0 ? '' : `: ${plain(body.toString('utf8'))}`}`;
  if (credentialStatus.has(status)) return turnedAway(message, options);
  if (!retryableStatus.has(status)) return { kind: 'refused', message };
  return { kind: 'retry', afterMillis: parseRetryAfter(response.headers['retry-after'], Date.now()), message };
}

/** Seconds, or an HTTP date. */
export function parseRetryAfter(value: string | undefined, nowMillis: number): number | null {
  if (value === undefined) return null;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMillis);
}

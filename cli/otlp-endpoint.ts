// OpenTelemetry's rules for where a signal goes, for all signals that we send. Pure.
import type { EndpointOptions } from '../agent/send/open.ts';
import { PipelineError } from '../lib/errors.ts';

export interface SignalRules {
  /** Appended to a base URL over HTTP. */
  readonly path: string;
  /** The variable that holds the whole URL; all other places hold a base. */
  readonly wholeUrlVariable: string;
  /** What the options are called, for error lines. */
  readonly names: { readonly endpoint: string; readonly protocol: string; readonly compression: string; readonly certificate: string; readonly key: string };
}

export interface AskedEndpoint {
  readonly endpoint: string | undefined;
  readonly protocol: 'grpc' | 'http/protobuf' | undefined;
  readonly compression: EndpointOptions['compression'];
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly timeoutMillis: number;
  readonly certificateFile: string | undefined;
  readonly clientCertificateFile: string | undefined;
  readonly clientKeyFile: string | undefined;
  /** Where each was given: a flag, a variable, a line. */
  readonly places: Readonly<Partial<Record<'endpoint' | 'compression' | 'clientCertificate' | 'clientKey', string>>>;
}

const grpcPort = 4317;
const httpPort = 4318;

export function endpointOptions(asked: AskedEndpoint, rules: SignalRules): EndpointOptions {
  const { names } = rules;
  const protocol = asked.protocol ?? protocolOf(asked.endpoint);
  const endpoint = protocol === 'grpc' ? grpcEndpoint(asked, rules) : httpEndpoint(asked, rules);
  if (protocol === 'grpc' && asked.compression === 'zstd') {
    const message = `${names.compression} is zstd, which OTLP over gRPC does not have; gzip or none is allowed, or ${names.protocol} http/protobuf`;
    throw refused(asked.places.compression, message);
  }
  if ((asked.clientCertificateFile === undefined) !== (asked.clientKeyFile === undefined)) {
    const [place, missing] =
      asked.clientKeyFile === undefined ? ([asked.places.clientCertificate, names.key] as const) : ([asked.places.clientKey, names.certificate] as const);
    throw refused(place, `${missing} is missing; ${names.certificate} and ${names.key} go together`);
  }
  return {
    endpoint,
    protocol,
    compression: asked.compression,
    headers: asked.headers ?? {},
    timeoutMillis: asked.timeoutMillis,
    certificateFile: asked.certificateFile,
    clientCertificateFile: asked.clientCertificateFile,
    clientKeyFile: asked.clientKeyFile,
  };
}

function protocolOf(endpoint: string | undefined): 'grpc' | 'http/protobuf' {
  if (endpoint === undefined) return 'grpc';
  const { port, pathname } = new URL(endpoint);
  return port === String(httpPort) || pathname !== '/' ? 'http/protobuf' : 'grpc';
}

function grpcEndpoint({ endpoint, places }: AskedEndpoint, { names }: SignalRules): string {
  if (endpoint === undefined) return `http://localhost:${grpcPort}`;
  if (new URL(endpoint).pathname !== '/') {
    throw refused(
      places.endpoint,
      `${names.endpoint} is ${JSON.stringify(endpoint)}, but OTLP over gRPC has no path; leave it out, or choose ${names.protocol} http/protobuf`,
    );
  }
  return endpoint;
}

function httpEndpoint({ endpoint, places }: AskedEndpoint, { path, wholeUrlVariable }: SignalRules): string {
  if (endpoint === undefined) return `http://localhost:${httpPort}${path}`;
  if (places.endpoint === wholeUrlVariable || endpoint.endsWith(path)) return endpoint;
  return `${endpoint.replace(/\/+$/, '')}${path}`;
}

export function refused(place: string | undefined, message: string): PipelineError {
  return new PipelineError('config_invalid', place === undefined ? message : `${place}: ${message}`);
}

// From the options of `flamelake agent` to what the agent stage takes: OpenTelemetry's rules for
// endpoints, and what of the options does not go together. Pure.

import type { AgentOptions } from '../agent/main.ts';
import { PipelineError } from '../lib/errors.ts';
import type { OptionName, OptionValues } from './option-table.ts';

const signalPath = '/v1development/profiles';
const grpcPort = 4317;
const httpPort = 4318;
/** A batch every five seconds keeps samples fresh (15 s to SQL) and its dictionary worth its bytes. */
export const batchMillis = 5000;

export function agentOptions(values: OptionValues, given: ReadonlyMap<OptionName, string>, version: string): AgentOptions {
  const protocol = values.protocol ?? protocolOf(values.endpoint);
  const endpoint = protocol === 'grpc' ? grpcEndpoint(values.endpoint, given) : httpEndpoint(values.endpoint, given);
  if (protocol === 'grpc' && values.compression === 'zstd') {
    throw refused(given.get('compression'), 'compression is zstd, which OTLP over gRPC does not have; gzip or none is allowed, or protocol http/protobuf');
  }
  if ((values.clientCertificate === undefined) !== (values.clientKey === undefined)) {
    const [there, missing] = values.clientKey === undefined ? (['clientCertificate', 'client-key'] as const) : (['clientKey', 'client-certificate'] as const);
    throw refused(given.get(there), `${missing} is missing; client-certificate and client-key go together`);
  }
  return {
    endpoint,
    protocol,
    compression: values.compression,
    headers: values.headers ?? {},
    timeoutMillis: values.timeout,
    certificateFile: values.certificate,
    clientCertificateFile: values.clientCertificate,
    clientKeyFile: values.clientKey,
    rateHz: values.rate,
    batchMillis,
    resourceAttributes: values.resourceAttributes ?? {},
    version,
  };
}

function protocolOf(endpoint: string | undefined): 'grpc' | 'http/protobuf' {
  if (endpoint === undefined) return 'grpc';
  const { port, pathname } = new URL(endpoint);
  return port === String(httpPort) || pathname !== '/' ? 'http/protobuf' : 'grpc';
}

function grpcEndpoint(endpoint: string | undefined, given: ReadonlyMap<OptionName, string>): string {
  if (endpoint === undefined) return `http://localhost:${grpcPort}`;
  if (new URL(endpoint).pathname !== '/') {
    throw refused(
      given.get('endpoint'),
      `endpoint is ${JSON.stringify(endpoint)}, but OTLP over gRPC has no path; leave it out, or choose protocol http/protobuf`,
    );
  }
  return endpoint;
}

/** The variable for profiles holds the whole URL; all others a base, that the signal's path is appended to. */
function httpEndpoint(endpoint: string | undefined, given: ReadonlyMap<OptionName, string>): string {
  if (endpoint === undefined) return `http://localhost:${httpPort}${signalPath}`;
  if (given.get('endpoint') === 'OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT' || endpoint.endsWith(signalPath)) return endpoint;
  return `${endpoint.replace(/\/+$/, '')}${signalPath}`;
}

function refused(place: string | undefined, message: string): PipelineError {
  return new PipelineError('config_invalid', place === undefined ? message : `${place}: ${message}`);
}

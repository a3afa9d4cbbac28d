import { describe, expect, test } from 'vitest';
import { agentOptions } from './agent-options.ts';
import { parseCommand } from './options.ts';

async function options(args: string[], env: Record<string, string> = {}) {
  const { values, given } = await parseCommand('agent', args, env);
  return agentOptions(values, given, '1.2.3');
}

describe('where profiles go', () => {
  test.each([
    [[], {}, 'grpc', 'http://localhost:4317'],
    [['--protocol', 'http/protobuf'], {}, 'http/protobuf', 'http://localhost:4318/v1development/profiles'],
    [['--endpoint', 'https://c:4317'], {}, 'grpc', 'https://c:4317'],
    [['--endpoint', 'https://c'], {}, 'grpc', 'https://c'],
    [['--endpoint', 'http://c:4318'], {}, 'http/protobuf', 'http://c:4318/v1development/profiles'],
    [['--endpoint', 'http://c:4318/'], {}, 'http/protobuf', 'http://c:4318/v1development/profiles'],
    [['--endpoint', 'https://c/otlp'], {}, 'http/protobuf', 'https://c/otlp/v1development/profiles'],
    [['--endpoint', 'https://c/x/v1development/profiles'], {}, 'http/protobuf', 'https://c/x/v1development/profiles'],
    [['--endpoint', 'http://c:4318', '--protocol', 'grpc'], {}, 'grpc', 'http://c:4318'],
    [[], { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, 'http/protobuf', 'http://c:4318/v1development/profiles'],
    [[], { OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT: 'http://c:4318/other' }, 'http/protobuf', 'http://c:4318/other'],
    [['--protocol', 'http/protobuf'], { OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT: 'http://c/' }, 'http/protobuf', 'http://c/'],
  ] as const)('%j %j', async (args, env, protocol, endpoint) => {
    expect(await options([...args], env as Record<string, string>)).toMatchObject({ protocol, endpoint });
  });
});

test("all of OpenTelemetry's variables arrive", async () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c:4317',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    OTEL_EXPORTER_OTLP_HEADERS: 'a=1',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'zstd',
    OTEL_EXPORTER_OTLP_TIMEOUT: '3000',
    OTEL_EXPORTER_OTLP_CERTIFICATE: '/ca.pem',
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: '/c.pem',
    OTEL_EXPORTER_OTLP_PROFILES_CLIENT_KEY: '/k.pem',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=prod',
  };
  expect(await options(['--rate', '50'], env)).toEqual({
    endpoint: 'https://c:4317/v1development/profiles',
    protocol: 'http/protobuf',
    compression: 'zstd',
    headers: { a: '1' },
    timeoutMillis: 3000,
    certificateFile: '/ca.pem',
    clientCertificateFile: '/c.pem',
    clientKeyFile: '/k.pem',
    rateHz: 50,
    batchMillis: 5000,
    resourceAttributes: { 'deployment.environment.name': 'prod' },
    version: '1.2.3',
  });
});

test.each([
  [['--compression', 'zstd'], '--compression: compression is zstd, which OTLP over gRPC does not have; gzip or none is allowed, or protocol http/protobuf'],
  [['--client-key', 'k'], '--client-key: client-certificate is missing; client-certificate and client-key go together'],
  [['--client-certificate', 'k'], '--client-certificate: client-key is missing; client-certificate and client-key go together'],
  [
    ['--protocol', 'grpc', '--endpoint', 'http://c/x'],
    '--endpoint: endpoint is "http://c/x", but OTLP over gRPC has no path; leave it out, or choose protocol http/protobuf',
  ],
])('%j does not go together', async (args, message) => {
  await expect(options(args)).rejects.toThrow(message);
});

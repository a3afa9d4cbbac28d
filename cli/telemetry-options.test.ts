import { describe, expect, test } from 'vitest';
import { agentOptions } from './agent-options.ts';
import { parseCommand } from './options.ts';
import { telemetryOptions } from './telemetry-options.ts';

const own = ['127.0.0.1:4317', '0.0.0.0:4318', '127.0.0.1:4040'];

async function asked(command: 'up' | 'agent', env: Record<string, string>, args: string[] = []) {
  const { values, given } = await parseCommand(command, args, env);
  return telemetryOptions(values, given, { name: command, ownAddresses: command === 'up' ? own : [] });
}

const general = 'OTEL_EXPORTER_OTLP_ENDPOINT';
const forMetrics = 'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT';
const exporter = 'OTEL_METRICS_EXPORTER';

describe('metrics are pushed where somebody asked for it, and nowhere else', () => {
  test.each([
    ['up', {}, null],
    ['agent', {}, null],
    ['up', { [general]: 'http://c:4317' }, 'http://c:4317'],
    ['agent', { [general]: 'http://c:4317' }, null],
    ['agent', { [general]: 'http://c:4317', [exporter]: 'otlp' }, 'http://c:4317'],
    ['agent', { [general]: 'http://c:4317', [forMetrics]: 'http://m:4318/own' }, 'http://m:4318/own'],
    ['up', { [general]: 'http://c:4318' }, 'http://c:4318/v1/metrics'],
    ['up', { [forMetrics]: 'http://c:4318/own' }, 'http://c:4318/own'],
    ['up', { [forMetrics]: 'http://m:4317', [general]: 'http://c:4317' }, 'http://m:4317'],
    ['up', { [forMetrics]: 'http://m:4317', [exporter]: 'none' }, null],
    ['up', { [general]: 'http://c:4317', [exporter]: 'prometheus' }, null],
    ['up', { [general]: 'http://c:4317', [exporter]: 'otlp', OTEL_SDK_DISABLED: 'True' }, null],
    ['up', { [general]: 'http://c:4317', OTEL_SDK_DISABLED: '1' }, 'http://c:4317'],
    ['up', { [general]: 'http://c:4317', OTEL_SDK_DISABLED: '' }, 'http://c:4317'],
    ['agent', { [exporter]: 'otlp' }, 'http://localhost:4317'],
    // Meant for those who send profiles to us.
    ['up', { [general]: 'http://localhost:4317' }, null],
    ['up', { [general]: 'http://[::1]:4318' }, null],
    ['up', { [general]: 'http://elsewhere:4317' }, 'http://elsewhere:4317'],
  ] as const)('%s %j', async (command, env, endpoint) => {
    expect((await asked(command, env))?.endpoint ?? null).toBe(endpoint);
  });

  test('to the command itself is refused where it was asked for by name', async () => {
    await expect(asked('up', { [exporter]: 'otlp' })).rejects.toThrow(
      'OTEL_METRICS_EXPORTER: metrics would go to http://localhost:4317, where this command itself receives profiles',
    );
    await expect(asked('up', {}, ['--metrics-endpoint', 'http://127.0.0.1:4318'])).rejects.toThrow('--metrics-endpoint: metrics would go to');
  });
});

test("headers of profiles are not the metrics', those for all signals are; all else arrives", async () => {
  const env = { [general]: 'https://c:4318', OTEL_EXPORTER_OTLP_HEADERS: 'key=all', OTEL_METRIC_EXPORT_INTERVAL: '5000', OTEL_RESOURCE_ATTRIBUTES: 'a=b' };
  expect(await asked('agent', { ...env, OTEL_EXPORTER_OTLP_PROFILES_HEADERS: 'key=profiles', [exporter]: 'otlp' }, ['--headers', 'key=flag'])).toEqual({
    endpoint: 'https://c:4318/v1/metrics',
    protocol: 'http/protobuf',
    compression: 'gzip',
    headers: { key: 'all' },
    timeoutMillis: 10_000,
    certificateFile: undefined,
    clientCertificateFile: undefined,
    clientKeyFile: undefined,
    intervalMillis: 5_000,
    resourceAttributes: { a: 'b' },
    temporality: 'cumulative',
  });
});

test('the service name of its own variable goes before that among the attributes, and is not that of profiles', async () => {
  const env = { [forMetrics]: 'http://m:4317', OTEL_RESOURCE_ATTRIBUTES: 'service.name=other,a=b' };
  expect((await asked('up', env))!.resourceAttributes).toEqual({ 'service.name': 'other', a: 'b' });
  const named = { ...env, OTEL_SERVICE_NAME: 'profiling' };
  expect((await asked('up', named))!.resourceAttributes).toEqual({ 'service.name': 'profiling', a: 'b' });
  const { values, given } = await parseCommand('agent', [], named);
  expect(agentOptions(values, given, '1').resourceAttributes).toEqual({ 'service.name': 'other', a: 'b' });
});

test('each of the variables for metrics goes before the one for all signals', async () => {
  const all = { HEADERS: 'k=all', COMPRESSION: 'none', TIMEOUT: '1000', CERTIFICATE: '/all.pem', CLIENT_CERTIFICATE: '/all-c.pem', CLIENT_KEY: '/all-k.pem' };
  const own = { HEADERS: 'k=own', COMPRESSION: 'zstd', TIMEOUT: '2000', CERTIFICATE: '/own.pem', CLIENT_CERTIFICATE: '/own-c.pem', CLIENT_KEY: '/own-k.pem' };
  const named = (prefix: string, of: Record<string, string>) => Object.fromEntries(Object.entries(of).map(([name, value]) => [prefix + name, value]));
  const env = { [general]: 'http://c:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', ...named('OTEL_EXPORTER_OTLP_', all) };
  expect(await asked('up', env)).toMatchObject({
    endpoint: 'http://c:4317',
    protocol: 'grpc',
    headers: { k: 'all' },
    compression: 'none',
    timeoutMillis: 1000,
    certificateFile: '/all.pem',
    clientCertificateFile: '/all-c.pem',
    clientKeyFile: '/all-k.pem',
  });
  const before = {
    ...named('OTEL_EXPORTER_OTLP_METRICS_', { ...own, PROTOCOL: 'http/protobuf', TEMPORALITY_PREFERENCE: 'Delta' }),
    [forMetrics]: 'http://m:1/x',
  };
  expect(await asked('up', { ...env, ...before })).toMatchObject({
    endpoint: 'http://m:1/x',
    protocol: 'http/protobuf',
    headers: { k: 'own' },
    compression: 'zstd',
    timeoutMillis: 2000,
    certificateFile: '/own.pem',
    clientCertificateFile: '/own-c.pem',
    clientKeyFile: '/own-k.pem',
    temporality: 'delta',
  });
});

test('zstd over gRPC is refused under the name of its own option', async () => {
  await expect(asked('up', { [general]: 'http://c:4317', OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: 'zstd' })).rejects.toThrow(
    'OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: metrics-compression is zstd, which OTLP over gRPC does not have',
  );
});

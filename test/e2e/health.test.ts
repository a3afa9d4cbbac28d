// What a running `flamelake up` says of itself: /metrics against docs/metrics.md, OTLP metrics read by
// the classes of the OpenTelemetry project, and its log.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metricGroups } from '../../cli/metrics-page.ts';
import { prometheusName } from '../../lib/prometheus.ts';
import { type MetricsResource, readMetrics } from '../engines/metrics.ts';
import { findPython } from '../engines/python.ts';
import { countedLoad } from '../otlp/messages.ts';
import { freePorts, isRoot, killStarted, launcher, runCommand, startCommand, startUp, temporaryFolder, type Up } from './flamelake.ts';
import { createSender } from './send.ts';
import { httpSink, type Sink } from './sink.ts';
import { until } from './until.ts';

const python = findPython();
const folder = temporaryFolder('health');
const messages = [...countedLoad({ seed: 3, nowMillis: Date.now() }, 4)];
const samples = messages.flatMap(({ model }) => model.resources.flatMap(({ profiles }) => profiles.flatMap((profile) => profile.samples))).length;
const secret = 'c0ffee-secret-of-a-header';
const waitMillis = 60_000;

let up: Up;
let sink: Sink;
/** Agents of their own, started meanwhile: one whose metrics go nowhere, one that pushes them. */
let agents: { profiles: Sink; metrics: Sink; alone: ReturnType<typeof startCommand>; pushing: ReturnType<typeof startCommand> };
let text = '';

/** Names on /metrics and the values of their series. */
const families = () => [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!);
const seriesValue = (series: string) => Number(new RegExp(`^${series.replaceAll(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);

beforeAll(async () => {
  sink = await httpSink('metrics');
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    OTEL_EXPORTER_OTLP_HEADERS: `x-api-key=${secret}`,
    OTEL_METRIC_EXPORT_INTERVAL: '1000',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  };
  const flags = ['--log-format', 'json', '--log-level', 'debug', ...(isRoot ? [] : ['--no-agent'])];
  up = startUp({ dataDir: folder.path, flags, env }, await freePorts());
  if (isRoot) agents = await startAgents();
  await up.waitReady();
  const sender = createSender(up);
  for (const message of messages) await sender.send(message, 'http');
  sender.close();
  const authorization = `Bearer ${secret}`;
  for (const body of ['not protobuf', '\u0000'.repeat(100)]) {
    const headers = { authorization, 'content-type': 'application/x-protobuf' };
    expect((await fetch(`${up.otlpHttp}/v1development/profiles`, { method: 'POST', headers, body })).status).toBe(400);
  }
  await fetch(`${up.http}/api/v1/sql`, { method: 'POST', headers: { authorization }, body: 'SELEKT' });
  await until('all rows counted', waitMillis, async () => {
    text = await (await fetch(`${up.http}/metrics`)).text();
    const isTaken =
      seriesValue('flamelake_exporter_rows_total{stage="exporter",shard="0"}') > 0 &&
      seriesValue('flamelake_exporter_lag_records{stage="exporter",shard="0"}') === 0;
    return isTaken && seriesValue('flamelake_data_size_bytes{stage="up",part="log"}') > 0 && seriesValue('flamelake_up_ready{stage="up",name="agent"}') === 1;
  });
});

afterAll(async () => {
  await sink.close();
  await killStarted();
  folder.remove();
});

describe('/metrics and docs/metrics.md', () => {
  const documented = metricGroups
    .filter(({ title }) => isRoot || title !== 'Agent')
    .flatMap(({ table }) => Object.entries(table).map(([name, { unit, kind }]) => prometheusName({ name, unit, kind })));

  test('name the same metrics: none is there without its meaning, none is documented and gone', () => {
    expect(families().sort()).toEqual([...documented].sort());
  });

  test('agree with what was sent', () => {
    expect(seriesValue('flamelake_receiver_accepted_profile_samples_total{stage="receiver",transport="http"}')).toBe(samples);
    expect(seriesValue('flamelake_receiver_requests_total{stage="receiver",outcome="accepted",transport="http"}')).toBe(messages.length);
    expect(seriesValue('flamelake_receiver_refused_requests_total{stage="receiver",reason="malformed",transport="http"}')).toBe(2);
    // Of losses there are none, and that is said: an alert sees the first one only where there was a 0 before.
    expect(seriesValue('flamelake_exporter_lost_total{stage="exporter",reason="source_gap",shard="0"}')).toBe(0);
    expect(seriesValue('flamelake_processor_dead_letters_total{stage="processor",reason="message_malformed"}')).toBe(0);
    expect(seriesValue('flamelake_receiver_log_size_bytes{stage="receiver"}')).toBeGreaterThan(0);
    expect(seriesValue('flamelake_data_free_bytes{stage="up"}')).toBeGreaterThan(0);
    for (const stage of ['receiver', 'processor', 'exporter', 'query', 'up']) {
      expect(seriesValue(`process_memory_usage_bytes{stage="${stage}"}`), stage).toBeGreaterThan(0);
      expect(seriesValue(`nodejs_eventloop_delay_max_seconds{stage="${stage}"}`), stage).toBeGreaterThanOrEqual(0);
    }
  });
});

test.skipIf(python === null)('the same metrics are pushed as OTLP, one resource for each process', async () => {
  const accepted = 'flamelake.receiver.accepted_profile_samples';
  const read = await until('a push that has all samples', waitMillis, () => {
    const last = sink.received.at(-1);
    if (last === undefined) return null;
    expect(last.headers['x-api-key']).toBe(secret);
    const [resources] = readMetrics(python!, [last.body]) as [MetricsResource[]];
    const points = resources.flatMap(({ metrics }) => metrics[accepted]?.points ?? []);
    return points.some(({ attributes, value }) => attributes.transport === 'http' && value === samples) ? resources : null;
  });
  const stages = ['up', 'receiver', 'processor', 'exporter', 'query', ...(isRoot ? ['agent'] : [])];
  expect(read.map(({ attributes }) => attributes['flamelake.stage']).sort()).toEqual([...stages].sort());
  expect(new Set(read.map(({ attributes }) => attributes['service.instance.id'])).size).toBe(stages.length);
  for (const { attributes } of read) expect(attributes).toMatchObject({ 'service.name': 'flamelake', 'deployment.environment.name': 'test' });
  const table = Object.fromEntries(metricGroups.flatMap((group) => Object.entries(group.table)));
  const kinds = { counter: 'sum', up_down_counter: 'sum', gauge: 'gauge', histogram: 'histogram' };
  for (const [name, metric] of read.flatMap(({ metrics }) => Object.entries(metrics))) {
    const spec = table[name]!;
    expect(metric, name).toMatchObject({ unit: spec.unit, description: spec.description, kind: kinds[spec.kind] });
    if (spec.kind === 'counter') expect(metric, name).toMatchObject({ temporality: 'cumulative', monotonic: true });
  }
});

test('with --log-format json each line is one object, the start among them, and no secret is in any', async () => {
  await up.stop();
  const lines = up.output().trimEnd().split('\n');
  const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const entry of entries)
    expect(entry).toMatchObject({ time: expect.stringMatching(/^\d{4}-.*Z$/), name: expect.any(String), message: expect.any(String) });
  expect(new Set(entries.map(({ level }) => level))).toContain('debug');
  expect(entries.filter(({ message }) => message === 'started')).toEqual([
    expect.objectContaining({
      name: 'up',
      level: 'info',
      data: folder.path,
      receiver: expect.stringContaining('OTLP/gRPC on'),
      page: expect.stringContaining('http'),
    }),
  ]);
  expect(up.output()).not.toContain(secret);
  expect(text).not.toContain(secret);
});

describe('levels and last lines', () => {
  test('an option that is wrong ends in one JSON line with its code, wherever the format was asked for', async () => {
    const wrong = { level: 'error', 'error.type': 'usage', message: expect.stringContaining('--rate is "0"') };
    for (const [args, env] of [
      [['--log-format', 'json'], {}],
      [['--log-format=json'], {}],
      [[], { FLAMELAKE_LOG_FORMAT: 'json' }],
    ] as const) {
      const { code, stdout, stderr } = await runCommand(['up', '--rate', '0', ...args], { env });
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(JSON.parse(stderr)).toMatchObject(wrong);
    }
    const { stderr } = await runCommand(['agent', '--endpoint', 'http://c/x', '--protocol', 'grpc', '--log-format', 'json', '--headers', `k=${secret}`]);
    expect(JSON.parse(stderr)).toMatchObject({ level: 'error', 'error.type': 'config_invalid' });
    expect(stderr).not.toContain(secret);
  });

  test('at level error a start that goes well, and an end, say nothing', async () => {
    // The directory of the first, which has ended: its rows are taken up again without a word.
    const second = startUp({ dataDir: folder.path, flags: ['--no-agent', '--log-format', 'json', '--log-level', 'error'] }, await freePorts());
    await second.waitReady();
    await second.stop();
    expect(second.output()).toBe('');
  });
});

test.skipIf(!isRoot || python === null)('flamelake agent pushes its metrics where they were asked for, and its profiles where those go', async () => {
  const { profiles, metrics, alone, pushing } = agents;
  await until('metrics and profiles of both', waitMillis, () => metrics.received.length > 0 && profiles.received.length > 1);
  for (const { child, exited } of [alone, pushing]) {
    child.kill('SIGTERM');
    await until('its end', waitMillis, exited);
  }
  // Metrics at the place of profiles would have been answered 404, and that told in its log.
  expect(alone.output()).not.toContain('metrics');
  const [[resource]] = readMetrics(python!, [metrics.received.at(-1)!.body]) as [MetricsResource[]];
  expect(resource!.attributes['flamelake.stage']).toBe('agent');
  expect(resource!.metrics['flamelake.agent.samples']!.points[0]!.value).toBeGreaterThan(0);
  await profiles.close();
  await metrics.close();
});

async function startAgents(): Promise<typeof agents> {
  const [profiles, metrics] = [await httpSink('profiles'), await httpSink('metrics')];
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: profiles.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf', OTEL_METRIC_EXPORT_INTERVAL: '1000' };
  return {
    profiles,
    metrics,
    alone: startCommand(launcher, ['agent'], { env }),
    pushing: startCommand(launcher, ['agent'], { env: { ...env, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${metrics.url}/v1/metrics` } }),
  };
}

// flamelake agent: the agent alone, in this process, sending to any OTLP endpoint.
import { hostname } from 'node:os';
import { startAgent } from '../agent/main.ts';
import { createMetricRegistry } from '../lib/metrics.ts';
import { observeRuntime } from '../lib/runtime-metrics.ts';
import { agentOptions } from './agent-options.ts';
import { type RunCommand, stderrLogger } from './command.ts';
import { logAllThatIsSaid } from './process-log.ts';
import { listenForStop } from './stop-signals.ts';
import { startTelemetry } from './telemetry.ts';
import { telemetryOptions } from './telemetry-options.ts';
import { readVersion } from './version.ts';

/** For an endpoint that is there; one that is not must not hold up the end. */
const lastPushMillisMax = 2_000;

export const run: RunCommand = async ({ values, given }) => {
  const signals = listenForStop();
  const logger = stderrLogger('agent', values);
  logAllThatIsSaid(logger, values.logFormat);
  const version = readVersion();
  const options = agentOptions(values, given, version);
  const pushed = telemetryOptions(values, given, { name: 'agent', ownAddresses: [] });
  const { meter, collect } = createMetricRegistry((error) => logger.warn(`a metric could not be read: ${String(error)}`));
  observeRuntime(meter);
  const startMillis = Date.now();
  const stage = await startAgent(options, { logger, meter });
  logger.info(stage.status().text);
  const collectOwn = async () => [{ name: 'agent', startMillis, metrics: await collect() }];
  const telemetry = await startTelemetry(pushed, { version, hostName: hostname(), logger, meter, collect: collectOwn });
  await signals.asked;
  await stage.stop();
  await telemetry.stop(lastPushMillisMax);
  return 0;
};

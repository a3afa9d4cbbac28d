// flamelake agent: the agent alone, in this process, sending to any OTLP endpoint.
import { startAgent } from '../agent/main.ts';
import { createMetricRegistry } from '../lib/metrics.ts';
import { observeRuntime } from '../lib/runtime-metrics.ts';
import { agentOptions } from './agent-options.ts';
import { type RunCommand, stderrLogger } from './command.ts';
import { listenForStop } from './stop-signals.ts';
import { readVersion } from './version.ts';

export const run: RunCommand = async ({ values, given }) => {
  const signals = listenForStop();
  const logger = stderrLogger('agent', values);
  const options = agentOptions(values, given, readVersion());
  const { meter } = createMetricRegistry((error) => logger.warn(`a metric could not be read: ${String(error)}`));
  observeRuntime(meter);
  const stage = await startAgent(options, { logger, meter });
  logger.info(stage.status().text);
  await signals.asked;
  await stage.stop();
  return 0;
};

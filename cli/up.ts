// flamelake up: all stages on one directory, each in a process of its own. Holds the data directory,
// starts the stages, says where to look, and stops them in the order of the way of a sample.
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DataLock, lockDataDirectory } from '../lib/data-lock.ts';
import { isPipelineError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { createMetricRegistry, type MetricRegistry } from '../lib/metrics.ts';
import { observeRuntime } from '../lib/runtime-metrics.ts';
import { settingsKey } from '../schemas/lake/paths.ts';
import { parseLakeSettings } from '../schemas/lake/settings.ts';
import { type RunCommand, stderrLogger } from './command.ts';
import { watchData } from './data-size.ts';
import { checkDoors } from './door-options.ts';
import type { OptionValues } from './option-table.ts';
import { logAllThatIsSaid } from './process-log.ts';
import { StageChild } from './stage-child.ts';
import { type StageName, type StageReport, stageNames, stopOrder } from './stage-messages.ts';
import { stageOptions } from './stage-options.ts';
import { listenForStop, type StopSignals } from './stop-signals.ts';
import { type ProcessMetrics, startTelemetry } from './telemetry.ts';
import { telemetryOptions } from './telemetry-options.ts';
import { observeUp } from './up-metrics.ts';
import { readVersion } from './version.ts';

/** What a stage may take to flush, generously: a row group, an fsync on a slow disk, a send that is answered late. */
const stopMillisMax: Record<StageName, number> = { agent: 8000, receiver: 10_000, processor: 10_000, exporter: 20_000, query: 5000 };

/** For the lines at the start alone; /readyz goes on looking. */
const readyMillisMax = 10_000;
const readyCheckMillis = 50;
/** For an endpoint that is there; one that is not must not hold up the end. */
const lastPushMillisMax = 2_000;

export const run: RunCommand = async ({ values, given }) => {
  checkDoors(values);
  const pushed = telemetryOptions(values, given, { name: 'up', ownAddresses: [values.otlpGrpc, values.otlpHttp, values.listen] });
  const signals = listenForStop();
  // A terminal that has gone away is no reason to stop profiling.
  process.stdout.removeAllListeners('error').on('error', () => {});
  process.stderr.removeAllListeners('error').on('error', () => {});
  const dir = path.resolve(values.data);
  refuseForeignLake(dir);
  const lock = await lockDataDirectory(dir);
  const logger = stderrLogger('up', values);
  logAllThatIsSaid(logger, values.logFormat);
  const stages = createStages(values, dir, logger);
  const telemetry = await startTelemetry(pushed, {
    version: readVersion(),
    hostName: hostname(),
    logger,
    meter: stages.registry.meter,
    collect: () => collectAll(stages),
  });
  const failed = await Promise.race([
    signals.asked,
    startAll(stages, values, dir, signals).then(
      () => null,
      (error: Error) => error,
    ),
  ]);
  if (failed === null) await signals.asked;
  // The stages end meanwhile; what they count in their last moments is in no push.
  const pushedLast = telemetry.stop(lastPushMillisMax);
  const clean = await stopAll(stages, lock);
  await pushedLast;
  if (failed instanceof Error) throw failed;
  return clean ? 0 : 1;
};

/** Before anything is written: a stage that takes messages must not run beside one that will not touch the lake. */
function refuseForeignLake(dir: string): void {
  const file = path.join(dir, settingsKey);
  if (existsSync(file)) parseLakeSettings(readFileSync(file), dir);
}

interface Stages {
  readonly children: ReadonlyMap<StageName, StageChild>;
  /** Metrics of this process. */
  readonly registry: MetricRegistry;
  /** Why there is no agent, where there is none. */
  agentOff: string | null;
}

function createStages(values: OptionValues, dir: string, logger: Logger): Stages {
  const children = new Map<StageName, StageChild>();
  const registry = createMetricRegistry((error) => logger.warn(`a metric could not be read: ${String(error)}`));
  observeRuntime(registry.meter);
  const stages: Stages = { children, registry, agentOff: values.noAgent ? 'off, as asked by no-agent' : null };
  const restartsOf = (name: StageName) => children.get(name)?.restarts ?? 0;
  observeUp(registry.meter, {
    data: watchData(dir),
    stages: () => stopOrder.map((name) => ({ name, ready: reportOf(stages, name).ready, restarts: restartsOf(name) })),
  });
  const tellQuery = () => children.get('query')?.send({ kind: 'reports', reports: reportsOf(stages) });
  for (const name of stageNames) {
    if (name === 'agent' && values.noAgent) continue;
    children.set(
      name,
      new StageChild({
        name,
        options: () => stageOptions[name](values, dir, (other) => children.get(other)?.addresses ?? {}),
        logger,
        logLevel: values.logLevel,
        logFormat: values.logFormat,
        onStatus: tellQuery,
        onScrape: (id) => void answerScrape(stages, id),
      }),
    );
  }
  return stages;
}

async function startAll(stages: Stages, values: OptionValues, dir: string, signals: StopSignals): Promise<void> {
  const { children } = stages;
  const needed = ['receiver', 'processor', 'exporter', 'query'] as const;
  const started = Object.fromEntries(needed.map((name) => [name, children.get(name)!.start()])) as Record<(typeof needed)[number], Promise<void>>;
  // Told below, by the first that fails; the others' errors must not end the process meanwhile.
  for (const each of Object.values(started)) each.catch(() => {});
  const agent = children.get('agent');
  await started.receiver;
  const agentStarted = agent?.start().catch((error: Error) => turnAgentOff(stages, error));
  await Promise.all(Object.values(started));
  await agentStarted;
  await becomeReady(stages, signals);
  if (!signals.isAsked()) tellStarted(stages, values, dir);
}

/** For a person who has just typed the command; in a log for programs it is one line among the others. */
function tellStarted(stages: Stages, values: OptionValues, dir: string): void {
  const texts = stopOrder.map((name) => [name, reportOf(stages, name).text] as const);
  if (values.logFormat === 'json') {
    stderrLogger('up', values).info('started', { ...Object.fromEntries(texts), data: dir, page: pageUrl(values) });
    return;
  }
  const lines = texts.map(([name, text]) => `${name.padEnd(10)} ${text}\n`);
  process.stdout.write(`${lines.join('')}data       ${dir}\nLook at    ${pageUrl(values)}\n`);
}

/** Told when all are ready, or how far they are when that takes long. The agent is when its first batch is taken, seconds later. */
async function becomeReady(stages: Stages, signals: StopSignals): Promise<void> {
  const deadline = performance.now() + readyMillisMax;
  while (!signals.isAsked() && !reportsOf(stages).every(({ name, ready }) => ready || name === 'agent') && performance.now() < deadline)
    await sleep(readyCheckMillis);
}

/** Everything but the agent runs without it, so that others can send; why it does not is said once, on its line. */
function turnAgentOff(stages: Stages, error: Error): void {
  if (isPipelineError(error) && (error.code === 'usage' || error.code === 'config_invalid')) throw error;
  stages.agentOff = `off: ${error.message}`;
}

function reportOf(stages: Stages, name: StageName): StageReport & { name: StageName } {
  if (name === 'agent' && stages.agentOff !== null) return { name, ready: true, text: stages.agentOff };
  return { name, ...(stages.children.get(name)?.status ?? notStarted) };
}

const reportsOf = (stages: Stages): StageReport[] => stopOrder.map((name) => reportOf(stages, name));

const notStarted = { ready: false, text: 'not started' };

async function answerScrape(stages: Stages, id: number): Promise<void> {
  const groups = (await collectAll(stages)).map(({ name, metrics }) => ({ labels: { stage: name }, metrics }));
  stages.children.get('query')?.send({ kind: 'scraped', id, groups });
}

/** Of every process there is, this one among them. */
function collectAll({ children, registry }: Stages): Promise<ProcessMetrics[]> {
  const own = async () => ({ name: 'up', startMillis: ownStartMillis, metrics: await registry.collect() });
  const of = async (child: StageChild) => ({ name: child.name, startMillis: child.startMillis, metrics: await child.collect() });
  return Promise.all([own(), ...[...children.values()].map(of)]);
}
const ownStartMillis = Date.now();

async function stopAll({ children }: Stages, lock: DataLock): Promise<boolean> {
  let clean = true;
  for (const name of stopOrder) clean = ((await children.get(name)?.stop(stopMillisMax[name])) ?? true) && clean;
  lock.release();
  return clean;
}

/** What a person types into a browser on this host. */
function pageUrl({ listen: address, tlsCertFile }: OptionValues): string {
  return `http${tlsCertFile === undefined ? '' : 's'}://${address.replace(/^(127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):/, 'localhost:')}`;
}

// flamelake up: all stages on one directory, each in a process of its own. Holds the data directory,
// starts the stages, says where to look, and stops them in the order of the way of a sample.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DataLock, lockDataDirectory } from '../lib/data-lock.ts';
import { isPipelineError } from '../lib/errors.ts';
import { type RunCommand, stderrLogger } from './command.ts';
import { checkDoors } from './door-options.ts';
import type { OptionValues } from './option-table.ts';
import { StageChild } from './stage-child.ts';
import { type StageName, type StageReport, stageNames, stopOrder } from './stage-messages.ts';
import { stageOptions } from './stage-options.ts';
import { listenForStop, type StopSignals } from './stop-signals.ts';

/** What a stage may take to flush, generously: a row group, an fsync on a slow disk, a send that is answered late. */
const stopMillisMax: Record<StageName, number> = { agent: 8000, receiver: 10_000, processor: 10_000, exporter: 20_000, query: 5000 };

/** For the lines at the start alone; /readyz goes on looking. */
const readyMillisMax = 10_000;
const readyCheckMillis = 50;

export const run: RunCommand = async ({ values }) => {
  checkDoors(values);
  const signals = listenForStop();
  // A terminal that has gone away is no reason to stop profiling.
  process.stdout.removeAllListeners('error').on('error', () => {});
  process.stderr.removeAllListeners('error').on('error', () => {});
  const dir = path.resolve(values.data);
  const lock = await lockDataDirectory(dir);
  const stages = createStages(values, dir);
  const failed = await Promise.race([
    signals.asked,
    startAll(stages, values, dir, signals).then(
      () => null,
      (error: Error) => error,
    ),
  ]);
  if (failed === null) await signals.asked;
  const clean = await stopAll(stages, lock);
  if (failed instanceof Error) throw failed;
  return clean ? 0 : 1;
};

interface Stages {
  readonly children: ReadonlyMap<StageName, StageChild>;
  /** Why there is no agent, where there is none. */
  agentOff: string | null;
}

function createStages(values: OptionValues, dir: string): Stages {
  const logger = stderrLogger('up', values);
  const children = new Map<StageName, StageChild>();
  const stages: Stages = { children, agentOff: values.noAgent ? 'off, as asked by no-agent' : null };
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
  if (signals.isAsked()) return;
  const lines = stopOrder.map((name) => `${name.padEnd(10)} ${textOf(stages, name)}\n`);
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

function textOf(stages: Stages, name: StageName): string {
  return name === 'agent' && stages.agentOff !== null ? stages.agentOff : stages.children.get(name)!.status.text;
}

function reportsOf(stages: Stages): StageReport[] {
  return stopOrder.map((name) => {
    if (name === 'agent' && stages.agentOff !== null) return { name, ready: true, text: stages.agentOff };
    return { name, ...(stages.children.get(name)?.status ?? notStarted) };
  });
}

const notStarted = { ready: false, text: 'not started' };

async function answerScrape({ children }: Stages, id: number): Promise<void> {
  const groups = await Promise.all([...children.values()].map(async (child) => ({ labels: { stage: child.name }, metrics: await child.collect() })));
  children.get('query')?.send({ kind: 'scraped', id, groups });
}

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

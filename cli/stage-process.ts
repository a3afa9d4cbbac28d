// The process of one stage under `flamelake up`: stage-process.ts NAME PARENT_PID. Ends with its parent,
// leaves signals to it (Ctrl-C reaches the whole group, and the stages must stop in order), starts the
// stage when told, and tells how it is.
import { isPipelineError } from '../lib/errors.ts';
import { createLogger } from '../lib/logger.ts';
import { createMetricRegistry, type MetricRegistry } from '../lib/metrics.ts';
import { dieWithParent, endNow } from '../lib/process-life.ts';
import { type MetricGroup, prometheusText } from '../lib/prometheus.ts';
import { observeRuntime } from '../lib/runtime-metrics.ts';
import type { Stage, StageHost, StageStatus } from '../lib/stage.ts';
import { logAllThatIsSaid } from './process-log.ts';
import type { FromStage, StageName, StageReport, ToStage } from './stage-messages.ts';
import { starters } from './stage-start.ts';

/** How soon a change of a stage's state is seen by /readyz; sooner while it is not ready yet, since somebody waits for that. */
const statusMillis = { ready: 500, notReady: 50 };
/** For the answers of the other processes; one that is stuck is left out of /metrics. */
const scrapeMillisMax = 2000;

const [name, parentPid] = process.argv.slice(2) as [StageName, string];
dieWithParent(Number(parentPid));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
// A terminal that went away takes the log lines, not the stage.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

let stage: Stage | null = null;
let registry: MetricRegistry | null = null;
// Until the parent has told: nothing to report must not read as everything being ready.
let reports: readonly StageReport[] = [{ name: 'up', ready: false, text: 'starting' }];
let lastStatus = '';
const scrapes = new Map<number, (groups: readonly MetricGroup[]) => void>();
let scrapeCount = 0;

process.on('message', (message: ToStage) => hear(message));
tell({ kind: 'loaded' });

function hear(message: ToStage): void {
  switch (message.kind) {
    case 'start':
      void start(message);
      break;
    case 'stop':
      void stop();
      break;
    case 'collect':
      void collect(message.id);
      break;
    case 'reports':
      reports = message.reports;
      break;
    case 'scraped':
      scrapes.get(message.id)?.(message.groups);
      break;
    default:
      message satisfies never;
  }
}

async function start(message: Extract<ToStage, { kind: 'start' }>): Promise<void> {
  const logger = createLogger({ name, level: message.logLevel, format: message.logFormat, write: (line) => process.stderr.write(line) });
  logAllThatIsSaid(logger, message.logFormat);
  registry = createMetricRegistry((error) => logger.warn(`a metric could not be read: ${String(error)}`));
  observeRuntime(registry.meter);
  const host: StageHost = { logger, meter: registry.meter };
  const extra = name === 'query' ? { reports: () => [...reports], metricsText } : {};
  try {
    const started = await (await starters[name]())({ ...(message.options as object), ...extra }, host);
    stage = started.stage;
    const status = stage.status();
    lastStatus = JSON.stringify(status);
    tell({ kind: 'started', addresses: started.addresses, status });
    watchStatus(stage);
  } catch (error) {
    const known = isPipelineError(error);
    tell(
      {
        kind: 'failed',
        code: known ? error.code : null,
        message: known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error),
      },
      () => endNow(1),
    );
  }
}

/** What crashes on the way down has to be seen; what is stuck is ended by the parent. */
async function stop(): Promise<void> {
  await stage?.stop();
  endNow(0);
}

async function collect(id: number): Promise<void> {
  tell({ kind: 'collected', id, metrics: (await registry?.collect()) ?? [] });
}

/** Prometheus text of all processes: the parent asks the others. */
async function metricsText(): Promise<string> {
  const id = ++scrapeCount;
  const answer = Promise.withResolvers<readonly MetricGroup[]>();
  scrapes.set(id, answer.resolve);
  const timer = setTimeout(() => answer.resolve([]), scrapeMillisMax);
  tell({ kind: 'scrape', id });
  const groups = await answer.promise;
  clearTimeout(timer);
  scrapes.delete(id);
  return prometheusText(groups);
}

function watchStatus(watched: Stage): void {
  const status = watched.status();
  tellStatus(status);
  setTimeout(() => watchStatus(watched), status.ready ? statusMillis.ready : statusMillis.notReady);
}

function tellStatus(status: StageStatus): void {
  const text = JSON.stringify(status);
  if (text === lastStatus) return;
  lastStatus = text;
  tell({ kind: 'status', status });
}

function tell(message: FromStage, then?: () => void): void {
  if (process.connected) process.send!(message, undefined, undefined, () => then?.());
  else then?.();
}

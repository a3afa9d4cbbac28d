// The agent: samples every process of this host and sends OTLP profiles to any endpoint that takes them.
// Wiring only. Start reading at collector.ts.
import type { Stage, StartStage } from '../lib/stage.ts';
import { onlineCpus, type PerfEvents, rateWarning, startPerfEvents } from './bpf/perf-events.ts';
import { samplingPeriodNanos } from './bpf/period.ts';
import { openRing, type Ring } from './bpf/ring.ts';
import { loadSampler, type Sampler } from './bpf/sampler.ts';
import { Collector } from './collector.ts';
import { hostAttributes } from './host.ts';
import { Kernel } from './kernel.ts';
import {
  batchJitter,
  drainMillis,
  eventBytesMax,
  ringBytesMax,
  ringBytesMin,
  ringSecondsKept,
  seenSecondsKept,
  seenStacksMax,
  seenStacksMin,
  stopMillis,
} from './limits.ts';
import { Losses } from './losses.ts';
import { MappedFiles } from './mapped-files.ts';
import { observeAgent } from './metrics.ts';
import { Processes } from './processes.ts';
import { requireRights } from './rights.ts';
import { Delivery } from './send/delivery.ts';
import { type EndpointOptions, openTransport } from './send/open.ts';
import type { Transport } from './send/transport.ts';

export interface AgentOptions extends EndpointOptions {
  readonly rateHz: number;
  readonly batchMillis: number;
  /** The agent's own OTEL_RESOURCE_ATTRIBUTES. */
  readonly resourceAttributes: Readonly<Record<string, string>>;
  readonly version: string;
  /** Size of the ring buffer; by default from rate and number of CPUs. */
  readonly ringBytes?: number | undefined;
}

export const startAgent: StartStage<AgentOptions> = async (options, { logger, meter }) => {
  requireRights();
  const transport = await openTransport({ ...options, userAgent: `flamelake-agent/${options.version}` });
  const periodNanos = samplingPeriodNanos(options.rateHz);
  const cpus = onlineCpus().length;
  const sampler = loadSampler({ ringBytes: options.ringBytes ?? ringBytesFor(options.rateHz, cpus), seenStacks: seenStacksFor(options.rateHz, cpus) });
  try {
    logger.debug('sampler loaded', { verifiedInstructions: sampler.verifiedInstructions, ringBytes: sampler.ringBytes, periodNanos });
    const ring = openRing(sampler.ringFd, sampler.ringBytes);
    const losses = new Losses();
    const processes = new Processes();
    const delivery = new Delivery({
      transport,
      logger,
      onLost: (reason, batch) => {
        losses.add(reason, batch.samples);
        losses.reportAgain(batch.losses);
      },
    });
    const collector = new Collector({
      sampler,
      ring,
      losses,
      sources: { kernel: new Kernel(logger), files: new MappedFiles(), processes },
      hostAttributes: hostAttributes(options.resourceAttributes),
      agentVersion: options.version,
      periodNanos,
      onBatch: (batch) => delivery.add(batch),
    });
    const warning = rateWarning(options.rateHz);
    if (warning !== null) logger.warn(warning);
    const events = await startPerfEvents(sampler.programFd, periodNanos);
    observeAgent(meter, { collector, losses, delivery, processes, readCounters: sampler.readCounters });
    return running(options, { sampler, ring, events, collector, delivery, transport });
  } catch (error) {
    sampler.close();
    transport.close();
    throw error;
  }
};

interface Parts {
  readonly sampler: Sampler;
  readonly ring: Ring;
  readonly events: PerfEvents;
  readonly collector: Collector;
  readonly delivery: Delivery;
  readonly transport: Transport;
}

function running(options: AgentOptions, { sampler, ring, events, collector, delivery, transport }: Parts): Stage {
  const drainTimer = setInterval(() => collector.drain(), drainMillis);
  let batchTimer: NodeJS.Timeout;
  const scheduleBatch = () => {
    const jitter = 1 + batchJitter * (2 * Math.random() - 1);
    batchTimer = setTimeout(() => {
      collector.cutBatch();
      scheduleBatch();
    }, options.batchMillis * jitter);
  };
  scheduleBatch();
  const cpus = `${events.cpus.length} CPU${events.cpus.length === 1 ? '' : 's'}`;
  return {
    status: () => ({
      ready: delivery.isConnected,
      text: `samples every process on ${cpus} at ${options.rateHz} Hz, sends to ${transport.endpoint}${delivery.problem === '' ? '' : `, which does not take it: ${delivery.problem}`}`,
    }),
    async stop() {
      clearInterval(drainTimer);
      clearTimeout(batchTimer);
      events.close();
      collector.finish();
      ring.close();
      sampler.close();
      await delivery.stop(stopMillis);
    },
  };
}

/** A power of two that holds what the CPUs can send while the agent is held up. */
export function ringBytesFor(rateHz: number, cpus: number): number {
  return powerOfTwo(rateHz * cpus * eventBytesMax * ringSecondsKept, ringBytesMin, ringBytesMax);
}

export function seenStacksFor(rateHz: number, cpus: number): number {
  return powerOfTwo(rateHz * cpus * seenSecondsKept, seenStacksMin, seenStacksMax);
}

/** The next power of two, between two others. */
function powerOfTwo(wanted: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, 2 ** Math.ceil(Math.log2(wanted))));
}

// What the agent says of itself. Event loop delay, memory and CPU of the process are there for every stage.
import type { Meter } from '@opentelemetry/api';
import { instrumentsOf, type MetricTable } from '../lib/metric-table.ts';
import { counter } from './bpf/layout.gen.ts';
import type { Collector } from './collector.ts';
import { type Losses, lossReasons } from './losses.ts';
import type { Processes } from './processes.ts';
import type { Delivery } from './send/delivery.ts';

export const agentMetrics = {
  'flamelake.agent.samples': { kind: 'counter', unit: '{sample}', description: 'Samples taken into batches' },
  'flamelake.agent.ticks': { kind: 'counter', unit: '{tick}', description: 'Runs of the sampler on CPUs that were not idle' },
  'flamelake.agent.stacks': { kind: 'counter', unit: '{stack}', description: 'Stacks sent by the kernel half' },
  'flamelake.agent.stacks.forgotten': {
    kind: 'counter',
    unit: '{stack}',
    description: 'Stacks that the full map of sent stacks did not take; they are sent again',
  },
  'flamelake.agent.lost': {
    kind: 'counter',
    unit: '{sample}',
    description: 'Samples lost, by reason; each reason is in the lake too, as rows of type lost',
    attributes: { reason: lossReasons },
    alert:
      'any increase: ring_full and scratch_missing mean that the agent got too little CPU, queue_full, rejected and unconfirmed that the endpoint does not take messages',
  },
  'flamelake.agent.cut': {
    kind: 'counter',
    unit: '{sample}',
    description: 'Samples whose stack does not reach its root, by reason',
    attributes: { reason: 'as in stacks.cut of the lake' },
  },
  'flamelake.agent.sent.size': { kind: 'counter', unit: 'By', description: 'Message bytes that the endpoint took, before compression' },
  'flamelake.agent.rejected': {
    kind: 'counter',
    unit: '{profile}',
    description: 'Profiles that the endpoint left out of messages that it took',
    alert: 'any increase: the endpoint does not understand this agent',
  },
  'flamelake.agent.attempts': {
    kind: 'counter',
    unit: '{attempt}',
    description: 'Attempts to send a batch, by outcome',
    attributes: { outcome: ['accepted', 'retry', 'refused'] },
    alert: 'retry grows for 10 minutes: the endpoint is away or full',
  },
  'flamelake.agent.queue.size': {
    kind: 'gauge',
    unit: 'By',
    description: 'Encoded batches that wait for the endpoint',
    alert: 'grows for 10 minutes: what does not fit is lost as queue_full',
  },
  'flamelake.agent.reads.cut': {
    kind: 'counter',
    unit: '{read}',
    description: 'Files of /proc/PID that were longer than the agent reads, by file',
    attributes: { file: ['maps', 'environ', 'cgroup'] },
  },
  'flamelake.agent.processes': { kind: 'gauge', unit: '{process}', description: 'Processes that were sampled lately' },
} as const satisfies MetricTable;

export interface Observed {
  readonly collector: Collector;
  readonly losses: Losses;
  readonly delivery: Delivery;
  readonly processes: Processes;
  readonly readCounters: () => readonly number[];
}

export function observeAgent(meter: Meter, { collector, losses, delivery, processes, readCounters }: Observed): void {
  const { observe } = instrumentsOf(meter, agentMetrics);
  observe('flamelake.agent.samples', (result) => result.observe(collector.samples));
  observe('flamelake.agent.ticks', (result) => {
    const counters = readCounters();
    result.observe(counters[counter.counterTicks]! - counters[counter.counterIdle]!);
  });
  observe('flamelake.agent.stacks', (result) => result.observe(readCounters()[counter.counterStacks]!));
  observe('flamelake.agent.stacks.forgotten', (result) => result.observe(readCounters()[counter.counterSeenFull]!));
  observe('flamelake.agent.lost', (result) => {
    for (const [reason, samples] of losses.total) result.observe(samples, { reason });
  });
  observe('flamelake.agent.cut', (result) => {
    for (const [reason, samples] of collector.cut) result.observe(samples, { reason });
  });
  observe('flamelake.agent.sent.size', (result) => result.observe(delivery.sentBytes));
  observe('flamelake.agent.rejected', (result) => result.observe(delivery.rejectedProfiles));
  observe('flamelake.agent.attempts', (result) => {
    for (const [outcome, attempts] of Object.entries(delivery.attempts)) result.observe(attempts, { outcome });
  });
  observe('flamelake.agent.queue.size', (result) => result.observe(delivery.queuedBytes));
  observe('flamelake.agent.reads.cut', (result) => {
    for (const [file, reads] of Object.entries(processes.cutReads)) result.observe(reads, { file });
  });
  observe('flamelake.agent.processes', (result) => result.observe(processes.size));
}

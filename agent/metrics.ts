// What the agent says of itself. Event loop delay, memory and CPU of the process are there for every stage.
import type { Meter } from '@opentelemetry/api';
import { counter } from './bpf/layout.gen.ts';
import type { Collector } from './collector.ts';
import type { Losses } from './losses.ts';
import type { Processes } from './processes.ts';
import type { Delivery } from './send/delivery.ts';

export interface Observed {
  readonly collector: Collector;
  readonly losses: Losses;
  readonly delivery: Delivery;
  readonly processes: Processes;
  readonly readCounters: () => readonly number[];
}

export function observeAgent(meter: Meter, observed: Observed): void {
  const { collector, losses, delivery, processes, readCounters } = observed;
  const sum = (name: string, unit: string, description: string, read: () => number) =>
    meter.createObservableCounter(name, { unit, description }).addCallback((result) => result.observe(read()));
  sum('flamelake.agent.samples', '{sample}', 'Samples taken into batches', () => collector.samples);
  sum('flamelake.agent.ticks', '{tick}', 'Runs of the sampler on CPUs that were not idle', () => {
    const counters = readCounters();
    return counters[counter.counterTicks]! - counters[counter.counterIdle]!;
  });
  sum(
    'flamelake.agent.stacks.forgotten',
    '{stack}',
    'Stacks that the full map of sent stacks did not take; they are sent again',
    () => readCounters()[counter.counterSeenFull]!,
  );
  sum('flamelake.agent.stacks', '{stack}', 'Stacks sent by the kernel half', () => readCounters()[counter.counterStacks]!);
  meter.createObservableCounter('flamelake.agent.lost', { unit: '{sample}', description: 'Samples lost, by reason' }).addCallback((result) => {
    for (const [reason, samples] of losses.total) result.observe(samples, { reason });
  });
  meter
    .createObservableCounter('flamelake.agent.cut', { unit: '{sample}', description: 'Samples whose stack does not reach its root, by reason' })
    .addCallback((result) => {
      for (const [reason, samples] of collector.cut) result.observe(samples, { reason });
    });
  sum('flamelake.agent.sent.size', 'By', 'Message bytes that the endpoint took, before compression', () => delivery.sentBytes);
  sum('flamelake.agent.rejected', '{profile}', 'Profiles that the endpoint left out of messages that it took', () => delivery.rejectedProfiles);
  meter
    .createObservableCounter('flamelake.agent.attempts', { unit: '{attempt}', description: 'Attempts to send a batch, by outcome' })
    .addCallback((result) => {
      for (const [outcome, attempts] of Object.entries(delivery.attempts)) result.observe(attempts, { outcome });
    });
  meter
    .createObservableGauge('flamelake.agent.queue.size', { unit: 'By', description: 'Encoded batches that wait for the endpoint' })
    .addCallback((result) => result.observe(delivery.queuedBytes));
  meter
    .createObservableCounter('flamelake.agent.reads.cut', { unit: '{read}', description: 'Files of /proc/PID that were longer than the agent reads, by file' })
    .addCallback((result) => {
      for (const [file, reads] of Object.entries(processes.cutReads)) result.observe(reads, { file });
    });
  meter
    .createObservableGauge('flamelake.agent.processes', { unit: '{process}', description: 'Processes that were sampled lately' })
    .addCallback((result) => result.observe(processes.size));
}

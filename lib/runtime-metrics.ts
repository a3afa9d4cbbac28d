// What every stage's process says about itself, under OpenTelemetry's names: how late its event loop
// runs (a stage that must not stall, the agent and the receiver, is watched by this), memory, CPU.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Meter } from '@opentelemetry/api';
import { instrumentsOf, type MetricTable } from './metric-table.ts';

/** A timer of our own is the probe: ten wake-ups a second cost nothing that can be measured, the default of 100 do. */
const resolutionMillis = 100;
/** Collections come once a second, scrapes four times a minute: a stall must still be seen by the next scrape. */
const windowMillis = 60_000;

export const runtimeMetrics = {
  'nodejs.eventloop.delay.p50': { kind: 'gauge', unit: 's', description: 'Event loop delay in the last minute or less: median' },
  'nodejs.eventloop.delay.p99': {
    kind: 'gauge',
    unit: 's',
    description: 'Event loop delay in the last minute or less: 99th percentile',
    alert: 'above 0.5 s for 10 minutes: the stage has more work than one CPU, or the host swaps',
  },
  'nodejs.eventloop.delay.max': { kind: 'gauge', unit: 's', description: 'Event loop delay in the last minute or less: longest' },
  'process.memory.usage': {
    kind: 'gauge',
    unit: 'By',
    description: 'Resident memory',
    alert: 'above the bound of the stage in docs/bounds.md for 10 minutes',
  },
  'process.cpu.time': { kind: 'counter', unit: 's', description: 'CPU time used by the process', attributes: { 'cpu.mode': ['user', 'system'] } },
} as const satisfies MetricTable;

export function observeRuntime(meter: Meter): void {
  const instruments = instrumentsOf(meter, runtimeMetrics);
  const delay = monitorEventLoopDelay({ resolution: resolutionMillis });
  delay.enable();
  let windowStart = performance.now();
  // The histogram holds the time between two ticks of the timer; what is above its period is the delay.
  const seconds = (nanos: number) => Math.max(0, nanos / 1e9 - resolutionMillis / 1e3);
  const p50 = instruments.observable('nodejs.eventloop.delay.p50');
  const p99 = instruments.observable('nodejs.eventloop.delay.p99');
  const max = instruments.observable('nodejs.eventloop.delay.max');
  meter.addBatchObservableCallback(
    (result) => {
      if (delay.count === 0) return;
      result.observe(p50, seconds(delay.percentile(50)));
      result.observe(p99, seconds(delay.percentile(99)));
      result.observe(max, seconds(delay.max));
      if (performance.now() - windowStart < windowMillis) return;
      delay.reset();
      windowStart = performance.now();
    },
    [p50, p99, max],
  );
  instruments.observe('process.memory.usage', (result) => result.observe(process.memoryUsage.rss()));
  instruments.observe('process.cpu.time', (result) => {
    const { user, system } = process.cpuUsage();
    result.observe(user / 1e6, { 'cpu.mode': 'user' });
    result.observe(system / 1e6, { 'cpu.mode': 'system' });
  });
}

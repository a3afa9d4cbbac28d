// What every stage's process says about itself, under OpenTelemetry's names: how late its event loop
// runs (a stage that must not stall, the agent and the receiver, is watched by this), memory, CPU.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Meter } from '@opentelemetry/api';

/** A timer of our own is the probe: ten wake-ups a second cost nothing that can be measured, the default of 100 do. */
const resolutionMillis = 100;
/** Collections come once a second, scrapes four times a minute: a stall must still be seen by the next scrape. */
const windowMillis = 60_000;

export function observeRuntime(meter: Meter): void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMillis });
  delay.enable();
  let windowStart = performance.now();
  // The histogram holds the time between two ticks of the timer; what is above its period is the delay.
  const seconds = (nanos: number) => Math.max(0, nanos / 1e9 - resolutionMillis / 1e3);
  const p50 = meter.createObservableGauge('nodejs.eventloop.delay.p50', { unit: 's', description: 'Event loop delay in the last minute or less: median' });
  const p99 = meter.createObservableGauge('nodejs.eventloop.delay.p99', {
    unit: 's',
    description: 'Event loop delay in the last minute or less: 99th percentile',
  });
  const max = meter.createObservableGauge('nodejs.eventloop.delay.max', { unit: 's', description: 'Event loop delay in the last minute or less: longest' });
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

  meter.createObservableGauge('process.memory.usage', { unit: 'By', description: 'Resident memory' }).addCallback((result) => {
    result.observe(process.memoryUsage.rss());
  });
  meter.createObservableCounter('process.cpu.time', { unit: 's', description: 'CPU time used by the process' }).addCallback((result) => {
    const { user, system } = process.cpuUsage();
    result.observe(user / 1e6, { 'cpu.mode': 'user' });
    result.observe(system / 1e6, { 'cpu.mode': 'system' });
  });
}

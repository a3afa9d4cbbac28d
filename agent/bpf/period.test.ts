import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseCpuList, rateWarning } from './perf-events.ts';
import { samplingPeriodNanos, staggerNanos } from './period.ts';

/** Share of a minute's samples that fall into the first part of each tick. */
function shareSeen(periodNanos: number, tickNanos: number, part: number, startNanos: number): number {
  const samples = Math.floor(60e9 / periodNanos);
  let hits = 0;
  for (let index = 0; index < samples; index++) if ((startNanos + index * periodNanos) % tickNanos < part * tickNanos) hits++;
  return hits / samples;
}

describe('sampling period', () => {
  test.each([1, 7, 19, 20, 49, 97, 100, 250, 999, 1000])('at %d Hz, work on any common tick is seen by its share, whatever the phase', (rateHz) => {
    const period = samplingPeriodNanos(rateHz);
    expect(period / (1e9 / rateHz)).toBeGreaterThan(0.949);
    expect(period / (1e9 / rateHz)).toBeLessThan(0.991);
    const samples = 60e9 / period;
    for (const tickMillis of [1, 2, 4, 5, 8, 10, 16, 20, 50, 100])
      for (const part of [0.1, 0.3, 0.5])
        for (let phase = 0; phase < 1; phase += 0.13) {
          const error = Math.abs(shareSeen(period, tickMillis * 1e6, part, phase * tickMillis * 1e6) - part);
          // Random sampling would be off by 2.6 standard errors in one of a hundred cases; this must be better than that.
          expect(error, `${tickMillis} ms tick, ${part} busy, phase ${phase}`).toBeLessThan(2.6 * Math.sqrt((part * (1 - part)) / samples));
        }
  });
  test('CPUs are spread over the period', () => {
    for (const cpus of [2, 3, 8, 64, 192]) {
      const starts = Array.from({ length: cpus }, (_, position) => staggerNanos(position, 1)).sort((a, b) => a - b);
      const gaps = starts.map((start, index) => (starts[index + 1] ?? 1 + starts[0]!) - start);
      expect(Math.min(...gaps)).toBeGreaterThan(0.3 / cpus);
      expect(Math.max(...gaps)).toBeLessThan(2.7 / cpus);
    }
  });
});

test('lists of CPUs', () => {
  expect(parseCpuList('0-3,5,8-9\n')).toEqual([0, 1, 2, 3, 5, 8, 9]);
  expect(parseCpuList('7')).toEqual([7]);
  expect(() => parseCpuList('a')).toThrow(/expected numbers like 0-3,5/);
});

test('a rate that the kernel would not keep up with is said', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-rate-'));
  try {
    const file = join(folder, 'rate');
    writeFileSync(file, '100\n');
    expect(rateWarning(100, file)).toBeNull();
    expect(rateWarning(101, file)).toMatch(/perf_event_max_sample_rate is 100, .* 101 samples a second/);
    expect(rateWarning(1000, join(folder, 'none'))).toBeNull();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

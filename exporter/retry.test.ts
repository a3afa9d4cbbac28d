import { expect, test } from 'vitest';
import { PipelineError } from '../lib/errors.ts';
import { createLogger } from '../lib/logger.ts';
import type { Clock } from './clock.ts';
import { complaintMillis } from './limits.ts';
import { createRetry } from './retry.ts';

/** Sleeping is what lets its time pass. */
function world() {
  let nowMillis = 0;
  const lines: Record<string, unknown>[] = [];
  const clock: Clock = {
    wallMillis: () => nowMillis,
    monotonicMillis: () => nowMillis,
    sleep: async (millis) => {
      nowMillis += millis;
    },
  };
  const logger = createLogger({ name: 'exporter', level: 'info', format: 'json', write: (line) => lines.push(JSON.parse(line)) });
  const reasons: string[] = [];
  const retry = createRetry(clock, logger, new AbortController().signal, (reason) => reasons.push(reason));
  return { retry, lines, reasons, nowMillis: () => nowMillis };
}

test('a store that stays away is said at first and once a minute, with how often it was asked', async () => {
  const { retry, lines, reasons, nowMillis } = world();
  const away = new PipelineError('store_readonly', 'the disk of the lake is read-only');
  const minutes = 10;
  await retry(async () => {
    if (nowMillis() < minutes * complaintMillis) throw away;
  });
  const complaints = lines.filter(({ level }) => level === 'warn');
  expect(complaints.length).toBeGreaterThan(minutes - 3);
  expect(complaints.length).toBeLessThanOrEqual(minutes);
  for (const line of complaints) expect(line).toMatchObject({ 'error.type': 'store_readonly', error: away.message });
  // Each attempt is in one of them, but for those since the last.
  const told = complaints.reduce((sum, { attempts }) => sum + (attempts as number), 0);
  expect(reasons.length - told).toBeGreaterThanOrEqual(0);
  expect(reasons.length - told).toBeLessThan(7);
  expect(lines.at(-1)).toMatchObject({ level: 'info', message: 'publishing goes on' });
  expect(lines).toHaveLength(complaints.length + 1);
});

test('another trouble is said at once, and what is none of a store is thrown', async () => {
  const { retry, lines } = world();
  const troubles = [
    new PipelineError('store_full', 'full'),
    new PipelineError('store_full', 'full'),
    new PipelineError('log_unavailable', 'busy'),
    new PipelineError('store_missing', 'a file is gone'),
  ];
  const failing = retry(async () => {
    throw troubles.shift()!;
  });
  await expect(failing).rejects.toMatchObject({ code: 'store_missing' });
  expect(lines.map((line) => line['error.type'])).toEqual(['store_full', 'log_unavailable']);
});

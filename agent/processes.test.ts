import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { mapsRereadMillis, processRereadMillis } from './limits.ts';
import { parseStartTicks } from './proc/stat.ts';
import { Processes } from './processes.ts';

const nanosPerTick = 10_000_000n;

test('what is read again and says the same stays the same object: a batch makes one resource of it', () => {
  const ticks = parseStartTicks(readFileSync('/proc/self/stat', 'latin1'))!;
  const startNanos = ticks * nanosPerTick;
  const processes = new Processes();
  const found = processes.see(process.pid, process.pid, startNanos, false, 'first', 0);
  const { attributes } = found;
  expect(attributes.get('process.executable.name')).toBe('node');
  expect(processes.rereadMaps(found, mapsRereadMillis)).toBe(true);
  expect(found.attributes).toBe(attributes);
  // As after an exec, and after a while.
  processes.see(process.pid, process.pid, startNanos, false, 'second', mapsRereadMillis + 1);
  processes.see(process.pid, process.pid, startNanos, false, 'second', mapsRereadMillis + processRereadMillis + 2);
  expect(found.readAtMillis).toBe(mapsRereadMillis + processRereadMillis + 2);
  expect(found.attributes).toBe(attributes);
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
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
  processes.rereadMaps(found, mapsRereadMillis);
  expect(found.readAtMillis).toBe(mapsRereadMillis);
  expect(found.attributes).toBe(attributes);
  // As after an exec, and after a while.
  processes.see(process.pid, process.pid, startNanos, false, 'second', mapsRereadMillis + 1);
  processes.see(process.pid, process.pid, startNanos, false, 'second', mapsRereadMillis + processRereadMillis + 2);
  expect(found.readAtMillis).toBe(mapsRereadMillis + processRereadMillis + 2);
  expect(found.attributes).toBe(attributes);
});

test('maps that tell nothing new are read more and more seldom', () => {
  const child = spawn('sleep', ['60']);
  try {
    const startNanos = parseStartTicks(readFileSync(`/proc/${child.pid}/stat`, 'latin1'))! * nanosPerTick;
    const processes = new Processes();
    const found = processes.see(child.pid!, child.pid!, startNanos, false, 'sleep', 0);
    const reads: number[] = [];
    for (let now = 0; now < 200_000; now += 100) {
      processes.rereadMaps(found, now);
      if (found.readAtMillis === now) reads.push(now);
    }
    // 1, 2, 4, … seconds after each other, up to a minute.
    expect(reads).toEqual([0, 200, 1_200, 3_200, 7_200, 15_200, 31_200, 63_200, 123_200, 183_200]);
  } finally {
    child.kill();
  }
});

test('a process says its service, not its host, its pid or its executable', async () => {
  const env = {
    OTEL_SERVICE_NAME: 'shop',
    OTEL_RESOURCE_ATTRIBUTES: 'host.id=another,host.name=another,process.pid=1,process.executable.name=other,service.version=2,team=a',
  };
  const child = spawn('sleep', ['60'], { env });
  try {
    await once(child, 'spawn');
    const startNanos = parseStartTicks(readFileSync(`/proc/${child.pid}/stat`, 'latin1'))! * nanosPerTick;
    const { attributes } = new Processes().see(child.pid!, child.pid!, startNanos, false, 'sleep', 0);
    expect(Object.fromEntries(attributes)).toMatchObject({ 'service.name': 'shop', 'service.version': '2', team: 'a', 'process.pid': BigInt(child.pid!) });
    expect(Object.keys(Object.fromEntries(attributes)).filter((key) => key.startsWith('host.'))).toEqual([]);
    expect(attributes.get('process.executable.name')).not.toBe('other');
  } finally {
    child.kill();
  }
});

test('a pid of another start time is another process, and is not asked', () => {
  const processes = new Processes();
  const gone = processes.see(process.pid, process.pid, 1n, false, 'gone', 0);
  expect(gone.isAlive).toBe(false);
  expect([...gone.attributes]).toEqual([['process.pid', BigInt(process.pid)]]);
  expect(gone.mappings).toEqual([]);
});

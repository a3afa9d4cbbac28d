import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { until } from '../test/e2e/until.ts';
import { mapsRereadMillis, processesMax, processIdleMillis, processRereadMillis } from './limits.ts';
import { Processes } from './processes.ts';
import { identityOf } from './testing.ts';

test('what is read again and says the same stays the same object: a batch makes one resource of it', () => {
  const self = identityOf(process.pid);
  const processes = new Processes();
  const found = processes.see(self, 0);
  const { attributes, mappings } = found;
  expect(attributes.get('process.executable.name')).toBe('node');
  expect(mappings.length).toBeGreaterThan(1);
  processes.rereadMaps(found, mapsRereadMillis);
  expect(found.readAtMillis).toBe(mapsRereadMillis);
  expect(found.attributes).toBe(attributes);
  expect(processes.see(self, mapsRereadMillis + 1)).toBe(found);
  expect(found.readAtMillis).toBe(mapsRereadMillis);
  expect(processes.see(self, mapsRereadMillis + processRereadMillis + 2)).toBe(found);
  expect(found.readAtMillis).toBe(mapsRereadMillis + processRereadMillis + 2);
  expect(found.attributes).toBe(attributes);
});

test('maps that tell nothing new are read more and more seldom', async () => {
  const child = spawn('sleep', ['60']);
  try {
    await once(child, 'spawn');
    await until('it has mapped its libraries and sleeps', 10_000, () => / S /.test(readFileSync(`/proc/${child.pid}/stat`, 'latin1')));
    const processes = new Processes();
    const found = processes.see(identityOf(child.pid!), 0);
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
    const { attributes } = new Processes().see(identityOf(child.pid!), 0);
    expect(Object.fromEntries(attributes)).toMatchObject({ 'service.name': 'shop', 'service.version': '2', team: 'a', 'process.pid': BigInt(child.pid!) });
    expect(Object.keys(Object.fromEntries(attributes)).filter((key) => key.startsWith('host.'))).toEqual([]);
    expect(attributes.get('process.executable.name')).not.toBe('other');
  } finally {
    child.kill();
  }
});

test('a pid of another start time is another process, and is not asked', () => {
  const gone = new Processes().see({ ...identityOf(process.pid), startNanos: 1n }, 0);
  expect(gone.isAlive).toBe(false);
  expect([...gone.attributes]).toEqual([['process.pid', BigInt(process.pid)]]);
  expect(gone.mappings).toEqual([]);
});

/** A shell that waits for a line, then becomes what the line says, in the same process. */
function shell(service: string) {
  const child = spawn('sh', ['-c', 'read line; eval "exec $line"'], {
    stdio: ['pipe', 'ignore', 'inherit'],
    env: { ...process.env, OTEL_SERVICE_NAME: service },
  });
  const pid = child.pid!;
  return {
    child,
    pid,
    async execute(line: string): Promise<void> {
      const { image } = identityOf(pid);
      child.stdin.write(`${line}\n`);
      await until('another image', 10_000, () => ![0n, image].includes(identityOf(pid).image));
    },
  };
}

test('an execve makes another process of it, also by the same name: nothing of one is taken for the other', async () => {
  const { child, pid, execute } = shell('before');
  try {
    await once(child, 'spawn');
    const processes = new Processes();
    const first = identityOf(pid);
    const before = processes.see(first, 0);
    expect(before.attributes.get('service.name')).toBe('before');
    await execute(`env OTEL_SERVICE_NAME=after sh -c 'read line; eval "exec $line"'`);
    await until('the last of two execve', 10_000, () => processes.see(identityOf(pid), 1).attributes.get('process.executable.name') !== 'env');
    const after = processes.see(identityOf(pid), 2);
    expect(after).not.toBe(before);
    expect(after.isAlive).toBe(true);
    expect(after.attributes.get('service.name')).toBe('after');
    expect(before.attributes.get('service.name')).toBe('before');
    // A sample from before, looked at too late: what /proc says now is not of its image.
    const late = new Processes().see(first, 3);
    expect(late.isAlive).toBe(false);
    expect([...late.attributes]).toEqual([['process.pid', BigInt(pid)]]);
    expect(late.mappings).toEqual([]);
    // Read again by whoever still holds it: the same.
    processes.rereadMaps(before, 1e6);
    expect(before.isAlive).toBe(false);
    expect(before.attributes.get('service.name')).toBe('before');
    // The same program with the same environment: one resource.
    await execute(`sh -c 'read line; eval "exec $line"'`);
    const again = processes.see(identityOf(pid), 4);
    expect(again).not.toBe(after);
    expect(again.attributes).toBe(after.attributes);
  } finally {
    child.kill();
  }
});

test('a sample that does not know its image is of the one that is known; alone, it takes what is there', () => {
  const self = identityOf(process.pid);
  const processes = new Processes();
  const unknown = processes.see({ ...self, image: 0n }, 0);
  expect(unknown.image).toBe(self.image);
  expect(processes.see(self, 1)).toBe(unknown);
  expect(processes.see({ ...self, image: 0n }, 2)).toBe(unknown);
});

test('a helper of the kernel that became a program is one', () => {
  const self = identityOf(process.pid);
  const processes = new Processes();
  const helper = processes.see({ ...self, image: 0n, isKernelThread: true }, 0);
  expect(helper.attributes.get('service.name')).toBe('kernel');
  expect(processes.see(self, 1).attributes.get('process.executable.name')).toBe('node');
});

test('bounded: the oldest goes, and who is not sampled for a while', () => {
  const processes = new Processes();
  const see = (index: number, now: number) => processes.see({ pid: 4_000_000_000 + index, startNanos: 1n, image: 0n, isKernelThread: true }, now);
  const first = see(0, 0);
  for (let index = 1; index <= processesMax; index++) see(index, 0);
  expect(processes.size).toBe(processesMax);
  expect(see(0, 0)).not.toBe(first);
  see(1, processIdleMillis);
  processes.forgetIdle(processIdleMillis + 1);
  expect(processes.size).toBe(1);
});

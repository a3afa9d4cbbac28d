import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Log } from './log.ts';
import { openLog } from './open.ts';
import { TopicBound } from './topic-bound.ts';

const topic = 'dead';
const letter = new Uint8Array(4096);
let directory: string;
let log: Log;
beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'topic-bound-'));
  log = await openLog(pathToFileURL(directory).href);
  await log.ensureTopic({ name: topic, partitions: 1 });
});
afterEach(async () => {
  await log.close();
  rmSync(directory, { recursive: true });
});

async function append(bound: TopicBound, count: number): Promise<number> {
  let removed = 0;
  for (let index = 0; index < count; index++) {
    removed += await bound.makeRoom(letter.length);
    await log.append(topic, 0, { value: letter });
  }
  return removed;
}
const kept = async () => {
  const { start, end } = await log.range(topic, 0);
  return end - start;
};

test('the oldest records go when all together are too much, and are counted', async () => {
  const removed = await append(new TopicBound(log, topic, 16 * letter.length), 40);
  // Measured with every fourth: at most three more than fit.
  expect(await kept()).toBeLessThanOrEqual(19);
  expect(await kept()).toBeGreaterThanOrEqual(16);
  expect(removed).toBe(40 - (await kept()));
});

test('what an earlier process, or another one beside it, has left there counts too', async () => {
  await append(new TopicBound(log, topic, 1e9), 30);
  const [one, other] = [new TopicBound(log, topic, 16 * letter.length), new TopicBound(log, topic, 16 * letter.length)];
  expect(await append(one, 1)).toBe(15);
  for (let round = 0; round < 10; round++) {
    await append(one, 1);
    await append(other, 1);
  }
  expect(await kept()).toBeLessThanOrEqual(16 + 2 * 4);
});

test('one that is larger than the bound is kept alone', async () => {
  const bound = new TopicBound(log, topic, 100);
  await append(bound, 3);
  expect(await kept()).toBe(1);
});

test('where the log does not know what it uses (Kafka), nothing is done', async () => {
  const silent = new Proxy(log, { get: (target, name) => (name === 'usage' ? async () => null : (target[name as keyof Log] as () => unknown).bind(target)) });
  expect(await append(new TopicBound(silent, topic, letter.length), 5)).toBe(0);
  expect(await kept()).toBe(5);
});

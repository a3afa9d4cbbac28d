import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { partitionsMax } from '../limits.ts';
import { newShareMemory, readShare, writeShare } from './share-memory.ts';

test('every partition has its bit', () => {
  const memory = newShareMemory();
  expect(readShare(memory)).toEqual({ partitions: [], generation: 0, untilMillis: 0 });
  const all = Array.from({ length: partitionsMax }, (_, partition) => partition);
  for (const partitions of [all, [], [0], [63], [64], [partitionsMax - 1], all.filter((partition) => partition % 3 === 0)]) {
    const share = { partitions, generation: 7, untilMillis: 2 ** 50 };
    writeShare(memory, share);
    expect(readShare(memory)).toEqual(share);
  }
});

test('a reader never sees half of a share', async () => {
  const memory = newShareMemory();
  // Generation g holds the partitions g, g + 1, … and a lease until g.
  const writer = new Worker(
    `const { workerData } = require('node:worker_threads');
     import(workerData.module).then(({ writeShare }) => {
       for (let g = 0; g < 5000; g++) {
         writeShare(workerData.memory, { partitions: [g % 1000, (g % 1000) + 1, (g % 1000) + 20], generation: g, untilMillis: g });
         // A reader gets between two writes only if there is a between.
         for (const end = performance.now() + 0.05; performance.now() < end;);
       }
     });`,
    { eval: true, execArgv: [], workerData: { memory, module: new URL('./share-memory.ts', import.meta.url).href } },
  );
  const ended = new Promise((resolve) => writer.once('exit', resolve));
  const seen = new Set<number>();
  for (let running = true; running; ) {
    for (let count = 0; count < 200; count++) {
      const { partitions, generation, untilMillis } = readShare(memory);
      const first = generation % 1000;
      if (untilMillis !== generation || (partitions.length > 0 && partitions.join() !== [first, first + 1, first + 20].join())) {
        throw new Error(`half a share: ${partitions} in generation ${generation} until ${untilMillis}`);
      }
      seen.add(generation);
    }
    running = await Promise.race([ended.then(() => false), new Promise<boolean>((resolve) => setImmediate(resolve, true))]);
  }
  expect(seen.size).toBeGreaterThan(100);
});

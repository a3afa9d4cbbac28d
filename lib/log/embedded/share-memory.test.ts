import { once } from 'node:events';
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

test('a reader never sees half of a share', { timeout: 90_000 }, async () => {
  const memory = newShareMemory();
  // Generation g holds three partitions that g tells, and a lease until g. A reader gets between two
  // writes only if there is a between.
  const writer = new Worker(
    `const { workerData } = require('node:worker_threads');
     import(workerData.module).then(({ writeShare }) => {
       for (let g = 1; ; g++) {
         writeShare(workerData.memory, { partitions: [g % 1000, (g % 1000) + 1, (g % 1000) + 20], generation: g, untilMillis: g });
         for (const end = performance.now() + 0.05; performance.now() < end;);
       }
     });`,
    { eval: true, execArgv: [], workerData: { memory, module: new URL('./share-memory.ts', import.meta.url).href } },
  );
  try {
    await once(writer, 'online');
    const seen = new Set<number>();
    while (seen.size < 300) {
      const { partitions, generation, untilMillis } = readShare(memory);
      seen.add(generation);
      const first = generation % 1000;
      const whole = generation === 0 ? [] : [first, first + 1, first + 20];
      if (untilMillis !== generation || partitions.join() !== whole.join())
        throw new Error(`half a share: ${partitions} in generation ${generation} until ${untilMillis}`);
    }
  } finally {
    await writer.terminate();
  }
});

// The short form of `npm run fuzz`: each target with the same few inputs every time, in processes that
// may crash or hang. The sockets wait most of the time, so they have one of their own.
import { expect, test } from 'vitest';
import { targets } from './targets.ts';
import { watchWorker } from './watch.ts';

const runs = process.env.FLAMELAKE_FUZZ_RUNS;
const jobs = targets.map((target) => ({ target, fromSeed: 1, runs: runs === undefined ? target.shortRuns : Number(runs) }));

test.concurrent.each([
  ['sockets', jobs.filter(({ target }) => target.name === 'sockets')],
  ['everything else', jobs.filter(({ target }) => target.name !== 'sockets')],
] as const)('%s', async (_name, group) => {
  const { counts, finding } = await watchWorker(group);
  expect(finding).toBeNull();
  expect(counts.fed).toBe(group.reduce((sum, job) => sum + job.runs, 0));
});

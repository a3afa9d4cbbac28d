// The short form of `npm run fuzz`: each target with the same few inputs every time, in processes that
// may crash or hang. The sockets wait most of the time, so they have one of their own.
import { expect, test } from 'vitest';
import { brokenTargets } from './targets/broken.ts';
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

test.concurrent.each([
  ['throws', /^seed 7: TypeError: undefined is no length/],
  ['crashes', /^the process ended with SIGABRT/],
  ['hangs', /^no answer within 4 s/],
] as const)('a target that %s is a finding', async (name, what) => {
  const target = brokenTargets.find((each) => each.name === `broken-${name}`)!;
  const { finding } = await watchWorker([{ target, fromSeed: 1, runs: 10 }], name === 'hangs' ? { hangMillis: 4000 } : {});
  expect(finding).toEqual({ target: target.name, seed: 7, what: expect.stringMatching(what) });
});

// The short form of npm run test:faults: a kill in each window of the protocol, and some of everything
// else that is quick. Other seeds and longer runs are for the command.
import { afterAll, expect, test } from 'vitest';
import { killStarted, temporaryFolder } from '../e2e/flamelake.ts';
import { planFaults, windows } from './plan.ts';
import { runFaults } from './run.ts';

const folder = temporaryFolder('faults');
afterAll(async () => {
  await killStarted();
  folder.remove();
});

test('two hundred faults are planned with twenty kills in each of the five windows of the protocol, the same ones for the same seed', () => {
  const options = { seed: 7, faults: 200, hasDisk: true };
  const plan = planFaults(options);
  expect(plan).toHaveLength(200);
  const named = Object.keys(windows).slice(0, 5);
  for (const window of named)
    expect(
      plan.filter((fault) => fault.kind === 'window' && fault.window === window),
      window,
    ).toHaveLength(20);
  expect(planFaults(options)).toEqual(plan);
  expect(planFaults({ ...options, seed: 8 })).not.toEqual(plan);
});

test('killed in the middle of a load, at each named moment, and cut off from power: nothing is lost, nothing is doubled', async () => {
  const report = await runFaults({ folder: folder.path, seed: 11, faults: 8, only: [...Object.keys(windows).slice(0, 6), 'kill', 'power loss'] });
  expect(report.wrong).toEqual([]);
  expect(report).toMatchObject({ lost: 0, doubled: 0 });
  expect(report.kills).toBeGreaterThanOrEqual(6);
  expect(report.acknowledgedSamples).toBeGreaterThan(report.faults * 8);
}, 400_000);

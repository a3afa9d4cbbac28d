// Everything at once, seeded: see run.ts. The long form is `npm run test:model -- --runs 6000`.
import { describe, expect, test } from 'vitest';
import { Counts, faultKinds } from './counts.ts';
import { runModel } from './run.ts';

const runs = Number(process.env.FLAMELAKE_MODEL_RUNS ?? 40);
const firstSeed = Number(process.env.FLAMELAKE_MODEL_SEED ?? 1);

describe('the protocol', () => {
  test(`holds in ${runs} runs from seed ${firstSeed} on`, { timeout: 600_000 }, async () => {
    const counts = new Counts();
    for (let seed = firstSeed; seed < firstSeed + runs; seed++) counts.addAll((await runModel(seed)).counts);
    // A world in which nothing happens proves nothing.
    if (runs >= 40) expect(faultKinds.filter((kind) => counts.of(kind) === 0)).toEqual([]);
  });

  test('runs the same way for the same seed', async () => {
    for (const seed of [3, 7]) expect((await runModel(seed)).fingerprint).toBe((await runModel(seed)).fingerprint);
    expect((await runModel(3)).fingerprint).not.toBe((await runModel(7)).fingerprint);
  });
});

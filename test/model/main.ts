// npm run test:model -- --runs 6000 [--seed 1]: the model in its long form, with what the runs had to bear.
import { parseArgs } from 'node:util';
import { Counts, faultKinds } from './counts.ts';
import { ModelFailure, runModel } from './run.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' } } });
const [runs, firstSeed] = [Number(values.runs), Number(values.seed)];
const counts = new Counts();
const totals = { steps: 0, messages: 0, records: 0 };
const failed: number[] = [];
let shownMillis = performance.now();

for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
  try {
    const result = await runModel(seed);
    counts.addAll(result.counts);
    for (const name of ['steps', 'messages', 'records'] as const) totals[name] += result[name];
  } catch (error) {
    if (!(error instanceof ModelFailure)) throw error;
    failed.push(seed);
    process.stdout.write(`${error.message}\n`);
  }
  if (performance.now() - shownMillis < 10_000) continue;
  shownMillis = performance.now();
  process.stderr.write(`${seed - firstSeed + 1} of ${runs} runs, ${failed.length} failed\n`);
}

process.stdout.write(`${runs} runs from seed ${firstSeed} on: ${totals.steps} steps, ${totals.messages} messages, ${totals.records} records\n`);
for (const kind of faultKinds) process.stdout.write(`${String(counts.of(kind)).padStart(9)}  ${kind}\n`);
process.stdout.write(`${failed.length} of ${runs} runs failed${failed.length > 0 ? `: seeds ${failed.join(', ')}` : ''}\n`);
process.exitCode = failed.length > 0 ? 1 : 0;

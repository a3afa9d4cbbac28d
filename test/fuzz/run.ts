// `npm run fuzz -- [--runs N | --minutes M] [--seed S] [--target NAME]`: feeds every target, prints inputs
// a second for each, and stops at the first finding with its seed and the input in a file.
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { makeInput, type Target } from './target.ts';
import { targets } from './targets.ts';
import { type Counts, type Finding, type Job, type Watched, watchWorker } from './watch.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    target: { type: 'string', multiple: true },
    workers: { type: 'string' },
  },
});
const runs = number('runs', values.runs ?? (values.minutes === undefined ? '1000000' : '1e15'));
const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : number('minutes', values.minutes);
const seed = number('seed', values.seed ?? String(Math.floor(Math.random() * 1e6)));
const workers = number('workers', values.workers ?? String(availableParallelism()));
const chosen = chooseTargets(values.target ?? []);

process.exitCode = await main();

function number(name: string, text: string): number {
  const value = Number(text);
  if (!(value >= 0)) usage(`--${name} is ${JSON.stringify(text)}, a number is allowed`);
  return value;
}

function chooseTargets(names: readonly string[]): readonly Target[] {
  const unknown = names.find((name) => !targets.some((target) => target.name === name));
  if (unknown !== undefined) usage(`--target ${unknown} is not known; there are: ${targets.map(({ name }) => name).join(', ')}`);
  return names.length === 0 ? targets : targets.filter(({ name }) => names.includes(name));
}

function usage(message: string): never {
  process.stderr.write(`fuzz: ${message}\n`);
  process.exit(2);
}

async function main(): Promise<number> {
  const weights = chosen.reduce((sum, target) => sum + target.weight, 0);
  const jobs = chosen.map((target): Job => ({ target, fromSeed: seed, runs: Math.max(1, Math.ceil((runs * target.weight) / weights)) }));
  // Each target has an equal share of the time.
  const millisMax = (minutes * 60_000 * Math.min(workers, jobs.length)) / jobs.length;
  process.stdout.write(`seed ${seed}, ${jobs.length} targets, ${workers} at a time\n`);
  const results: { job: Job; watched: Watched }[] = [];
  const stop = new AbortController();
  const next = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined && !stop.signal.aborted; job = jobs.shift()) {
      const signal = Number.isFinite(millisMax) ? AbortSignal.any([stop.signal, AbortSignal.timeout(millisMax)]) : stop.signal;
      const watched = await watchWorker([job], { onCounts: progress(job), signal });
      results.push({ job, watched });
      process.stdout.write(`${line(job, watched)}\n`);
      if (watched.finding !== null) {
        tell(job.target, watched.finding, await saveInput(job.target, watched.finding));
        stop.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: workers }, next));
  const fed = results.reduce((sum, { watched }) => sum + watched.counts.fed, 0);
  const findings = results.filter(({ watched }) => watched.finding !== null).length;
  process.stdout.write(`${fed.toLocaleString('en')} inputs, ${findings} findings\n`);
  return findings === 0 ? 0 : 1;
}

/** On a terminal, a line that is written over. */
function progress({ target, runs: most }: Job): (counts: Counts) => void {
  if (!process.stdout.isTTY) return () => {};
  return ({ fed }) => process.stdout.write(`${target.name} ${fed.toLocaleString('en')}${most < 1e12 ? ` of ${most.toLocaleString('en')}` : ''}\u001b[K\r`);
}

function line({ target }: Job, { counts, millis }: Watched): string {
  const rate = (counts.fed / (millis / 1000)).toFixed(0);
  const memory = (counts.residentBytes / 2 ** 20).toFixed(0);
  return `${target.name.padEnd(16)} ${counts.fed.toLocaleString('en').padStart(12)} inputs ${rate.padStart(7)}/s  ${counts.taken} taken, ${counts.refused} refused, at most ${memory} MiB`;
}

function tell(target: Target, { seed: found, what }: Finding, file: string): void {
  process.stderr.write(`${target.name}: ${what}\n${file}`);
  if (found !== null) process.stderr.write(`again: npm run fuzz -- --target ${target.name} --seed ${found} --runs 1\n`);
}

/** Made again from its seed; for the corpus, once it is mended. */
async function saveInput(target: Target, { seed: found, what }: Finding): Promise<string> {
  if (found === null) return '';
  const folder = path.join(tmpdir(), 'flamelake-fuzz-found');
  const fuzzed = await target.open();
  const name = path.join(folder, `${target.name}-${found}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(name, makeInput(fuzzed, found));
  writeFileSync(`${name}.txt`, `${what}\n`);
  return `input: ${name}\n`;
}

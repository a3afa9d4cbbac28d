// How every bench here runs and reports: machine, input, result hash, median and spread. A bench has a
// small form that runs in npm test, so that it can't rot, and a large one for docs/measurements.md.
import { cpus, release, totalmem } from 'node:os';

export type Size = 'small' | 'large';

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly rounds: number;
}

export interface Outcome {
  /** What went in: `200,000 samples in 40 messages, 31.2 MB`. */
  readonly input: string;
  /** Of what came out, where that is the same on every machine; null where it is not (real hosts). */
  readonly resultHash: string | null;
  readonly figures: readonly Figure[];
  /** Lines of a table or of remarks below the figures. */
  readonly notes?: readonly string[];
}

export type Bench = (size: Size) => Promise<Outcome>;

/** Runs when the file is started by hand: `node bench/x.bench.ts` (large) or with `--small`. */
export async function main(meta: ImportMeta, name: string, bench: Bench): Promise<void> {
  if (!meta.main) return;
  const size: Size = process.argv.includes('--small') ? 'small' : 'large';
  const outcome = await bench(size);
  process.stdout.write(`${report(name, size, outcome).join('\n')}\n`);
}

export function report(name: string, size: Size, outcome: Outcome): string[] {
  return [
    `${name} (${size}), ${new Date().toISOString().slice(0, 10)}`,
    `machine: ${machine()}`,
    `input: ${outcome.input}`,
    `result: ${outcome.resultHash ?? 'differs by host'}`,
    ...outcome.figures.map(figureLine),
    ...(outcome.notes ?? []),
  ];
}

export function machine(): string {
  const [cpu] = cpus();
  const gigabytes = (totalmem() / 2 ** 30).toFixed(0);
  return `${cpus().length} x ${cpu?.model.trim() ?? 'unknown CPU'}, ${gigabytes} GB, Linux ${release()}, Node ${process.versions.node}`;
}

function figureLine(figure: Figure): string {
  const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  const spread = figure.rounds === 1 ? 'one round' : `${digits(figure.least)} to ${digits(figure.most)}, ${figure.rounds} rounds`;
  return `  ${figure.name.padEnd(36)} ${digits(figure.median).padStart(8)} ${figure.unit}  (${spread})`;
}

export function figure(name: string, unit: string, values: readonly number[]): Figure {
  if (values.length === 0) throw new Error(`${name}: no rounds`);
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length / 2;
  const median = Number.isInteger(middle) ? (sorted[middle - 1]! + sorted[middle]!) / 2 : sorted[Math.floor(middle)]!;
  return { name, unit, median, least: sorted[0]!, most: sorted.at(-1)!, rounds: values.length };
}

/** CPU time of this process, all threads, that a piece of work took, microseconds. */
export async function cpuMicros(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

// The exporter's index of stack ids at the size that it is made for: 10 M new ids a day, 8 open dates.
// What an id costs to look up and to add, and what the index takes on disk and in memory.
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { indexStepIds } from '../exporter/limits.ts';
import { StackIndex } from '../exporter/stack-index.ts';
import { type Bench, cpuMicros, figure, main } from './measure.ts';

const MiB = 2 ** 20;
const firstDate = 20_000;
const sizes = { small: { dates: 2, idsPerDate: 20_000 }, large: { dates: 8, idsPerDate: 10_000_000 } } as const;
/** Looked up after each date: half of them are there. */
const lookups = 20_000;

export const bench: Bench = async (size) => {
  const { dates, idsPerDate } = sizes[size];
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-stack-index-'));
  const file = join(folder, 'stacks.db');
  const before = residentBytes();
  const index = new StackIndex(file, 'bench');
  const [adds, finds, resident]: [number[], number[], number[]] = [[], [], []];
  let found = 0;
  try {
    for (let day = 0; day < dates; day++) {
      adds.push((await cpuMicros(() => fill(index, firstDate + day, idsPerDate))) / idsPerDate);
      finds.push((await cpuMicros(() => (found += find(index, firstDate + day, idsPerDate)))) / lookups);
      resident.push((residentBytes() - before) / MiB);
    }
    const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    return {
      input: `${dates} dates with ${idsPerDate} ids each`,
      resultHash: String(found),
      figures: [
        figure('add, CPU', 'us an id', adds),
        figure('look up, CPU', 'us an id', finds),
        figure('disk', 'bytes an id', [bytes / (dates * idsPerDate)]),
        figure('disk, all', 'MiB', [bytes / MiB]),
        figure(
          'resident, above an empty process',
          'MiB',
          resident.map((value) => Math.max(value, 0.1)),
        ),
      ],
    };
  } finally {
    index.close();
    rmSync(folder, { recursive: true });
  }
};

/** 32 hex digits, as even as a hash. */
const idOf = (date: number, number: number) => createHash('md5').update(`${date} ${number}`).digest('hex');

function fill(index: StackIndex, date: number, count: number): void {
  for (let from = 0; from < count; from += indexStepIds) index.add(date, idsBetween(date, from, Math.min(count, from + indexStepIds)));
  index.complete(date);
}

function* idsBetween(date: number, from: number, to: number): Generator<string> {
  for (let number = from; number < to; number++) yield idOf(date, number);
}

function find(index: StackIndex, date: number, count: number): number {
  let found = 0;
  for (let number = 0; number < lookups; number++) if (index.has(date, idOf(date, (number % 2) * count + number))) found++;
  return found;
}

const residentBytes = () => 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? 0);

await main(import.meta, 'stack-index', bench);

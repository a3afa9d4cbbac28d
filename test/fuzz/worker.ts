// Feeds targets, one after the other, in a process of its own that may crash or hang:
// worker.ts FILE (TARGET FROM_SEED RUNS)…
// The seed in work stands in FILE before it is fed, so that whoever watches can name it afterwards.
import { openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { feedInput, makeInput, type Verdict } from './target.ts';
import { brokenTargets } from './targets/broken.ts';
import { targets } from './targets.ts';

/** To the one who watches; `failed` or `done` is the last. */
export type WorkerMessage =
  | { readonly kind: 'begins'; readonly target: string }
  | { readonly kind: 'counts'; readonly fed: number; readonly taken: number; readonly refused: number; readonly residentBytes: number }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly where: string; readonly error: string };

export const corpusFolder = path.join(import.meta.dirname, 'corpus');
const reportMillis = 250;
/** Of a process that holds nothing between inputs but its code and the garbage of a few. */
const residentBytesMax = 900 * 1024 * 1024;

if (process.send !== undefined && process.argv[2] !== undefined) await workAll(process.argv[2], process.argv.slice(3));

async function workAll(file: string, words: readonly string[]): Promise<void> {
  // Nobody watches any more.
  process.once('disconnect', () => process.exit(1));
  const seedFile = openSync(file, 'w');
  for (let at = 0; at < words.length; at += 3) {
    process.send!({ kind: 'begins', target: words[at]! } satisfies WorkerMessage);
    if (!(await work(words[at]!, Number(words[at + 1]), Number(words[at + 2]), seedFile))) return;
  }
  process.send!({ kind: 'done' } satisfies WorkerMessage, () => process.exit(0));
}

async function work(name: string, fromSeed: number, runs: number, seedFile: number): Promise<boolean> {
  const target = [...targets, ...brokenTargets].find((each) => each.name === name)!;
  const fuzzed = await target.open();
  const counts: Record<Verdict, number> = { taken: 0, refused: 0 };
  const seedBytes = Buffer.alloc(8);
  let where = 'opening';
  let fed = 0;
  let reportedMillis = performance.now();
  const report = (): void => {
    reportedMillis = performance.now();
    const residentBytes = process.memoryUsage.rss();
    process.send!({ kind: 'counts', fed, ...counts, residentBytes } satisfies WorkerMessage);
    if (residentBytes > residentBytesMax) throw new Error(`${residentBytes} bytes are resident, at most ${residentBytesMax} may be`);
  };
  try {
    for (const [entry, bytes] of corpusOf(name)) {
      where = `corpus ${entry}`;
      await feedInput(fuzzed, bytes, 0);
    }
    for (let seed = fromSeed; seed < fromSeed + runs; seed++) {
      where = `seed ${seed}`;
      seedBytes.writeDoubleLE(seed);
      writeSync(seedFile, seedBytes, 0, 8, 0);
      counts[await feedInput(fuzzed, makeInput(fuzzed, seed), seed)]++;
      fed++;
      if (performance.now() - reportedMillis > reportMillis) {
        report();
        // Most readers never wait: without this nobody would hear that the one who watches is gone.
        await setImmediate();
      }
    }
    where = 'the end';
    await fuzzed.close?.();
    report();
    if (target.oneSided !== true && fed >= 1000 && Math.min(counts.taken, counts.refused) < fed / 200) {
      throw new Error(`${counts.taken} taken and ${counts.refused} refused: the inputs say little`);
    }
    return true;
  } catch (error) {
    process.send!({ kind: 'failed', where, error: error instanceof Error ? (error.stack ?? error.message) : String(error) } satisfies WorkerMessage, () =>
      process.exit(1),
    );
    return false;
  }
}

/** Inputs that once were findings, or that no generator makes. */
function corpusOf(name: string): [string, Buffer][] {
  const folder = path.join(corpusFolder, name);
  try {
    return readdirSync(folder)
      .sort()
      .map((entry) => [entry, readFileSync(path.join(folder, entry))]);
  } catch {
    return [];
  }
}

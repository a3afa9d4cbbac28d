import { describe, expect, test } from 'vitest';
import { type HotRun, nextMerge, withRuns } from './hot-runs.ts';
import { coverOffsets, type HotSlice } from './snapshot.ts';
import { seededRandom } from './testing-random.ts';

const slice = (from: number, to: number, key = `hot/${from}-${to}`, shard = 0): HotSlice => ({ key, shard, from, to, whole: true });
const run = (sources: readonly HotSlice[], path = '/run', rows = 10): HotRun => ({ shard: sources[0]!.shard, path, bytes: 1, rows, merged: true, sources });
const shown = (slices: readonly HotSlice[]) => slices.map(({ key, from, to, whole }) => `${key} ${from}-${to}${whole ? '' : ' cut'}`);

describe('a run stands in', () => {
  const plan = [slice(0, 2), slice(2, 5), slice(5, 9), slice(9, 10)];

  test('for exactly what it was made of', () => {
    expect(shown(withRuns(plan, [run(plan.slice(0, 3))]))).toEqual(['/run 0-9', 'hot/9-10 9-10']);
    expect(shown(withRuns(plan, [run(plan.slice(1, 3))]))).toEqual(['hot/0-2 0-2', '/run 2-9', 'hot/9-10 9-10']);
  });

  test('cut, where the head has moved on', () => {
    expect(shown(withRuns(plan.slice(1), [run(plan.slice(0, 3))]))).toEqual(['/run 2-9 cut', 'hot/9-10 9-10']);
    const cut = [{ ...plan[1]!, from: 4, whole: false }, ...plan.slice(2)];
    expect(shown(withRuns(cut, [run(plan.slice(0, 3))]))).toEqual(['/run 4-9 cut', 'hot/9-10 9-10']);
  });

  test('not where an object came between, or one is gone, or another took its place', () => {
    const gap = [slice(0, 2), slice(4, 5), slice(5, 9)];
    // What stands behind the newcomer is still the rest of the run.
    expect(shown(withRuns([gap[0]!, slice(2, 4), ...gap.slice(1)], [run(gap)]))).toEqual(['hot/0-2 0-2', 'hot/2-4 2-4', '/run 4-9 cut']);
    expect(shown(withRuns([plan[0]!, plan[2]!], [run(plan.slice(0, 3))]))).toEqual(['hot/0-2 0-2', '/run 5-9 cut']);
    const other = [plan[0]!, slice(2, 7, 'hot/zombie'), { ...plan[2]!, from: 7, whole: false }];
    expect(shown(withRuns(other, [run(plan.slice(0, 3))]))).toEqual(['hot/0-2 0-2', 'hot/zombie 2-7', '/run 7-9 cut']);
  });

  test('not for another shard', () => {
    const two = [slice(0, 2, 'hot/a', 1), slice(2, 3, 'hot/b', 1)];
    expect(withRuns(two, [run([slice(0, 2, 'hot/a'), slice(2, 3, 'hot/b')])])).toEqual(two);
  });
});

describe('a merge', () => {
  const plan = [slice(0, 2), slice(2, 5), slice(5, 9)];

  test('waits until it pays', () => {
    expect(nextMerge(plan, [], 4, 100)).toBeNull();
    expect(nextMerge(plan, [], 3, 100)).toEqual({ shard: 0, read: plan, sources: plan });
  });

  test('takes a small run along, and leaves a large one', () => {
    const old = run(plan);
    const more = [slice(9, 10), slice(10, 12)];
    const now = withRuns([...plan, ...more], [old]);
    expect(nextMerge(now, [old], 2, 100)).toEqual({ shard: 0, read: [now[0], ...more], sources: [...plan, ...more] });
    expect(nextMerge(now, [{ ...old, rows: 100 }], 2, 100)).toEqual({ shard: 0, read: more, sources: more });
  });

  test('of a run that is cut keeps only what is left of it', () => {
    const old = run(plan);
    const now = withRuns([{ ...plan[1]!, from: 3, whole: false }, plan[2]!, slice(9, 10)], [old]);
    expect(nextMerge(now, [old], 1, 100)!.sources).toEqual([{ ...plan[1]!, from: 3, whole: false }, plan[2], slice(9, 10)]);
  });
});

test('whatever is listed, runs give the offsets that the objects give', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seededRandom(seed);
    let objects: { key: string; table: 'samples'; shard: number; from: number; to: number; log: null }[] = [];
    let runs: HotRun[] = [];
    let end = 0;
    let position = 0;
    /** What a run's file holds. */
    const content = new Map<string, Set<number>>();
    const offsets = (slices: readonly HotSlice[]) =>
      slices.flatMap(({ key, from, to }) =>
        Array.from({ length: to - from }, (_, index) => from + index).filter((offset) => content.get(key)?.has(offset) ?? true),
      );
    for (let step = 0; step < 40; step++) {
      // An object after the last, with a gap now and then; a zombie's over what is there; a head that moves on.
      const from = end + (random.below(5) === 0 ? 1 : 0);
      end = from + 1 + random.below(3);
      objects.push({ key: `hot/${step}`, table: 'samples', shard: 0, from, to: end, log: null });
      if (random.below(6) === 0) {
        const start = random.below(end);
        objects.push({ key: `hot/zombie-${step}`, table: 'samples', shard: 0, from: start, to: start + 1 + random.below(5), log: null });
      }
      if (random.below(5) === 0) position = Math.min(end, position + random.below(8));
      if (random.below(5) === 0) objects = objects.filter((object) => object.to > position - 3);
      const plain = coverOffsets(objects, position);
      const merged = withRuns(plain, runs);
      expect(offsets(merged), `seed ${seed} step ${step}`).toEqual(offsets(plain));
      const work = nextMerge(merged, runs, 3, 12);
      if (!work) continue;
      const path = `/run-${step}`;
      content.set(path, new Set(offsets(work.read)));
      runs = [
        { shard: 0, path, bytes: 1, merged: true, rows: offsets(work.read).length, sources: work.sources },
        ...runs.filter((old) => merged.some((used) => used.key === old.path) && !work.read.some((read) => read.key === old.path)),
      ];
    }
    expect(runs.length).toBeGreaterThan(0);
  }
});

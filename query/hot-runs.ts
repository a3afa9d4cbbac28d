// Hot objects are read from local files (runs): which of them stand in for which parts of a plan, what is
// in none yet, and when merging small ones pays. Pure; hot-cache.ts keeps the files.
//
// A run may stand in only where the plan names exactly what the run was made of: the same slices of the
// same objects, none between them, the first of them cut at most by a head that moved on. Whatever else
// the lake says (a zombie's object, a late one in a gap), what the plan names is read anew.
import type { HotSlice } from './snapshot.ts';

export interface HotRun {
  readonly shard: number;
  /** Absolute path of its folder; keys of the store never begin with '/'. */
  readonly path: string;
  readonly bytes: number;
  readonly rows: number;
  /** Made of other runs, for good; those that are made for a question are merged after a while. */
  readonly merged: boolean;
  /** In order of offsets. */
  readonly sources: readonly HotSlice[];
}

/** The slices of a plan with runs in place of what they hold. */
export function withRuns(slices: readonly HotSlice[], runs: readonly HotRun[]): HotSlice[] {
  const result: HotSlice[] = [];
  for (let index = 0; index < slices.length; ) {
    const match = runs.map((run) => ({ run, count: matchLength(slices, index, run) })).find(({ count }) => count > 0);
    if (!match) {
      result.push(slices[index]!);
      index++;
      continue;
    }
    const first = slices[index]!;
    const { run, count } = match;
    result.push({ key: run.path, shard: run.shard, from: first.from, to: run.sources.at(-1)!.to, whole: first.from === run.sources[0]!.from });
    index += count;
  }
  return result;
}

/** How many slices from `index` on are the rest of the run, to its end; 0 where it does not fit. */
function matchLength(slices: readonly HotSlice[], index: number, run: HotRun): number {
  const first = slices[index]!;
  const start = run.sources.findIndex(
    (source) => source.shard === first.shard && source.key === first.key && source.to === first.to && source.from <= first.from,
  );
  if (start < 0) return 0;
  const rest = run.sources.slice(start + 1);
  const fits = rest.every((source, offset) => {
    const slice = slices[index + 1 + offset];
    return slice !== undefined && slice.shard === source.shard && slice.key === source.key && slice.from === source.from && slice.to === source.to;
  });
  return fits ? rest.length + 1 : 0;
}

/** Slices, as withRuns gave them, that are in no run: those that follow each other in a shard together. */
export function missingGroups(slices: readonly HotSlice[], runs: readonly HotRun[]): HotSlice[][] {
  const paths = new Set(runs.map((run) => run.path));
  const groups: HotSlice[][] = [];
  let last: HotSlice | undefined;
  for (const slice of slices) {
    if (paths.has(slice.key)) {
      last = undefined;
      continue;
    }
    if (last?.shard === slice.shard) groups.at(-1)!.push(slice);
    else groups.push([slice]);
    last = slice;
  }
  return groups;
}

export interface MergeWork {
  readonly shard: number;
  /** What to read: runs that were made for questions, and before them perhaps a merged one that is still small. */
  readonly read: readonly HotSlice[];
  readonly sources: readonly HotSlice[];
}

/**
 * What to merge next, or null. `slices` as withRuns gave them, all of them runs. A merged run is sealed when it
 * has `rowsMax` rows; until then it is read again with what stands behind it, at least `least` of them.
 */
export function nextMerge(slices: readonly HotSlice[], runs: readonly HotRun[], least: number, rowsMax: number): MergeWork | null {
  const runOf = new Map(runs.map((run) => [run.path, run]));
  for (const [shard, members] of Map.groupBy(slices, (slice) => slice.shard)) {
    const lastMerged = members.findLastIndex((slice) => runOf.get(slice.key)?.merged === true);
    const small = members.slice(lastMerged + 1);
    if (small.length < least) continue;
    const standing = lastMerged < 0 || runOf.get(members[lastMerged]!.key)!.rows >= rowsMax ? [] : [members[lastMerged]!];
    const read = [...standing, ...small];
    return { shard, read, sources: read.flatMap((slice) => sourcesOf(slice, runOf.get(slice.key))) };
  }
  return null;
}

/** What a slice of a run holds of the run's sources. */
function sourcesOf(slice: HotSlice, run: HotRun | undefined): HotSlice[] {
  if (run === undefined) return [slice];
  const [cut, ...others] = run.sources.filter((source) => source.to > slice.from);
  return [{ ...cut!, from: slice.from, whole: cut!.whole && cut!.from === slice.from }, ...others];
}

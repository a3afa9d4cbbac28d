// Many small hot objects read as one: which merged files (runs) may stand in for which parts of a plan,
// and when a merge pays. Pure; hot-cache.ts keeps the files.
//
// A run may stand in only where the plan names exactly what the run was made of: the same slices of the
// same objects, none between them, the first of them cut at most by a head that moved on. Whatever else
// the lake says (a zombie's object, a late one in a gap), the plan's own slices are read.
import type { HotSlice } from './snapshot.ts';

export interface HotRun {
  readonly shard: number;
  /** Absolute path; keys of the store never begin with '/'. */
  readonly path: string;
  readonly bytes: number;
  readonly rows: number;
  /** In order of offsets. */
  readonly sources: readonly HotSlice[];
}

/** The slices of one table with runs in place of what they hold. */
export function withRuns(slices: readonly HotSlice[], runs: readonly HotRun[]): HotSlice[] {
  const result: HotSlice[] = [];
  for (let index = 0; index < slices.length; ) {
    const match = runs.map((run) => ({ run, count: matchLength(slices, index, run) })).find(({ count }) => count > 1);
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

export interface MergeWork {
  readonly shard: number;
  /** What to read: small slices, and before them perhaps a run that is still small. */
  readonly read: readonly HotSlice[];
  readonly sources: readonly HotSlice[];
}

/**
 * What to merge next, or null. `slices` as withRuns gave them. A run is sealed when it has
 * `rowsMax` rows; until then it is read again with the slices behind it, at least `least` of them.
 */
export function nextMerge(slices: readonly HotSlice[], runs: readonly HotRun[], least: number, rowsMax: number): MergeWork | null {
  const runOf = new Map(runs.map((run) => [run.path, run]));
  for (const [shard, members] of Map.groupBy(slices, (slice) => slice.shard)) {
    const lastRun = members.findLastIndex((slice) => runOf.has(slice.key));
    const small = members.slice(lastRun + 1);
    if (small.length < least) continue;
    const open = lastRun < 0 ? undefined : runOf.get(members[lastRun]!.key);
    if (open === undefined || open.rows >= rowsMax) return { shard, read: small, sources: small };
    const standing = members[lastRun]!;
    const kept = open.sources.filter((source) => source.to > standing.from);
    const [cut, ...others] = kept;
    const sources = [{ ...cut!, from: standing.from, whole: cut!.whole && cut!.from === standing.from }, ...others, ...small];
    return { shard, read: [standing, ...small], sources };
  }
  return null;
}

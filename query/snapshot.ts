// Which objects make up the lake at one moment, so that every row is there once: the pure core.
// lake-listing.ts lists in the order hot, record heads, lake names, and hands the lists to
// planSnapshot; views.ts makes SQL of the plan.
//
// The head record of a shard decides alone. All that lies below its position is in the public files
// of records up to it, in the files it names itself, or in its carry; all the rest is in hot. Only the
// head can be unfinished (record n+1 is never put before all files of n exist), and what a foreign
// reader cannot see of it yet we read from the staged bytes under the same record: so a row neither
// vanishes while a record is being finished nor counts twice, whatever the exporter does meanwhile.
// Lists that grew after the head was read do no harm: public files above the head are left out, and
// hot objects outlive their publication. Hot objects of another log than the head's hold what was lost with it.
import { type HotFileName, type LakeFileName, type LakeTable, lakeTables } from '../schemas/lake/paths.ts';

/** Half-open, milliseconds since the Unix epoch; null = no bound. */
export interface TimeRange {
  readonly fromMillis: number | null;
  readonly toMillis: number | null;
}

export const allTime: TimeRange = { fromMillis: null, toMillis: null };

export type Keyed<Name> = Name & { readonly key: string };

/** Where the bytes of a file that the head names are now. `gone`: retention has taken the file. */
export type HeadFilePlace = 'public' | 'staging' | 'gone';

export interface HeadFile extends LakeFileName {
  readonly key: string;
  readonly staging: string;
  readonly place: HeadFilePlace;
}

export interface ShardHead {
  readonly shard: number;
  readonly seq: number;
  /** Offsets of flamelake.rows below this are in records, the others in hot. */
  readonly position: number;
  /** hotLog of the log that the position is of. */
  readonly log: string;
  readonly files: readonly HeadFile[];
  readonly carry: Readonly<Record<LakeTable, readonly string[]>>;
}

export interface SnapshotLists {
  readonly hot: readonly Keyed<HotFileName>[];
  readonly heads: readonly ShardHead[];
  readonly lake: readonly Keyed<LakeFileName>[];
}

export interface StagedFile {
  readonly key: string;
  readonly date: string;
  readonly shard: number;
}

/** Rows of one hot object with offsets in [from, to); `whole` when that is all it has. */
export interface HotSlice {
  readonly key: string;
  readonly shard: number;
  readonly from: number;
  readonly to: number;
  readonly whole: boolean;
}

export interface TablePlan {
  readonly published: readonly string[];
  readonly staged: readonly StagedFile[];
  readonly carry: readonly string[];
  readonly hot: readonly HotSlice[];
}

export interface SnapshotPlan {
  readonly range: TimeRange;
  readonly samples: TablePlan;
  readonly stacks: TablePlan;
  readonly heads: readonly { readonly shard: number; readonly seq: number; readonly position: number }[];
}

export const emptyPlan = (range: TimeRange): SnapshotPlan => ({ range, samples: emptyTable, stacks: emptyTable, heads: [] });
const emptyTable: TablePlan = { published: [], staged: [], carry: [], hot: [] };

export function planSnapshot(lists: SnapshotLists, range: TimeRange): SnapshotPlan {
  const heads = new Map(lists.heads.map((head) => [head.shard, head]));
  const [samples, stacks] = lakeTables.map((table) => planTable(table, lists, heads, range)) as [TablePlan, TablePlan];
  return { range, samples, stacks, heads: lists.heads.map(({ shard, seq, position }) => ({ shard, seq, position })) };
}

function planTable(table: LakeTable, lists: SnapshotLists, heads: ReadonlyMap<number, ShardHead>, range: TimeRange): TablePlan {
  const wanted = (file: LakeFileName) => file.table === table && inRange(file, range);
  const headFiles = lists.heads.flatMap((head) => head.files).filter(wanted);
  const settled = lists.lake.filter((file) => wanted(file) && file.seq < (heads.get(file.shard)?.seq ?? 0));
  return {
    published: [...settled, ...headFiles.filter((file) => file.place === 'public')].map((file) => file.key).sort(),
    staged: headFiles.filter((file) => file.place === 'staging').map((file) => ({ key: file.staging, date: file.date, shard: file.shard })),
    carry: lists.heads.flatMap((head) => head.carry[table]),
    hot: hotSlices(lists.hot, heads), // they hold both tables
  };
}

const hourMillis = 3_600_000;

/** By name alone. Stacks are stored once a date, so a sample of 14:00 may have its stack in a file of 09:00. */
export function inRange(file: LakeFileName, range: TimeRange): boolean {
  const day = Date.parse(`${file.date}T00:00:00Z`);
  const start = file.table === 'samples' ? day + file.hour * hourMillis : day;
  const end = file.table === 'samples' ? start + hourMillis : day + 24 * hourMillis;
  return (range.toMillis === null || start < range.toMillis) && (range.fromMillis === null || end > range.fromMillis);
}

function hotSlices(objects: readonly Keyed<HotFileName>[], heads: ReadonlyMap<number, ShardHead>): HotSlice[] {
  const byShard = new Map<number, Keyed<HotFileName>[]>();
  for (const object of objects) {
    const list = byShard.get(object.shard);
    if (list) list.push(object);
    else byShard.set(object.shard, [object]);
  }
  return [...byShard]
    .sort(([a], [b]) => a - b)
    .flatMap(([shard, list]) => {
      const head = heads.get(shard);
      const ofLog = list.filter(({ log }) => head === undefined || log === null || log === head.log);
      return coverOffsets(ofLog, head?.position ?? 0);
    });
}

/**
 * Takes each offset from `position` on once, although objects overlap (a restart, a zombie): always
 * the object that reaches farthest from where the last one ended, cut to what is new in it.
 */
export function coverOffsets(objects: readonly Keyed<HotFileName>[], position: number): HotSlice[] {
  const sorted = objects.filter((object) => object.to > object.from).sort((a, b) => a.from - b.from || b.to - a.to || (a.key < b.key ? -1 : 1));
  const slices: HotSlice[] = [];
  let next = position;
  let index = 0;
  while (index < sorted.length) {
    let best: Keyed<HotFileName> | undefined;
    // A gap between objects (offsets without rows for this table) is stepped over.
    const reach = Math.max(next, sorted[index]!.from);
    while (index < sorted.length && sorted[index]!.from <= reach) {
      const object = sorted[index]!;
      if (object.to > next && object.to > (best?.to ?? next)) best = object;
      index++;
    }
    if (!best) continue;
    const from = Math.max(best.from, next);
    slices.push({ key: best.key, shard: best.shard, from, to: best.to, whole: from === best.from });
    next = best.to;
  }
  return slices;
}

/** Keys of all objects that a query of this plan opens. */
export function plannedKeys(plan: SnapshotPlan): string[] {
  return [plan.samples, plan.stacks].flatMap((table) => [
    ...table.published,
    ...table.staged.map((file) => file.key),
    ...table.carry,
    ...table.hot.map((slice) => slice.key),
  ]);
}

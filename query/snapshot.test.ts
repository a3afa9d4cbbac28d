import { describe, expect, test } from 'vitest';
import { type HotFileName, hotFileKey, hotLog, type LakeFileName, lakeFileKey } from '../schemas/lake/paths.ts';
import { coverOffsets, type HeadFile, inRange, type Keyed, planSnapshot, type ShardHead, type SnapshotLists, type SnapshotPlan } from './snapshot.ts';
import { seededRandom } from './testing-random.ts';

const uuid = '00000000-0000-4000-8000-000000000000';
const all = { fromMillis: null, toMillis: null };

function hot(from: number, to: number, tag = 0, shard = 0, logId = 'log'): Keyed<HotFileName> {
  const key = hotFileKey(shard, from, to, logId, `${uuid.slice(0, -8)}${String(tag).padStart(8, '0')}`);
  return { key, shard, from, to, log: hotLog(logId) };
}

function lakeFile(seq: number, date = '2026-11-24', hour = 0, shard = 0): Keyed<LakeFileName> {
  return { key: lakeFileKey('samples', date, shard, hour, seq, 0), table: 'samples', date, shard, hour, seq, part: 0 };
}

function headFile(seq: number, place: HeadFile['place'], date = '2026-11-24'): HeadFile {
  return { ...lakeFile(seq, date), staging: `staging/${seq}/samples.parquet`, place };
}

function head(seq: number, position: number, files: readonly HeadFile[] = [], carry: readonly string[] = []): ShardHead {
  return { shard: 0, seq, position, log: hotLog('log'), files, carry: { samples: carry, stacks: [] } };
}

const slices = (objects: readonly Keyed<HotFileName>[], position: number) => coverOffsets(objects, position).map(({ from, to, whole }) => [from, to, whole]);

describe('hot objects', () => {
  test('objects that follow each other are taken whole', () => {
    expect(slices([hot(5, 9), hot(0, 5)], 0)).toEqual([
      [0, 5, true],
      [5, 9, true],
    ]);
  });

  test('below the position of the head nothing is taken', () => {
    expect(slices([hot(0, 5), hot(5, 9)], 7)).toEqual([[7, 9, false]]);
    expect(slices([hot(0, 5), hot(5, 9)], 9)).toEqual([]);
  });

  test('the one that reaches farther wins, the rest of another is cut to what is new', () => {
    expect(slices([hot(0, 4, 1), hot(0, 10, 2), hot(8, 12, 3), hot(11, 12, 4)], 0)).toEqual([
      [0, 10, true],
      [10, 12, false],
    ]);
  });

  test('the same range twice is taken once', () => {
    expect(slices([hot(3, 6, 1), hot(3, 6, 2)], 0)).toEqual([[3, 6, true]]);
  });

  test('those of another log than the head’s are left out, but not where a version before named them', () => {
    const other = hot(5, 9, 1, 0, 'other');
    const nameless = { ...hot(9, 12, 2), log: null };
    const taken = (heads: readonly ShardHead[]) =>
      planSnapshot({ hot: [hot(0, 5), other, nameless], heads, lake: [] }, all).samples.hot.map(({ from, to }) => [from, to]);
    expect(taken([head(1, 2)])).toEqual([
      [2, 5],
      [9, 12],
    ]);
    expect(taken([{ ...head(1, 2), log: hotLog('other') }])).toEqual([
      [5, 9],
      [9, 12],
    ]);
  });

  test('a gap is stepped over', () => {
    expect(slices([hot(0, 2), hot(7, 9), hot(8, 11)], 0)).toEqual([
      [0, 2, true],
      [7, 9, true],
      [9, 11, false],
    ]);
  });

  test('each offset is covered once, whatever the overlaps', () => {
    const random = seededRandom(7);
    for (let round = 0; round < 500; round++) {
      const objects = Array.from({ length: random.below(12) }, (_, tag) => {
        const from = random.below(30);
        return hot(from, from + random.below(10), tag);
      });
      const position = random.below(35);
      const covered = coverOffsets(objects, position).flatMap(({ from, to }) => Array.from({ length: to - from }, (_, index) => from + index));
      const wanted = new Set(
        objects.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, index) => from + index)).filter((offset) => offset >= position),
      );
      expect(covered.toSorted((a, b) => a - b)).toEqual([...wanted].sort((a, b) => a - b));
    }
  });
});

describe('public files', () => {
  const plan = (lists: Partial<SnapshotLists>) => planSnapshot({ hot: [], heads: [], lake: [], ...lists }, all).samples;

  test('files above the head are not taken yet, those of the head by where they are', () => {
    const lists = { heads: [head(2, 10, [headFile(2, 'staging')])], lake: [lakeFile(1), lakeFile(2), lakeFile(3)] };
    expect(plan(lists)).toMatchObject({ published: [lakeFile(1).key], staged: [{ key: 'staging/2/samples.parquet', date: '2026-11-24', shard: 0 }] });
    expect(plan({ ...lists, heads: [head(2, 10, [headFile(2, 'public')])] })).toMatchObject({ published: [lakeFile(1).key, lakeFile(2).key], staged: [] });
  });

  test('what retention took is left out', () => {
    expect(plan({ heads: [head(2, 10, [headFile(2, 'gone')])], lake: [lakeFile(1)] })).toMatchObject({ published: [lakeFile(1).key], staged: [] });
  });

  test('a file of a shard without any record is nobody’s', () => {
    expect(plan({ lake: [lakeFile(1)] }).published).toEqual([]);
  });

  test('only the carry of the head counts', () => {
    expect(plan({ heads: [head(3, 10, [], ['carry/000/3'])] }).carry).toEqual(['carry/000/3']);
  });
});

describe('the time range by name', () => {
  const range = { fromMillis: Date.parse('2026-11-24T10:30:00Z'), toMillis: Date.parse('2026-11-24T12:00:00Z') };
  test('samples by hour', () => {
    const hours = [9, 10, 11, 12].filter((hour) => inRange(lakeFile(1, '2026-11-24', hour), range));
    expect(hours).toEqual([10, 11]);
  });
  test('stacks by day, because a stack is stored once a date', () => {
    const stacks = (date: string, hour: number) => inRange({ ...lakeFile(1, date, hour), table: 'stacks' }, range);
    expect([stacks('2026-11-24', 0), stacks('2026-11-24', 23), stacks('2026-11-23', 23), stacks('2026-11-25', 0)]).toEqual([true, true, false, false]);
  });
});

/** A lake whose objects hold offsets instead of rows, changed by an exporter while a reader lists it. */
class ModelLake {
  end = 0;
  seq = 0;
  hot: Keyed<HotFileName>[] = [];
  records: { seq: number; from: number; position: number; files: { name: Keyed<LakeFileName>; staging: string; offsets: number[] }[]; carry: string[] }[] = [];
  lake = new Map<string, Keyed<LakeFileName>>();
  staging = new Set<string>();
  readonly content = new Map<string, number[]>();
  readonly #random: ReturnType<typeof seededRandom>;

  constructor(random: ReturnType<typeof seededRandom>) {
    this.#random = random;
  }

  step(): void {
    const moves = [
      () => this.append(),
      () => this.append(),
      () => this.rewriteHot(),
      () => this.record(),
      () => this.finishOne(),
      () => this.finishOne(),
      () => this.sweep(),
    ];
    moves[this.#random.below(moves.length)]!();
  }

  append(): void {
    const to = this.end + 1 + this.#random.below(4);
    this.putHot(this.end, to);
    this.end = to;
  }

  /** A restart or a zombie writes offsets again, cut elsewhere. */
  rewriteHot(): void {
    const from = this.#random.below(this.end + 1);
    const to = Math.min(this.end, from + this.#random.below(6));
    if (to > from) this.putHot(from, to);
  }

  putHot(from: number, to: number): void {
    const object = hot(from, to, this.content.size);
    this.content.set(object.key, span(from, to));
    this.hot.push(object);
  }

  record(): void {
    if (this.unfinished().length > 0) return;
    const last = this.records.at(-1);
    const from = last?.position ?? 0;
    const position = from + this.#random.below(this.end - from + 1);
    if (position === from) return;
    const seq = ++this.seq;
    // Some offsets of the range are old: carried on with what was carried before, or published now.
    const carried = (last?.carry ?? []).flatMap((key) => this.content.get(key)!);
    const old = span(from, position).filter(() => this.#random.below(4) === 0);
    const publishOld = this.#random.below(3) === 0;
    const fresh = span(from, position).filter((offset) => !old.includes(offset));
    const published = publishOld ? [...fresh, ...old, ...carried] : fresh;
    const carry = publishOld ? [] : [...(last?.carry ?? []), ...this.put(`carry/${seq}`, old)];
    const files = [0, 1].map((hour) => {
      const name = lakeFile(seq, '2026-11-24', hour);
      const staging = `staging/${seq}/${hour}`;
      const offsets = published.filter((offset) => offset % 2 === hour);
      this.content.set(name.key, offsets);
      this.content.set(staging, offsets);
      this.staging.add(staging);
      return { name, staging, offsets };
    });
    this.records.push({ seq, from, position, files, carry });
  }

  put(key: string, offsets: number[]): string[] {
    this.content.set(key, offsets);
    return [key];
  }

  unfinished() {
    return (this.records.at(-1)?.files ?? []).filter((file) => !this.lake.has(file.name.key));
  }

  finishOne(): void {
    const [file] = this.unfinished();
    if (file) this.lake.set(file.name.key, file.name);
  }

  /** Staging of finished files goes at once; hot objects only when what published them is long finished. */
  sweep(): void {
    for (const record of this.records) for (const file of record.files) if (this.lake.has(file.name.key)) this.staging.delete(file.staging);
    const old = this.records.at(-3)?.position ?? 0;
    this.hot = this.hot.filter((object) => object.to > old);
  }

  heads(listed: ReadonlySet<string>, between: () => void): ShardHead[] {
    const record = this.records.at(-1);
    if (!record) return [];
    const files = record.files.map((file): HeadFile => {
      const place = () => {
        if (listed.has(file.name.key)) return 'public';
        if (this.staging.has(file.staging)) return 'staging';
        between();
        return this.lake.has(file.name.key) ? 'public' : 'gone';
      };
      return { ...file.name, staging: file.staging, place: place() };
    });
    return [head(record.seq, record.position, files, record.carry)];
  }
}

const span = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

function offsetsOf(plan: SnapshotPlan, lake: ModelLake): number[] {
  const { published, staged, carry, hot: hotParts } = plan.samples;
  const whole = [...published, ...staged.map((file) => file.key), ...carry].flatMap((key) => lake.content.get(key)!);
  return [...whole, ...hotParts.flatMap((slice) => lake.content.get(slice.key)!.filter((offset) => offset >= slice.from && offset < slice.to))].sort(
    (a, b) => a - b,
  );
}

test('while an exporter publishes, carries, crashes, restarts and sweeps, each row is there once at every moment', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seededRandom(seed);
    const lake = new ModelLake(random);
    const steps = () => {
      for (let step = random.below(4); step > 0; step--) lake.step();
    };
    for (let round = 0; round < 25; round++) {
      steps();
      const visible = lake.end;
      const hotListed = [...lake.hot];
      steps();
      const record = lake.records.at(-1);
      const headSeen = new ModelLakeView(lake, record?.seq ?? 0);
      steps();
      const listed = [...lake.lake.values()];
      steps();
      const heads = headSeen.heads(new Set(listed.map((file) => file.key)), steps);
      const offsets = offsetsOf(planSnapshot({ hot: hotListed, heads, lake: listed }, all), lake);
      // Nothing twice; all that was there when the listing began; nothing invented.
      expect(new Set(offsets).size, `seed ${seed} round ${round}: ${offsets.join()}`).toBe(offsets.length);
      expect(offsets.slice(0, visible), `seed ${seed} round ${round}`).toEqual(span(0, visible));
    }
  }
});

/** The head as it was when it was read, its files looked up later. */
class ModelLakeView {
  readonly #lake: ModelLake;
  readonly #seq: number;

  constructor(lake: ModelLake, seq: number) {
    this.#lake = lake;
    this.#seq = seq;
  }

  heads(listed: ReadonlySet<string>, between: () => void): ShardHead[] {
    const records = this.#lake.records;
    const index = records.findIndex((record) => record.seq === this.#seq);
    if (index < 0) return [];
    const past = Object.assign(Object.create(Object.getPrototypeOf(this.#lake)) as ModelLake, this.#lake, { records: records.slice(0, index + 1) });
    return past.heads(listed, between);
  }
}

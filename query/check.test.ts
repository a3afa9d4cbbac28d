// A lake that is whole passes; each kind of damage, made by hand on real files, is found and named.
import { appendFile, copyFile, mkdir, readFile, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sampleColumns, stackColumns } from '../schemas/lake/columns.ts';
import { raiseFloor } from '../schemas/lake/floor.ts';
import { encodeFold } from '../schemas/lake/fold.ts';
import { foldKey, lakeFileKey, recordKey } from '../schemas/lake/paths.ts';
import type { CommitRecord } from '../schemas/lake/record.ts';
import { type FindingKind, findingKinds } from './check/findings.ts';
import { type CheckReport, checkLake } from './check.ts';
import { openQuery } from './query.ts';
import { lakeStats, skewOf } from './stats.ts';
import { FixtureLake, type Row, sampleRow, stackId, stackRow } from './testing-lake.ts';

let lake: FixtureLake;
let records: CommitRecord[];

const stacks = [stackRow(stackId(1), ['leaf', 'main']), stackRow(stackId(2), ['other', 'main'])];
const at = (hour: number, second: number) => `2026-11-24T${String(hour).padStart(2, '0')}:00:${String(second).padStart(2, '0')}Z`;
const samples = [sampleRow(at(10, 1), stackId(1)), sampleRow(at(10, 2), stackId(2)), sampleRow(at(11, 3), stackId(1))];

beforeEach(async () => {
  lake = await FixtureLake.make();
  records = [
    await lake.publish({ seq: 1, position: 4, samples, stacks, progress: 'swept' }),
    await lake.publish({ seq: 2, position: 8, samples: [sampleRow(at(12, 1), stackId(2))], progress: 'swept' }),
    await lake.publish({ seq: 3, position: 9, samples: [sampleRow(at(13, 1), stackId(1))], progress: 'swept' }),
  ];
});
afterEach(() => lake.remove());

const samplesKey = () => records[0]!.files.find((file) => file.table === 'samples')!.key;
const stacksKey = () => records[0]!.files.find((file) => file.table === 'stacks')!.key;

/** Kind and object of all findings, as text. */
const found = (report: CheckReport) => report.findings.map(({ kind, key }) => `${kind} ${key}`).sort();

async function checked(): Promise<CheckReport> {
  const report = await checkLake(lake.store);
  for (const finding of report.findings) {
    expect(finding.text).toMatch(/^[^\n]{5,}$/);
    expect(finding.advice).toBe(findingKinds[finding.kind]);
  }
  return report;
}

/** Puts other rows under a name, with a record that agrees with the bytes: only the content is wrong. */
async function replaceAgreeing(seq: number, key: string, rows: readonly Row[], columns: readonly { name: string }[], version = '1'): Promise<void> {
  await lake.parquet(key, columns as typeof sampleColumns, rows, version);
  const bytes = await readFile(lake.path(key));
  const { createHash } = await import('node:crypto');
  const record = records[seq - 1]!;
  const files = record.files.map((file) =>
    file.key === key ? { ...file, rows: rows.length, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') } : file,
  );
  await writeFile(lake.path(recordKey(0, seq)), JSON.stringify({ ...record, files }));
}

test('a whole lake passes, and is counted', async () => {
  const steps: string[] = [];
  const report = await checkLake(lake.store, { onProgress: ({ step, done, total }) => steps.push(`${step} ${done}/${total ?? '?'}`) });
  expect(report).toMatchObject({ ok: true, shards: 1, records: 3, files: 5, samples: 5, stacks: 2, findings: [], counts: {} });
  expect(steps).toEqual(['records 1/?', 'records 2/?', 'records 3/?', 'files 1/5', 'files 2/5', 'files 3/5', 'files 4/5', 'files 5/5', 'stacks 1/1']);
});

test('an empty lake passes', async () => {
  const empty = await FixtureLake.make({ settings: false });
  expect(await checkLake(empty.store)).toMatchObject({ ok: true, shards: 0, files: 0 });
  await empty.remove();
});

describe('bytes and files', () => {
  test('a file that is missing', async () => {
    await unlink(lake.path(samplesKey()));
    expect(found(await checked())).toEqual([`file_missing ${samplesKey()}`]);
  });

  test('a byte that changed', async () => {
    const file = lake.path(samplesKey());
    const bytes = await readFile(file);
    bytes[100]! ^= 1;
    await rm(file);
    await writeFile(file, bytes);
    const report = await checked();
    expect(report.ok).toBe(false);
    expect(found(report)).toContain(`bytes_changed ${samplesKey()}`);
  });

  test('a file that was cut, and one with something behind it', async () => {
    const other = records[1]!.files[0]!.key;
    await truncate(lake.path(samplesKey()), 100);
    await appendFile(lake.path(other), 'x');
    expect(found(await checked())).toEqual([`size_wrong ${samplesKey()}`, `size_wrong ${other}`, `unreadable ${samplesKey()}`, `unreadable ${other}`].sort());
  });

  test('a row removed', async () => {
    await rm(lake.path(samplesKey()));
    await lake.parquet(samplesKey(), sampleColumns, [samples[0]!]);
    expect(found(await checked())).toEqual(expect.arrayContaining([`rows_wrong ${samplesKey()}`]));
  });

  test('a stray file, a copy of one, and a name of somebody else', async () => {
    const copy = lakeFileKey('samples', '2026-11-24', 0, 10, 1, 7);
    const stray = lakeFileKey('samples', '2026-11-24', 0, 10, 9, 0);
    const foreign = 'lake/samples/date=2026-11-24/shard=000/merged.parquet';
    await copyFile(lake.path(samplesKey()), lake.path(copy));
    await lake.parquet(stray, sampleColumns, [samples[0]!]);
    await writeFile(lake.path(foreign), 'x');
    expect(found(await checked())).toEqual([`stray_copy ${copy}`, `stray_file ${stray}`, `stray_file ${foreign}`].sort());
  });
});

describe('records', () => {
  test('a chain that is cut', async () => {
    await unlink(lake.path(recordKey(0, 2)));
    expect(found(await checked())).toEqual([`chain_gap ${recordKey(0, 2)}`, `stray_file ${records[1]!.files[0]!.key}`]);
  });

  test('a record that is damaged, and what is no record', async () => {
    await writeFile(lake.path(recordKey(0, 3)), '{"version": 1}');
    await writeFile(lake.path('commits/000/notes.txt'), 'x');
    expect(found(await checked())).toEqual([
      `record_damaged ${recordKey(0, 3)}`,
      `stray_file ${records[2]!.files[0]!.key}`,
      'stray_record commits/000/notes.txt',
    ]);
  });

  test('records out of order, under a wrong name, naming one file twice', async () => {
    await writeFile(lake.path(recordKey(0, 2)), JSON.stringify({ ...records[1]!, position: 1 }));
    expect(found(await checked())).toEqual([`chain_order ${recordKey(0, 2)}`]);
    await writeFile(lake.path(recordKey(0, 2)), JSON.stringify({ ...records[1]!, seq: 7 }));
    expect(found(await checked())).toContain(`chain_order ${recordKey(0, 2)}`);
    await writeFile(lake.path(recordKey(0, 2)), JSON.stringify({ ...records[1]!, files: [...records[1]!.files, records[0]!.files[0]!] }));
    expect(found(await checked())).toContain(`file_twice ${records[0]!.files[0]!.key}`);
  });

  test('a record that is not finished is no damage; one whose staged bytes are gone too is', async () => {
    const record = await lake.publish({ seq: 4, position: 12, samples: [sampleRow(at(14, 1), stackId(1))], progress: 'recorded' });
    const report = await checked();
    expect([report.ok, found(report)]).toEqual([true, [`unfinished ${record.files[0]!.key}`]]);
    await lake.store.delete(record.files[0]!.staging);
    expect(found(await checked())).toEqual([`file_missing ${record.files[0]!.key}`]);
  });

  test('carried rows that are gone', async () => {
    const record = await lake.publish({ seq: 4, position: 12, carrySamples: [sampleRow('2026-11-20T10:00:00Z', stackId(1))] });
    expect(found(await checked())).toEqual([]);
    await lake.store.delete(record.carry!.samples[0]!);
    expect(found(await checked())).toEqual([`carry_missing ${record.carry!.samples[0]!}`]);
  });
});

describe('folded records', () => {
  /** Folds records 1 to 100 as an exporter does; the first three have files. */
  async function fold(): Promise<string> {
    for (let seq = 4; seq <= 102; seq++) records.push(await lake.publish({ seq, position: 9 }));
    const key = foldKey(0, 1);
    await lake.store.putIfAbsent(key, encodeFold(records.slice(0, 100)));
    return key;
  }
  const deleteSingle = async () => {
    for (let seq = 1; seq <= 100; seq++) await lake.store.delete(recordKey(0, seq));
  };

  test('are as good as single ones, also while the single ones are still there, and while they go', async () => {
    await fold();
    const whole = { ok: true, records: 102, files: 5, samples: 5, findings: [] };
    expect(await checkLake(lake.store)).toMatchObject(whole);
    await lake.store.delete(recordKey(0, 1));
    await lake.store.delete(recordKey(0, 57));
    expect(await checkLake(lake.store)).toMatchObject(whole);
    await deleteSingle();
    expect(await checkLake(lake.store)).toMatchObject(whole);
    // Folded between the listing and the reading of the single records.
    const list = lake.store.list.bind(lake.store);
    lake.store.list = async (prefix, options) =>
      prefix.startsWith('commits/') ? [...(await list(prefix, options)), { key: recordKey(0, 33), bytes: 1, modifiedMillis: 1 }] : list(prefix, options);
    expect(await checkLake(lake.store)).toMatchObject(whole);
  });

  test('that are damaged, gone, cut or of a zombie are told', async () => {
    const key = await fold();
    await writeFile(lake.path(recordKey(0, 2)), JSON.stringify({ ...records[1]!, attempt: 'zombie' }));
    const report = await checked();
    expect([report.ok, found(report)]).toEqual([true, [`record_superseded ${recordKey(0, 2)}`]]);
    await deleteSingle();
    const bytes = await readFile(lake.path(key));
    await rm(lake.path(key));
    await writeFile(lake.path(key), bytes.subarray(1));
    const files = records.slice(0, 3).flatMap((record) => record.files.map((file) => `stray_file ${file.key}`));
    expect(found(await checked())).toEqual([`fold_damaged ${key}`, ...files].sort());
    await rm(lake.path(key));
    expect(found(await checked())).toEqual([`chain_gap ${recordKey(0, 1)}`, ...files].sort());
    await writeFile(lake.path('folds/000/notes.txt'), 'x');
    expect(found(await checked())).toContain('stray_record folds/000/notes.txt');
  });
});

describe('retention', () => {
  const raise = (date: string) => raiseFloor(lake.store, { date, movedMillis: 0, reason: 'test', writer: 'test' });
  beforeEach(async () => {
    const younger = [sampleRow('2026-11-25T09:00:00Z', stackId(1))];
    records.push(await lake.publish({ seq: 4, position: 10, samples: younger, stacks: [{ ...stacks[0]!, date: '2026-11-25' }], progress: 'swept' }));
  });

  test('below its floor files may be there, half gone, or gone', async () => {
    await raise('2026-11-25');
    const whole = { ok: true, records: 4, files: 2, samples: 1, stacks: 1, floor: '2026-11-25', findings: [] };
    expect(await checkLake(lake.store)).toMatchObject(whole);
    for (const { files } of records.slice(0, 3)) {
      for (const { table, key } of files) if (table === 'samples') await lake.store.delete(key);
      expect(await checkLake(lake.store)).toMatchObject(whole);
    }
    await lake.store.delete(stacksKey());
    expect(await checkLake(lake.store)).toMatchObject(whole);
  });

  test('that takes files while they are checked makes no finding', async () => {
    const get = lake.store.get.bind(lake.store);
    let taken = false;
    lake.store.get = async (key, range) => {
      if (key.startsWith('lake/') && !taken) {
        taken = true;
        await raise('2026-11-25');
        for (const { files } of records.slice(0, 3)) for (const file of files) await lake.store.delete(file.key);
      }
      return get(key, range);
    };
    expect(await checkLake(lake.store)).toMatchObject({ ok: true, floor: '2026-11-25', findings: [] });
    expect(taken).toBe(true);
  });

  test('does not excuse what is missing above the floor', async () => {
    await raise('2026-11-24');
    await lake.store.delete(samplesKey());
    expect(found(await checked())).toEqual([`file_missing ${samplesKey()}`]);
  });
});

describe('what is not public yet', () => {
  test('is counted: in hot objects, and carried', async () => {
    await lake.publish({
      seq: 4,
      position: 12,
      carrySamples: [sampleRow('2026-11-20T10:00:00Z', stackId(1))],
      carryStacks: [{ ...stacks[0]!, _date: '2026-11-20' }],
    });
    await lake.hot(12, 14, [
      [12, samples[0]!],
      [13, samples[1]!],
    ]);
    const query = await openQuery({ store: lake.url });
    const countVisible = async () => Number((await query.sql('SELECT count(*) FROM samples')).rows[0]![0]);
    expect(await checkLake(lake.store, { countVisible })).toMatchObject({ ok: true, samples: 5, waiting: { hot: 2, carried: 1 } });
    // Published in between: no number rather than a wrong one.
    const publishing = async () => {
      const visible = await countVisible();
      await lake.publish({ seq: 5, position: 14, samples: samples.slice(0, 2), progress: 'swept' });
      return visible;
    };
    expect((await checkLake(lake.store, { countVisible: publishing })).waiting).toBeNull();
    expect((await checkLake(lake.store, { countVisible })).waiting).toEqual({ hot: 0, carried: 0 });
    await query.close();
  });
});

describe('content', () => {
  test('a stack id twice', async () => {
    await lake.publish({ seq: 4, position: 12, stacks: [{ ...stacks[0]!, date: '2026-11-24' }] });
    const report = await checked();
    expect(found(report)).toEqual(['stack_twice lake/stacks/date=2026-11-24/']);
    expect(report.findings[0]!.text).toBe(`${stackId(1)} is stored 2 times`);
  });

  test('the same id on another date is right', async () => {
    await lake.publish({ seq: 4, position: 12, samples: [sampleRow('2026-11-25T00:00:00Z', stackId(1))], stacks: [{ ...stacks[0]!, date: '2026-11-25' }] });
    expect(found(await checked())).toEqual([]);
  });

  test('a sample without its stack, also where the date has no stacks at all', async () => {
    await lake.publish({ seq: 4, position: 12, samples: [sampleRow(at(15, 1), stackId(77)), sampleRow('2026-11-26T00:00:00Z', stackId(1))] });
    const report = await checked();
    expect(found(report)).toEqual(['stack_dangling lake/stacks/date=2026-11-24/', 'stack_dangling lake/stacks/date=2026-11-26/']);
    expect(report.findings[0]!.text).toContain(`${stackId(77)} is not stored, 1 samples have it`);
  });

  test('rows of another hour, date or shard', async () => {
    await replaceAgreeing(1, samplesKey(), [...samples.slice(0, 2), sampleRow(at(11, 0), stackId(1))], sampleColumns);
    expect(found(await checked())).toEqual([`row_misplaced ${samplesKey()}`]);

    const two = await FixtureLake.make({ shards: 2 });
    const id = '00000001'.padEnd(32, '0');
    const record = await two.publish({ seq: 1, position: 1, samples: [sampleRow(at(10, 1), id)], stacks: [stackRow(id, ['x'])], shard: 0 });
    const report = await checkLake(two.store);
    expect(found(report)).toEqual(record.files.map((file) => `row_misplaced ${file.key}`).sort());
    await two.store.putIfAbsent('routes.json', new TextEncoder().encode('{}'));
    expect(found(await checkLake(two.store))).toEqual([]);
    await two.remove();
  });

  test('an id that is none', async () => {
    await replaceAgreeing(1, samplesKey(), [...samples.slice(0, 2), sampleRow(at(10, 9), 'ABC')], sampleColumns);
    expect(found(await checked())).toEqual([`id_malformed ${samplesKey()}`, 'stack_dangling lake/stacks/date=2026-11-24/']);
  });

  test('an older, a newer and an unknown schema', async () => {
    for (const [version, kind] of [
      ['0', 'schema_older'],
      ['2', 'schema_newer'],
      ['x', 'schema_older'],
    ] as const) {
      await rm(lake.path(samplesKey()));
      await replaceAgreeing(1, samplesKey(), samples.slice(0, 2), sampleColumns, version);
      expect(found(await checked())).toEqual([`${kind} ${samplesKey()}`]);
    }
  });

  test('columns that are missing', async () => {
    await rm(lake.path(stacksKey()));
    await replaceAgreeing(
      1,
      stacksKey(),
      stacks.map(({ cut: _, ...row }) => row),
      stackColumns.filter((column) => column.name !== 'cut'),
    );
    const report = await checked();
    expect(found(report)).toContain(`schema_columns ${stacksKey()}`);
    expect(report.findings.find(({ kind }) => kind === 'schema_columns')!.text).toBe('cut is missing');
  });

  test('findings are bounded, their counts are not', async () => {
    const many = Array.from({ length: 130 }, (_, index) => sampleRow(at(15, 1), stackId(1000 + index)));
    await lake.publish({ seq: 4, position: 12, samples: many });
    const report = await checked();
    expect([report.findings.length, report.counts]).toEqual([100, { stack_dangling: 130 }]);
  });
});

test('every kind of finding is made by a test of this file', async () => {
  const text = await readFile(new URL(import.meta.url), 'utf8');
  const missing = (Object.keys(findingKinds) as FindingKind[]).filter((kind) => !text.includes(kind));
  expect(missing).toEqual([]);
});

test('a lake that works on while it is checked is whole', async () => {
  const list = lake.store.list.bind(lake.store);
  let published = false;
  lake.store.list = async (prefix, options) => {
    const entries = await list(prefix, options);
    if (prefix === 'lake/' && !published) {
      published = true;
      await lake.publish({ seq: 4, position: 12, samples: [sampleRow(at(14, 1), stackId(1))], progress: 'swept' });
    }
    return entries;
  };
  expect(await checkLake(lake.store)).toMatchObject({ ok: true, records: 4, files: 6, findings: [] });
  expect(published).toBe(true);
});

describe('stats', () => {
  test('sizes, rows and columns are those of the files', async () => {
    await lake.hot(9, 10, [[9, samples[0]!]]);
    const stats = await lakeStats(lake.store);
    const sizes = records.flatMap((record) => record.files);
    const bytes = (table: string) => sizes.filter((file) => file.table === table).reduce((sum, file) => sum + file.bytes, 0);
    expect(stats.tables).toMatchObject([
      { table: 'samples', files: 4, smallFiles: 4, rows: 5, rowGroups: 4, bytes: bytes('samples'), bytesPerRow: bytes('samples') / 5 },
      { table: 'stacks', files: 1, rows: 2, bytes: bytes('stacks') },
    ]);
    expect(stats.tables[0]!.columns.map(({ name }) => name)).toEqual(expect.arrayContaining(['time', 'stack_id', 'attributes.key']));
    expect(stats.tables[1]!.columns.map(({ name }) => name)).toEqual(expect.arrayContaining(['frames.function', 'frames.address', 'depth']));
    const columns = stats.tables[0]!.columns.reduce((sum, column) => sum + column.bytes, 0);
    expect(columns).toBeGreaterThan(0);
    expect(columns).toBeLessThan(bytes('samples'));
    expect(stats).toMatchObject({
      dates: [{ date: '2026-11-24', files: 5, samples: 5, stacks: 2 }],
      shards: [{ shard: 0, files: 5, samples: 5 }],
      skew: 1,
      hot: { objects: 1 },
      records: { objects: 3 },
      events: 5,
      bytesPerEvent: (bytes('samples') + bytes('stacks')) / 5,
      unreadable: [],
    });
  });

  test('an empty lake, a broken file, uneven shards', async () => {
    const empty = await FixtureLake.make({ settings: false });
    expect(await lakeStats(empty.store)).toMatchObject({ events: 0, bytesPerEvent: 0, dates: [], shards: [], tables: [{ rows: 0, bytesPerRow: 0 }, {}] });
    await empty.remove();
    await truncate(lake.path(samplesKey()), 50);
    expect((await lakeStats(lake.store)).unreadable).toEqual([samplesKey()]);
    expect(skewOf([30, 10, 20])).toBe(1.5);
  });

  test('what is on its way is told apart', async () => {
    await mkdir(path.dirname(lake.path('staging/x/y')), { recursive: true });
    await writeFile(lake.path('staging/x/y'), 'abc');
    await rename(lake.path('staging/x/y'), lake.path('staging/x/z'));
    expect((await lakeStats(lake.store)).staging).toEqual({ objects: 1, bytes: 3 });
  });
});

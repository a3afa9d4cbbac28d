// Retention over the real exporter: which dates go and which never, in what order, after a crash at every
// call, with zombies, and that rows which come for a date that has gone are counted instead of stored.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore } from '../lib/store/open.ts';
import { raiseFloor, readFloor } from '../schemas/lake/floor.ts';
import { dateDays, dateName, lakeFileKey, lakeTables, parseLakeFileKey, recordKey } from '../schemas/lake/paths.ts';
import { encodeRecord, parseRecord } from '../schemas/lake/record.ts';
import { rowsTopic } from '../schemas/topics.ts';
import { readParquet } from '../test/model/read-parquet.ts';
import { clockSteadyMillis } from './limits.ts';
import { finishRecord, readHead } from './records.ts';
import { ClockWatch, checkRetention, nextFloor, type RetentionLimits, retain } from './retention.ts';
import { encodedMessage, type PlainProfile, type PlainStack } from './testing.ts';
import { Crash, type Exporter, type Faults, Freezer, faulty, TestClock, World } from './testing-world.ts';

const day = 86_400_000;
const days = (count: number) => count * day;
let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

const start = (name: string, faults?: Faults) => world.start(name, faults);

const hex = (number: number) => number.toString(16).padStart(32, '0');
const stack = (number: number): PlainStack => ({ id: hex(number + 0x1000), serviceName: 'svc', frames: [{ function: `f${number}` }] });
let values = 0;
/** So many rows of a time this long ago. */
function profile(count: number, agoMillis = 0): PlainProfile {
  const samples = Array.from({ length: count }, () => ({
    time: BigInt(world.clock.now - agoMillis) * 1000n,
    value: BigInt(++values),
    stack: stack(1),
    resource: { service_name: 'svc' },
  }));
  return { digest: hex(values + 0xd000), samples };
}

let offset = 0;
beforeEach(() => {
  offset = 0;
});
/** A message; `laterMillis` after its profiles came into the input, as of a processor that lags. */
async function send(profiles: readonly PlainProfile[], laterMillis = 0): Promise<void> {
  const segments = [{ offset, appendTimeMillis: world.clock.now - laterMillis, profiles }];
  await world.log.append(rowsTopic, 0, { value: encodedMessage({ from: offset - 1, to: offset, segments }) });
  offset++;
}

/** A lake with one row on each of so many days; today is the last of them. */
async function lakeOf(count: number): Promise<Exporter> {
  const exporter = start('a');
  for (let number = 0; number < count; number++) {
    if (number > 0) world.clock.now += day;
    await send([profile(1)]);
    await world.settle(exporter);
  }
  return exporter;
}

const dates = () => [...new Set([...world.store.objects.keys()].flatMap((key) => parseLakeFileKey(key)?.date ?? []))].sort();
const pass = (limits: RetentionLimits, store: typeof world.store = world.store) => retain(store, limits, { nowMillis: world.clock.now, writer: 'test' });
const sizes = (...given: [date: number, bytes: number][]) => given.map(([date, bytes]) => ({ date, bytes }));

describe('the next step of the floor', () => {
  test('is past the oldest date, one at a time, where it is too old', () => {
    const limits = { retainMillis: days(30) };
    expect(nextFloor(sizes([100, 1], [105, 1], [140, 1]), 140, limits)).toMatchObject({ date: 101, reason: 'older than 30 days' });
    expect(nextFloor(sizes([110, 1], [140, 1]), 140, limits)).toBeNull();
    expect(nextFloor(sizes([109, 1], [140, 1]), 140, limits)).toMatchObject({ date: 110 });
  });

  test('is past the oldest date where all together is too much, and no more', () => {
    const limits = { retainBytes: 1000 };
    expect(nextFloor(sizes([138, 600], [139, 300], [140, 200]), 140, limits)).toMatchObject({ date: 139, reason: '1100 bytes, at most 1000 are kept' });
    expect(nextFloor(sizes([139, 300], [140, 200]), 140, limits)).toBeNull();
  });

  test('never takes today, nor the newest date that there is', () => {
    expect(nextFloor(sizes([140, 5000]), 140, { retainBytes: 1000 })).toBeNull();
    expect(nextFloor(sizes([140, 5000], [141, 1]), 140, { retainBytes: 1000 })).toBeNull();
    // The clock is a year ahead.
    expect(nextFloor(sizes([140, 1]), 505, { retainMillis: days(30) })).toBeNull();
  });

  test('is none where nothing is asked for', () => {
    expect(nextFloor(sizes([1, 1e15], [140, 1]), 140, {})).toBeNull();
  });
});

describe('the floor', () => {
  const at = (date: string) => ({ date, movedMillis: 0, reason: 'r', writer: 'w' });

  test('only moves up, whoever moves it, and whatever the store answers', async () => {
    expect(await readFloor(world.store)).toBeNull();
    await Promise.all(['2026-11-03', '2026-11-01', '2026-11-02'].map((date) => raiseFloor(world.store, at(date))));
    expect((await readFloor(world.store))!.date).toBe('2026-11-03');
    expect((await raiseFloor(world.store, at('2026-10-01'))).date).toBe('2026-11-03');
    for (const [index, fault] of (['error_after', 'says_exists', 'error_before'] as const).entries()) {
      let used = false;
      const next = (call: string) => {
        if (used || (call !== 'replace' && call !== 'putIfAbsent')) return 'none' as const;
        used = true;
        return fault;
      };
      const liar = faulty(world.store, { next, thaw: async () => {} }, async () => {});
      expect((await raiseFloor(liar, at(`2026-11-1${index}`))).date).toBe(`2026-11-1${index}`);
    }
  });

  test('that is damaged or newer stops whoever reads it', async () => {
    for (const [text, message] of [
      ['x', /not a JSON object/],
      ['{"version": 2}', /version 2 was found/],
      ['{"version": 1, "date": "yesterday"}', /expected YYYY-MM-DD/],
    ] as const) {
      await world.store.put('floor.json', new TextEncoder().encode(text));
      await expect(readFloor(world.store)).rejects.toThrow(message);
    }
  });
});

describe('a pass', () => {
  test('takes one date that is too old with all its files, and nothing else', async () => {
    await lakeOf(13);
    const before = dates();
    expect(await pass({ retainMillis: days(10) })).toMatchObject({ moved: true, files: 2 });
    expect(dates()).toEqual(before.slice(1));
    expect(await pass({ retainMillis: days(10) })).toMatchObject({ moved: true, files: 2 });
    expect(await pass({ retainMillis: days(10) })).toMatchObject({ moved: false, files: 0 });
    expect(dates()).toEqual(before.slice(2));
    expect(await readFloor(world.store)).toMatchObject({ date: before[2], reason: 'older than 10 days', writer: 'test' });
    await world.reader.check();
  });

  test('by size goes on until the rest fits, but leaves the newest date', async () => {
    await lakeOf(4);
    const before = dates();
    for (let number = 0; number < 6; number++) await pass({ retainBytes: 1 });
    expect(dates()).toEqual(before.slice(-1));
  });

  test('may end at every single call: at each moment no sample is without its stack, and the next pass goes on', async () => {
    let calls = Number.POSITIVE_INFINITY; // after one is before the next
    for (let at = 0; at < calls; at++) {
      await world.close();
      world = new World();
      offset = 0;
      await lakeOf(3);
      const all = dates();
      let count = 0;
      const checks = async () => world.reader.check();
      const dying = faulty(world.store, { next: () => (count++ === at ? 'crash_after' : 'none'), thaw: async () => {} }, checks);
      const died = await pass({ retainBytes: 1 }, dying).then(
        () => false,
        (error: unknown) => error instanceof Crash || Promise.reject(error),
      );
      if (!died) calls = Math.min(calls, count);
      await world.reader.check();
      // Without limits: only what the floor says already.
      await pass({});
      const floor = (await readFloor(world.store))?.date ?? all[0]!;
      expect(dates(), `call ${at}`).toEqual(all.filter((date) => date >= floor));
      await world.reader.check();
      await world.exporters.pop()!.builder.close();
    }
    expect(calls).toBeGreaterThan(8);
  });

  test('takes what a zombie finished below the floor, samples first', async () => {
    await lakeOf(3);
    const oldest = dates()[0]!;
    const files = [...world.store.objects].filter(([key]) => parseLakeFileKey(key)?.date === oldest);
    await pass({ retainBytes: 1 });
    expect(dates()).not.toContain(oldest);
    // Between the listing of samples and that of stacks.
    const list = world.store.list.bind(world.store);
    let woken = false;
    world.store.list = async (prefix, options) => {
      if (prefix === 'lake/stacks/' && options?.after === undefined && !woken && (await readFloor(world.store)) !== null) {
        woken = true;
        // As an exporter does: stacks first.
        for (const [key, { bytes }] of files.sort(([a], [b]) => (a < b ? 1 : -1))) {
          await world.store.put(key, bytes);
          await world.reader.check();
        }
      }
      return list(prefix, options);
    };
    const deleted = world.store.delete.bind(world.store);
    const order: string[] = [];
    world.store.delete = async (key) => {
      order.push(parseLakeFileKey(key)!.table);
      await deleted(key);
      await world.reader.check();
    };
    await pass({});
    await pass({});
    expect([woken, order]).toEqual([true, ['samples', 'stacks']]);
    expect(dates()).not.toContain(oldest);
  });
});

test('on a directory, folders of a date go with their last file', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'retention-'));
  const store = await openStore(pathToFileURL(directory).href);
  for (const table of lakeTables) {
    for (const date of ['2026-11-22', '2026-11-23', '2026-11-24']) {
      for (const hour of [9, 10]) await store.put(lakeFileKey(table, date, 0, hour, 1, 0), new Uint8Array(1000));
    }
  }
  const moment = { nowMillis: Date.UTC(2026, 10, 24, 12), writer: 'test' };
  expect(await retain(store, { retainBytes: 9000 }, moment)).toMatchObject({ moved: true, files: 4, bytes: 4000 });
  expect(await retain(store, { retainBytes: 9000 }, moment)).toMatchObject({ moved: false, files: 0 });
  for (const table of lakeTables) expect(readdirSync(path.join(directory, 'lake', table))).toEqual(['date=2026-11-23', 'date=2026-11-24']);
  await store.close();
  rmSync(directory, { recursive: true });
});

describe('an exporter', () => {
  test('runs it once its clock has been right for a while', async () => {
    world.limits = { ...world.limits, retainMillis: days(9) };
    const exporter = await lakeOf(12);
    const before = dates();
    for (let turn = 0; turn < 60 && dates().length > 10; turn++) {
      world.clock.now += 60_000;
      await exporter.shard.step();
      for (let wait = 0; wait < 20; wait++) await new Promise(setImmediate);
    }
    expect(dates()).toEqual(before.slice(-10));
  });

  test('publishes nothing below the floor, and counts it in one row', async () => {
    const exporter = await lakeOf(1);
    await raiseFloor(world.store, { date: dateName(dateDays('2026-11-24') - 2), movedMillis: 0, reason: '', writer: '' });
    const [kept, gone] = [profile(2), profile(3, days(3))];
    // It lay in the log for as long: fresh when it came.
    await send([kept, gone], days(3));
    await world.settle(exporter);
    expect(dates()).toEqual(['2026-11-24']);
    expect(await lostRows()).toEqual([{ date: '2026-11-24', value: 3n, reason: 'below_retention' }]);
    expect((await readHead(world.store, 0))!.losses).toEqual({ below_retention: 3 });
    await send([profile(1, days(3)), profile(1, days(4))], days(4));
    await world.settle(exporter);
    expect((await lostRows()).map(({ value }) => value)).toEqual([3n, 2n]);
    await world.reader.check();
  });

  test('counts rows that are carried for a date that goes meanwhile', async () => {
    const exporter = start('a');
    await send([profile(1), profile(2, days(3)), profile(4, days(5))]);
    await world.settle(exporter);
    expect((await readHead(world.store, 0))!.carry).toMatchObject({ rows: 6 });
    await raiseFloor(world.store, { date: dateName(dateDays('2026-11-24') - 4), movedMillis: 0, reason: '', writer: '' });
    await send([profile(1)]);
    await world.settle(exporter);
    const head = (await readHead(world.store, 0))!;
    expect([head.carry, head.losses]).toEqual([null, { below_retention: 4 }]);
    expect(dates()).toEqual(['2026-11-21', '2026-11-24']);
    expect(await lostRows()).toEqual([{ date: '2026-11-24', value: 4n, reason: 'below_retention' }]);
    await world.reader.check();
  });

  test('that dies at any call tells each such row exactly once', async () => {
    let calls = Number.POSITIVE_INFINITY; // after one is before the next
    for (let at = 0; at < calls; at++) {
      for (const moment of ['crash_before', 'crash_after'] as const) {
        await world.close();
        world = new World();
        offset = 0;
        await raiseFloor(world.store, { date: '2026-11-22', movedMillis: 0, reason: '', writer: '' });
        await send([profile(1), profile(3, days(4))]);
        let count = 0;
        const dying = start('a', { next: () => (count++ === at ? moment : 'none'), thaw: async () => {} });
        const died = await world.settle(dying).then(
          () => false,
          (error: unknown) => error instanceof Crash || Promise.reject(error),
        );
        if (!died) calls = Math.min(calls, count);
        await world.exporters.pop()!.builder.close();
        await send([profile(1)]);
        await world.settle(start('b'));
        expect(
          (await lostRows()).map(({ value }) => value),
          `${moment} at call ${at}`,
        ).toEqual([3n]);
        await world.reader.check();
        await world.exporters.pop()!.builder.close();
      }
    }
    expect(calls).toBeGreaterThan(15);
  });

  test('finishes a record of another without the files that have no place any more', async () => {
    const exporter = await lakeOf(2);
    const [oldest] = dates();
    const record = { ...parseRecord((await world.store.get(recordKey(0, 1)))!, ''), seq: 3, position: 2 };
    await world.store.put(recordKey(0, 3), encodeRecord(record));
    for (const file of record.files) await world.store.put(file.staging, (await world.store.get(file.key))!);
    await pass({ retainBytes: 1 });
    expect(dates()).not.toContain(oldest);
    await finishRecord(world.store, record);
    expect(dates()).not.toContain(oldest);
    expect(exporter.name).toBe('a');
  });

  test('that stopped while it finished a record gives no file a name under a date that has gone meanwhile', async () => {
    await lakeOf(2);
    const [oldest] = dates();
    const record = parseRecord((await world.store.get(recordKey(0, 1)))!, '');
    for (const file of record.files) await world.store.put(file.staging, (await world.store.get(file.key))!);
    const freezer = new Freezer('publish'); // the floor was read
    const finishing = finishRecord(
      faulty(world.store, freezer, async () => world.reader.check()),
      record,
    );
    await freezer.frozen;
    await pass({ retainBytes: 1 });
    freezer.goOn();
    await finishing;
    expect(dates()).not.toContain(oldest);
    await world.reader.check();
  });

  async function lostRows(): Promise<{ date: string; value: bigint; reason: string }[]> {
    const rows = [];
    for (const [key, { bytes }] of world.store.objects) {
      const name = parseLakeFileKey(key);
      if (name?.table !== 'samples') continue;
      for (const row of await readParquet(bytes)) {
        if (row.sample_type !== 'lost') continue;
        rows.push({ date: name.date, value: row.value as bigint, reason: (row.attributes as Record<string, string>)['flamelake.lost.reason']! });
      }
    }
    return rows;
  }
});

test('retention that would take rows as they come is refused at the start, in one line', () => {
  expect(() => checkRetention({ retainMillis: days(5) })).toThrow(/^retain-age is 5 days; .*up to 7 days late.*choose 9d or more, or forever$/);
  for (const limits of [{ retainMillis: days(9) }, { retainMillis: null }, {}]) expect(() => checkRetention(limits)).not.toThrow();
});

test('a clock that was set is not trusted for a while; one that runs is', () => {
  const clock = new TestClock(0);
  let wall = 0;
  const watch = new ClockWatch({ wallMillis: () => clock.now + wall, monotonicMillis: () => clock.now, sleep: async () => {} });
  const wait = (millis: number) => {
    clock.now += millis;
    return watch.isSteady();
  };
  expect([watch.isSteady(), wait(clockSteadyMillis - 1), wait(1), wait(days(1))]).toEqual([false, false, true, true]);
  wall += days(365);
  expect([wait(1000), wait(clockSteadyMillis - 1), wait(1)]).toEqual([false, false, true]);
  wall -= days(365);
  expect([wait(1000), wait(clockSteadyMillis)]).toEqual([false, true]);
  wall += 20_000; // slewed by an NTP client
  expect(wait(1000)).toBe(true);
});

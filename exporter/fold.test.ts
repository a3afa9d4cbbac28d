// Folding over a store that dies at every call, and zombies that wake up after it: at every moment each
// record is there once, as it was written.
import { describe, expect, test } from 'vitest';
import { foldKey, foldPrefix, foldRecords, parseFoldKey, parseRecordKey, recordKey, recordPrefix } from '../schemas/lake/paths.ts';
import { type CommitRecord, encodeRecord, recordVersion } from '../schemas/lake/record.ts';
import { seeded } from '../schemas/otlp/testing-data.ts';
import { MemoryStore } from '../test/model/memory-store.ts';
import { recordsInWindow } from './digest-records.ts';
import { foldOldRecords } from './fold.ts';
import { foldAfterMillis } from './limits.ts';
import { putRecord, readHead, readRecord } from './records.ts';
import { TestClock } from './testing-world.ts';

const clock = new TestClock(Date.UTC(2026, 10, 24));
const tomorrow = clock.now + foldAfterMillis + 1;

function record(seq: number, attempt = `attempt-${seq}`): CommitRecord {
  const empty = { files: [], carry: null, digests: null, samples: 0, stacks: 0, duplicates: 0, losses: {}, highWaters: [] };
  return {
    version: recordVersion,
    shard: 0,
    seq,
    attempt,
    writer: 'w',
    createdMillis: seq,
    firstMillis: 1,
    logId: 'l',
    position: seq,
    clockMillis: 1,
    leaderEpoch: 0,
    ...empty,
  };
}

async function chain(length: number): Promise<MemoryStore> {
  const store = new MemoryStore(clock.wallMillis);
  for (let seq = 1; seq <= length; seq++) await store.put(recordKey(0, seq), encodeRecord(record(seq)));
  return store;
}

const single = async (store: MemoryStore) => (await store.list(recordPrefix(0), { limit: 5000 })).map(({ key }) => parseRecordKey(key)!.seq).reverse();
const folds = async (store: MemoryStore) => (await store.list(foldPrefix(0))).map(({ key }) => parseFoldKey(key)!.last);

async function expectWhole(store: MemoryStore, length: number): Promise<void> {
  for (const seq of new Set([1, 2, 42, 51, 99, 100, 101, length])) expect(await readRecord(store, 0, seq)).toEqual(record(seq));
  expect(await readRecord(store, 0, length + 1)).toBeNull();
  expect((await readHead(store, 0))!.seq).toBe(length);
}

describe('records that are a day old', () => {
  test('are folded by the hundred, the head never', async () => {
    const store = await chain(250);
    expect(await foldOldRecords(store, 0, clock.now)).toBe(0);
    expect(await foldOldRecords(store, 0, tomorrow)).toBe(200);
    expect(await folds(store)).toEqual([200, 100]);
    expect(await single(store)).toEqual(Array.from({ length: 50 }, (_unused, index) => 201 + index));
    await expectWhole(store, 250);
    expect(await foldOldRecords(store, 0, tomorrow)).toBe(0);
  });

  test('still count for the window of digests, as far as it reaches', async () => {
    const store = await chain(250);
    await foldOldRecords(store, 0, tomorrow);
    const window = await recordsInWindow(store, (await readHead(store, 0))!);
    expect(window.map(({ seq }) => seq)).toEqual(Array.from({ length: 250 }, (_unused, index) => 250 - index));
  });

  test('stay where the hundred is not whole: its end is the head, one is young, one is missing', async () => {
    expect(await foldOldRecords(await chain(100), 0, tomorrow)).toBe(0);
    const young = await chain(101);
    clock.now += 1000;
    await young.put(recordKey(0, 77), encodeRecord(record(77)));
    clock.now -= 1000;
    expect(await foldOldRecords(young, 0, tomorrow)).toBe(0);
    const cut = await chain(201);
    await cut.delete(recordKey(0, 77));
    expect(await foldOldRecords(cut, 0, tomorrow)).toBe(100);
    expect(await folds(cut)).toEqual([200]);
  });

  test('are all there after a crash at every kind of call, and after the next run', async () => {
    let calls = Number.POSITIVE_INFINITY;
    // One listing, the look for the fold, 100 records read, the put, its reading back, 100 records deleted.
    for (let at = 0; at < calls; at += at < 3 || (at > 99 && at < 108) || at > 203 ? 1 : 16) {
      for (const before of [true, false]) {
        const store = await chain(102);
        let count = 0;
        const dying = new Proxy(store, {
          get(target, name) {
            const value = Reflect.get(target, name) as unknown;
            if (typeof value !== 'function') return value;
            return async (...parameters: unknown[]) => {
              const dies = count++ === at;
              if (dies && before) throw new Error('dead');
              const result = await (value as (...all: unknown[]) => Promise<unknown>).apply(target, parameters);
              if (dies) throw new Error('dead');
              return result;
            };
          },
        });
        const died = await foldOldRecords(dying, 0, tomorrow).then(
          () => false,
          () => true,
        );
        if (!died) calls = Math.min(calls, count);
        await expectWhole(store, 102);
        await foldOldRecords(store, 0, tomorrow);
        await expectWhole(store, 102);
        expect(await single(store)).toEqual([101, 102]);
      }
    }
    expect(calls).toBeGreaterThan(200);
  });
});

describe('an exporter that was frozen', () => {
  test('since before the fold takes a key that is free again, and sees that it lost', async () => {
    const store = await chain(130);
    await foldOldRecords(store, 0, tomorrow);
    const zombie = record(42, 'zombie');
    expect(await putRecord(store, zombie)).toEqual(record(42));
    expect(await readRecord(store, 0, 42)).toEqual(record(42));
    await expectWhole(store, 130);
    expect(await foldOldRecords(store, 0, tomorrow)).toBe(1);
    expect(await single(store)).not.toContain(42);
  });

  test('in the middle of folding finishes what is finished', async () => {
    const store = await chain(130);
    let wake = () => {};
    const asleep = new Promise<void>((resolve) => {
      wake = resolve;
    });
    let sleeping = () => {};
    const slept = new Promise<void>((resolve) => {
      sleeping = resolve;
    });
    const frozen = Object.assign(Object.create(store) as MemoryStore, {
      putIfAbsent: async (key: string, body: Uint8Array) => {
        sleeping();
        await asleep;
        return store.putIfAbsent(key, body);
      },
    });
    const zombie = foldOldRecords(frozen, 0, tomorrow);
    await slept;
    await foldOldRecords(store, 0, tomorrow);
    const fold = await store.get(foldKey(0, 1));
    wake();
    await zombie;
    expect(await store.get(foldKey(0, 1))).toEqual(fold);
    await expectWhole(store, 130);
  });
});

describe('everything at once, seeded', () => {
  const runs = Number(process.env.FLAMELAKE_MODEL_RUNS ?? 4);
  for (let seed = 1; seed <= runs; seed++) test(`seed ${seed}`, () => runRaces(seed));
});

/**
 * Exporters that put records and folders that fold them, each call of each of them as slow as chance has
 * it: some sleep while hundreds of records are put and folded, some die. Whoever is told that it won has
 * its record in the chain, and nobody else is told so.
 */
async function runRaces(seed: number): Promise<void> {
  const random = seeded(seed);
  let now = Date.UTC(2026, 10, 24);
  const store = new MemoryStore(() => now);
  let over = false;
  const tick = () => new Promise<void>((resolve) => void setImmediate(resolve));
  const slow = (): MemoryStore =>
    new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return value;
        const pause = async () => {
          // Mostly at once; one in a few hundred sleeps while a hundred records or more are put.
          for (let left = random() < 0.0025 ? random() * 4000 : random() * 2; left > 1 && !over; left--) await tick();
          if (random() < 0.002) throw new Error('dead');
        };
        return async (...parameters: unknown[]) => {
          await pause();
          const result = await (value as (...all: unknown[]) => Promise<unknown>).apply(target, parameters);
          await pause();
          return result;
        };
      },
    });
  const won = new Map<number, string>();
  let attempts = 0;
  const exporter = async () => {
    while (!over) {
      const view = slow();
      try {
        const head = await readHead(view, 0);
        const own = record((head?.seq ?? 0) + 1, `${seed}-${++attempts}`);
        const stored = await putRecord(view, own);
        if (stored.attempt !== own.attempt) continue;
        if (won.has(own.seq)) throw new RangeError(`record ${own.seq} was won twice`);
        won.set(own.seq, own.attempt);
        now += 3_600_000;
        if (own.seq >= 450) over = true;
      } catch (error) {
        if (error instanceof RangeError) throw error; // else it died, and another begins
      }
    }
  };
  const folder = async () => {
    while (!over) {
      await foldOldRecords(slow(), 0, now).catch(() => {});
      for (let turn = 0; turn < 20 && !over; turn++) await tick();
    }
  };
  await Promise.all([exporter(), exporter(), exporter(), exporter(), folder(), folder()]);
  await foldOldRecords(store, 0, now);
  const head = (await readHead(store, 0))!;
  expect(await folds(store)).toContain(300);
  for (let seq = 1; seq <= head.seq; seq++) {
    const stored = await readRecord(store, 0, seq);
    // One that died after its put has its record all the same, and does not know.
    if (won.has(seq)) expect([seq, stored!.attempt]).toEqual([seq, won.get(seq)]);
    else expect(stored).not.toBeNull();
  }
  expect(Math.min(...(await single(store)))).toBeGreaterThan(300);
}

test('a fold that is damaged says so, and nothing it covers is deleted', async () => {
  const store = await chain(2 * foldRecords + 1);
  await store.put(foldKey(0, 1), new Uint8Array([1, 2, 3]));
  await expect(foldOldRecords(store, 0, tomorrow)).rejects.toThrow(/folds\/000\/.*damaged, restore/);
  expect(await single(store)).toHaveLength(2 * foldRecords + 1);
});

// Stories of the protocol (docs/lake.md) over the real core, one rule each: exporters that die, freeze,
// race and are lied to, processors that repeat themselves. A reader that only lists names checks after
// every put that no row is twice, gone, or without its stack. (test/model has everything at once, seeded.)
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hotPrefix, parseLakeFileKey } from '../schemas/lake/paths.ts';
import { parseRecord } from '../schemas/lake/record.ts';
import { encodeRows } from '../schemas/rows/codec.ts';
import { deadLetterTopic, rowsTopic } from '../schemas/topics.ts';
import type { SeenRow } from '../test/model/lake-reader.ts';
import { readParquet } from '../test/model/read-parquet.ts';
import { SnapshotReader } from '../test/model/snapshot-reader.ts';
import { encodedMessage, type PlainProfile, type PlainSample, type PlainSegment, type PlainStack, rowsMessage } from './testing.ts';
import { Crash, type Faults, Freezer, World } from './testing-world.ts';

const day = 86_400_000;
let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

const start = (name: string, faults?: Faults) => world.start(name, faults);

const hex = (number: number) => number.toString(16).padStart(32, '0');
const stack = (number: number): PlainStack => ({ id: hex(number + 0x1000), serviceName: 'svc', frames: [{ function: `f${number}` }, { function: 'main' }] });

let samples = 0;
/** A profile whose values are unique in the lake. */
function profile(stacks: readonly number[], agoMillis = 0): PlainProfile {
  const rows = stacks.map(
    (number): PlainSample => ({
      time: BigInt(world.clock.now - agoMillis) * 1000n,
      value: BigInt(++samples),
      stack: stack(number),
      resource: { service_name: 'svc' },
    }),
  );
  return { digest: hex(samples + 0xd000), samples: rows };
}

const segment = (offset: number, profiles: readonly PlainProfile[], extra: Partial<PlainSegment> = {}): PlainSegment => ({
  offset,
  appendTimeMillis: world.clock.now,
  profiles,
  ...extra,
});

async function send(from: number, to: number, segments: readonly PlainSegment[], source: { logId?: string; partition?: number } = {}): Promise<void> {
  await world.log.append(rowsTopic, 0, { value: encodedMessage({ from, to, segments, ...source }) });
}

const valuesOf = (...profiles: readonly PlainProfile[]) => profiles.flatMap((each) => each.samples.map((sample) => sample.value)).sort(compare);
const compare = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
const published = (rows: readonly SeenRow[]) =>
  rows
    .filter((row) => row.type !== 'lost')
    .map((row) => row.value)
    .sort(compare);
const lost = (rows: readonly SeenRow[]) => rows.filter((row) => row.type === 'lost').map((row) => row.value);
const rowsSeen = async () => {
  await world.reader.check();
  return world.reader.rows();
};
/** Whole rows of the stacks table. */
const stacksSeen = async () => {
  const keys = world.store.keys('lake/stacks/');
  const files = keys.map(async (key) => (await readParquet(world.store.objects.get(key)!.bytes)).map((row) => ({ date: parseLakeFileKey(key)!.date, ...row })));
  return (await Promise.all(files)).flat() as Record<string, unknown>[];
};
const head = async () => {
  const [entry] = await world.store.list('commits/000/', { limit: 1 });
  return parseRecord((await world.store.get(entry!.key))!, entry!.key);
};

describe('sources', () => {
  test('segments that come again are dropped, however the ranges are cut', async () => {
    const all = Array.from({ length: 8 }, (_unused, index) => profile([index]));
    const segments = all.map((each, offset) => segment(offset, [each]));
    await send(-1, 2, segments.slice(0, 3));
    await send(-1, 4, segments.slice(0, 5)); // another processor, cut elsewhere
    await send(2, 3, segments.slice(3, 4));
    await send(4, 7, segments.slice(5));
    await send(3, 7, segments.slice(4));
    await world.settle(start('a'));
    expect(published(await rowsSeen())).toEqual(valuesOf(...all));
    expect((await head()).highWaters).toMatchObject([{ logId: 'log-a', topic: 'otlp_profiles', partition: 0, offset: 7 }]);
  });

  test('the high water holds beyond the digest window', async () => {
    const [first, second] = [profile([1]), profile([2])];
    await send(-1, 1, [segment(1, [first])]);
    await world.settle(start('a'));
    world.clock.now += 60 * 60_000;
    await send(1, 2, [segment(2, [second])]);
    await send(-1, 1, [{ ...segment(1, [first]), appendTimeMillis: world.clock.now }]); // a processor frozen for an hour
    await world.settle(world.exporters[0]!);
    expect(published(await rowsSeen())).toEqual(valuesOf(first, second));
  });

  test('positions of other partitions and other logs are their own', async () => {
    const [a, b, c] = [profile([1]), profile([1]), profile([1])];
    await send(-1, 5, [segment(5, [a])]);
    await send(-1, 5, [segment(5, [b])], { partition: 1 });
    await send(-1, 5, [segment(5, [c])], { logId: 'log-b' });
    await world.settle(start('a'));
    expect(published(await rowsSeen())).toEqual(valuesOf(a, b, c));
  });

  test('a profile that was seen in the window is dropped and counted, also after a restart', async () => {
    const again = profile([1, 2]);
    await send(-1, 1, [segment(1, [again])]);
    await world.settle(start('a'));
    await world.exporters.pop()!.builder.close();
    const fresh = profile([1]);
    await send(-1, 9, [segment(9, [again, fresh])], { partition: 3 });
    await world.settle(start('b'));
    expect(published(await rowsSeen())).toEqual(valuesOf(again, fresh));
    expect((await head()).duplicates).toBe(2);
  });

  test('a profile that comes again beyond the window is a profile of its own', async () => {
    const first = profile([1]);
    await send(-1, 1, [segment(1, [first])]);
    const between = Array.from({ length: 16 }, () => profile([1]));
    for (const [index, each] of between.entries()) {
      world.clock.now += 60_000;
      await send(index + 1, index + 2, [segment(index + 2, [each])]);
    }
    const late: PlainProfile = { digest: first.digest, samples: [{ ...first.samples[0]!, value: BigInt(++samples) }] };
    await send(17, 18, [segment(18, [late])]);
    await world.settle(start('a'));
    expect(published(await rowsSeen())).toEqual(valuesOf(first, ...between, late));
  });

  test('a retry is known though the clock was set between, or the first try comes hours after it', async () => {
    const [again, behind] = [profile([1]), profile([2])];
    const hour = 60 * 60_000;
    await send(-1, 1, [segment(1, [again])]);
    await send(-1, 1, [segment(1, [profile([3])])], { partition: 1 });
    await world.settle(start('a'));
    await send(1, 2, [segment(2, [again], { appendTimeMillis: world.clock.now + 9 * hour })]);
    await send(2, 3, [segment(3, [behind])]);
    // Partition 1 is read late: meanwhile three hours of the other came.
    for (let offset = 4; offset < 184; offset++) await send(offset - 1, offset, [segment(offset, [], { appendTimeMillis: world.clock.now + offset * 60_000 })]);
    await send(1, 2, [segment(2, [behind])], { partition: 1 });
    await world.settle(world.exporters[0]!);
    await world.exporters.pop()!.builder.close();
    await send(2, 3, [segment(3, [again, behind])], { partition: 1 });
    await world.settle(start('b')); // from the records
    const counts = new Map<bigint, number>();
    for (const value of published(await rowsSeen())) counts.set(value, (counts.get(value) ?? 0) + 1);
    expect(valuesOf(again, behind).map((value) => counts.get(value))).toEqual([1, 1]);
    expect(counts.size).toBe(3);
  });

  test('a gap is a row in the lake with its range, and the rest goes on', async () => {
    const [before, after] = [profile([1]), profile([2])];
    await send(-1, 1, [segment(1, [before])]);
    await send(6, 8, [segment(8, [after])]);
    await world.settle(start('a'));
    const rows = await rowsSeen();
    expect(published(rows)).toEqual(valuesOf(before, after));
    expect(lost(rows)).toEqual([5n]);
    expect((await head()).losses).toEqual({ source_gap: 5 });
    const [file] = [...world.store.objects.keys()].filter((key) => key.startsWith('lake/samples'));
    const row = (await readParquet(world.store.objects.get(file!)!.bytes)).find((each) => each.sample_type === 'lost')!;
    expect(row).toMatchObject({
      service_name: 'flamelake.exporter',
      sample_unit: 'count',
      attributes: { 'flamelake.lost.reason': 'source_gap', 'flamelake.lost.from': '2', 'flamelake.lost.to': '6', 'flamelake.lost.topic': 'otlp_profiles' },
    });
    expect((await stacksSeen()).find((each) => each.stack_id === row.stack_id)).toMatchObject({ leaf_function: '[lost: source_gap]' });
  });

  test('a gap before the first message of a source shows too, once the lake has a record', async () => {
    const [first, second, third] = [profile([1]), profile([2]), profile([3])];
    await send(6, 8, [segment(8, [first])]); // a new lake on an old log begins where it finds it
    const exporter = start('a');
    await world.settle(exporter);
    expect((await head()).losses).toEqual({});
    await send(-1, 1, [segment(1, [second])], { partition: 1 });
    await send(2, 3, [segment(3, [third])], { partition: 2 });
    await world.settle(exporter);
    expect((await head()).losses).toEqual({ source_gap: 3 });
    expect(published(await rowsSeen())).toEqual(valuesOf(first, second, third));
  });

  test('what cannot be decoded becomes a dead letter, and its source shows the gap', async () => {
    const [before, after] = [profile([1]), profile([2])];
    await send(-1, 1, [segment(1, [before])]);
    await world.log.append(rowsTopic, 0, { value: new Uint8Array([1, 2, 3]) });
    await send(4, 5, [segment(5, [after])]);
    await world.settle(start('a'));
    expect(lost(await rowsSeen())).toEqual([1n, 3n]);
    expect((await head()).losses).toEqual({ rows_malformed: 1, source_gap: 3 });
    const dead = await world.log.read(deadLetterTopic, 0, 0, { bytesMax: 1e6 });
    expect(dead.records.map((record) => [record.value, record.headers['flamelake.dead.reason']])).toEqual([[new Uint8Array([1, 2, 3]), 'rows_malformed']]);
  });

  test('a message of another shard function, or for another shard, stops the shard and is not lost', async () => {
    const known = profile([1]);
    await send(-1, 1, [segment(1, [known])]);
    for (const wrong of [{ routing: 2 }, { shard: 1 }]) {
      const message = { ...rowsMessage({ from: 1, to: 2, segments: [segment(2, [profile([2])])] }), ...wrong };
      await world.log.append(rowsTopic, 0, { value: encodeRows(message) });
      const { shard } = start(JSON.stringify(wrong));
      for (let turn = 0; turn < 20; turn++) {
        await shard.step();
        await shard.published();
        world.clock.now += 500;
      }
      expect(shard.ready).toBe(false);
      expect(shard.text).toMatch(wrong.shard === 1 ? /of shard 1 was found in partition 0/ : /shard function 2 was found/);
      expect(published(await rowsSeen())).toEqual(valuesOf(known));
      expect((await head()).position).toBe(1);
      world.log.retain(rowsTopic, 0, 0);
      world.log.all(rowsTopic, 0).length = 1;
    }
  });

  test('a message of a newer version stops the shard with one line and is not lost', async () => {
    const known = profile([1]);
    const newer = profile([2]);
    await send(-1, 1, [segment(1, [known])]);
    const value = encodedMessage({ from: 1, to: 2, segments: [segment(2, [newer])] });
    const future = value.slice();
    future[4] = 9;
    await world.log.append(rowsTopic, 0, { value: future });
    const { shard } = start('a');
    for (let turn = 0; turn < 20; turn++) {
      await shard.step();
      await shard.published();
      world.clock.now += 500;
    }
    expect(shard.ready).toBe(false);
    expect(shard.text).toMatch(/version 9 was found/);
    expect(world.messages.filter((line) => line.includes('version 9'))).toHaveLength(1);
    expect(published(await rowsSeen())).toEqual(valuesOf(known));
    expect((await head()).position).toBe(1);
  });
});

describe('stacks', () => {
  test('each id once a date, whoever sends it how often', async () => {
    const exporter = start('a');
    for (let round = 0; round < 4; round++) {
      await send(round - 1, round, [segment(round, [profile([1, 2, round])])]);
      await world.settle(exporter);
    }
    await send(3, 4, [segment(4, [profile([1], day)])]); // yesterday: the same id under another date
    await world.settle(exporter);
    const names = (await stacksSeen()).map((row) => `${row.date} ${row.stack_id}`);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => name.endsWith(hex(0x1001)))).toHaveLength(2);
  });

  test('a stack that a processor sent with rows that were dropped is there for the rows that rely on it', async () => {
    const first = profile([1]);
    await send(-1, 1, [segment(1, [first])]);
    // The same profile again, with a stack that only this message brings; the sender names it once.
    const later = profile([7]);
    await send(1, 2, [segment(2, [first], { stacks: [{ stack: stack(7), date: Math.floor(world.clock.now / day) }] })]);
    await send(2, 3, [segment(3, [later], { stacks: [] })]);
    await world.settle(start('a'));
    expect((await stacksSeen()).find((row) => row.stack_id === hex(0x1007))).toMatchObject({ leaf_function: 'f7', cut: null });
  });

  test('a row whose stack was lost does not dangle; the id is not stored twice when the stack comes after all', async () => {
    const rows = profile([5, 5, 6]);
    await send(-1, 1, [segment(1, [rows], { stacks: [{ stack: stack(6), date: Math.floor(world.clock.now / day) }] })]);
    const exporter = start('a');
    await world.settle(exporter);
    expect((await head()).losses).toEqual({ stack_lost: 1 });
    await send(1, 2, [segment(2, [profile([5])])]);
    await world.settle(exporter);
    const found = (await stacksSeen()).filter((row) => row.stack_id === hex(0x1005));
    expect(found).toEqual([expect.objectContaining({ cut: 'stack_lost', frames: [], depth: 0, service_name: 'svc' })]);
  });

  test('an index that is lost, older or of another lake is read again from the lake', async () => {
    for (const name of ['a', 'b', 'a']) {
      await send(-1, samples, [segment(samples, [profile([1, 2, 3])])], { logId: `log-${samples}` });
      await world.settle(start(name)); // b knows nothing yet; a is one record behind when it comes again
      await world.exporters.pop()!.builder.close();
    }
    const names = (await stacksSeen()).map((row) => row.stack_id);
    expect(names.sort()).toEqual([hex(0x1001), hex(0x1002), hex(0x1003)]);
  });
});

describe('old dates', () => {
  test('are carried, seen by the head record, and published once a day', async () => {
    const exporter = start('a');
    const [now, old] = [profile([1]), profile([1, 2], 3 * day)];
    await send(-1, 1, [segment(1, [now, old])]);
    await world.settle(exporter);
    expect(published(await rowsSeen())).toEqual(valuesOf(now));
    const { carry } = await head();
    expect(carry).toMatchObject({ rows: 2, dates: ['2026-11-21'] });
    const carried = await Promise.all([...carry!.samples].map(async (key) => readParquet((await world.store.get(key))!)));
    expect(carried.flat().map((row) => row.value)).toEqual(valuesOf(old));

    const more = profile([3], 2 * day);
    await send(1, 2, [segment(2, [more])]);
    await world.settle(exporter);
    expect((await head()).carry).toMatchObject({ rows: 3, dates: ['2026-11-21', '2026-11-22'] });

    world.clock.now += day;
    const later = profile([1]);
    await send(2, 3, [segment(3, [later])]);
    await world.settle(start('b')); // another exporter, from the records alone
    expect(published(await rowsSeen())).toEqual(valuesOf(now, old, more, later));
    expect((await head()).carry).toBeNull();
    await world.reader.check();
  });

  test('fresh rows of a carried date bring the carry with them, so that no stack waits there', async () => {
    const exporter = start('a');
    const old = profile([4], 3 * day);
    await send(-1, 1, [segment(1, [old])]);
    await world.settle(exporter);
    // A partition that lags by days: its rows were fresh when they were appended.
    const lagging = profile([4], 3 * day);
    await send(-1, 1, [segment(1, [lagging], { appendTimeMillis: world.clock.now - 3 * day, stacks: [] })], { partition: 1 });
    await world.settle(exporter);
    expect(published(await rowsSeen())).toEqual(valuesOf(old, lagging));
    await world.reader.check();
  });
});

describe('the rows topic', () => {
  test('made anew: read from its beginning; the high waters of sources protect', async () => {
    const first = profile([1]);
    await send(-1, 1, [segment(1, [first])]);
    const exporter = start('a');
    await world.settle(exporter);
    await world.exporters.pop()!.builder.close();
    await world.store.put(`${hotPrefix(0)}000000000000007-000000000000009-${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}.rows`, new Uint8Array());
    world.log.recreate(rowsTopic, 'rows-2');
    const second = profile([2]);
    await send(-1, 2, [segment(1, [first]), segment(2, [second])]);
    await world.settle(start('a'));
    expect(published(await rowsSeen())).toEqual(valuesOf(first, second));
    expect(await head()).toMatchObject({ logId: 'rows-2', position: 1, losses: {} });
    expect((await world.store.list(hotPrefix(0))).every((entry) => !entry.key.includes('000000000000009'))).toBe(true);
  });

  test('made anew: one that slept before it adopts the new one takes nothing of it', async () => {
    await send(-1, 1, [segment(1, [profile([1])])]);
    await world.settle(start('a'));
    await world.exporters.pop()!.builder.close();
    world.log.recreate(rowsTopic, 'rows-2');
    const freezer = new Freezer('topic');
    const sleeper = start('sleeper', freezer);
    const step = sleeper.shard.step(); // has read the head, of the old one
    await freezer.frozen;
    const fresh = profile([2]);
    await send(1, 2, [segment(2, [fresh])]);
    world.limits = { ...world.limits, publishIntervalMillis: day };
    const other = start('b');
    const snapshot = new SnapshotReader(world.store, 1);
    for (let turn = 0; turn < 20 && !snapshot.has(fresh.samples[0]!.value); turn++) {
      await other.shard.step();
      world.clock.now += 500;
      await snapshot.check();
    }
    freezer.goOn();
    await step;
    await snapshot.check(); // nothing that was seen has vanished, nor is there twice
    expect((await head()).writer).toBe('b');
    expect(snapshot.has(fresh.samples[0]!.value)).toBe(true);
    expect(await world.store.list(hotPrefix(0))).toHaveLength(1);
  });

  test('overtaken by retention: the range is lost aloud, never stepped over in silence', async () => {
    const first = profile([1]);
    await send(-1, 1, [segment(1, [first])]);
    await world.settle(start('a'));
    await world.exporters.pop()!.builder.close();
    for (let offset = 2; offset < 6; offset++) await send(offset - 1, offset, [segment(offset, [profile([1])])]);
    world.log.retain(rowsTopic, 0, 4);
    await world.settle(start('a'));
    const rows = await rowsSeen();
    expect(lost(rows).sort(compare)).toEqual([3n, 3n]); // three messages of the rows topic, which held three of the source
    expect((await head()).losses).toEqual({ log_overtaken: 3, source_gap: 3 });
  });

  test('overtaken twice, by exporters that know nothing of each other: the stack of the lost rows is stored once', async () => {
    for (let round = 0; round < 3; round++) {
      for (let offset = 3 * round; offset < 3 * round + 3; offset++) await send(offset - 1, offset, [segment(offset, [profile([1], 2 * day)])]);
      if (round > 0) world.log.retain(rowsTopic, 0, 3 * round + 2);
      await world.settle(start(`exporter-${round}`));
      await world.exporters.pop()!.builder.close();
    }
    await world.reader.check();
    expect(lost(await rowsSeen()).sort(compare)).toEqual([2n, 2n, 2n, 2n]); // each time messages of the rows topic, and of the source
  });

  test('older than the lake (restored from a copy): nothing is published, one line says what to do', async () => {
    await send(-1, 1, [segment(1, [profile([1])])]);
    await world.settle(start('a'));
    await world.exporters.pop()!.builder.close();
    world.log.recreate(rowsTopic, world.log.logId(rowsTopic));
    const { shard } = start('a');
    await expect(shard.step()).rejects.toThrow(/restore both from one moment/);
  });
});

describe('racing exporters', () => {
  test('one that wakes up with an old publication loses, forgets, and goes on from the record', async () => {
    const freezer = new Freezer('putIfAbsent'); // right before its record
    const profiles = [profile([1, 2]), profile([2, 3]), profile([4])];
    await send(-1, 1, [segment(1, [profiles[0]!])]);
    const zombie = start('zombie', freezer);
    while (!freezer.isFrozen) {
      await zombie.shard.step();
      world.clock.now += 500;
      await new Promise(setImmediate);
    }
    await send(1, 2, [segment(2, [profiles[1]!])]);
    await world.settle(start('b'));
    freezer.goOn();
    await zombie.shard.published();
    await send(2, 3, [segment(3, [profiles[2]!])]);
    await world.settle(zombie);
    expect(published(await rowsSeen())).toEqual(valuesOf(...profiles));
    expect(world.messages.some((line) => line.startsWith('zombie') && line.includes('another exporter has published'))).toBe(true);
    await world.reader.check();
  });

  test('one that slept between a record and the log takes nothing for lost that another has published', async () => {
    const [first, second, third] = [profile([1]), profile([2]), profile([3])];
    await send(-1, 1, [segment(1, [first])]);
    await world.settle(start('a'));
    const freezer = new Freezer('topic');
    const sleeper = start('sleeper', freezer);
    const step = sleeper.shard.step();
    await freezer.frozen;
    await send(1, 2, [segment(2, [second])]);
    await world.settle(world.exporters[0]!);
    expect((await world.log.range(rowsTopic, 0)).start).toBe(2);
    freezer.goOn();
    await step;
    await send(2, 3, [segment(3, [third])]);
    await world.settle(sleeper);
    expect(world.messages.filter((line) => line.includes('messages are lost'))).toEqual([]);
    expect(await head()).toMatchObject({ seq: 3, writer: 'sleeper', losses: {} });
    expect(published(await rowsSeen())).toEqual(valuesOf(first, second, third));
  });

  test('one that looked for a record before there was one does not begin where the log was trimmed to', async () => {
    const [first, second] = [profile([1]), profile([2])];
    await send(-1, 1, [segment(1, [first])]);
    const freezer = new Freezer('topic');
    const sleeper = start('sleeper', freezer);
    const step = sleeper.shard.step();
    await freezer.frozen;
    await world.settle(start('a'));
    expect((await world.log.range(rowsTopic, 0)).start).toBe(1);
    freezer.goOn();
    await step;
    expect(sleeper.shard.text).toMatch(/record 1/);
    await send(-1, 2, [segment(2, [first, second])], { partition: 1 }); // the first one again, by its client
    await world.settle(sleeper);
    expect(await head()).toMatchObject({ seq: 2, writer: 'sleeper', duplicates: 1 });
    expect(published(await rowsSeen())).toEqual(valuesOf(first, second));
  });

  test('one that is told to stop after another has published what it has not read, ends', async () => {
    const [first, second] = [profile([1]), profile([2])];
    await send(-1, 1, [segment(1, [first])]);
    await world.settle(start('a'));
    const slow = start('slow');
    await slow.shard.step();
    await send(1, 2, [segment(2, [second])]);
    await world.settle(world.exporters[0]!);
    expect((await world.log.range(rowsTopic, 0)).start).toBe(2);
    await slow.shard.stop();
    expect(world.messages.filter((line) => line.includes('messages are lost'))).toEqual([]);
    expect(published(await rowsSeen())).toEqual(valuesOf(first, second));
  });

  test('an attempt that slept for more than an hour is begun anew, since its staging may be swept', async () => {
    let slept = false;
    const sleeper: Faults = {
      next: (call) => (call === 'put' && !slept ? 'freeze' : 'none'),
      thaw: async () => {
        slept = true;
        world.clock.now += 61 * 60_000;
      },
    };
    // The hot put sleeps too; only the publication's must not survive.
    const rows = profile([1]);
    await send(-1, 1, [segment(1, [rows])]);
    const exporter = start('a', { ...sleeper, next: (call) => (call === 'put' && !slept && world.store.objects.size >= 2 ? 'freeze' : 'none') });
    await world.settle(exporter);
    expect(published(await rowsSeen())).toEqual(valuesOf(rows));
    const { attempt } = await head();
    const staged = [...world.store.objects.keys()].filter((key) => key.startsWith('staging/'));
    expect(staged.length).toBeGreaterThan(0); // what the given-up attempt had put
    expect(staged.some((key) => key.includes(attempt))).toBe(false);
  });

  test('a record put that answers with an error, or "exists" for its own, is read back and kept', async () => {
    for (const fault of ['error_after', 'says_exists'] as const) {
      let used = false;
      const liar: Faults = {
        next: (call) => {
          if (call !== 'putIfAbsent' || used) return 'none';
          used = true;
          return fault;
        },
        thaw: async () => {},
      };
      const rows = profile([1]);
      await send(-1, 1, [segment(1, [rows])], { logId: fault });
      const exporter = start(fault, liar);
      await world.settle(exporter);
      expect(published(await rowsSeen())).toContain(rows.samples[0]!.value);
      await world.exporters.pop()!.builder.close();
    }
    expect((await head()).seq).toBe(2);
  });
});

describe('crashes', () => {
  test('at every single call, before and after it took effect', async () => {
    let calls = Number.POSITIVE_INFINITY;
    for (let at = 0; at < calls; at++) {
      for (const moment of ['crash_before', 'crash_after'] as const) {
        await world.close();
        world = new World();
        const profiles = [profile([1, 2]), profile([2, 3], 3 * day), profile([1, 4])];
        await send(-1, 1, [segment(1, [profiles[0]!])]);
        await send(1, 2, [segment(2, [profiles[1]!])]);
        let count = 0;
        const dying = start('a', { next: () => (count++ === at ? moment : 'none'), thaw: async () => {} });
        const died = await world.settle(dying).then(
          () => false,
          (error: unknown) => error instanceof Crash || Promise.reject(error),
        );
        if (!died) calls = Math.min(calls, count); // the whole run needs no more calls than this
        await world.exporters.pop()!.builder.close();
        await send(2, 3, [segment(3, [profiles[2]!])]);
        await world.settle(start(at % 2 === 0 ? 'a' : 'b'));
        world.clock.now += day;
        await send(3, 4, [segment(4, [])]);
        await send(3, 5, [segment(5, [profile([9])])]);
        await world.settle(world.exporters.at(-1)!);
        const rows = published(await rowsSeen());
        expect(rows.slice(0, -1), `${moment} at call ${at}`).toEqual(valuesOf(...profiles));
        await world.reader.check();
        await world.exporters.pop()!.builder.close();
      }
    }
    expect(calls).toBeGreaterThan(20);
  });
});

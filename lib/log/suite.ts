// What every implementation of Log must do. Each runs this suite (embedded.test.ts; Kafka's likewise),
// so that everything above the interface may rely on it.
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { metadataBytesMax, valueBytesMax } from './limits.ts';
import type { Log, LogRecord, Membership } from './log.ts';

export interface LogFixture {
  readonly log: Log;
  /** Closes `log` and opens the same log anew. */
  reopen(): Promise<Log>;
  /** Another client of the same log beside `log`, as another process would be. */
  second(): Promise<Log>;
  /** Takes the topic away with all that is in it; nobody has the log open meanwhile. Opens it anew. */
  dropTopic(name: string): Promise<Log>;
  /** Closes whatever is open and removes everything. */
  cleanup(): Promise<void>;
}

export interface LogTraits {
  /** trim() takes records away at once; false where the log leaves it to its retention (Kafka). */
  readonly trims: boolean;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | null) => (value === null ? null : new TextDecoder().decode(value));
const all = { bytesMax: 1 << 30, waitMillis: 0 };
const code = (name: string) => expect.objectContaining({ code: name });

/** Everything in a partition from an offset on. */
async function readAll(log: Log, topic: string, partition: number, from = 0): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for (let next = from; ; ) {
    const result = await log.read(topic, partition, next, all);
    records.push(...result.records);
    next = result.next;
    if (next === result.range.end) return records;
  }
}

/** Waits for a state that others bring about; the test's own time limit ends a wait in vain. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

export function logSuite(name: string, open: () => Promise<LogFixture>, traits: LogTraits = { trims: true }): void {
  describe(`${name} as a log`, () => {
    let fixture: LogFixture;
    let log: Log;
    let topic: string;
    beforeEach(async () => {
      fixture = await open();
      log = fixture.log;
      topic = `suite.${randomUUID()}`;
    });
    afterEach(() => fixture.cleanup());

    describe('topics', () => {
      test('are made once, keep what is in them, and grow', async () => {
        const made = await log.ensureTopic({ name: topic, partitions: 2 });
        expect(made).toEqual({ name: topic, logId: expect.stringMatching(/./), partitions: 2 });
        await log.append(topic, 1, { value: bytes('a') });
        expect(await log.ensureTopic({ name: topic, partitions: 2 })).toEqual(made);
        expect(await log.ensureTopic({ name: topic, partitions: 1 })).toEqual(made);
        expect(await log.ensureTopic({ name: topic, partitions: 4 })).toEqual({ ...made, partitions: 4 });
        expect(await log.topic(topic)).toEqual({ ...made, partitions: 4 });
        expect(await log.append(topic, 3, { value: bytes('b') })).toEqual({ partition: 3, offset: 0 });
        expect((await readAll(log, topic, 1)).map((record) => text(record.value))).toEqual(['a']);
      });

      test('made by two at once are one', async () => {
        const second = await fixture.second();
        const [a, b] = await Promise.all([log.ensureTopic({ name: topic, partitions: 3 }), second.ensureTopic({ name: topic, partitions: 3 })]);
        expect(b).toEqual(a);
      });

      test('more partitions made by another are there at once', async () => {
        await log.ensureTopic({ name: topic, partitions: 1 });
        await log.append(topic, 0, { value: bytes('a') });
        const second = await fixture.second();
        await second.ensureTopic({ name: topic, partitions: 2 });
        expect(await log.append(topic, 1, { value: bytes('b') })).toEqual({ partition: 1, offset: 0 });
      });

      test('missing ones, and missing partitions, are said to be missing', async () => {
        await expect(log.topic(topic)).rejects.toThrow(code('topic_missing'));
        await expect(log.append(topic, 0, { value: bytes('a') })).rejects.toThrow(code('topic_missing'));
        await expect(log.read(topic, 0, 0, all)).rejects.toThrow(code('topic_missing'));
        await expect(log.join('group', topic)).rejects.toThrow(code('topic_missing'));
        await log.ensureTopic({ name: topic, partitions: 2 });
        // A Kafka client that takes the remainder would write it to partition 1.
        await expect(log.append(topic, 99, { value: bytes('a') })).rejects.toThrow(code('topic_missing'));
        await expect(log.append(topic, -1, { value: bytes('a') })).rejects.toThrow(code('topic_missing'));
        await expect(log.read(topic, 2, 0, all)).rejects.toThrow(code('topic_missing'));
        await expect(log.range(topic, 2)).rejects.toThrow(code('topic_missing'));
        expect(await log.range(topic, 1)).toEqual({ start: 0, end: 0 });
      });

      test.each(['', '..', 'a/b', '../a', 'a b', 'a\0', 'ü', 'a'.repeat(300)])('name %j is refused', async (wrong) => {
        await expect(log.ensureTopic({ name: wrong, partitions: 1 })).rejects.toThrow(code('usage'));
      });

      test('keep their id over a new start, and get another when they are made anew', async () => {
        const { logId } = await log.ensureTopic({ name: topic, partitions: 1 });
        expect((await (await fixture.second()).topic(topic)).logId).toBe(logId);
        await log.append(topic, 0, { value: bytes('old') });
        await log.remember('group', topic, 0, { offset: 1, metadata: '' });
        log = await fixture.reopen();
        expect((await log.topic(topic)).logId).toBe(logId);
        log = await fixture.dropTopic(topic);
        await expect(log.topic(topic)).rejects.toThrow(code('topic_missing'));
        const anew = await log.ensureTopic({ name: topic, partitions: 1 });
        expect(anew.logId).not.toBe(logId);
        expect(await log.append(topic, 0, { value: bytes('new') })).toEqual({ partition: 0, offset: 0 });
        expect(await log.position('group', topic, 0)).toBeNull();
      });
    });

    describe('appends', () => {
      test('count offsets from 0 in each partition', async () => {
        await log.ensureTopic({ name: topic, partitions: 2 });
        for (const offset of [0, 1, 2]) expect(await log.append(topic, 0, { value: bytes('a') })).toEqual({ partition: 0, offset });
        expect(await log.append(topic, 1, { value: bytes('b') })).toEqual({ partition: 1, offset: 0 });
        expect(await log.range(topic, 0)).toEqual({ start: 0, end: 3 });
        log = await fixture.reopen();
        expect(await log.append(topic, 0, { value: bytes('a') })).toEqual({ partition: 0, offset: 3 });
      });

      test('in flight together keep their order in a partition', async () => {
        await log.ensureTopic({ name: topic, partitions: 2 });
        const places = await Promise.all(Array.from({ length: 500 }, (_, index) => log.append(topic, index % 2, { value: bytes(String(index)) })));
        for (const partition of [0, 1]) {
          expect(places.filter((place) => place.partition === partition).map((place) => place.offset)).toEqual(
            Array.from({ length: 250 }, (_, index) => index),
          );
          const values = (await readAll(log, topic, partition)).map((record) => Number(text(record.value)));
          expect(values).toEqual(Array.from({ length: 250 }, (_, index) => 2 * index + partition));
        }
      });

      test('of two clients mix without loss, each in its own order', async () => {
        await log.ensureTopic({ name: topic, partitions: 1 });
        const second = await fixture.second();
        const send = (from: Log, who: string) =>
          Promise.all(Array.from({ length: 200 }, (_, index) => from.append(topic, 0, { value: bytes(`${who}${index}`) })));
        const places = (await Promise.all([send(log, 'a'), send(second, 'b')])).flat();
        expect(new Set(places.map((place) => place.offset)).size).toBe(400);
        const values = (await readAll(log, topic, 0)).map((record) => text(record.value)!);
        for (const who of ['a', 'b'])
          expect(values.filter((value) => value.startsWith(who))).toEqual(Array.from({ length: 200 }, (_, index) => `${who}${index}`));
      });

      test('give back what they took, byte for byte', async () => {
        await log.ensureTopic({ name: topic, partitions: 1 });
        const every = Uint8Array.from({ length: 256 }, (_, index) => index);
        const messages = [
          { value: every, key: every, headers: { 'otlp-profiles-development-version': '2', ключ: 'значение\n"\u0000' } },
          { value: new Uint8Array(), key: null, headers: {} },
          { value: new Uint8Array(3_000_000).fill(7) },
          { value: bytes('x'), key: bytes('k'), headers: { empty: '' } },
        ];
        for (const message of messages) await log.append(topic, 0, message);
        const read = await readAll(log, topic, 0);
        expect(read.map(({ offset }) => offset)).toEqual([0, 1, 2, 3]);
        read.forEach((record, index) => {
          const message = messages[index]!;
          expect(Buffer.compare(record.value, message.value)).toBe(0);
          expect(record.key).toEqual(message.key ?? null);
          expect(record.headers).toEqual(message.headers ?? {});
        });
      });

      test('read the message when they are called: a view of a buffer that is used again', async () => {
        await log.ensureTopic({ name: topic, partitions: 1 });
        const pool = Buffer.from('....first....');
        const first = log.append(topic, 0, { value: pool.subarray(4, 9), key: pool.subarray(4, 5) });
        pool.fill('#');
        await first;
        await log.append(topic, 0, { value: pool });
        const read = await readAll(log, topic, 0);
        expect(read.map((record) => [text(record.key), text(record.value)])).toEqual([
          ['f', 'first'],
          [null, '#############'],
        ]);
      });

      test('without a partition go by key, or spread where there is none', async () => {
        await log.ensureTopic({ name: topic, partitions: 4 });
        const byKey = new Map<string, Set<number>>();
        for (let index = 0; index < 60; index++) {
          const key = `key ${index % 20}`;
          const { partition } = await log.append(topic, null, { value: bytes('a'), key: bytes(key) });
          byKey.set(key, (byKey.get(key) ?? new Set()).add(partition));
        }
        expect([...byKey.values()].every((partitions) => partitions.size === 1)).toBe(true);
        expect(new Set([...byKey.values()].flatMap((partitions) => [...partitions])).size).toBeGreaterThan(1);
        const spread = await Promise.all(Array.from({ length: 40 }, () => log.append(topic, null, { value: bytes('b') })));
        expect(new Set(spread.map((place) => place.partition))).toEqual(new Set([0, 1, 2, 3]));
      });

      test('too large ones are refused and cost the others nothing', async () => {
        await log.ensureTopic({ name: topic, partitions: 1 });
        const huge = new Uint8Array(valueBytesMax + 1);
        const outcomes = await Promise.allSettled([
          log.append(topic, 0, { value: bytes('before') }),
          log.append(topic, 0, { value: huge }),
          log.append(topic, 0, { value: bytes('k'), key: huge.subarray(0, 1 << 20) }),
          log.append(topic, 0, { value: bytes('h'), headers: { h: 'x'.repeat(1 << 20) } }),
          log.append(topic, 0, { value: bytes('after') }),
        ]);
        expect(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.offset : outcome.reason.code))).toEqual([
          0,
          'message_too_large',
          'message_too_large',
          'message_too_large',
          1,
        ]);
      });

      test('get a time from the log that does not go back', async () => {
        await log.ensureTopic({ name: topic, partitions: 1 });
        const before = Date.now();
        for (let index = 0; index < 20; index++) await log.append(topic, 0, { value: bytes('a') });
        const after = Date.now();
        const times = (await readAll(log, topic, 0)).map((record) => record.appendTimeMillis);
        expect(times).toEqual(times.toSorted((a, b) => a - b));
        expect(times[0]).toBeGreaterThanOrEqual(before);
        expect(times.at(-1)).toBeLessThanOrEqual(after);
      });
    });

    describe('reads', () => {
      beforeEach(() => log.ensureTopic({ name: topic, partitions: 2 }));
      const fill = (count: number, value = bytes('0123456789')) => Promise.all(Array.from({ length: count }, () => log.append(topic, 0, { value })));

      test('go on where the one before ended, within the bytes asked for', async () => {
        await fill(10);
        const first = await log.read(topic, 0, 0, { bytesMax: 35, waitMillis: 0 });
        expect(first.records.map((record) => record.offset)).toEqual([0, 1, 2]);
        expect(first).toMatchObject({ next: 3, range: { start: 0, end: 10 } });
        const second = await log.read(topic, 0, first.next, { bytesMax: 40, waitMillis: 0 });
        expect(second.records.map((record) => record.offset)).toEqual([3, 4, 5, 6]);
        expect(second.next).toBe(7);
      });

      test('always give one record, also one larger than asked for', async () => {
        await fill(2, new Uint8Array(1_000_000));
        for (const bytesMax of [0, 1, 999_999]) {
          const { records, next } = await log.read(topic, 0, 0, { bytesMax, waitMillis: 0 });
          expect(records.map((record) => record.value.byteLength)).toEqual([1_000_000]);
          expect(next).toBe(1);
        }
      });

      test('at the end give nothing, and wait no longer than asked', async () => {
        await fill(3);
        for (const waitMillis of [0, 50]) {
          expect(await log.read(topic, 0, 3, { bytesMax: 100, waitMillis })).toEqual({ records: [], next: 3, range: { start: 0, end: 3 } });
        }
        expect(await log.read(topic, 1, 0, all)).toEqual({ records: [], next: 0, range: { start: 0, end: 0 } });
      });

      test('above the end or below 0 are out of range', async () => {
        await fill(3);
        for (const from of [4, 1000, -1]) {
          await expect(log.read(topic, 0, from, { bytesMax: 100, waitMillis: 10 })).rejects.toThrow(
            expect.objectContaining({ code: 'offset_out_of_range', context: expect.objectContaining({ range: { start: 0, end: 3 } }) }),
          );
        }
      });

      test('that wait are woken by an append, of this client and of another', async () => {
        const second = await fixture.second();
        await second.topic(topic);
        for (const [offset, writer] of [log, second].entries()) {
          const waiting = Promise.all([log, second].map((reader) => reader.read(topic, 0, offset, { bytesMax: 100, waitMillis: 60_000 })));
          const elsewhere = log.read(topic, 1, 0, { bytesMax: 100, waitMillis: 60_000, signal: AbortSignal.timeout(50) });
          expect((await elsewhere).records).toEqual([]);
          await writer.append(topic, 0, { value: bytes('a') });
          for (const { records, next } of await waiting) {
            expect(records.map((record) => record.offset)).toEqual([offset]);
            expect(next).toBe(offset + 1);
          }
        }
      });

      test('that wait end when they are aborted', async () => {
        const abort = new AbortController();
        const waiting = log.read(topic, 0, 0, { bytesMax: 100, waitMillis: 60_000, signal: abort.signal });
        abort.abort();
        expect((await waiting).records).toEqual([]);
        await fill(1);
        // Aborted before: no wait, but what is there.
        expect((await log.read(topic, 0, 0, { bytesMax: 100, waitMillis: 60_000, signal: abort.signal })).records).toHaveLength(1);
        expect((await log.read(topic, 0, 1, { bytesMax: 100, waitMillis: 60_000, signal: abort.signal })).records).toHaveLength(0);
      });

      test('of many small records page through all of them', async () => {
        await fill(12_000, bytes('x'));
        expect((await readAll(log, topic, 0)).map((record) => record.offset)).toEqual(Array.from({ length: 12_000 }, (_, index) => index));
      });
    });

    describe('positions', () => {
      beforeEach(() => log.ensureTopic({ name: topic, partitions: 2 }));

      test('are kept for each group and partition, over a new start', async () => {
        expect(await log.position('one', topic, 0)).toBeNull();
        await log.remember('one', topic, 0, { offset: 5, metadata: 'm' });
        await log.remember('one', topic, 1, { offset: 6, metadata: '' });
        await log.remember('two', topic, 0, { offset: 7, metadata: 'ключ "\n' });
        await log.remember('one', topic, 0, { offset: 8, metadata: 'n' });
        log = await fixture.reopen();
        expect(await log.position('one', topic, 0)).toEqual({ offset: 8, metadata: 'n' });
        expect(await log.position('one', topic, 1)).toEqual({ offset: 6, metadata: '' });
        expect(await log.position('two', topic, 0)).toEqual({ offset: 7, metadata: 'ключ "\n' });
        expect(await log.position('two', topic, 1)).toBeNull();
      });

      test('may go back: they are what the stage says', async () => {
        await log.remember('one', topic, 0, { offset: 9, metadata: '' });
        await log.remember('one', topic, 0, { offset: 4, metadata: '' });
        expect(await (await fixture.second()).position('one', topic, 0)).toEqual({ offset: 4, metadata: '' });
      });

      test('carry a bounded note', async () => {
        await log.remember('one', topic, 0, { offset: 1, metadata: 'x'.repeat(metadataBytesMax) });
        await expect(log.remember('one', topic, 0, { offset: 2, metadata: 'x'.repeat(metadataBytesMax + 1) })).rejects.toThrow(code('message_too_large'));
        expect((await log.position('one', topic, 0))?.offset).toBe(1);
      });
    });

    describe('membership', () => {
      beforeEach(() => log.ensureTopic({ name: topic, partitions: 5 }));
      const sum = (...members: Membership[]) => members.flatMap((member) => [...member.assigned()]).sort((a, b) => a - b);

      test('a single member has everything at once', async () => {
        const member = await log.join('group', topic);
        expect(sum(member)).toEqual([0, 1, 2, 3, 4]);
        await member.leave();
        expect(member.assigned()).toEqual([]);
        await member.leave();
        expect(sum(await log.join('group', topic))).toEqual([0, 1, 2, 3, 4]);
      });

      test('two share, and who stays gets what the other leaves', async () => {
        const first = await log.join('group', topic);
        const generation = first.generation();
        const second = await (await fixture.second()).join('group', topic);
        await until(() => second.assigned().length === 2);
        expect(sum(first, second)).toEqual([0, 1, 2, 3, 4]);
        expect(first.generation()).toBeGreaterThan(generation);
        await first.leave();
        await until(() => second.assigned().length === 5);
        expect(sum(second)).toEqual([0, 1, 2, 3, 4]);
      });

      test('groups do not take from each other', async () => {
        const one = await log.join('one', topic);
        const two = await log.join('two', topic);
        expect(sum(one)).toEqual([0, 1, 2, 3, 4]);
        expect(sum(two)).toEqual([0, 1, 2, 3, 4]);
      });

      test('closing a log leaves its groups', async () => {
        const second = await fixture.second();
        await second.join('group', topic);
        const first = await log.join('group', topic);
        await second.close();
        await until(() => first.assigned().length === 5);
      });

      test('partitions that are added find a member', async () => {
        const member = await log.join('group', topic);
        const generation = member.generation();
        await log.ensureTopic({ name: topic, partitions: 7 });
        await until(() => member.assigned().length === 7);
        expect(member.generation()).toBeGreaterThan(generation);
      });
    });

    describe.runIf(traits.trims)('trim', () => {
      const fill = async (count: number) => {
        await log.ensureTopic({ name: topic, partitions: 2 });
        await Promise.all(Array.from({ length: count }, (_, index) => log.append(topic, 0, { value: bytes(`v${index}`) })));
      };

      test('takes what is below, and nothing else', async () => {
        await fill(10);
        await log.append(topic, 1, { value: bytes('other') });
        await log.trim(topic, 0, 4);
        expect(await log.range(topic, 0)).toEqual({ start: 4, end: 10 });
        await expect(log.read(topic, 0, 3, all)).rejects.toThrow(
          expect.objectContaining({ code: 'offset_out_of_range', context: expect.objectContaining({ range: { start: 4, end: 10 } }) }),
        );
        expect((await readAll(log, topic, 0, 4)).map((record) => text(record.value))).toEqual(['v4', 'v5', 'v6', 'v7', 'v8', 'v9']);
        expect(await log.range(topic, 1)).toEqual({ start: 0, end: 1 });
      });

      test('never goes back, and not beyond the end', async () => {
        await fill(5);
        await log.trim(topic, 0, 3);
        await log.trim(topic, 0, 1);
        expect(await log.range(topic, 0)).toEqual({ start: 3, end: 5 });
        await expect(log.trim(topic, 0, 6)).rejects.toThrow(code('offset_out_of_range'));
      });

      test('of everything does not let an offset be given twice', async () => {
        await fill(5);
        await log.trim(topic, 0, 5);
        expect(await log.range(topic, 0)).toEqual({ start: 5, end: 5 });
        expect(await log.read(topic, 0, 5, all)).toMatchObject({ records: [], next: 5 });
        log = await fixture.reopen();
        expect(await log.range(topic, 0)).toEqual({ start: 5, end: 5 });
        expect(await log.append(topic, 0, { value: bytes('a') })).toEqual({ partition: 0, offset: 5 });
      });
    });

    describe('close', () => {
      beforeEach(() => log.ensureTopic({ name: topic, partitions: 1 }));

      test('waits for what is in flight', async () => {
        const appends = Promise.all(Array.from({ length: 300 }, (_, index) => log.append(topic, 0, { value: bytes(String(index)) })));
        const closed = log.close();
        expect(await appends).toHaveLength(300);
        await closed;
        log = await fixture.reopen();
        expect(await log.range(topic, 0)).toEqual({ start: 0, end: 300 });
      });

      test('ends waiting reads, refuses what comes after, and may be called again', async () => {
        const waiting = log.read(topic, 0, 0, { bytesMax: 1, waitMillis: 60_000 });
        await log.close();
        expect((await waiting).records).toEqual([]);
        await log.close();
        await expect(log.append(topic, 0, { value: bytes('a') })).rejects.toThrow(code('log_closed'));
        await expect(log.read(topic, 0, 0, all)).rejects.toThrow(code('log_closed'));
        await expect(log.topic(topic)).rejects.toThrow(code('log_closed'));
      });
    });
  });
}

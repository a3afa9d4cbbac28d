// The embedded log: the common suite, and what only it promises (kill -9, processes beside each other,
// a bound on disk, damaged files, one fsync for many).
import { once } from 'node:events';
import { closeSync, copyFileSync, existsSync, openSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { appendTime } from './embedded/topic-file.ts';
import { clockHoldMillis, leaseMillis, valueBytesMax } from './limits.ts';
import type { Log, LogRecord } from './log.ts';
import { openLog } from './open.ts';
import { logSuite } from './suite.ts';
import { LogPlace } from './testing.ts';

logSuite('the embedded log', async () => {
  const place = new LogPlace();
  return {
    log: await place.open(),
    reopen: async () => {
      await place.closeAll();
      return place.open();
    },
    second: () => place.open(),
    dropTopic: async (name) => {
      await place.closeAll();
      rmSync(place.topicFile(name));
      return place.open();
    },
    cleanup: () => place.cleanup(),
  };
});

let place: LogPlace;
beforeEach(() => {
  place = new LogPlace();
});
afterEach(() => place.cleanup());

const text = (record: LogRecord) => Buffer.from(record.value).toString();

async function readFrom(log: Log, topic: string, from: number): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for (let next = from; ; ) {
    const result = await log.read(topic, 0, next, { bytesMax: 1 << 24, waitMillis: 0 });
    records.push(...result.records);
    next = result.next;
    if (next === result.range.end) return records;
  }
}

/** Repeats what is refused for now, as the stages do; the test's time limit ends it. */
async function untilTaken<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if ((error as { code?: string }).code !== 'log_full') throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

describe('kill -9 under load', () => {
  // 32 appends in flight, one in ten of them 200 KB; each acknowledged one is said with its offset.
  const load = (round: number) => `
    await log.ensureTopic({ name: 't', partitions: 1 });
    let index = 0;
    const sender = async () => {
      for (;;) {
        const name = '${round}:' + index++;
        const { offset } = await log.append('t', 0, { value: Buffer.from(name.padEnd(index % 10 === 0 ? 200_000 : 100)) });
        say(offset + ' ' + name);
        if (index % 50 === 0) await log.trim('t', 0, Math.max(0, offset - 300));
      }
    };
    for (let count = 0; count < 32; count++) sender();`;

  test('keeps every acknowledged append where it was said to be, without gaps, and gives no offset twice', { timeout: 90_000 }, async () => {
    const acknowledged = new Map<number, string>();
    for (let round = 0; round < 8; round++) {
      const child = place.child(load(round));
      // Killed after another number of acknowledgements each time.
      const enough = 40 + ((round * 379) % 500);
      for (let seen = 0; ; seen++) {
        const line = await child.next();
        if (line === undefined) break;
        const [offset, name] = line.split(' ') as [string, string];
        expect(acknowledged.has(Number(offset))).toBe(false);
        acknowledged.set(Number(offset), name);
        if (seen === enough) void child.kill();
      }
    }
    const log = await place.open();
    const { start, end } = await log.range('t', 0);
    expect(start).toBeGreaterThan(0);
    const records = await readFrom(log, 't', start);
    expect(records.map((record) => record.offset)).toEqual(Array.from({ length: end - start }, (_, index) => start + index));
    const kept = [...acknowledged].filter(([offset]) => offset >= start);
    expect(kept.length).toBeGreaterThan(100);
    for (const [offset, name] of kept) expect(text(records[offset - start]!).trimEnd()).toBe(name);
  });

  test('the files copied at the moment of an acknowledgement hold the append', async () => {
    const log = await place.open();
    await log.ensureTopic({ name: 't', partitions: 1 });
    for (let index = 0; index < 20; index++) await log.append('t', 0, { value: Buffer.from(String(index)) });
    const copy = new LogPlace();
    try {
      await copy.open().then(() => copy.closeAll());
      for (const ending of ['', '-wal']) copyFileSync(place.topicFile('t') + ending, copy.topicFile('t') + ending);
      expect((await readFrom(await copy.open(), 't', 0)).map(text)).toEqual(Array.from({ length: 20 }, (_, index) => String(index)));
    } finally {
      await copy.cleanup();
    }
  });
});

describe('processes beside each other', () => {
  test('one reads what the other appends', async () => {
    const log = await place.open();
    await log.ensureTopic({ name: 't', partitions: 1 });
    place.child(`for (let index = 0; index < 300; index++) await log.append('t', 0, { value: Buffer.from(String(index)) }); await log.close();`);
    const seen: string[] = [];
    for (let next = 0; seen.length < 300; ) {
      const result = await log.read('t', 0, next, { bytesMax: 1 << 20, waitMillis: 10_000 });
      seen.push(...result.records.map(text));
      next = result.next;
    }
    expect(seen).toEqual(Array.from({ length: 300 }, (_, index) => String(index)));
  });

  test('two append to one partition: nothing lost, no offset twice', { timeout: 90_000 }, async () => {
    const log = await place.open();
    await log.ensureTopic({ name: 't', partitions: 1 });
    const script = (who: string) =>
      `await Promise.all(Array.from({ length: 300 }, (_, index) => log.append('t', 0, { value: Buffer.from('${who}' + index) }))); await log.close();`;
    const children = ['a', 'b'].map((who) => place.child(script(who)));
    await Promise.all(children.map((child) => once(child.process, 'exit')));
    const values = (await readFrom(log, 't', 0)).map(text);
    for (const who of ['a', 'b']) expect(values.filter((value) => value.startsWith(who))).toEqual(Array.from({ length: 300 }, (_, index) => who + index));
  });

  test('the share of one that is killed goes to the other at once', async () => {
    const log = await place.open();
    await log.ensureTopic({ name: 't', partitions: 4 });
    const child = place.child(`const member = await log.join('g', 't'); say(member.assigned().join());`);
    expect(await child.next()).toBe('0,1,2,3');
    const member = await log.join('g', 't');
    await expect.poll(() => member.assigned().length).toBe(2);
    await child.kill();
    await expect.poll(() => member.assigned(), { timeout: 4_000 }).toEqual([0, 1, 2, 3]);
  });

  test('a stage that is busy for longer than its lease keeps its share', { timeout: 90_000 }, async () => {
    const log = await place.open();
    await log.ensureTopic({ name: 't', partitions: 2 });
    const child = place.child(`
      const member = await log.join('g', 't');
      const end = performance.now() + ${leaseMillis + 1000};
      while (performance.now() < end);
      say(JSON.stringify([member.assigned(), member.generation()]));
      setImmediate(() => say(JSON.stringify([member.assigned(), member.generation()])));`);
    const held = await child.next();
    expect(held).toBe('[[0,1],1]');
    expect(await child.next()).toBe(held);
  });

  test('a frozen one loses its share with its lease, and knows it when it wakes', { timeout: 90_000 }, async () => {
    const log = await place.open();
    await log.ensureTopic({ name: 't', partitions: 2 });
    const child = place.child(`
      const member = await log.join('g', 't');
      const first = member.generation();
      say(member.assigned().join());
      onAsk(() => JSON.stringify([member.assigned(), member.generation() > first]));`);
    expect(await child.next()).toBe('0,1');
    await freeze(child.process.pid!);
    const member = await log.join('g', 't');
    expect(member.assigned()).toEqual([]);
    await expect.poll(() => member.assigned(), { timeout: 90_000 }).toEqual([0, 1]);
    // The question waits for it: the answer is about the first thing it does when it goes on.
    const firstAnswer = child.ask('what do you hold?');
    child.process.kill('SIGCONT');
    expect((JSON.parse((await firstAnswer)!) as [number[], boolean])[0]).not.toContain(0);
    await expect.poll(() => child.ask('and now?'), { timeout: 90_000 }).toBe('[[1],true]');
    expect(member.assigned()).toEqual([0]);
  });
});

/**
 * Stops a process between two of its transactions. One that is frozen within a transaction keeps the
 * file's lock until it goes on, which nobody can take from it (README.md); and threads run on for a
 * while after the signal was sent, so a message to one of them might start a transaction then.
 */
async function freeze(pid: number): Promise<void> {
  for (;;) {
    process.kill(pid, 'SIGSTOP');
    await expect.poll(() => threadStates(pid)).toMatch(/^T+$/);
    const members = new DatabaseSync(place.membersFile);
    try {
      members.exec('BEGIN IMMEDIATE; ROLLBACK');
      return;
    } catch {
      process.kill(pid, 'SIGCONT');
    } finally {
      members.close();
    }
  }
}

/** One letter a thread, as /proc/PID/task/TID/stat has it. */
function threadStates(pid: number): string {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks)
    .map((tid) => readFileSync(path.join(tasks, tid, 'stat'), 'latin1').replace(/^.*\) (.).*$/s, '$1'))
    .join('');
}

describe('the bound on disk', () => {
  const bytesMax = 8 * 1024 * 1024;
  const value = new Uint8Array(256 * 1024).fill(1);

  async function fill(log: Log): Promise<number> {
    for (let count = 0; ; count++) {
      try {
        await log.append('t', 0, { value });
      } catch (error) {
        expect(error).toMatchObject({ code: 'log_full', context: { bytesMax } });
        return count;
      }
    }
  }

  test('is kept; what is there stays readable; a trim makes room again', { timeout: 90_000 }, async () => {
    const log = await place.open(bytesMax);
    await log.ensureTopic({ name: 't', partitions: 1 });
    const count = await fill(log);
    expect(count).toBeGreaterThan(20);
    const full = await log.usage();
    expect(full!.bytesMax).toBe(bytesMax);
    expect(full!.bytes).toBeLessThanOrEqual(bytesMax + value.length);
    expect(await readFrom(log, 't', 0)).toHaveLength(count);
    await log.remember('g', 't', 0, { offset: count, metadata: '' });

    await log.trim('t', 0, count);
    expect(await untilTaken(() => log.append('t', 0, { value }))).toEqual({ partition: 0, offset: count });
    await expect.poll(async () => (await log.usage())!.bytes, { timeout: 10_000 }).toBeLessThan(bytesMax / 2);
    expect(await fill(log)).toBeGreaterThan(20);
  });

  test('after a refusal there is room only when there is clearly more of it', { timeout: 90_000 }, async () => {
    const log = await place.open(bytesMax, { resumeBytes: 2 * 1024 * 1024 });
    await log.ensureTopic({ name: 't', partitions: 1 });
    const count = await fill(log);
    expect(await log.usage()).toMatchObject({ refusing: expect.stringContaining('at most') });
    // Room for two more, which is less than is asked for.
    await log.trim('t', 0, 2);
    await expect(log.append('t', 0, { value })).rejects.toMatchObject({ code: 'log_full' });
    await log.trim('t', 0, count - 2);
    expect(await untilTaken(() => log.append('t', 0, { value }))).toEqual({ partition: 0, offset: count });
    expect(await log.usage()).toMatchObject({ refusing: null });
  });

  test('a disk with less room than is kept free takes nothing, and says why', async () => {
    const log = await place.open(undefined, { diskReserveBytes: Number.MAX_SAFE_INTEGER });
    await log.ensureTopic({ name: 't', partitions: 1 });
    const nearlyFull = expect.stringContaining('the disk is nearly full');
    expect(await log.usage()).toMatchObject({ refusing: nearlyFull });
    await expect(log.append('t', 0, { value })).rejects.toMatchObject({ code: 'log_full', message: nearlyFull });
  });

  test('small messages get in while a large one does not', async () => {
    const log = await place.open(bytesMax);
    await log.ensureTopic({ name: 't', partitions: 1 });
    const outcomes = await Promise.allSettled([new Uint8Array(bytesMax), new Uint8Array(10)].map((large) => log.append('t', 0, { value: large })));
    expect(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.offset : outcome.reason.code))).toEqual(['log_full', 0]);
  });

  test('one topic that is trimmed gives its room to another', { timeout: 90_000 }, async () => {
    const log = await place.open(bytesMax);
    await log.ensureTopic({ name: 't', partitions: 1 });
    await log.ensureTopic({ name: 'other', partitions: 1 });
    const count = await fill(log);
    await expect(log.append('other', 0, { value })).rejects.toMatchObject({ code: 'log_full' });
    await log.trim('t', 0, count);
    for (let index = 0; index < 20; index++) await untilTaken(() => log.append('other', 0, { value }));
  });

  test('records trimmed by a process that died before it deleted them are deleted by the next', { timeout: 90_000 }, async () => {
    const log = await place.open(bytesMax);
    await log.ensureTopic({ name: 't', partitions: 1 });
    const count = await fill(log);
    await place.closeAll();
    const db = new DatabaseSync(place.topicFile('t'));
    db.exec(`UPDATE partitions SET start = ${count}`);
    db.close();
    const next = await place.open(bytesMax);
    await next.topic('t');
    await expect.poll(async () => (await next.usage())!.bytes, { timeout: 10_000 }).toBeLessThan(bytesMax / 2);
  });
});

test('the largest message goes in and out', { timeout: 90_000 }, async () => {
  const log = await place.open();
  await log.ensureTopic({ name: 't', partitions: 1 });
  const value = new Uint8Array(valueBytesMax).fill(9);
  await log.append('t', 0, { value });
  const { records } = await log.read('t', 0, 0, { bytesMax: 1, waitMillis: 0 });
  expect(Buffer.compare(records[0]!.value, value)).toBe(0);
});

describe('damage', () => {
  const corrupt = (what: string) => expect.objectContaining({ code: 'log_corrupt', message: expect.stringContaining(what) });

  /** Ten records, all in the database file itself. */
  async function filled(): Promise<string> {
    const log = await place.open();
    await log.ensureTopic({ name: 't', partitions: 1 });
    for (let index = 0; index < 10; index++) await log.append('t', 0, { value: Buffer.from(`value ${index} `.repeat(5000)) });
    await place.closeAll();
    expect(existsSync(`${place.topicFile('t')}-wal`)).toBe(false);
    return place.topicFile('t');
  }

  function overwrite(file: string, at: number, bytes: Uint8Array): void {
    const handle = openSync(file, 'r+');
    writeSync(handle, bytes, 0, bytes.length, at);
    closeSync(handle);
  }

  test('of the head names the file and what to do', async () => {
    const file = await filled();
    overwrite(file, 0, Buffer.from('garbage garbage garbage'));
    const log = await place.open();
    await expect(log.topic('t')).rejects.toThrow(corrupt(`${file}: damaged`));
    await expect(log.append('t', 0, { value: new Uint8Array(1) })).rejects.toThrow(corrupt('move the file away'));
  });

  test('a file cut short is found', async () => {
    const file = await filled();
    truncateSync(file, 40_000);
    await expect(
      place.open().then(async (log) => {
        await log.topic('t');
        await readFrom(log, 't', 0);
      }),
    ).rejects.toThrow(corrupt(file));
  });

  test('one flipped bit costs one record and is never given out as data', async () => {
    const file = await filled();
    const at = readFileSync(file).indexOf('value 4 value 4 value 4') + 20_000;
    overwrite(file, at, Uint8Array.of(readFileSync(file)[at]! ^ 1));
    const log = await place.open();
    const read = (from: number) => log.read('t', 0, from, { bytesMax: 1, waitMillis: 0 });
    expect(text((await read(3)).records[0]!)).toMatch(/^value 3 /);
    await expect(read(4)).rejects.toThrow(
      expect.objectContaining({ code: 'log_corrupt', context: expect.objectContaining({ topic: 't', partition: 0, offset: 4 }) }),
    );
    expect(text((await read(5)).records[0]!)).toMatch(/^value 5 /);
  });

  test('a lost record is not passed over', async () => {
    const file = await filled();
    const db = new DatabaseSync(file);
    db.exec('DELETE FROM p0 WHERE offset IN (0, 6)');
    db.close();
    const log = await place.open();
    await expect(readFrom(log, 't', 0)).rejects.toThrow(expect.objectContaining({ code: 'log_corrupt', context: expect.objectContaining({ offset: 0 }) }));
    await expect(readFrom(log, 't', 1)).rejects.toThrow(expect.objectContaining({ code: 'log_corrupt', context: expect.objectContaining({ offset: 6 }) }));
  });

  test('a foreign database, another topic and a newer version are left alone', async () => {
    const file = await filled();
    const log = await place.open();
    new DatabaseSync(place.topicFile('foreign')).exec('CREATE TABLE x (y)');
    await expect(log.topic('foreign')).rejects.toThrow(corrupt('not a log of Flamelake'));
    writeFileSync(place.topicFile('empty'), '');
    await expect(log.topic('empty')).rejects.toThrow(corrupt('not a log of Flamelake'));
    copyFileSync(file, place.topicFile('renamed'));
    await expect(log.topic('renamed')).rejects.toThrow(corrupt('holds topic t'));
    const db = new DatabaseSync(file);
    db.exec('PRAGMA user_version = 2');
    db.close();
    await expect(log.topic('t')).rejects.toThrow(corrupt('newer Flamelake'));
  });

  test('a topic whose file is taken away under a running process is missing, not silently lost', async () => {
    const log = await place.open();
    await log.ensureTopic({ name: 't', partitions: 1 });
    await log.append('t', 0, { value: new Uint8Array(1) });
    for (const ending of ['', '-wal', '-shm']) rmSync(place.topicFile('t') + ending);
    await expect(log.append('t', 0, { value: new Uint8Array(1) })).rejects.toMatchObject({ code: 'topic_missing' });
    await log.ensureTopic({ name: 't', partitions: 1 });
    expect(await log.append('t', 0, { value: new Uint8Array(1) })).toEqual({ partition: 0, offset: 0 });
  });
});

describe('appends that wait together', () => {
  const small = { value: new Uint8Array(100) };

  /** Opening a topic looks for trimmed records and empties the write-ahead file; behind two appends that is done. */
  async function openTopic(log: Log, name: string): Promise<() => number> {
    await log.ensureTopic({ name, partitions: 1 });
    for (let index = 0; index < 2; index++) await log.append(name, 0, small);
    const before = commits(`${place.topicFile(name)}-wal`);
    return () => commits(`${place.topicFile(name)}-wal`) - before;
  }

  test('share a transaction; one after the other, each has its own', async () => {
    const log = await place.open();
    const transactions = await openTopic(log, 't');
    await Promise.all(Array.from({ length: 1000 }, () => log.append('t', 0, small)));
    const together = transactions();
    expect(together).toBeGreaterThan(0);
    expect(together).toBeLessThan(100);
    for (let index = 0; index < 10; index++) await log.append('t', 0, small);
    expect(transactions() - together).toBe(10);
  });

  test('share it also where they alternate between topics', async () => {
    const log = await place.open();
    const counts = [await openTopic(log, 'a'), await openTopic(log, 'b')];
    await Promise.all(Array.from({ length: 1000 }, (_, index) => log.append(index % 2 === 0 ? 'a' : 'b', 0, small)));
    for (const transactions of counts) expect(transactions()).toBeLessThan(100);
  });
});

/** Transactions in a write-ahead file: frames that carry the size of the database (SQLite file format, 4.1). */
function commits(walFile: string): number {
  const wal = readFileSync(walFile);
  const pageBytes = wal.readUInt32BE(8);
  let count = 0;
  for (let at = 32; at + 24 + pageBytes <= wal.length; at += 24 + pageBytes) {
    if (wal.compare(wal, 16, 24, at + 8, at + 16) === 0 && wal.readUInt32BE(at + 4) !== 0) count++;
  }
  return count;
}

describe('append time', () => {
  test.each([
    ['the clock goes on', 1000, 2000, 2000],
    ['it is set back a little: held', 5000, 2000, 5000],
    ['by just the bound: held', clockHoldMillis + 7, 7, clockHoldMillis + 7],
    ['it was far in the future by mistake: followed', clockHoldMillis + 8, 7, 7],
  ])('%s', (_what, newest, now, expected) => expect(appendTime(newest, now)).toBe(expected));
});

test('append times hold while the clock was set back a little, and follow it when by much', async () => {
  const times: number[] = [];
  const before = Date.now();
  for (const ahead of [0, clockHoldMillis / 2, clockHoldMillis * 24]) {
    const log = await place.open();
    await log.ensureTopic({ name: 't', partitions: 1 });
    await log.append('t', 0, { value: new Uint8Array(1) });
    times.push((await readFrom(log, 't', 0)).at(-1)!.appendTimeMillis - ahead);
    await place.closeAll();
    // As if the last append had been made by a clock that ran ahead.
    const db = new DatabaseSync(place.topicFile('t'));
    db.exec(`UPDATE partitions SET time = ${before + (ahead === 0 ? clockHoldMillis / 2 : clockHoldMillis * 24)}`);
    db.close();
  }
  expect(times[0]).toBeGreaterThanOrEqual(before);
  expect(times[1]).toBe(before);
  expect(times[2]! + clockHoldMillis * 24).toBeLessThanOrEqual(Date.now());
});

describe('opening', () => {
  test.each(['kafka://host:9092', '/tmp/x', 'file://host/x', ''])('%j is refused with what is allowed', async (url) => {
    await expect(openLog(url)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('file:///absolute/directory') });
  });

  test('a file where the directory should be is refused in one line', async () => {
    writeFileSync(path.join(place.directory, 'file'), '');
    await expect(openLog(`${place.url}/file`)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('a file stands') });
  });
});

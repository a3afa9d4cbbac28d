import { fork } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PipelineError } from '../lib/errors.ts';
import type { Log } from '../lib/log/log.ts';
import type { Stage } from '../lib/stage.ts';
import { openStore } from '../lib/store/open.ts';
import { ensureLakeSettings } from '../schemas/lake/settings.ts';
import { shardOf } from '../schemas/lake/shard.ts';
import { lostReasonAttribute } from '../schemas/otlp/attributes.ts';
import type { RowsMessage, Segment } from '../schemas/rows/message.ts';
import { deadLetterHeaders, deadLetterTopic, processorGroup, profilesTopic, rowsTopic, versionHeader } from '../schemas/topics.ts';
import { DeadLetters } from './dead-letters.ts';
import { KnownStacks } from './known-stacks.ts';
import { startProcessor } from './main.ts';
import { createProcessorMetrics } from './metrics.ts';
import { Partition } from './partition.ts';
import { formatHints, nothingSent } from './position.ts';
import { noSymbols, type Symbols } from './symbols.ts';
import { danglingStacks, keptSegments, message10, metricSum, readAll, readRowMessages, smallMessage, type TestHost, TestPlace, testHost } from './testing.ts';

let place: TestPlace;
let log: Log;
let host: TestHost;
let stage: Stage | null = null;

beforeEach(async () => {
  place = new TestPlace();
  log = await place.log();
  host = testHost();
});
afterEach(async () => {
  await stage?.stop();
  stage = null;
  await place.remove();
});

const start = async () => {
  stage = await startProcessor({ log: place.logUrl, store: place.storeUrl, symbols: false }, host);
};
/** stop() drains: what lay in the log is rows when it returns. */
const stop = async () => {
  await stage?.stop();
  stage = null;
};
const send = async (value: Uint8Array, headers: Record<string, string> = {}) => {
  await log.ensureTopic({ name: profilesTopic, partitions: 1 });
  return (await log.append(profilesTopic, 0, { value, headers })).offset;
};
const drain = async () => {
  await start();
  await stop();
};

describe('messages in the log', () => {
  test('become row messages with their source range, and leave the input', async () => {
    await send(
      smallMessage({
        stacks: [
          ['a', 'main'],
          ['b', 'main'],
        ],
        events: 3,
      }),
    );
    await send(smallMessage({ service: 'cart', pid: 7 }));
    await drain();
    const [message, ...more] = await readRowMessages(log);
    expect(more).toEqual([]);
    expect(message).toMatchObject({ topic: profilesTopic, partition: 0, from: -1, to: 1, shard: 0, routing: 1, logId: (await log.topic(profilesTopic)).logId });
    expect(message!.segments.map(({ offset, rowStart, rowEnd, profiles }) => [offset, rowStart, rowEnd, profiles.length])).toEqual([
      [0, 0, 6, 1],
      [1, 6, 7, 1],
    ]);
    expect([...message!.samples.value]).toEqual(Array(7).fill(50_000_000n));
    expect(message!.stacks.length).toBe(3);
    expect(await log.range(profilesTopic, 0)).toEqual({ start: 2, end: 2 });
    const metrics = await host.collect();
    expect(['messages', 'samples', 'rows', 'stacks', 'row_messages', 'lag'].map((name) => metricSum(metrics, name))).toEqual([2, 3, 7, 3, 1, 0]);
    expect(metricSum(metrics, 'cpu_time')).toBeGreaterThan(0);
  });

  test('are taken up while it runs, and a later start goes on where it was', async () => {
    await start();
    await expect.poll(() => stage!.status().ready).toBe(true);
    await send(smallMessage());
    await expect.poll(async () => (await readRowMessages(log)).length).toBe(1);
    await stop();
    await send(smallMessage({ timeMillis: Date.now() + 1 }));
    await drain();
    const messages = await readRowMessages(log);
    expect(messages.map(({ from, to }) => [from, to])).toEqual([
      [-1, 0],
      [0, 1],
    ]);
    // The new process does not know what the old one sent; its stack comes again.
    expect(messages.map(({ stacks }) => stacks.length)).toEqual([1, 1]);
    expect(host.lines.join('')).not.toContain('not clean');
  });

  test('have each stack once for a date, as long as one process sends them', async () => {
    await start();
    for (let count = 0; count < 3; count++) {
      await send(smallMessage({ timeMillis: Date.now() - count }));
      await expect.poll(async () => (await readRowMessages(log)).length).toBe(count + 1);
    }
    expect((await readRowMessages(log)).map(({ stacks }) => stacks.length)).toEqual([1, 0, 0]);
    await send(smallMessage({ timeMillis: Date.now() - 2 * 86_400_000 }));
    await expect.poll(async () => (await readRowMessages(log)).length).toBe(4);
    expect((await readRowMessages(log))[3]!.stacks.length).toBe(1);
  });
});

describe('what cannot be decoded', () => {
  test('goes to the dead letters with its reason, and costs no other message', async () => {
    await send(smallMessage());
    const garbage = Uint8Array.of(10, 200, 1, 2, 3);
    await send(garbage, { [versionHeader]: '1', other: 'x' });
    await send(smallMessage({ pid: 43 }), { [versionHeader]: '2' });
    await send(smallMessage({ pid: 44 }), { [versionHeader]: '1' });
    await drain();
    const dead = await readAll(log, deadLetterTopic);
    expect(dead.map(({ headers }) => [headers[deadLetterHeaders.reason], headers[deadLetterHeaders.offset], headers[deadLetterHeaders.partition]])).toEqual([
      ['message_malformed', '1', '0'],
      ['message_version', '2', '0'],
    ]);
    expect(Buffer.from(dead[0]!.value)).toEqual(Buffer.from(garbage));
    expect(dead[0]!.headers).toMatchObject({ other: 'x', [deadLetterHeaders.logId]: (await log.topic(profilesTopic)).logId });
    expect(dead[0]!.headers[deadLetterHeaders.message]).toMatch(/expected/);
    const kept = keptSegments(await readRowMessages(log));
    expect(kept.map(({ segment, message }) => [segment.offset, lossIn(message, segment)])).toEqual([
      [0, null],
      [1, 'message_malformed'],
      [2, 'message_version'],
      [3, null],
    ]);
    expect(danglingStacks(kept)).toEqual([]);
    expect(metricSum(await host.collect(), 'dead_letters', { reason: 'message_malformed' })).toBe(1);
  });

  test('alone still moves the position', async () => {
    await send(Uint8Array.of(255));
    await drain();
    await send(smallMessage());
    await drain();
    expect(await readAll(log, deadLetterTopic)).toHaveLength(1);
    expect((await readRowMessages(log)).map(({ from, to }) => [from, to])).toEqual([
      [-1, 0],
      [0, 1],
    ]);
  });
});

describe('after an end that was not clean', () => {
  const remember = async (offset: number, attempt: { offset: number; count: number } | null) => {
    const { logId } = await log.topic(profilesTopic);
    await log.remember(processorGroup, profilesTopic, 0, { offset, metadata: formatHints({ logId, running: true, attempt, sent: nothingSent })! });
  };

  test('a message that was announced three times is a dead letter, the others are rows', async () => {
    for (let pid = 0; pid < 3; pid++) await send(smallMessage({ pid }));
    await remember(1, { offset: 1, count: 3 });
    await drain();
    expect((await readAll(log, deadLetterTopic)).map(({ headers }) => [headers[deadLetterHeaders.reason], headers[deadLetterHeaders.offset]])).toEqual([
      ['message_crashes', '1'],
    ]);
    expect(keptSegments(await readRowMessages(log)).map(({ segment, message }) => [segment.offset, lossIn(message, segment)])).toEqual([
      [1, 'message_crashes'],
      [2, null],
    ]);
  });

  test('a message that was announced twice gets its third chance', async () => {
    await send(smallMessage());
    await remember(0, { offset: 0, count: 2 });
    await drain();
    expect(await readAll(log, deadLetterTopic)).toEqual([]);
    expect(keptSegments(await readRowMessages(log))).toHaveLength(1);
  });

  test('each announcement is durable before the message is decoded: three kills at that point, then it is dead', async () => {
    for (let pid = 0; pid < 2; pid++) await send(smallMessage({ pid }));
    await remember(0, null);
    for (const point of ['decode', 'build', 'decode']) await runUntilKilled(point);
    await drain();
    expect((await readAll(log, deadLetterTopic)).map(({ headers }) => headers[deadLetterHeaders.offset])).toEqual(['0']);
    expect(keptSegments(await readRowMessages(log)).map(({ segment, message }) => [segment.offset, lossIn(message, segment)])).toEqual([
      [0, 'message_crashes'],
      [1, null],
    ]);
  });

  test('kills while rows are sent or remembered, however often, lose and double nothing', async () => {
    for (let pid = 0; pid < 40; pid++)
      await send(
        smallMessage({
          pid,
          stacks: [
            [`f${pid}`, 'main'],
            ['shared', 'main'],
          ],
        }),
      );
    for (const point of ['send', 'remember', 'send', 'send', 'remember']) await runUntilKilled(point);
    await drain();
    const kept = keptSegments(await readRowMessages(log));
    expect(kept.map(({ segment }) => segment.offset)).toEqual(Array.from({ length: 40 }, (_, index) => index));
    expect(new Set(kept.map(({ segment }) => segment.profiles[0]!.digest)).size).toBe(40);
    expect(danglingStacks(kept)).toEqual([]);
    expect(await readAll(log, deadLetterTopic)).toEqual([]);
  });

  /** A processor in a process of its own that kills itself (SIGKILL) when it gets to that point. */
  async function runUntilKilled(point: string): Promise<void> {
    const child = fork(new URL('./testing-killed.ts', import.meta.url), [place.logUrl, place.storeUrl, point], { stdio: 'inherit' });
    const [, signal] = await once(child, 'exit');
    expect(signal).toBe('SIGKILL');
  }
});

describe('positions', () => {
  test('of a log that retention has overtaken show a gap of just what is lost, and are counted', async () => {
    for (let pid = 0; pid < 2; pid++) await send(smallMessage({ pid }));
    await drain();
    for (let pid = 2; pid < 6; pid++) await send(smallMessage({ pid }));
    await log.trim(profilesTopic, 0, 4);
    await drain();
    expect((await readRowMessages(log)).map(({ from, to }) => [from, to])).toEqual([
      [-1, 1],
      [3, 5],
    ]);
    expect(metricSum(await host.collect(), 'lost', { reason: 'retention' })).toBe(2);
    expect(host.lines.join('')).toContain('messages 2 to 3 were removed by retention');
  });

  test('of another log, or none that can be read, start over without pretending a gap', async () => {
    await send(smallMessage());
    await log.remember(processorGroup, profilesTopic, 0, {
      offset: 0,
      metadata: formatHints({ logId: 'another', running: false, attempt: null, sent: { others: 500, shards: new Map() } })!,
    });
    await drain();
    expect((await readRowMessages(log)).map(({ from, to }) => [from, to])).toEqual([[-1, 0]]);
  });
});

test('with several shards each row goes to its stack’s, and no shard ever sees a gap', async () => {
  const store = await openStore(place.storeUrl);
  await ensureLakeSettings(store, { shards: 4 });
  await store.close();
  await start();
  for (let count = 0; count < 24; count++) {
    await send(smallMessage({ service: `service-${count % 7}`, pid: count, stacks: [[`f${count % 5}`, 'main']] }));
    if (count % 5 === 0) {
      await stop();
      await start();
    }
  }
  await stop();
  const kept = (await Promise.all([0, 1, 2, 3].map((shard) => readRowMessages(log, shard)))).map(keptSegments);
  expect(
    kept
      .flat()
      .map(({ segment }) => segment.offset)
      .sort((left, right) => left - right),
  ).toEqual(Array.from({ length: 24 }, (_, index) => index));
  for (const [shard, segments] of kept.entries()) {
    for (const { message } of segments) for (const id of message.stackIds) expect(shardOf(id, 4)).toBe(shard);
    expect(danglingStacks(segments)).toEqual([]);
  }
  expect(kept.filter((segments) => segments.length > 0).length).toBeGreaterThan(1);
});

describe('one partition', () => {
  const partitionOn = async (faulty: Log, symbols: Symbols = noSymbols) => {
    const topic = await log.ensureTopic({ name: profilesTopic, partitions: 1 });
    await log.ensureTopic({ name: rowsTopic, partitions: 1 });
    await log.ensureTopic({ name: deadLetterTopic, partitions: 1 });
    const source = { logId: topic.logId, topic: topic.name, partition: 0 };
    const metrics = createProcessorMetrics(host.meter);
    const deadLetters = new DeadLetters(faulty, metrics.deadRemoved);
    return new Partition({ log: faulty, source, shards: 1, deadLetters, known: new KnownStacks(1000), symbols, metrics, logger: host.logger });
  };
  /** The real log but for its append. */
  const withAppend = (append: Log['append']): Log =>
    new Proxy(log, { get: (target, name) => (name === 'append' ? append : (target[name as keyof Log] as () => unknown).bind(target)) });
  const drained = async (partition: Partition) => {
    partition.stop(60_000);
    await partition.run();
  };

  test('that sleeps while another takes its messages goes on behind them, and tells no loss', async () => {
    for (let pid = 0; pid < 3; pid++) await send(smallMessage({ pid }));
    const asleep = Promise.withResolvers<void>();
    const woken = Promise.withResolvers<void>();
    const sleepy: Log['read'] = async (...given) => {
      asleep.resolve();
      await woken.promise;
      return log.read(...given);
    };
    const drowsy = new Proxy(log, { get: (target, name) => (name === 'read' ? sleepy : (target[name as keyof Log] as () => unknown).bind(target)) });
    const sleeper = await partitionOn(drowsy);
    const running = sleeper.run();
    await asleep.promise;
    await drained(await partitionOn(log));
    await send(smallMessage({ pid: 3 }));
    expect(await log.range(profilesTopic, 0)).toEqual({ start: 3, end: 4 });
    woken.resolve();
    sleeper.stop(60_000);
    await running;
    const messages = await readRowMessages(log);
    expect(keptSegments(messages)).toHaveLength(4);
    expect(messages.at(-1)).toMatchObject({ from: 2, to: 3 });
    expect(metricSum(await host.collect(), 'lost')).toBe(0);
    expect(host.lines.join('')).not.toContain('removed by retention');
  });

  test('waits for a log that is full or away, says so, and loses nothing', async () => {
    for (let pid = 0; pid < 3; pid++) await send(smallMessage({ pid }));
    const troubles: (string | null)[] = [];
    let faults = 0;
    const faulty = withAppend(async (...given) => {
      troubles.push(partition.trouble);
      if (faults++ < 2) throw new PipelineError(faults === 1 ? 'log_full' : 'log_unavailable', `fault ${faults}`);
      return await log.append(...given);
    });
    const partition = await partitionOn(faulty);
    await drained(partition);
    expect(troubles).toEqual([null, 'fault 1', 'fault 2']);
    expect(partition.trouble).toBe(null);
    expect(keptSegments(await readRowMessages(log)).map(({ segment }) => segment.offset)).toEqual([0, 1, 2]);
  });

  test('ends with the error of a log that time does not mend', async () => {
    await send(smallMessage());
    const faulty = withAppend(() => Promise.reject(new PipelineError('log_corrupt', 'broken')));
    await expect((await partitionOn(faulty)).run()).rejects.toThrow('broken');
  });

  test('gives a message three chances that brings out an error of the program, then buries it alone', async () => {
    for (const name of ['good', 'bad', 'fine']) await send(messageOfFile(`/${name}`));
    let failures = 0;
    const failing: Symbols = {
      ...noSymbols,
      nameOf: ({ name }) => {
        if (name !== '/bad') return null;
        failures++;
        throw new TypeError('a bug');
      },
    };
    await drained(await partitionOn(log, failing));
    // Once in the batch, then three times alone.
    expect(failures).toBe(4);
    expect((await readAll(log, deadLetterTopic)).map(({ headers }) => [headers[deadLetterHeaders.reason], headers[deadLetterHeaders.offset]])).toEqual([
      ['message_crashes', '1'],
    ]);
    const kept = keptSegments(await readRowMessages(log));
    expect(kept.map(({ segment, message }) => lossIn(message, segment))).toEqual([null, 'message_crashes', null]);
    expect(danglingStacks(kept)).toEqual([]);
    expect(host.lines.join('')).toContain('a bug');
  });

  test('makes several messages of what is too much for one, with the source ranges in a row', async () => {
    const stacks = Array.from({ length: 200 }, (_, index) => [`f${index}`, 'main']);
    // 200 * 900 rows of 84 bytes: three of these fill a row message.
    for (let pid = 0; pid < 7; pid++) await send(smallMessage({ pid, stacks, events: 900 }));
    await drained(await partitionOn(log));
    const messages = await readRowMessages(log);
    expect(messages.map(({ from, to }) => [from, to])).toEqual([
      [-1, 2],
      // A read of 8 MiB ends here.
      [2, 4],
      [4, 6],
    ]);
    expect(messages.map(({ samples }) => samples.length)).toEqual([540_000, 360_000, 360_000]);
    expect(danglingStacks(keptSegments(messages))).toEqual([]);
  });
});

/** The reason of a segment that only tells a loss; null where it holds samples. */
function lossIn(message: RowsMessage, segment: Segment): string | null {
  const { samples, maps, strings, types } = message;
  const row = segment.rowStart;
  if (segment.rowEnd !== row + 1 || strings[types[samples.type[row]!]![0]] !== 'lost') return null;
  const [, reason] = maps[samples.attributes[row]!]!.find(([key]) => strings[key] === lostReasonAttribute)!;
  return strings[reason]!;
}

/** A native frame without a name, under a mapping of that name. */
function messageOfFile(path: string): Uint8Array {
  return message10({
    strings: ['', 'samples', 'count', path, 'process.executable.build_id.gnu', Buffer.from(path).toString('hex')],
    attributes: [{ keyStrindex: 4, value: { value: { case: 'stringValueStrindex', value: 5 } } }],
    mappings: [{ filenameStrindex: 3, attributeIndices: [1] }],
    locations: [{ mappingIndex: 1, address: 0x1234n }],
    stacks: [{ locationIndices: [1] }],
    profiles: [{ sampleType: { typeStrindex: 1, unitStrindex: 2 }, samples: [{ stackIndex: 1, timestampsUnixNano: [BigInt(Date.now()) * 1_000_000n] }] }],
  });
}

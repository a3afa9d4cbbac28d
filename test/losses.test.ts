// Everything that can be lost on the way, forced one by one over the real stages, and asked for in SQL as a
// user would. Each loss is there once, also after exporter and processor have been started again; what is
// no loss (a repetition, a clock that is wrong) is none.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startExporter } from '../exporter/main.ts';
import { readHead } from '../exporter/records.ts';
import { encodedMessage } from '../exporter/testing.ts';
import type { Log } from '../lib/log/log.ts';
import { openLog } from '../lib/log/open.ts';
import type { Stage } from '../lib/stage.ts';
import { openStore } from '../lib/store/open.ts';
import type { Store } from '../lib/store/store.ts';
import { startProcessor } from '../processor/main.ts';
import { message10, smallMessage, testHost } from '../processor/testing.ts';
import { checkLake } from '../query/check.ts';
import { openQuery, type Query } from '../query/query.ts';
import { type Receiver, startReceiver } from '../receiver/main.ts';
import { raiseFloor } from '../schemas/lake/floor.ts';
import { dateName } from '../schemas/lake/paths.ts';
import { deadLetterHeaders, deadLetterTopic, exporterGroup, processorGroup, profilesTopic, rowsTopic } from '../schemas/topics.ts';
import { until } from './e2e/until.ts';

const day = 86_400_000;
const patience = 30_000;
const directory = mkdtempSync(path.join(tmpdir(), 'flamelake-losses-'));
const url = (name: string) => pathToFileURL(path.join(directory, name)).href;
const host = testHost();
let log: Log;
let store: Store;
let query: Query;
let receiver: Receiver;

beforeAll(async () => {
  log = await openLog(url('log'));
  store = await openStore(url('data'));
  query = await openQuery({ store: url('data') });
  receiver = await startReceiver({ grpcListen: null, httpListen: '127.0.0.1:0', messageBytesMax: 1 << 20, log: url('log') }, host);
});
afterAll(async () => {
  await receiver.stop();
  await query.close();
  await store.close();
  await log.close();
  rmSync(directory, { recursive: true });
});

const processor = () => startProcessor({ log: url('log'), store: url('data'), symbols: false }, host);
const exporter = () =>
  startExporter(
    {
      log: url('log'),
      store: url('data'),
      indexDir: path.join(directory, 'index'),
      publishIntervalMillis: 200,
      publishBytes: 1e8,
      publishRowsMax: 1e6,
      hotIntervalMillis: 100,
    },
    host,
  );

async function send(body: Uint8Array): Promise<string> {
  const address = receiver.httpAddress!;
  const answer = await fetch(`http://${address}/v1development/profiles`, { method: 'POST', body, headers: { 'content-type': 'application/x-protobuf' } });
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer()).toString('latin1');
}

/** Runs a processor until all input is rows. */
async function process(): Promise<void> {
  const stage = await processor();
  await until('the processor is through', patience, async () => {
    const position = await log.position(processorGroup, profilesTopic, 0);
    return position?.offset === (await log.range(profilesTopic, 0)).end;
  });
  await stage.stop();
}

/** Runs an exporter until all rows are public and have left the log. */
async function publish(): Promise<void> {
  const stage: Stage = await exporter();
  await until('the exporter is through', patience, async () => {
    const { end } = await log.range(rowsTopic, 0);
    return (await readHead(store, 0))?.position === end && (await log.position(exporterGroup, rowsTopic, 0))?.offset === end;
  });
  await stage.stop();
}

async function lost(): Promise<Record<string, number>> {
  const { rows } = await query.sql('SELECT reason, sum(lost)::DOUBLE FROM lost_samples() GROUP BY ALL ORDER BY ALL');
  return Object.fromEntries(rows as [string, number][]);
}
const count = async (where: string) => Number((await query.sql(`SELECT count(*) FROM samples WHERE ${where}`)).rows[0]![0]);

/** One good profile and one whose two samples have a stack that is not there. */
const halfBad = () =>
  message10({
    strings: ['', 'samples', 'count'],
    stacks: [{ locationIndices: [] }],
    profiles: [1, 77].map((stackIndex) => ({
      sampleType: { typeStrindex: 1, unitStrindex: 2 },
      samples: Array.from({ length: 2 }, (_unused, index) => ({ stackIndex, timestampsUnixNano: [BigInt(Date.now() + index) * 1_000_000n] })),
    })),
  });

/** A sample with neither value nor timestamp. */
const noEvent = () =>
  message10({ strings: ['', 'samples', 'count'], profiles: [{ sampleType: { typeStrindex: 1, unitStrindex: 2 }, samples: [{ stackIndex: 0 }] }] });

test('every loss is a row with its reason, once', async () => {
  // The receiver cuts what is wrong out of a message and says so; what it refuses whole was never taken.
  const partial = halfBad();
  expect(await send(partial)).toContain('1 profile rejected');
  const expected: Record<string, number> = { rejected: 2 };
  // Sent again because the answer was lost: all of it is known, the loss too.
  await send(partial);
  await send(noEvent());
  expected.no_event = 1;
  // What a Collector may put into the topic without asking the receiver.
  await log.append(profilesTopic, 0, { value: Uint8Array.of(10, 200, 1, 2, 3) });
  expected.message_malformed = 1;
  // A clock that is wrong is no loss.
  await send(smallMessage({ service: 'clock', timeMillis: Date.now() - 30 * day }));
  await process();
  await publish();
  expect(await lost()).toEqual(expected);
  expect(await count("service_name = 'clock' AND attributes['flamelake.time_original'] IS NOT NULL")).toBe(1);
  expect(await count("service_name LIKE 'unknown%' AND sample_type = 'samples'")).toBe(2);
  expect((await readHead(store, 0))!.duplicates).toBe(3);
  const dead = await log.read(deadLetterTopic, 0, 0, { bytesMax: 1e6, waitMillis: 0 });
  expect(dead.records.map(({ headers }) => headers[deadLetterHeaders.reason])).toEqual(['message_malformed']);

  // The log's retention takes messages before the processor, and row messages before the exporter.
  for (let number = 0; number < 3; number++) await send(smallMessage({ pid: number }));
  const input = await log.range(profilesTopic, 0);
  await log.trim(profilesTopic, 0, input.end - 1);
  expected.source_gap = 2;
  await process();
  await publish();
  expect(await lost()).toEqual(expected);
  for (let number = 0; number < 2; number++) {
    await send(smallMessage({ pid: 10 + number }));
    await process();
  }
  await log.trim(rowsTopic, 0, (await log.range(rowsTopic, 0)).end - 1);
  expected.log_overtaken = 1;
  expected.source_gap += 1; // what was in it
  await publish();
  expect(await lost()).toEqual(expected);

  // A row message that nobody can read, and one whose stack never came.
  await log.append(rowsTopic, 0, { value: new Uint8Array([1, 2, 3]) });
  expected.rows_malformed = 1;
  const sample = { time: BigInt(Date.now()) * 1000n, value: 1n, stack: { id: 'ab'.repeat(16), frames: [] }, resource: { service_name: 'no-stack' } };
  const segments = [{ offset: 0, appendTimeMillis: Date.now(), profiles: [{ digest: '5'.repeat(32), samples: [sample] }], stacks: [] }];
  await log.append(rowsTopic, 0, { value: encodedMessage({ logId: 'another', from: -1, to: 0, segments }) });
  await publish();
  expect(await lost()).toEqual(expected);
  expect((await query.sql("SELECT count(*) FROM samples JOIN stacks s USING (date, stack_id) WHERE s.cut = 'stack_lost'")).rows).toEqual([[1]]);

  // Rows for a date that the lake keeps no more.
  await raiseFloor(store, { date: dateName(Math.floor(Date.now() / day) - 1), movedMillis: 0, reason: 'test', writer: 'test' });
  await send(smallMessage({ timeMillis: Date.now() - 3 * day, events: 4 }));
  expected.below_retention = 4;
  await process();
  await publish();
  expect(await lost()).toEqual(expected);

  // Nothing of it comes again.
  await send(smallMessage({ pid: 99 }));
  await process();
  await publish();
  expect(await lost()).toEqual(expected);
  const report = await checkLake(store);
  expect(report).toMatchObject({ ok: true, findings: [] });
});

// Counted messages of every shape over every transport end in the lake exactly: each row once, each
// column right, read by our own command and, from a plain listing, by engines that are not ours.
// Clients that send again, the same bytes or the same content in other bytes, change nothing.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EngineDocument, sampleSchemas, stackSchemas } from '../engines/documents.ts';
import { findPython, runPython } from '../engines/python.ts';
import { type CountedMessage, countedLoad, oldMessage, reencode, shapes } from '../otlp/messages.ts';
import { freePorts, killStarted, runCommand, sql, startUp, temporaryFolder, type Up } from './flamelake.ts';
import { differences, type LakeRows, publishedRows, rowsBySql } from './lake-rows.ts';
import { createSender, Refused, transports, transportsFor } from './send.ts';
import { until } from './until.ts';

const python = findPython();
const folder = temporaryFolder('exact');
// Every shape meets every transport that can carry it.
const messages = [...countedLoad({ seed: 3, nowMillis: Date.now(), samplesPerProfile: 2 }, shapes.length * transports.length)];
const expected = messages.flatMap((message) => message.rows);
const transportOf = (message: CountedMessage, turn: number) => {
  const able = transportsFor(message);
  return able[turn % able.length]!;
};
const visibleMillis = 20_000;
const publishedMillis = 40_000;
let up: Up;
let sender: ReturnType<typeof createSender>;

beforeAll(async () => {
  up = startUp({ dataDir: folder.path, flags: ['--no-agent', '--publish-interval', '4s'] }, await freePorts());
  await up.waitReady();
  sender = createSender(up);
});
afterAll(async () => {
  sender?.close();
  await killStarted();
  folder.remove();
});

const countBySql = async () => Number((await sql(folder.path, 'SELECT count(*)::VARCHAR AS rows FROM samples'))[0]!.rows);

/** All sent once, and once more in each way that a client or a Collector in between may repeat them. */
async function sendAll(turn: number): Promise<void> {
  for (const [index, message] of messages.entries()) {
    await sender.send(message, transportOf(message, Math.floor(index / shapes.length)));
    const other = reencode(message, shapes[(index + turn) % shapes.length]!);
    await sender.send(turn % 2 === 0 ? message : other, transportOf(turn % 2 === 0 ? message : other, index + turn));
  }
}

test('every message is acknowledged, among others that are refused and cost them nothing', async () => {
  const garbage = { ...messages[0]!, name: 'garbage', body: Uint8Array.of(10, 200, 1, 2, 3) };
  const torn = { ...messages[0]!, name: 'torn', body: messages[0]!.body.subarray(0, messages[0]!.body.length - 7) };
  await sendAll(1);
  for (const bad of [garbage, torn]) {
    for (const transport of transports) await expect(sender.send(bad, transport), `${bad.name} over ${transport}`).rejects.toThrow(Refused);
  }
});

test('flamelake sql has every row once, in every column what was sent', async () => {
  await until(`${expected.length} rows in flamelake sql`, visibleMillis, async () => (await countBySql()) >= expected.length);
  expect(differences(await rowsBySql(folder.path), expected)).toEqual([]);
});

test('a client that sends all of it again changes nothing', async () => {
  await sendAll(2);
  const late = [...countedLoad({ seed: 4, nowMillis: Date.now() }, 1)];
  // What is sent after the repetitions is visible after them.
  for (const message of late) await sender.send(message, 'http');
  expected.push(...late.flatMap((message) => message.rows));
  await until('the message after the repetitions', visibleMillis, async () => (await countBySql()) >= expected.length);
  expect(differences(await rowsBySql(folder.path), expected)).toEqual([]);
});

describe('published files', () => {
  const lake = join(folder.path, 'lake');
  let files: EngineDocument['files'] = [];

  test('all rows are published, and nothing else lies among them', async () => {
    await until('all rows are in public files', publishedMillis, async () => (await publishedRows(lake)) >= expected.length);
    expect(await publishedRows(lake)).toBe(expected.length);
    for (const name of readdirSync(lake, { recursive: true, encoding: 'utf8' })) {
      expect(name).toMatch(/^(samples|stacks)(\/date=\d{4}-\d\d-\d\d(\/shard=\d{3}(\/h\d\d-\d{9}-\d+\.parquet)?)?)?$/);
    }
  });

  test('lake check finds nothing wrong', async () => {
    const { code, stdout, stderr } = await runCommand(['lake', 'check', '--data', folder.path]);
    expect([code, stdout, stderr].join('\n')).toMatch(/^0\n/);
  });

  test.skipIf(python === null).each(['pyarrow', 'duckdb'] as const)(
    '%s reads the same rows from a plain listing',
    (engine) => {
      const document = runPython(python!, 'read_lake.py', [engine, lake]) as EngineDocument;
      files = document.files;
      const rows: LakeRows = { samples: document.samples.rows, stacks: document.stacks.rows };
      expect(differences(rows, expected)).toEqual([]);
      expect(document.samples.lookups, 'filters that lose or invent rows').toEqual([]);
      expect(document.stacks.lookups, 'filters that lose or invent rows').toEqual([]);
      expect(document.samples.schema).toEqual(sampleSchemas[engine]);
      expect(document.stacks.schema).toEqual(stackSchemas[engine]);
    },
    120_000,
  );

  test.skipIf(python === null)('each file says its schema version, and is made as documented', () => {
    expect(files.length).toBeGreaterThan(1);
    for (const file of files) {
      expect(file.metadata['flamelake.schema_version'], file.name).toBe('1');
      expect(file.rows, file.name).toBeGreaterThan(0);
      expect(Math.max(...file.rowGroups), file.name).toBeLessThanOrEqual(122_880);
      expect(file.codecs, file.name).toContain('ZSTD');
    }
  });
});

test('rows of an older date are visible at once, and in public files once a day', async () => {
  const old = oldMessage({ seed: 8, nowMillis: Date.now() });
  await sender.send(old, 'http+gzip');
  expected.push(...old.rows);
  await until('the older rows', visibleMillis, async () => (await countBySql()) >= expected.length);
  expect(differences(await rowsBySql(folder.path), expected)).toEqual([]);
});

test('after the end everything is there still, without a running process', async () => {
  await up.stop();
  expect(differences(await rowsBySql(folder.path), expected)).toEqual([]);
});

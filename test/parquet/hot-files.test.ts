// The local files that a query makes of hot objects, beside private files that the exporter makes of the
// same messages: the same rows in every column, and rows that an exporter dropped are in neither.
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MessageAppender } from '../../exporter/append.ts';
import { Batch } from '../../exporter/batch.ts';
import { finish, writeTable } from '../../exporter/tables.ts';
import { type PlainSample, type PlainStack, rowsMessage } from '../../exporter/testing.ts';
import { openStore } from '../../lib/store/open.ts';
import type { Store } from '../../lib/store/store.ts';
import { tableFile, writeHotFiles } from '../../query/hot-files.ts';
import { encodeHot, type RowRange } from '../../schemas/hot/codec.ts';
import { hotFileKey } from '../../schemas/lake/paths.ts';
import { encodeRows } from '../../schemas/rows/codec.ts';
import type { RowsMessage } from '../../schemas/rows/message.ts';
import { createRandom, type Random } from '../otlp/random.ts';

const noon = 1_795_521_600_000_000n; // 2026-11-24T12:00:00Z
let directory: string;
let store: Store;
let duckdb: DuckDBInstance;
beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'hot-files-'));
  store = await openStore(pathToFileURL(path.join(directory, 'store')).href);
  duckdb = await DuckDBInstance.create(':memory:', { threads: '1' });
});
afterAll(async () => {
  duckdb.closeSync();
  await store.close();
  rmSync(directory, { recursive: true });
});

const words = ['main', 'größe', '日本', '🔥', 'a "b"\n', 'x'.repeat(200), '\u{10ffff}'];

function randomStack(random: Random): PlainStack {
  const maybe = <Name extends string, Value>(name: Name, value: Value) => (random.chance(0.6) ? ({ [name]: value } as Record<Name, Value>) : {});
  return {
    id: random.hex(32),
    ...maybe('serviceName', random.pick(words)),
    ...maybe('cut', 'depth'),
    frames: Array.from({ length: random.below(6) }, () => ({
      ...maybe('function', random.pick(words)),
      ...maybe('systemName', random.pick(words)),
      ...maybe('file', random.pick(words)),
      ...maybe('line', BigInt(random.below(1000))),
      ...maybe('column', random.uint64() >> 2n),
      ...maybe('inlined', true),
      ...maybe('type', 'native'),
      ...maybe('mapping', random.pick(words)),
      ...maybe('buildId', random.hex(40)),
      ...maybe('address', random.uint64()),
    })),
  };
}

function randomSample(random: Random, stack: PlainStack): PlainSample {
  const maybe = <Name extends string, Value>(name: Name, value: Value) => (random.chance(0.5) ? ({ [name]: value } as Record<Name, Value>) : {});
  return {
    time: noon + BigInt(random.below(1_000_000_000)),
    value: BigInt(random.below(5)) - 2n,
    stack,
    resource: { service_name: random.pick(words), ...maybe('host_id', random.pick(words)), ...maybe('systemd_unit', 'x.service') },
    ...maybe('count', BigInt(random.below(9))),
    ...maybe('weight', random.below(100) / 8),
    ...maybe('duration', random.uint64() >> 2n),
    ...maybe('type', 'wall'),
    ...maybe('link', [random.hex(32), random.hex(16), 'otlp'] as const),
    ...maybe('processPid', BigInt(random.below(4_000_000))),
    ...maybe('resourceAttributes', { [random.pick(words)]: random.pick(words), 'b.c': '' }),
    ...maybe('attributes', { k: random.pick(words) }),
    ...maybe('scopeName', random.pick(words)),
    ...maybe('profileId', random.hex(32)),
    ...maybe('threadId', random.uint64() >> 2n),
    ...maybe('threadName', random.pick(words)),
    ...maybe('cpu', random.below(64)),
  };
}

interface Sent {
  readonly offset: number;
  readonly message: RowsMessage;
  readonly rows: readonly RowRange[];
}

function randomMessage(random: Random, offset: number): Sent {
  const stacks = Array.from({ length: 1 + random.below(5) }, () => randomStack(random));
  const samples = Array.from({ length: random.below(30) }, () => randomSample(random, random.pick(stacks)));
  const profiles = samples.length === 0 ? [] : [{ digest: random.hex(32), samples }];
  const message = rowsMessage({ from: offset - 1, to: offset, segments: [{ offset, appendTimeMillis: Number(noon / 1000n), profiles }] });
  const middle = random.below(samples.length + 1);
  const dropped = Math.min(samples.length, middle + random.below(3));
  return {
    offset,
    message,
    rows: [
      { start: 0, end: middle },
      { start: dropped, end: samples.length },
    ],
  };
}

/** As the exporter holds and writes them. */
function writeByExporter(sent: readonly Sent[], folder: string): void {
  const batch = new Batch();
  for (const { offset, message, rows } of sent) {
    const [rowStart, stackStart] = [batch.rows, batch.stacks];
    const appender = new MessageAppender(batch, message);
    for (let stack = 0; stack < message.stacks.length; stack++) appender.addStack(stack, 0);
    for (const { start, end } of rows) appender.addRows(start, end, 0, () => {});
    batch.spans.push({ offset, rowStart, rowEnd: batch.rows, stackStart, stackEnd: batch.stacks });
  }
  const all = (length: number) => Uint32Array.from({ length }, (_, index) => index);
  finish(writeTable('samples', tableFile(folder, 'samples'), batch, all(batch.rows), { shard: 2, offsetOf: (row) => batch.offsetOfRow(row) }));
  finish(writeTable('stacks', tableFile(folder, 'stacks'), batch, all(batch.stacks), { shard: 2, offsetOf: (stack) => batch.offsetOfStack(stack) }));
}

async function writeByQuery(sent: readonly Sent[], folder: string): Promise<void> {
  const slices = [];
  // Two objects, of which the second overlaps: of each only its slice is taken.
  const middle = Math.ceil(sent.length / 2);
  const whole = [sent.slice(0, middle), sent];
  const bounds = [0, sent[middle]?.offset ?? Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];
  for (const [index, part] of whole.entries()) {
    const key = hotFileKey(2, index, 1000, 'log', randomUUID());
    await store.put(key, encodeHot(part.map(({ offset, message, rows }) => ({ offset, rows, value: encodeRows(message) }))));
    slices.push({ key, shard: 2, from: bounds[index]!, to: bounds[index + 1]!, whole: false });
  }
  await writeHotFiles(store, slices, folder);
}

test.each([1, 2, 3, 4])('messages of seed %d', async (seed) => {
  const random = createRandom(seed);
  const sent = Array.from({ length: 6 }, (_, index) => randomMessage(random, 10 + 3 * index));
  const folders = ['exporter', 'query'].map((name) => path.join(directory, `${name}-${seed}`));
  for (const folder of folders) mkdirSync(folder);
  writeByExporter(sent, folders[0]!);
  await writeByQuery(sent, folders[1]!);
  const connection = await duckdb.connect();
  for (const table of ['samples', 'stacks'] as const) {
    const [exporter, query] = folders.map((folder) => `SELECT * FROM read_parquet('${tableFile(folder, table)}')`);
    const answer = await connection.runAndReadAll(
      `SELECT (SELECT count(*) FROM (${query})) > 0, (FROM (${exporter} EXCEPT ALL ${query}) SELECT count(*)::INT), (FROM (${query} EXCEPT ALL ${exporter}) SELECT count(*)::INT)`,
    );
    expect(answer.getRows()[0], table).toEqual([true, 0, 0]);
  }
  connection.closeSync();
});

test('an object that is damaged or of another version is named in one line', async () => {
  const key = hotFileKey(2, 0, 1, 'log', randomUUID());
  const slices = [{ key, shard: 2, from: 0, to: 1, whole: true }];
  const { message } = randomMessage(createRandom(9), 0);
  const value = encodeRows(message);
  const folder = path.join(directory, 'damaged');
  mkdirSync(folder);
  for (const bytes of [
    Buffer.from('PAR1'.repeat(20)),
    encodeHot([{ offset: 0, rows: [], value: value.subarray(0, value.length - 9) }]),
    encodeHot([{ offset: 0, rows: [{ start: 0, end: message.samples.length + 1 }], value }]),
  ]) {
    await store.put(key, bytes);
    await expect(writeHotFiles(store, slices, folder)).rejects.toThrow(new RegExp(`^${key}: [^\\n]+$`));
  }
  await store.delete(key);
  await expect(writeHotFiles(store, slices, folder)).rejects.toMatchObject({ code: 'store_missing' });
});

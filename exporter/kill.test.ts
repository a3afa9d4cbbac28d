// A real exporter process over the embedded log and a directory, killed at random moments: what went in
// is in the lake once, by plain listing, read by an engine that is not ours.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Log } from '../lib/log/log.ts';
import { openLog } from '../lib/log/open.ts';
import { openStore } from '../lib/store/open.ts';
import { decodeHot } from '../schemas/hot/codec.ts';
import { recordPrefix } from '../schemas/lake/paths.ts';
import { type CommitRecord, parseRecord } from '../schemas/lake/record.ts';
import { exporterGroup, rowsTopic } from '../schemas/topics.ts';
import type { ExporterOptions } from './main.ts';
import { encodedMessage, type PlainSample } from './testing.ts';

const kills = Number(process.env.FLAMELAKE_KILLS ?? 6);
const childFile = fileURLToPath(new URL('./testing-child.ts', import.meta.url));

let directory: string;
let options: ExporterOptions;
let log: Log;
const children: ChildProcess[] = [];
beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'exporter-kill-'));
  const url = (name: string) => pathToFileURL(path.join(directory, name)).href;
  options = {
    log: url('log'),
    store: url('store'),
    indexDir: path.join(directory, 'index'),
    publishIntervalMillis: 150,
    publishBytes: 1e8,
    publishRowsMax: 1e6,
    hotIntervalMillis: 40,
  };
  log = await openLog(options.log);
  await log.ensureTopic({ name: rowsTopic, partitions: 1 });
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await log.close();
  rmSync(directory, { recursive: true });
});

interface Child {
  readonly process: ChildProcess;
  /** Resolves with the first status that says what is asked for. */
  until(wanted: (status: { ready: boolean; text: string }) => boolean): Promise<void>;
}

function startChild(): Child {
  const child = spawn(process.execPath, [childFile, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface({ input: child.stdout! });
  return {
    process: child,
    until: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (line: string) => {
          if (!wanted(JSON.parse(line) as { ready: boolean; text: string })) return;
          lines.off('line', look);
          resolve();
        };
        lines.on('line', look);
        child.once('exit', (code) => reject(new Error(`the exporter ended with code ${code}`)));
      }),
  };
}

const day = 86_400_000;
let sent = 0;
beforeEach(() => {
  sent = 0;
});
/** One message of a few rows, some of them days old, half of the stacks known from before. */
async function send(): Promise<void> {
  const offset = sent++;
  const rows = Array.from({ length: 5 }, (_unused, index): PlainSample => {
    const number = (offset * 3 + index) % 40;
    const stack = { id: number.toString(16).padStart(32, '0'), serviceName: 'svc', frames: [{ function: `f${number}` }] };
    const time = BigInt(Date.now() - (index === 4 && offset % 5 === 0 ? 4 * day : 0)) * 1000n;
    return { time, value: BigInt(offset * 5 + index), stack, resource: { service_name: 'svc' }, attributes: { 'a.b': String(index) } };
  });
  const value = encodedMessage({
    from: offset - 1,
    to: offset,
    segments: [{ offset, appendTimeMillis: Date.now(), profiles: [{ digest: offset.toString(16).padStart(32, '0'), samples: rows }] }],
  });
  await log.append(rowsTopic, 0, { value });
}

async function ask(sql: string): Promise<Record<string, unknown>[]> {
  const duckdb = await DuckDBInstance.create(':memory:');
  const connection = await duckdb.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjects();
  } finally {
    connection.closeSync();
    duckdb.closeSync();
  }
}

const files = (glob: string) => `read_parquet('${path.join(directory, 'store', glob)}', union_by_name = true, hive_partitioning = true)`;
async function head(): Promise<CommitRecord> {
  const store = await openStore(options.store);
  const [entry] = await store.list(recordPrefix(0), { limit: 1 });
  const record = parseRecord((await store.get(entry!.key))!, entry!.key);
  await store.close();
  return record;
}
const publishedPosition = async () => (await log.position(exporterGroup, rowsTopic, 0))?.offset ?? 0;

test(`killed ${kills} times at random moments: every row once`, async () => {
  let feeding = true;
  const feeder = (async () => {
    while (feeding) {
      await send();
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
  })();
  for (let kill = 0; kill < kills; kill++) {
    const child = startChild();
    await child.until((status) => status.ready);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 700));
    child.process.kill('SIGKILL');
    await once(child.process, 'exit');
  }
  feeding = false;
  await feeder;
  const last = startChild();
  while ((await publishedPosition()) < sent) await new Promise((resolve) => setTimeout(resolve, 50));
  const exit = once(last.process, 'exit');
  last.process.stdin!.end();
  expect((await exit)[0]).toBe(0);

  // In public files, or (rows of old dates) in the carry of the newest record: each once.
  const { carry } = await head();
  const carried = (carry?.samples ?? []).map((key) => `'${path.join(directory, 'store', key)}'`).join(', ');
  const rows = `SELECT value FROM ${files('lake/samples/**/*.parquet')}${carried === '' ? '' : ` UNION ALL SELECT value FROM read_parquet([${carried}])`}`;
  const [samples] = await ask(`SELECT count(*)::INT AS rows, count(DISTINCT value)::INT AS unique, max(value)::INT AS max FROM (${rows})`);
  expect(samples).toEqual({ rows: sent * 5, unique: sent * 5, max: sent * 5 - 1 });
  const [stacks] = await ask(`SELECT count(*)::INT AS rows, count(DISTINCT (date, stack_id))::INT AS unique FROM ${files('lake/stacks/**/*.parquet')}`);
  expect(stacks!.rows).toBe(stacks!.unique);
  const [dangling] = await ask(
    `SELECT count(*)::INT AS rows FROM ${files('lake/samples/**/*.parquet')} s ANTI JOIN ${files('lake/stacks/**/*.parquet')} t ON s.date = t.date AND s.stack_id = t.stack_id`,
  );
  expect(dangling).toEqual({ rows: 0 });
});

test('hot objects hold each message once, also after a kill; the log keeps what is not published', async () => {
  options = { ...options, publishIntervalMillis: 3_600_000 };
  for (let count = 0; count < 20; count++) await send();
  const position = sent;
  const first = startChild();
  const hot = () => readdirSync(path.join(directory, 'store', 'hot', 'shard=000')).filter((name) => name.endsWith('.rows'));
  await first.until((status) => status.ready && status.text.includes('0 messages behind'));
  // The first publication comes after 15 s at the earliest: everything is hot.
  const reaches = () => {
    try {
      return Math.max(0, ...hot().map((name) => Number(name.split('-')[1])));
    } catch {
      return 0;
    }
  };
  while (reaches() < position) await new Promise((resolve) => setTimeout(resolve, 20));
  first.process.kill('SIGKILL');
  await once(first.process, 'exit');
  const before = hot();
  const second = startChild();
  await second.until((status) => status.ready && status.text.includes('0 messages behind'));
  const exit = once(second.process, 'exit');
  second.process.stdin!.end();
  expect((await exit)[0]).toBe(0);
  expect(hot()).toEqual(before);
  expect(await log.range(rowsTopic, 0)).toEqual({ start: 0, end: position });
  const messages = hot().flatMap((name) => decodeHot(readFileSync(path.join(directory, 'store', 'hot', 'shard=000', name)), name));
  expect(messages.map(({ offset }) => offset).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, offset) => offset));
  expect(messages.flatMap(({ rows }) => rows).reduce((sum, { start, end }) => sum + end - start, 0)).toBe(100);
});

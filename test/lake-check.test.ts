// lake check on a lake that real exporters made, damaged by hand in every way that a disk, a person or a
// program may damage one: each kind is found and named, with what to do; the lake as it was is whole.
import { appendFile, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { checkText } from '../cli/lake-check.ts';
import { foldOldRecords } from '../exporter/fold.ts';
import { startExporter } from '../exporter/main.ts';
import { readHead } from '../exporter/records.ts';
import { encodedMessage, type PlainStack } from '../exporter/testing.ts';
import { openLog } from '../lib/log/open.ts';
import { openStore } from '../lib/store/open.ts';
import type { Store } from '../lib/store/store.ts';
import { testHost } from '../processor/testing.ts';
import { type FindingKind, findingKinds } from '../query/check/findings.ts';
import { type CheckReport, checkLake } from '../query/check.ts';
import { recordKey } from '../schemas/lake/paths.ts';
import { type CommitRecord, encodeRecord } from '../schemas/lake/record.ts';
import { rowsTopic } from '../schemas/topics.ts';
import { until } from './e2e/until.ts';

let directory: string;
/** The lake as it was made, and the one that is damaged. */
let made: string;
let lake: string;
let store: Store;
let database: DuckDBInstance;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'flamelake-check-'));
  made = path.join(directory, 'made');
  lake = path.join(directory, 'lake');
  database = await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: '256MB' });
  await makeLake();
});
afterAll(async () => {
  database.closeSync();
  await rm(directory, { recursive: true });
});
beforeEach(async () => {
  await store?.close();
  await rm(lake, { recursive: true, force: true });
  await cp(made, lake, { recursive: true });
  store = await openStore(pathToFileURL(lake).href);
});

/** Three records with 6 samples and 3 stacks of one date. */
async function makeLake(): Promise<void> {
  const url = (name: string) => pathToFileURL(path.join(directory, name)).href;
  const options = { log: url('log'), store: url('made'), indexDir: path.join(directory, 'index') };
  const limits = { publishIntervalMillis: 100, publishBytes: 1e8, publishRowsMax: 1e6, hotIntervalMillis: 50 };
  const exporter = await startExporter({ ...options, ...limits }, testHost());
  const log = await openLog(options.log);
  const own = await openStore(options.store);
  const midday = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 43_200_000;
  for (let offset = 0; offset < 3; offset++) {
    const stack: PlainStack = { id: String(offset).repeat(32), serviceName: 'svc', frames: [{ function: `f${offset}` }, { function: 'main' }] };
    const samples = [1, 2].map((number) => ({ time: BigInt(midday + number) * 1000n, value: 10n, stack, resource: { service_name: 'svc' } }));
    const segments = [{ offset, appendTimeMillis: Date.now(), profiles: [{ digest: String(offset).repeat(32), samples }] }];
    await log.append(rowsTopic, 0, { value: encodedMessage({ from: offset - 1, to: offset, segments }) });
    await until('it is published', 30_000, async () => (await readHead(own, 0))?.position === offset + 1);
  }
  await exporter.stop();
  await own.close();
  await log.close();
}

async function files(table: 'samples' | 'stacks'): Promise<string[]> {
  const names = await readdir(path.join(lake, 'lake', table), { recursive: true });
  return names
    .filter((name) => name.endsWith('.parquet'))
    .sort()
    .map((name) => `lake/${table}/${name}`);
}
const at = (key: string) => path.join(lake, key);
const found = ({ findings }: CheckReport) => findings.map(({ kind, key }) => `${kind} ${key}`).sort();

/** Also what a person reads: the kind, the object, and what to do, on two lines. */
async function expectFindings(...expected: readonly (readonly [kind: FindingKind, key: string])[]): Promise<void> {
  const report = await checkLake(store);
  expect(found(report)).toEqual(expected.map(([kind, key]) => `${kind} ${key}`).sort());
  const text = checkText(report);
  for (const [kind, key] of expected) expect(text).toContain(`${kind}: ${key}: `);
  for (const { advice } of report.findings) expect(text).toContain(`\n    ${advice}\n`);
  for (const [kind] of expected) expect(report.findings.some(({ advice }) => advice === findingKinds[kind])).toBe(true);
}

/** Writes other rows under the name of a file; the metadata stays as it was unless another version is given. */
async function rewrite(key: string, select: string, version = '1'): Promise<void> {
  const connection = await database.connect();
  const copy = path.join(directory, 'rewritten.parquet');
  await connection.run(`COPY (${select.replace('FILE', `read_parquet('${at(key)}', hive_partitioning = false)`)}) TO '${copy}'
    (FORMAT parquet, COMPRESSION zstd, KV_METADATA {'flamelake.schema_version': '${version}'})`);
  connection.closeSync();
  await rename(copy, at(key));
}

test('as it was made it is whole', async () => {
  expect(await checkLake(store)).toMatchObject({ ok: true, records: 3, files: 6, samples: 6, stacks: 3, findings: [] });
});

test('a row removed', async () => {
  const [file] = await files('samples');
  await rewrite(file!, 'SELECT * FROM FILE LIMIT 1');
  await expectFindings(['size_wrong', file!], ['rows_wrong', file!]);
});

test('a file doubled, under a name of its own kind', async () => {
  const [file] = await files('samples');
  const twin = file!.replace('-0.parquet', '-1.parquet');
  await copyFile(at(file!), at(twin));
  await expectFindings(['stray_copy', twin]);
});

test('a file missing', async () => {
  const [file] = await files('samples');
  await unlink(at(file!));
  await expectFindings(['file_missing', file!]);
});

test('a chain cut in the middle, and one whose beginning is gone', async () => {
  const [, second] = await files('samples');
  const [, secondStacks] = await files('stacks');
  await unlink(at(recordKey(0, 2)));
  await expectFindings(['chain_gap', recordKey(0, 2)], ['stray_file', second!], ['stray_file', secondStacks!]);
  await unlink(at(recordKey(0, 1)));
  expect(found(await checkLake(store))).toContain(`chain_gap ${recordKey(0, 1)}`);
});

test('a stack id twice', async () => {
  const [file, other] = await files('stacks');
  await rewrite(file!, `SELECT * FROM FILE UNION ALL SELECT * FROM read_parquet('${at(other!)}', hive_partitioning = false)`);
  await expectFindings(['size_wrong', file!], ['rows_wrong', file!], ['stack_twice', `${path.dirname(path.dirname(file!))}/`]);
});

test('a dangling id', async () => {
  const [file] = await files('stacks');
  await rewrite(file!, "SELECT * REPLACE ('f' || substr(stack_id, 2) AS stack_id) FROM FILE");
  await expectFindings(['size_wrong', file!], ['stack_dangling', `${path.dirname(path.dirname(file!))}/`]);
});

test('rows of another date, and a file under another date or shard', async () => {
  const [file, second, third] = await files('samples');
  await rewrite(file!, 'SELECT * REPLACE ("time" + INTERVAL 1 DAY AS "time") FROM FILE');
  const elsewhere = second!.replace(/date=[0-9-]+/, 'date=2001-01-01');
  const sharded = third!.replace('shard=000', 'shard=007');
  for (const [from, to] of [
    [second!, elsewhere],
    [third!, sharded],
  ] as const) {
    await mkdir(path.dirname(at(to)), { recursive: true });
    await rename(at(from), at(to));
  }
  const expected = [
    ['size_wrong', file!],
    ['row_misplaced', file!],
    ['file_missing', second!],
    ['stray_copy', elsewhere],
    ['file_missing', third!],
    ['stray_copy', sharded],
  ] as const;
  await expectFindings(...expected);
});

test('bytes changed', async () => {
  const [file] = await files('samples');
  const bytes = await readFile(at(file!));
  // In the middle, where the columns are.
  bytes[bytes.length >> 2]! ^= 1;
  await unlink(at(file!));
  await writeFile(at(file!), bytes);
  expect(found(await checkLake(store))).toContain(`bytes_changed ${file!}`);
});

test('a file that is cut, and one with something behind it', async () => {
  const [file, second] = await files('samples');
  await writeFile(at(file!), (await readFile(at(file!))).subarray(0, 200));
  await unlink(at(second!));
  await copyFile(path.join(made, second!), at(second!));
  await appendFile(at(second!), 'x');
  await expectFindings(['size_wrong', file!], ['unreadable', file!], ['size_wrong', second!], ['unreadable', second!]);
});

test('a stray file', async () => {
  const [file] = await files('samples');
  const stray = path.join(path.dirname(file!), 'export.parquet');
  await writeFile(at(stray), 'not of ours');
  await expectFindings(['stray_file', stray]);
});

test('an older schema, and a newer one, which is only a warning', async () => {
  const [file, second] = await files('samples');
  await rewrite(file!, 'SELECT * EXCLUDE (cpu_logical_number) FROM FILE', '0');
  const kinds = ['size_wrong', 'schema_older', 'schema_columns'] as const;
  await expectFindings(...kinds.map((kind) => [kind, file!] as const));
  await rm(at(file!));
  await copyFile(path.join(made, file!), at(file!));
  await rewrite(second!, 'SELECT * FROM FILE', '2');
  const report = await checkLake(store);
  expect(found(report)).toContain(`schema_newer ${second!}`);
  expect(report.findings.find(({ kind }) => kind === 'schema_newer')!.severity).toBe('warning');
});

test('a chain of hundreds of records, folded by the exporter, is whole, and damage in it is found', async () => {
  const head = (await readHead(store, 0))!;
  for (let seq = head.seq + 1; seq <= 205; seq++) {
    const record: CommitRecord = { ...head, seq, attempt: `a${seq}`, files: [], digests: null, samples: 0, stacks: 0, losses: {} };
    await store.putIfAbsent(recordKey(0, seq), encodeRecord(record));
  }
  expect(await foldOldRecords(store, 0, Date.now() + 2 * 86_400_000)).toBe(200);
  expect(await checkLake(store)).toMatchObject({ ok: true, records: 205, files: 6, samples: 6, findings: [] });
  const [fold, older] = (await readdir(at('folds/000'))).sort();
  await unlink(at(`folds/000/${fold}`));
  await expectFindings(['chain_gap', recordKey(0, 101)]);
  await writeFile(at(`folds/000/${older}`), 'x');
  expect((await checkLake(store)).counts).toMatchObject({ fold_damaged: 1, stray_file: 6 });
});

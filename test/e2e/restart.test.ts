// A counted load while `flamelake up` is killed, whole and in parts: the client repeats what was not
// acknowledged, and in the end each acknowledged sample is in the lake once.
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { EngineDocument } from '../engines/documents.ts';
import { findPython, runPython } from '../engines/python.ts';
import type { ExpectedRow } from '../otlp/expected.ts';
import { type CountedMessage, countedLoad } from '../otlp/messages.ts';
import { createRandom } from '../otlp/random.ts';
import { freePorts, killStarted, type Ports, runCommand, sql, startUp, temporaryFolder, type Up } from './flamelake.ts';
import { differences, publishedRows, rowsBySql } from './lake-rows.ts';
import { commandLine, descendants, isAlive } from './processes.ts';
import { createSender, transportsFor } from './send.ts';
import { until } from './until.ts';

const python = findPython();
const folders: ReturnType<typeof temporaryFolder>[] = [];
afterAll(async () => {
  await killStarted();
  for (const folder of folders) folder.remove();
});

const acknowledgeMillis = 60_000;
const visibleMillis = 20_000;
const publishedMillis = 45_000;
const senders = 4;

interface Load {
  /** Rows of what was acknowledged so far. */
  readonly acknowledged: ExpectedRow[];
  readonly messages: () => number;
  finish(): Promise<void>;
}

/** Sends until told to finish; each message until it is acknowledged. */
function startLoad(ports: Ports, seed: number): Load {
  const random = createRandom(seed);
  const source = countedLoad({ seed, nowMillis: Date.now(), samplesPerProfile: 3 }, Number.MAX_SAFE_INTEGER);
  const acknowledged: ExpectedRow[] = [];
  let messages = 0;
  let isDone = false;
  const run = async () => {
    const sender = createSender({ otlpGrpc: `127.0.0.1:${ports.grpc}`, otlpHttp: `http://127.0.0.1:${ports.http}` });
    while (!isDone) {
      const message = source.next().value as CountedMessage;
      await sender.sendUntilAcknowledged(message, random.pick(transportsFor(message)), acknowledgeMillis);
      acknowledged.push(...message.rows);
      messages++;
      // Some clients were told and didn't hear it: they send once more.
      if (random.chance(0.1)) await sender.sendUntilAcknowledged(message, random.pick(transportsFor(message)), acknowledgeMillis);
    }
    sender.close();
  };
  const running = Promise.all(Array.from({ length: senders }, run));
  return {
    acknowledged,
    messages: () => messages,
    finish: async () => {
      isDone = true;
      await running;
    },
  };
}

interface Listing {
  /** How many rows public files had, each time that they were listed. */
  readonly counts: number[];
  finish(): Promise<void>;
}

const betweenListingsMillis = 50;

/** A reader that lists the lake's files the whole time, as an engine of somebody else would. */
function startListing(dataDir: string): Listing {
  const counts: number[] = [];
  let isDone = false;
  const run = async () => {
    while (!isDone) {
      counts.push(await publishedRows(join(dataDir, 'lake')));
      await new Promise((resolve) => setTimeout(resolve, betweenListingsMillis));
    }
  };
  const running = run();
  return {
    counts,
    finish: async () => {
      isDone = true;
      await running;
    },
  };
}

async function start(dataDir: string, ports: Ports): Promise<Up> {
  const up = startUp({ dataDir, flags: ['--no-agent', '--publish-interval', '3s'] }, ports);
  await up.waitReady();
  return up;
}

async function expectExactly(dataDir: string, rows: readonly ExpectedRow[]): Promise<void> {
  const count = async () => Number((await sql(dataDir, 'SELECT count(*)::VARCHAR AS rows FROM samples'))[0]!.rows);
  await until(`${rows.length} rows`, visibleMillis, async () => (await count()) >= rows.length);
  expect(differences(await rowsBySql(dataDir), rows)).toEqual([]);
}

async function expectPublishedExactly(dataDir: string, rows: readonly ExpectedRow[]): Promise<void> {
  const lake = join(dataDir, 'lake');
  await until(`${rows.length} published rows`, publishedMillis, async () => (await publishedRows(lake)) >= rows.length);
  const { code, stdout, stderr } = await runCommand(['lake', 'check', '--data', dataDir]);
  expect([code, stdout, stderr].join('\n')).toMatch(/^0\n/);
  if (python === null) return;
  const document = runPython(python, 'read_lake.py', ['pyarrow', lake]) as EngineDocument;
  expect(differences({ samples: document.samples.rows, stacks: document.stacks.rows }, rows)).toEqual([]);
}

describe('kill -9 in the middle of a load', () => {
  test('of the parent: its children end within a second, the next start goes on, nothing is lost or doubled', async () => {
    const folder = temporaryFolder('restart');
    folders.push(folder);
    const ports = await freePorts();
    const load = startLoad(ports, 21);
    const listing = startListing(folder.path);
    let up = await start(folder.path, ports);
    for (let round = 0; round < 3; round++) {
      const before = load.messages();
      await until('the load moves', visibleMillis, () => load.messages() > before + 40);
      const children = descendants(up.pid);
      expect(children.length).toBeGreaterThan(3);
      process.kill(up.pid, 'SIGKILL');
      await until('all children have ended', 1_000, () => !children.some(isAlive));
      up = await start(folder.path, ports);
    }
    await load.finish();
    await expectExactly(folder.path, load.acknowledged);
    await expectPublishedExactly(folder.path, load.acknowledged);
    await listing.finish();
    // Published is for good, and what was never sent is never there.
    expect(listing.counts).toEqual(listing.counts.toSorted((left, right) => left - right));
    expect(listing.counts.at(-1)).toBe(load.acknowledged.length);
    await up.stop();
  }, 170_000);

  test('of one stage after another: the rest goes on or all starts anew, nothing is lost or doubled', async () => {
    const folder = temporaryFolder('stages');
    folders.push(folder);
    const ports = await freePorts();
    const load = startLoad(ports, 22);
    let up = await start(folder.path, ports);
    for (const stage of ['receiver', 'processor', 'exporter', 'query']) {
      const before = load.messages();
      await until('the load moves', visibleMillis, () => load.messages() > before + 20);
      const victim = descendants(up.pid).find((pid) => new RegExp(`stage-process\\.[tj]s ${stage} `).test(commandLine(pid)));
      expect(victim, `a process for ${stage} among ${descendants(up.pid).map(commandLine).join(' | ')}`).toBeDefined();
      process.kill(victim!, 'SIGKILL');
      await until(`${stage} is gone`, 1_000, () => !isAlive(victim!));
      const isBack = async () => up.exited() !== null || (await fetch(`${up.http}/readyz`).catch(() => null))?.ok;
      await until(`flamelake up is ready again, or has ended, after its ${stage} was killed`, 20_000, isBack);
      if (up.exited()) up = await start(folder.path, ports);
    }
    await load.finish();
    await expectExactly(folder.path, load.acknowledged);
    await expectPublishedExactly(folder.path, load.acknowledged);
    await up.stop();
  }, 170_000);
});

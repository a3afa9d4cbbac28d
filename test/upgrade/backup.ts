// `npm run test:backup`: a copy made file by file while it runs, in the order of docs/operations.md, is a
// whole lake: it checks, and `flamelake up` goes on behind it. Copied again and again under load, so that
// publications fall between the steps.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { freePorts, killStarted, runCommand, sql, startUp, temporaryFolder, type Up } from '../e2e/flamelake.ts';
import { publishedRows } from '../e2e/lake-rows.ts';
import { createSender } from '../e2e/send.ts';
import { until } from '../e2e/until.ts';
import { type CountedMessage, countedLoad } from '../otlp/messages.ts';

const copies = 15;
const waitMillis = 60_000;
const flags = ['--no-agent', '--publish-interval', '1s'];

/** The steps, in order. */
const steps = [['lake.json', 'commits', 'folds', 'digests', 'carry'], ['staging'], ['lake'], ['floor.json']] as const;

async function main(): Promise<void> {
  const folder = temporaryFolder('backup');
  const dataDir = path.join(folder.path, 'data');
  const up = startUp({ dataDir, flags }, await freePorts());
  try {
    await up.waitReady();
    const load = startLoad(up);
    await until('a record', waitMillis, () => existsSync(path.join(dataDir, 'commits')));
    await until('public files', waitMillis, async () => (await publishedRows(path.join(dataDir, 'lake'))) > 0);
    for (let copy = 1; copy <= copies; copy++) {
      const target = path.join(folder.path, `copy-${copy}`);
      copyInSteps(dataDir, target);
      await removeYounger(target);
      await prove(target);
      console.log(`copy ${copy}: whole, ${await publishedRows(path.join(target, 'lake'))} rows`);
      if (copy < copies) rmSync(target, { recursive: true });
    }
    await load.stop();
    await up.stop();
    await goOn(path.join(folder.path, `copy-${copies}`));
  } finally {
    await killStarted();
    folder.remove();
  }
}

/** As rsync does it: what vanishes meanwhile is not there, what comes later is not taken. */
function copyInSteps(from: string, to: string): void {
  mkdirSync(to);
  for (const names of steps)
    for (const name of names)
      if (existsSync(path.join(from, name))) execFileSync('sh', ['-c', `cp -a "$0" "$1" 2>/dev/null || true`, path.join(from, name), to]);
}

/** Files that were published after the records were copied: no record of the copy knows them. */
async function removeYounger(dataDir: string): Promise<void> {
  const { stdout } = await runCommand(['lake', 'check', '--data', dataDir, '--json']);
  const { findings } = JSON.parse(stdout) as { findings: { kind: string; key: string }[] };
  for (const { kind, key } of findings) if (kind === 'stray_file') rmSync(path.join(dataDir, key));
}

async function prove(dataDir: string): Promise<void> {
  const { code, stdout, stderr } = await runCommand(['lake', 'check', '--data', dataDir]);
  if (code !== 0) throw new Error(`the copy does not check:\n${stdout}${stderr}`);
}

/** A new log behind the old lake: what is sent now comes to what was there. */
async function goOn(dataDir: string): Promise<void> {
  const before = await publishedRows(path.join(dataDir, 'lake'));
  const up = startUp({ dataDir, flags }, await freePorts());
  await up.waitReady();
  const source = countedLoad({ seed: 9, nowMillis: Date.now(), samplesPerProfile: 3 }, 8);
  const sender = createSender(up);
  const rows = before + (await sendAll([...source], sender));
  sender.close();
  await until(`${rows} rows published`, waitMillis, async () => (await publishedRows(path.join(dataDir, 'lake'))) >= rows);
  const [shown] = await sql(dataDir, 'SELECT count(*)::INTEGER AS n FROM samples');
  await up.stop();
  await prove(dataDir);
  console.log(`restored: ${before} rows, ${shown!.n} after more were sent, ${rows} expected`);
  if (shown!.n !== rows) throw new Error('the restored lake does not show what it should');
}

async function sendAll(messages: readonly CountedMessage[], sender: ReturnType<typeof createSender>): Promise<number> {
  for (const message of messages) await sender.sendUntilAcknowledged(message, 'http', waitMillis);
  return messages.reduce((sum, message) => sum + message.rows.length, 0);
}

function startLoad(up: Up): { stop(): Promise<void> } {
  const sender = createSender(up);
  const source = countedLoad({ seed: 8, nowMillis: Date.now(), samplesPerProfile: 3 }, Number.MAX_SAFE_INTEGER);
  let isDone = false;
  const run = async () => {
    while (!isDone) await sendAll([source.next().value as CountedMessage], sender);
    sender.close();
  };
  const running = run();
  return {
    stop: async () => {
      isDone = true;
      await running;
    },
  };
}

await main();

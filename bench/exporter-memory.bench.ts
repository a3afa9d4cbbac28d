// Resident memory of an exporter that catches up and publishes as much as one publication may hold: 4 M
// rows or 128 MB, with the next batch growing beside it.
import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { openLog } from '../lib/log/open.ts';
import { buildBatch, decode } from '../processor/batch.ts';
import { KnownStacks } from '../processor/known-stacks.ts';
import { profilesTopic, rowsTopic } from '../schemas/topics.ts';
import { temporaryFolder } from '../test/e2e/flamelake.ts';
import { until } from '../test/e2e/until.ts';
import { knownStacksMax } from './chain.ts';
import { generateLoad, type LoadMessage, steadyServer } from './load.ts';
import { type Bench, figure, main } from './measure.ts';

const MiB = 2 ** 20;
/** The log holds half as much again as one publication takes. */
const sizes = { small: { publishRows: 10_000 }, large: { publishRows: 4_000_000 } } as const;
const patienceMillis = 1_200_000;

export const bench: Bench = async (size) => {
  const { publishRows } = sizes[size];
  const folder = temporaryFolder('exporter-memory');
  const written = await fillLog(folder.path, 1.5 * publishRows);
  const child = fork(fileURLToPath(new URL('./exporter-process.ts', import.meta.url)), [folder.path, String(publishRows)], { execArgv: [] });
  try {
    await until('the first public files', patienceMillis, () => publicFiles(folder.path) > 0);
    return {
      input: `${written.rows} rows in ${(written.bytes / MiB).toFixed(1)} MiB of row messages`,
      resultHash: null,
      figures: [figure('resident at most', 'MiB', [peakBytes(child.pid!) / MiB])],
    };
  } finally {
    child.kill('SIGKILL');
    folder.remove();
  }
};

async function fillLog(folder: string, rowsWanted: number): Promise<{ rows: number; bytes: number }> {
  const log = await openLog(pathToFileURL(join(folder, 'log')).href);
  const { logId } = await log.ensureTopic({ name: rowsTopic, partitions: 1 });
  const known = new KnownStacks(knownStacksMax);
  const load = generateLoad({ ...steadyServer, seed: 1, startMillis: Date.now() - 60_000 });
  const source = { logId, topic: profilesTopic, partition: 0 };
  let [rows, bytes] = [0, 0];
  for (let offset = 0; rows < rowsWanted; offset++) {
    const { body } = load.next().value as LoadMessage;
    const decoded = decode({ offset, appendTimeMillis: Date.now(), key: null, value: body, headers: {} });
    const sent = { others: offset - 1, shards: new Map<number, number>() };
    const { messages, counts } = buildBatch([decoded], { source, shards: 1, sent, known, nameOf: () => null });
    for (const { value, stacks } of messages) {
      await log.append(rowsTopic, 0, { value });
      for (const { words, date } of stacks) known.add(words, date, 0);
      bytes += value.byteLength;
    }
    rows += counts.rows;
  }
  await log.close();
  return { rows, bytes };
}

function publicFiles(folder: string): number {
  try {
    return readdirSync(join(folder, 'lake/samples'), { recursive: true }).filter((name) => String(name).endsWith('.parquet')).length;
  } catch {
    return 0;
  }
}

const peakBytes = (pid: number) => 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);

await main(import.meta, 'exporter-memory', bench);

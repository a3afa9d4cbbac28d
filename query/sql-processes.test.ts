// The processes that run users' SQL: ended from outside, given up, late, used again.
import { readdirSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { limits } from './limits.ts';
import { allTime, emptyPlan } from './snapshot.ts';
import type { SqlOrder } from './sql-messages.ts';
import { SqlProcesses } from './sql-processes.ts';
import { FixtureLake } from './testing-lake.ts';

const endless = 'SELECT sum(hash(i)) FROM range(1000000000000) t(i)';

let lake: FixtureLake;
let processes: SqlProcesses;
beforeAll(async () => {
  lake = await FixtureLake.make();
});
afterAll(async () => {
  processes.close();
  await lake.remove();
});
beforeEach(() => {
  processes?.close();
  processes = new SqlProcesses(undefined);
});

const order = (text: string, timeoutMillis = 60_000): SqlOrder => ({
  store: pathToFileURL(lake.directory).href,
  plan: emptyPlan(allTime),
  uniform: true,
  query: { text, rowsMax: 10, bytesMax: limits.answerBytesMax },
  timeoutMillis,
  scratch: lake.path('tmp'),
});

const ask = async (text: string, timeoutMillis?: number, signal?: AbortSignal) => (await processes.run(order(text, timeoutMillis), signal)).rows;

/** Processes that run SQL for this one, as the kernel lists them. */
function children(): number[] {
  return readdirSync('/proc/self/task')
    .flatMap((thread) => readFileSync(`/proc/self/task/${thread}/children`, 'latin1').trim().split(' '))
    .filter((pid) => pid !== '' && commandLine(pid).includes('sql-process'))
    .map(Number);
}

/** '' where it has ended, or has not begun. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

const untilChildren = (count: number): Promise<number[]> =>
  vi.waitFor(
    () => {
      const found = children();
      expect(found).toHaveLength(count);
      return found;
    },
    { timeout: 90_000 },
  );

test('one process answers one query after the other', async () => {
  expect(await ask('SELECT 1')).toEqual([[1]]);
  const first = await untilChildren(1);
  expect(await ask('SELECT count(*) FROM samples')).toEqual([[0]]);
  await expect(ask('SELECT nope')).rejects.toMatchObject({ code: 'query_failed' });
  expect(await ask('SELECT 2')).toEqual([[2]]);
  expect(children()).toEqual(first);
});

test('two queries at once have a process each', async () => {
  expect(await Promise.all([ask('SELECT 1'), ask('SELECT 2')])).toEqual([[[1]], [[2]]]);
  await untilChildren(2);
});

test('one that is killed in the middle is one line, and the next query is answered', async () => {
  const asked = ask(endless).catch((error: unknown) => error);
  const [pid] = await untilChildren(1);
  process.kill(pid!, 'SIGKILL');
  expect(await asked).toMatchObject({ code: 'query_failed', message: expect.stringContaining('SIGKILL'), context: { reason: 'memory' } });
  expect(await ask('SELECT 1')).toEqual([[1]]);
});

test('one whose asker has gone is ended', async () => {
  const gone = new AbortController();
  const asked = ask(endless, 60_000, gone.signal).catch((error: unknown) => error);
  await untilChildren(1);
  gone.abort();
  expect(await asked).toMatchObject({ context: { reason: 'aborted' } });
  await untilChildren(0);
});

test('one that takes too long is told so, and may answer the next', async () => {
  await expect(ask(endless, 300)).rejects.toMatchObject({ context: { reason: 'timeout' } });
  expect(await ask('SELECT 1')).toEqual([[1]]);
});

test('its memory ends with the bound that the kernel holds it to', async () => {
  await ask('SELECT 1');
  const kernel = readFileSync(`/proc/${children()[0]}/limits`, 'latin1');
  const [, bytes] = /^Max data size\s+(\d+)/m.exec(kernel) ?? [];
  expect(Number(bytes)).toBeGreaterThan(limits.sqlProcessBytesMax);
  expect(Number(bytes)).toBeLessThan(2 * limits.sqlProcessBytesMax);
});

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
    .filter((pid) => pid !== '' && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('sql-process'))
    .map(Number);
}

test('one process answers one query after the other', async () => {
  expect(await ask('SELECT 1')).toEqual([[1]]);
  const first = children();
  expect(await ask('SELECT count(*) FROM samples')).toEqual([[0]]);
  await expect(ask('SELECT nope')).rejects.toMatchObject({ code: 'query_failed' });
  expect(await ask('SELECT 2')).toEqual([[2]]);
  expect(children()).toEqual(first);
  expect(first).toHaveLength(1);
});

test('two queries at once have a process each', async () => {
  expect(await Promise.all([ask('SELECT 1'), ask('SELECT 2')])).toEqual([[[1]], [[2]]]);
  expect(children()).toHaveLength(2);
});

test('one that is killed in the middle is one line, and the next query is answered', async () => {
  const asked = ask(endless).catch((error: unknown) => error);
  const [pid] = await vi.waitFor(() => {
    const found = children();
    expect(found).toHaveLength(1);
    return found;
  });
  process.kill(pid!, 'SIGKILL');
  expect(await asked).toMatchObject({ code: 'query_failed', message: expect.stringContaining('SIGKILL'), context: { reason: 'memory' } });
  expect(await ask('SELECT 1')).toEqual([[1]]);
});

test('one whose asker has gone is ended', async () => {
  const gone = new AbortController();
  const asked = ask(endless, 60_000, gone.signal).catch((error: unknown) => error);
  await vi.waitFor(() => expect(children()).toHaveLength(1));
  gone.abort();
  expect(await asked).toMatchObject({ context: { reason: 'aborted' } });
  await vi.waitFor(() => expect(children()).toEqual([]), { timeout: 10_000 });
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

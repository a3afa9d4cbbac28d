import { expect, test } from 'vitest';
import { Session } from './engine.ts';

const endless = 'SELECT sum(hash(i)) FROM range(1000000000000) t(i)';

test('a statement that takes too long ends with the reason, and so does what comes after it', async () => {
  const session = await Session.open({ files: [], timeoutMillis: 200 });
  await expect(session.rows(endless)).rejects.toMatchObject({
    code: 'query_failed',
    context: { reason: 'timeout' },
    message: expect.stringContaining('0.2 s'),
  });
  await expect(session.rows('SELECT 1')).rejects.toMatchObject({ context: { reason: 'timeout' } });
  await session.close();
});

test('who gave up before it began gets no answer', async () => {
  const session = await Session.open({ files: [], timeoutMillis: 60_000, signal: AbortSignal.abort() });
  await expect(session.rows('SELECT 1')).rejects.toMatchObject({ context: { reason: 'aborted' } });
  await session.close();
});

test('more memory than there is room for is an error of the query, not the end of the process', async () => {
  const session = await Session.open({ files: [], timeoutMillis: 60_000 });
  await expect(session.rows('SELECT list(i) FROM range(300000000) t(i)')).rejects.toMatchObject({ code: 'query_failed' });
  expect(await session.rows('SELECT 1')).toEqual([[1]]);
  await session.close();
});

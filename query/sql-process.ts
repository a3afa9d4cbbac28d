// The process that runs users' SQL, one query at a time: sql-process.ts PARENT_PID. The kernel bounds its memory, so
// that whatever a statement does to DuckDB ends this process at worst, and never the page or the command.
import { isPipelineError } from '../lib/errors.ts';
import { beFirstToGo, limitOwnMemory, ownDataBytes } from '../lib/own-limits.ts';
import { dieWithParent } from '../lib/process-life.ts';
import { openStore } from '../lib/store/open.ts';
import { queryError, Session } from './engine.ts';
import { limits } from './limits.ts';
import { plannedKeys } from './snapshot.ts';
import type { FromSqlProcess, SqlOrder, ToSqlProcess } from './sql-messages.ts';
import { runUserQuery, type UserAnswer } from './user-query.ts';

dieWithParent(Number(process.argv[2]));
// Ctrl-C reaches the whole group; the parent decides what it means.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
beFirstToGo();
limitOwnMemory(limits.sqlProcessBytesMax);
const atStart = ownDataBytes();

process.on('message', ({ order }: ToSqlProcess) => void answer(order));

async function answer(order: SqlOrder): Promise<void> {
  try {
    const result = await run(order);
    await tell({ kind: 'done', answer: result, spent: isSpent() });
  } catch (thrown) {
    const error = queryError(thrown);
    if (isPipelineError(error)) await tell({ kind: 'failed', code: error.code, message: error.message, context: { ...error.context }, spent: isSpent() });
    else await tell({ kind: 'broken', stack: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

async function run({ store: url, plan, uniform, query, timeoutMillis, scratch }: SqlOrder): Promise<UserAnswer> {
  const store = await openStore(url, { readOnly: true });
  const locate = (key: string) => (key.startsWith('/') ? key : store.locate(key));
  const session = await Session.open({ files: plannedKeys(plan).map(locate), timeoutMillis, scratch });
  try {
    return await runUserQuery(session, { plan, locate, uniform }, query, (json) => tell({ kind: 'rows', json }));
  } finally {
    await session.close();
    await store.close();
  }
}

/** Allocators keep what they once had. */
const isSpent = () => ownDataBytes() - atStart > limits.sqlProcessKeptBytesMax;

/** Resolves when the pipe has taken it, so that rows never pile up here. */
function tell(message: FromSqlProcess): Promise<void> {
  return new Promise((resolve) => process.send!(message, undefined, undefined, () => resolve()));
}

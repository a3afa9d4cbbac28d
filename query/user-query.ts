// A user's SQL over one snapshot: checked, run, its rows given away chunk by chunk as JSON text, so that
// no more than one chunk is in memory here and the size of the answer is known at every moment.
import { type DuckDBPreparedStatement, StatementType } from '@duckdb/node-api';
import { PipelineError } from '../lib/errors.ts';
import type { Session } from './engine.ts';
import { checkUserSql } from './user-sql.ts';
import { toJson } from './values.ts';
import { type Reading, viewStatements } from './views.ts';

export interface SqlColumn {
  readonly name: string;
  readonly type: string;
}

export interface UserQuery {
  readonly text: string;
  readonly rowsMax: number;
  /** Of all rows as JSON text. */
  readonly bytesMax: number;
}

/** Told of the rows, in order: an array of rows as JSON text. Resolves when more may come. */
export type TakeRows = (json: string) => Promise<void>;

export interface UserAnswer {
  readonly columns: readonly SqlColumn[];
  /** More rows were there than were asked for. */
  readonly truncated: boolean;
}

export async function runUserQuery(session: Session, reading: Reading, query: UserQuery, take: TakeRows): Promise<UserAnswer> {
  const used = await checkUserSql(session, query.text);
  for (const statement of viewStatements(used, reading)) await session.run(statement);
  const statement = await session.prepare(query.text);
  const allowed = statement.statementType === StatementType.SELECT || statement.statementType === StatementType.EXPLAIN;
  if (!allowed || statement.parameterCount > 0) {
    throw new PipelineError('query_failed', allowed ? 'the SQL has parameters ($1, ?), but no values can be given here' : 'only SELECT is run here');
  }
  return session.guard(() => giveRows(statement, query, take));
}

async function giveRows(statement: DuckDBPreparedStatement, { rowsMax, bytesMax }: UserQuery, take: TakeRows): Promise<UserAnswer> {
  const result = await statement.stream();
  const columns = result.columnNames().map((name, index) => ({ name, type: result.columnType(index).toString() }));
  let rows = 0;
  let bytes = 0;
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) return { columns, truncated: false };
    const wanted = chunk.getRows().slice(0, rowsMax - rows);
    const json = JSON.stringify(wanted.map((row) => row.map(toJson)));
    bytes += Buffer.byteLength(json);
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    if (wanted.length > 0) await take(json);
    rows += wanted.length;
    if (wanted.length < chunk.rowCount) return { columns, truncated: true };
  }
}

const tooLarge = (bytesMax: number): PipelineError =>
  new PipelineError('query_failed', `the answer is larger than ${bytesMax} bytes; ask for fewer rows, fewer columns or shorter texts`, {
    context: { reason: 'answer_too_large' },
  });

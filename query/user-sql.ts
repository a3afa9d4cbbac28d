// What a user's SQL may be: one SELECT (or DESCRIBE, SHOW, SUMMARIZE, EXPLAIN of one) over our views.
// DuckDB's own parser gives its tree, which is looked through before anything runs: the file and
// network locks of engine.ts stand behind it, but some table functions (enable_logging …) change or
// even abort the process without touching a setting.
import { PipelineError } from '../lib/errors.ts';
import { type Session, shortened } from './engine.ts';
import { limits } from './limits.ts';
import { macros } from './macros.ts';
import { allViews } from './views.ts';

/** Table functions of DuckDB that only compute, or describe the views. */
const tableFunctions = new Set([
  'range',
  'generate_series',
  'unnest',
  'json_each',
  'json_tree',
  'summary',
  'pg_timezone_names',
  'icu_calendar_names',
  'pragma_version',
  'pragma_table_info',
  'duckdb_columns',
  'duckdb_functions',
  'duckdb_keywords',
  'duckdb_settings',
  'duckdb_tables',
  'duckdb_types',
  'duckdb_views',
  ...Object.entries(macros)
    .filter(([, macro]) => macro.table)
    .map(([name]) => name),
]);

const scalarFunctionsRefused = new Set([
  'write_log',
  'query',
  'query_table',
  'getenv',
  'set_config',
  'setseed',
  'json_serialize_plan',
  'json_execute_serialized_sql',
]);

/** Names of the tables and functions that it uses. Throws query_failed, one line, for what must not or cannot run. */
export async function checkUserSql(session: Session, text: string): Promise<ReadonlySet<string>> {
  if (text.length > limits.sqlCharsMax) refuse(`the SQL has ${text.length} characters, at most ${limits.sqlCharsMax} are taken`);
  const select = text.replace(/^\s*EXPLAIN(\s+ANALYZE)?\s+/i, '');
  const [row] = await session.rows('SELECT json_serialize_sql($text::VARCHAR)', { text: select });
  const tree = JSON.parse(String(row![0])) as SyntaxTree;
  if (tree.error) {
    if (tree.error_type === 'not implemented')
      refuse('only SELECT is run here (with DESCRIBE, SHOW, SUMMARIZE and EXPLAIN of it); the lake is read, never changed');
    refuse(firstLine(`${tree.error_message ?? 'the SQL cannot be parsed'}`));
  }
  if (tree.statements?.length !== 1) refuse(`${tree.statements?.length ?? 0} statements were found, exactly one is run`);
  const { refused, used } = look(tree);
  if (refused !== null) refuse(`${refused}() may not be called here; the tables are samples and stacks, the functions are in query/README.md`);
  return used;
}

interface SyntaxTree {
  readonly error: boolean;
  readonly error_type?: string;
  readonly error_message?: string;
  readonly statements?: readonly unknown[];
}

const firstLine = (text: string) => text.split('\n', 1)[0]!;

function refuse(message: string): never {
  throw new PipelineError('query_failed', shortened(message), { context: { reason: 'refused' } });
}

/** What names the catalog's content, so that all of it must be there. */
const catalogFunctions = /^(duckdb|pragma)_/;

/** The first function in the tree that is not to be called, and all names. Walks with its own stack: the tree's depth is the sender's. */
function look(tree: SyntaxTree): { refused: string | null; used: ReadonlySet<string> } {
  const used = new Set<string>();
  const pending: unknown[] = [tree];
  while (pending.length > 0) {
    const node = pending.pop();
    if (typeof node !== 'object' || node === null) continue;
    const { type, function: called, function_name: name, table_name: table, schema_name: schema } = node as SyntaxNode;
    if (type === 'TABLE_FUNCTION') {
      const tableFunction = String(called?.function_name).toLowerCase();
      if (!tableFunctions.has(tableFunction)) return { refused: tableFunction, used };
      if (catalogFunctions.test(tableFunction)) for (const view of allViews) used.add(view);
    }
    if (typeof name === 'string') {
      const lower = name.toLowerCase();
      if (scalarFunctionsRefused.has(lower)) return { refused: lower, used };
      used.add(lower);
    }
    if (typeof table === 'string') used.add(table.toLowerCase());
    if (type === 'SHOW_REF' || (typeof schema === 'string' && /^(information_schema|pg_catalog)$/i.test(schema))) {
      for (const view of ['samples', 'stacks']) used.add(view);
    }
    for (const child of Object.values(node)) pending.push(child);
  }
  return { refused: null, used };
}

interface SyntaxNode {
  readonly type?: unknown;
  readonly function?: { readonly function_name?: unknown };
  readonly function_name?: unknown;
  readonly table_name?: unknown;
  readonly schema_name?: unknown;
}

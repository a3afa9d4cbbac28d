// flamelake sql "SELECT …": rows as an aligned table, or with --json as an array of objects.
import { PipelineError } from '../lib/errors.ts';
import { limits } from '../query/limits.ts';
import type { SqlResult } from '../query/query.ts';
import type { Json } from '../query/values.ts';
import type { RunCommand } from './command.ts';
import { withQuery } from './lake-access.ts';
import { countText, print, type TableColumn, tableText, terminalWidth } from './output.ts';

const rowsShown = 1000;
const rowsJson = 1_000_000;
const numeric = /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\))$/;

export const run: RunCommand = async ({ values, positionals }) => {
  const [text] = positionals;
  if (text === undefined || positionals.length > 1) {
    throw new PipelineError(
      'usage',
      `sql takes one query in quotes, found ${positionals.length} arguments; for example: flamelake sql "SELECT count(*) FROM samples"`,
    );
  }
  const rowsMax = values.limit ?? (values.json ? rowsJson : rowsShown);
  const result = await withQuery(values, (query) =>
    query.sql(text, { fromMillis: values.from, toMillis: values.to, rowsMax, bytesMax: limits.printedBytesMax }),
  );
  await print(values.json ? `${JSON.stringify(asObjects(result))}\n` : asTable(result));
  if (result.truncated) process.stderr.write(`flamelake: only the first ${countText(rowsMax)} rows are shown; --limit N shows more, up to 1000000\n`);
  return 0;
};

function asObjects({ columns, rows }: SqlResult): Record<string, Json>[] {
  const names = uniqueNames(columns.map(({ name }) => name));
  return rows.map((row) => Object.fromEntries(row.map((value, at) => [names[at]!, value])));
}

/** Two columns of one name (SELECT * of a join) both stay: name, name_1. */
function uniqueNames(names: readonly string[]): string[] {
  const seen = new Set<string>();
  return names.map((name) => {
    let unique = name;
    for (let number = 1; seen.has(unique); number++) unique = `${name}_${number}`;
    seen.add(unique);
    return unique;
  });
}

function asTable({ columns, rows }: SqlResult): string {
  const shown: TableColumn[] = columns.map(({ name, type }) => ({ title: name, align: numeric.test(type) ? 'right' : 'left' }));
  const text = tableText(
    shown,
    rows.map((row) => row.map(cellText)),
    terminalWidth(),
  );
  return `${text}(${countText(rows.length)} ${rows.length === 1 ? 'row' : 'rows'})\n`;
}

function cellText(value: Json): string {
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

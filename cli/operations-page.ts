// The part of docs/operations.md that is made from code: every error code with what it means. The rest
// of the page is written by hand. Pure text.
import { errorTable } from '../lib/errors.ts';

const begin = '<!-- errors: made by `npm run docs` from lib/errors.ts; edit it there -->';
const end = '<!-- end of errors -->';

/** The page with its table made anew. */
export function withErrorTable(page: string): string {
  const [start, stop] = [page.indexOf(begin), page.indexOf(end)];
  if (start < 0 || stop < start) throw new Error(`docs/operations.md lacks the lines ${begin} and ${end}`);
  return `${page.slice(0, start)}${begin}\n\n${errorRows().join('\n')}\n\n${page.slice(stop)}`;
}

function errorRows(): string[] {
  const rows = Object.entries(errorTable).map(([code, { meaning, remedy }]) => `| \`${code}\` | ${meaning} | ${remedy} |`);
  return ['| code | what it means | what to do |', '|---|---|---|', ...rows];
}

// Standard output of the commands: tables for people, quiet when the reader has gone away.

/** A reader that has seen enough (`| head`) is no error; nothing else is wanted of us then. */
export function quietWhenReaderLeaves(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
      throw error;
    });
  }
}

/** Resolves when the text is written out, so that a command may end afterwards. */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

export interface TableColumn {
  readonly title: string;
  readonly align: 'left' | 'right';
}

/** Aligned columns with a head; the last column is not padded. */
export function tableText(columns: readonly TableColumn[], rows: readonly (readonly string[])[]): string {
  const shown = rows.map((row) => row.map(printable));
  const widths = columns.map((column, at) => shown.reduce((width, row) => Math.max(width, textWidth(row[at] ?? '')), textWidth(column.title)));
  const line = (cells: readonly string[]) =>
    columns
      .map(({ align }, at) => pad(cells[at] ?? '', widths[at]!, align))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return `${[line(columns.map(({ title }) => title)), rule, ...shown.map(line)].join('\n')}\n`;
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const fill = ' '.repeat(Math.max(0, width - textWidth(text)));
  return align === 'left' ? text + fill : fill + text;
}

const textWidth = (text: string): number => [...text].length;

/** Names come from processes of others: they must not move the cursor or forge a line. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\t') return '\\t';
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

const plural = new Intl.NumberFormat('en-US');
export const countText = (count: number): string => plural.format(count);

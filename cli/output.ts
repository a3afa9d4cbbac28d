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

/** Columns of the terminal, where there is one: a pipe or a file gets whole texts. */
export const terminalWidth = (): number | null => (process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : null);

/** Aligned columns with a head; the last column is not padded. Where the width is not enough the widest words are cut. */
export function tableText(columns: readonly TableColumn[], rows: readonly (readonly string[])[], widthMax: number | null = null): string {
  const whole = rows.map((row) => row.map(printable));
  const wanted = columns.map((column, at) => whole.reduce((width, row) => Math.max(width, textWidth(row[at] ?? '')), textWidth(column.title)));
  const widths = widthMax === null ? wanted : fittingWidths(columns, wanted, widthMax);
  const shown = whole.map((row) => row.map((text, at) => cutMiddle(text, widths[at] ?? textWidth(text))));
  const line = (cells: readonly string[]) =>
    columns
      .map(({ align }, at) => pad(cells[at] ?? '', widths[at]!, align))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return `${[line(columns.map(({ title }) => title)), rule, ...shown.map(line)].join('\n')}\n`;
}

/** Numbers are never cut; of the columns with words the widest ones give way, down to what still tells a name. */
const wordWidthMin = 12;
const gap = 2;
function fittingWidths(columns: readonly TableColumn[], wanted: readonly number[], widthMax: number): number[] {
  const widths = [...wanted];
  const leastOf = (at: number) => (columns[at]!.align === 'right' ? wanted[at]! : Math.min(wanted[at]!, Math.max(wordWidthMin, textWidth(columns[at]!.title))));
  for (let over = widths.reduce((sum, width) => sum + width + gap, -gap) - widthMax; over > 0; ) {
    const cuttable = widths.map((_, at) => at).filter((at) => widths[at]! > leastOf(at));
    if (cuttable.length === 0) break;
    const widest = cuttable.reduce((best, at) => (widths[at]! > widths[best]! ? at : best));
    const next = Math.max(0, ...cuttable.filter((at) => at !== widest).map((at) => widths[at]!));
    // Down to the next widest at once, so that a thousand characters are no thousand turns.
    const cut = Math.min(over, widths[widest]! - leastOf(widest), Math.max(1, widths[widest]! - next));
    widths[widest]! -= cut;
    over -= cut;
  }
  return widths;
}

/** Names begin with where they are from and end with what they are: the middle says least. */
export function cutMiddle(text: string, width: number): string {
  const characters = [...text];
  if (characters.length <= width) return text;
  const tail = Math.floor((width - 1) / 2);
  return `${characters.slice(0, width - 1 - tail).join('')}…${characters.slice(characters.length - tail).join('')}`;
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

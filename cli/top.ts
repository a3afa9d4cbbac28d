// flamelake top: which functions cost most, self and total.
import type { TopResult } from '../query/top.ts';
import type { RunCommand } from './command.ts';
import { filterOf, withQuery } from './lake-access.ts';
import { countText, print, type TableColumn, tableText, terminalWidth } from './output.ts';
import { percentText, rangeText, valueText } from './units.ts';

const rowsShown = 30;

export const run: RunCommand = async ({ values }) => {
  const filter = filterOf(values);
  const result = await withQuery(values, (query) => query.top(filter, values.limit ?? rowsShown, { byProcess: values.byProcess }));
  await print(values.json ? `${JSON.stringify(result)}\n` : topText(result, terminalWidth()));
  return 0;
};

export function topText(result: TopResult, widthMax: number | null = null): string {
  const { total, unit, rows } = result;
  const head = `${result.type}: ${valueText(total, unit)} in ${countText(result.samples)} samples, ${rangeText(result.fromMillis, result.toMillis)}\n`;
  if (rows.length === 0) return `${head}No samples of this kind in this time range; --from, --type and the other options choose more.\n`;
  const byProcess = rows.some((row) => row.process !== undefined);
  const columns: TableColumn[] = [
    ...['self', 'self %', 'total', 'total %'].map((title) => ({ title, align: 'right' as const })),
    ...(byProcess ? [{ title: 'process', align: 'left' as const }] : []),
    { title: 'function', align: 'left' },
    { title: 'in', align: 'left' },
  ];
  const cells = rows.map((row) => [
    valueText(row.self, unit),
    percentText(row.self, total),
    valueText(row.total, unit),
    percentText(row.total, total),
    ...(byProcess ? [row.process ?? ''] : []),
    row.name,
    row.mapping ?? row.type ?? '',
  ]);
  const more = result.more === 0 ? '' : `(${countText(result.more)} more; --limit N shows them)\n`;
  return `${head}\n${tableText(columns, cells, widthMax)}${more}`;
}

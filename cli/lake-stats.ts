// flamelake lake stats: what a lake takes on disk, and what of it each row and column takes.
import { formatBytes } from '../lib/bytes.ts';
import { type LakeStats, lakeStats, type TableStats } from '../query/stats.ts';
import type { RunCommand } from './command.ts';
import { withQuery } from './lake-access.ts';
import { countText, print, type TableColumn, tableText } from './output.ts';
import { createProgress } from './progress.ts';
import { percentText } from './units.ts';

export const run: RunCommand = async ({ values }) => {
  const progress = createProgress();
  const stats = await withQuery(values, ({ store }) =>
    lakeStats(store, { onProgress: ({ done, total }) => progress.show(`reading footers: ${done} of ${total}`) }),
  );
  progress.clear();
  await print(values.json ? `${JSON.stringify(stats)}\n` : statsText(stats));
  for (const key of stats.unreadable) process.stderr.write(`flamelake: ${key} can't be read; flamelake lake check says why\n`);
  return 0;
};

const columnsOf = (left: readonly string[], right: readonly string[]): TableColumn[] => [
  ...left.map((title) => ({ title, align: 'left' as const })),
  ...right.map((title) => ({ title, align: 'right' as const })),
];

export function statsText(stats: LakeStats): string {
  return [
    `${countText(stats.events)} events, ${stats.bytesPerEvent.toFixed(1)} B for each with its share of the stacks`,
    '',
    tableText(
      columnsOf(['table'], ['files', 'small', 'bytes', 'rows', 'row groups', 'B/row']),
      stats.tables.map((table) => [
        table.table,
        countText(table.files),
        countText(table.smallFiles),
        formatBytes(table.bytes),
        countText(table.rows),
        countText(table.rowGroups),
        table.bytesPerRow.toFixed(2),
      ]),
    ),
    ...stats.tables.filter(({ columns }) => columns.length > 0).map(columnText),
    partText('date', stats.dates, ({ date }) => date),
    // One shard is no distribution.
    ...(stats.shards.length > 1
      ? [partText('shard', stats.shards, ({ shard }) => String(shard)), `Fullest shard over the mean: ${stats.skew.toFixed(2)}\n`]
      : []),
    tableText(
      columnsOf(['not public'], ['objects', 'bytes']),
      (['hot', 'carry', 'staging', 'records'] as const).map((name) => [name, countText(stats[name].objects), formatBytes(stats[name].bytes)]),
    ),
  ].join('\n');
}

function columnText({ table, columns, bytes }: TableStats): string {
  return tableText(
    columnsOf([`${table}, by column`], ['bytes', 'of all', 'uncompressed', 'B/row']),
    columns.map((column) => [
      column.name,
      formatBytes(column.bytes),
      percentText(column.bytes, bytes),
      formatBytes(column.uncompressedBytes),
      column.bytesPerRow.toFixed(2),
    ]),
  );
}

function partText<Part extends LakeStats['dates'][number] | LakeStats['shards'][number]>(
  title: string,
  parts: readonly Part[],
  name: (part: Part) => string,
): string {
  return tableText(
    columnsOf([title], ['files', 'bytes', 'samples', 'stacks']),
    parts.map((part) => [name(part), countText(part.files), formatBytes(part.bytes), countText(part.samples), countText(part.stacks)]),
  );
}

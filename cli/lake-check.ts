// flamelake lake check: exit code 0 where the lake is whole, 1 where something in it is damaged.
import { formatBytes } from '../lib/bytes.ts';
import { type CheckReport, checkLake } from '../query/check.ts';
import type { RunCommand } from './command.ts';
import { withQuery } from './lake-access.ts';
import { countText, print, printable } from './output.ts';
import { createProgress } from './progress.ts';

export const run: RunCommand = async ({ values }) => {
  const progress = createProgress();
  const report = await withQuery(values, ({ store, sql }) =>
    checkLake(store, {
      countVisible: async () => Number((await sql('SELECT count(*) FROM samples')).rows[0]![0]),
      onProgress: ({ step, done, total }) => progress.show(`checking ${step}: ${done}${total === null ? '' : ` of ${total}`}`),
    }),
  );
  progress.clear();
  await print(values.json ? `${JSON.stringify(report)}\n` : checkText(report));
  return report.ok ? 0 : 1;
};

export function checkText(report: CheckReport): string {
  const lines = report.findings.map(({ severity, kind, key, text, advice }) => `${severity}: ${kind}: ${printable(key)}: ${printable(text)}\n    ${advice}`);
  const found = Object.values(report.counts).reduce((sum, count) => sum + count, 0);
  if (found > report.findings.length) lines.push(`${countText(found - report.findings.length)} more findings of the same kinds`);
  const { shards, records, files, bytes, samples, stacks } = report;
  const size = `${countText(records)} records of ${countText(shards)} shards, ${countText(files)} files with ${formatBytes(bytes)}, ${countText(samples)} samples, ${countText(stacks)} stacks`;
  if (report.floor !== null) lines.push(`Retention keeps ${report.floor} and later.`);
  const { hot, carried } = report.waiting ?? { hot: 0, carried: 0 };
  if (hot > 0) lines.push(`${countText(hot)} more samples are seen by queries and not public yet; what lies in the log alone is not counted.`);
  if (carried > 0) lines.push(`${countText(carried)} more samples of old dates wait for their daily publication.`);
  lines.push(`${report.ok ? 'The lake is whole' : 'The lake is damaged'}: ${size}.`);
  return `${lines.join('\n')}\n`;
}

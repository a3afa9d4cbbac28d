// Across the files of one date: each stack id is stored once, and each sample's stack is stored.
import type { Session } from '../engine.ts';
import { limits } from '../limits.ts';
import { sqlList } from '../sql-text.ts';
import type { Findings } from './findings.ts';

export async function checkStacks(
  session: Session,
  date: string,
  files: { samples: readonly string[]; stacks: readonly string[] },
  findings: Findings,
): Promise<void> {
  const key = `lake/stacks/date=${date}/`;
  const stacks = files.stacks.length === 0 ? null : readAll(files.stacks);
  if (stacks !== null) {
    const twice = `SELECT stack_id, count(*) AS times FROM ${stacks} GROUP BY stack_id HAVING times > 1`;
    const [[ids] = []] = await session.rows(`SELECT count(*)::DOUBLE FROM (${twice})`);
    const shown = await session.rows(`SELECT stack_id, times::DOUBLE FROM (${twice}) ORDER BY times DESC, stack_id LIMIT ${limits.findingsPerKindMax}`);
    addEach(
      findings,
      'stack_twice',
      key,
      Number(ids),
      shown.map(([id, times]) => `${String(id)} is stored ${String(times)} times`),
    );
  }
  if (files.samples.length === 0) return;
  const known = stacks === null ? '' : `ANTI JOIN (SELECT stack_id FROM ${stacks}) USING (stack_id)`;
  const dangling = `SELECT stack_id, count(*) AS rows FROM ${readAll(files.samples)} ${known} GROUP BY stack_id`;
  const [[ids] = []] = await session.rows(`SELECT count(*)::DOUBLE FROM (${dangling})`);
  const shown = await session.rows(`SELECT stack_id, rows::DOUBLE FROM (${dangling}) ORDER BY rows DESC, stack_id LIMIT ${limits.findingsPerKindMax}`);
  addEach(
    findings,
    'stack_dangling',
    key,
    Number(ids),
    shown.map(([id, rows]) => `${String(id)} is not stored, ${String(rows)} samples have it`),
  );
}

/** All are counted; those that were read are told. */
function addEach(findings: Findings, kind: 'stack_twice' | 'stack_dangling', key: string, count: number, texts: readonly string[]): void {
  for (let index = 0; index < count; index++) findings.add(kind, key, texts[index] ?? 'one more');
}

const readAll = (files: readonly string[]) => `read_parquet(${sqlList(files)}, hive_partitioning = false)`;

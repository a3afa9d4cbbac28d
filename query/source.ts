// What flame graphs, tables, labels and activity are counted from: the samples of a snapshot with
// their weight, row by row or added up once for several questions about the same moment.
import type { Session } from './engine.ts';
import { type Reading, samplesQuery } from './views.ts';

/** Something to SELECT from, with the columns of `keys` and `sums`. */
export type SampleSource = string;

const keys = [
  '"date"',
  'stack_id',
  'sample_type',
  'sample_unit',
  'host_name',
  'host_id',
  'service_name',
  'process_executable_name',
  'process_pid',
  'lost_reason',
] as const;

/** One row a sample. Columns that a question does not name are not read. */
export function sampleRows(reading: Reading): SampleSource {
  const named = keys.filter((key) => key !== 'lost_reason').join(', ');
  return `(SELECT ${named}, CASE WHEN sample_type = 'lost' THEN coalesce(attributes['flamelake.lost.reason'], 'unknown') END AS lost_reason,
    value * weight AS weighted, CAST("count" AS DOUBLE) AS events, CAST(1 AS DOUBLE) AS "rows", "time" AS oldest, "time" AS newest
    FROM (${samplesQuery(reading)}))`;
}

/** Reads the rows once and keeps their sums, in the same columns. */
export async function addUpSamples(session: Session, rows: SampleSource): Promise<SampleSource> {
  await session.run(`CREATE TEMP TABLE counted AS SELECT ${keys.join(', ')}, sum(weighted) AS weighted, sum(events) AS events, sum("rows") AS "rows",
    min(oldest) AS oldest, max(newest) AS newest FROM ${rows} GROUP BY ALL`);
  return 'counted';
}

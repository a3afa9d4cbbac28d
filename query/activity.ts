// How the pipeline does, as the lake itself tells it: how fresh the newest sample is, how many arrive,
// what was lost and why.
import type { Session } from './engine.ts';
import type { SnapshotPlan } from './snapshot.ts';
import type { SampleSource } from './source.ts';

export interface Activity {
  readonly fromMillis: number;
  readonly toMillis: number;
  /** Time of the newest sample in the range; null where it has none. */
  readonly newestMillis: number | null;
  /** Rows in the range, losses not counted; a row is one event wherever the source says when it was. */
  readonly samples: number;
  /** Average over what the range has from its first sample to its newest. */
  readonly samplesPerSecond: number;
  readonly hosts: number;
  readonly lost: readonly { readonly reason: string; readonly count: number }[];
  /** Objects that a query of this range opens. */
  readonly files: { readonly published: number; readonly hot: number };
}

export async function readActivity(
  session: Session,
  source: SampleSource,
  range: { fromMillis: number; toMillis: number },
  plan: SnapshotPlan,
): Promise<Activity> {
  const [row] = await session.rows(`SELECT epoch_ms(min(oldest))::DOUBLE, epoch_ms(max(newest))::DOUBLE, coalesce(sum("rows"), 0),
    count(DISTINCT coalesce(host_id, host_name))::DOUBLE FROM ${source} WHERE sample_type <> 'lost'`);
  const lost = await session.rows(
    `SELECT lost_reason, sum(weighted) AS lost FROM ${source} WHERE sample_type = 'lost' GROUP BY ALL ORDER BY lost DESC, lost_reason`,
  );
  const [oldest, newest, samples, hosts] = row!.map((value) => (value === null ? null : Number(value))) as [number | null, number | null, number, number];
  const seconds = oldest === null || newest === null ? 0 : Math.max(1, (newest - oldest) / 1000);
  return {
    fromMillis: range.fromMillis,
    toMillis: range.toMillis,
    newestMillis: newest,
    samples,
    samplesPerSecond: seconds === 0 ? 0 : samples / seconds,
    hosts,
    lost: lost.map(([reason, count]) => ({ reason: String(reason), count: Number(count) })),
    files: { published: plan.samples.published.length + plan.samples.staged.length, hot: plan.samples.hot.length },
  };
}

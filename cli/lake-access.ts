// How the commands that only read reach the lake under --data, and what they ask it for.
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { PipelineError } from '../lib/errors.ts';
import type { Filter } from '../query/filter.ts';
import { openQuery, type Query } from '../query/query.ts';
import { dataUrl } from './lake-url.ts';
import type { OptionValues } from './option-table.ts';

const defaultRangeMillis = 15 * 60_000;

export async function withQuery<T>(values: OptionValues, ask: (query: Query) => Promise<T>): Promise<T> {
  requireLake(values.data);
  const query = await openQuery({ store: dataUrl(values.data) });
  try {
    return await ask(query);
  } finally {
    await query.close();
  }
}

/** A mistyped --data must not pass for an empty lake. */
function requireLake(data: string): void {
  const advice = '--data names the one that flamelake up was started with';
  const found = statSync(data, { throwIfNoEntry: false });
  if (found === undefined) throw new PipelineError('usage', `data directory ${data} is not there; ${advice}`);
  if (!found.isDirectory()) throw new PipelineError('usage', `data directory ${data} is a file; ${advice}`);
  if (!['lake.json', 'commits'].some((name) => existsSync(path.join(data, name)))) {
    throw new PipelineError('usage', `data directory ${data} holds no lake (no lake.json); ${advice}`);
  }
}

/** --from --to --service --process --host --type of the commands that draw a picture of a time range. */
export function filterOf(values: OptionValues): Filter {
  const toMillis = values.to ?? Date.now();
  const fromMillis = values.from ?? toMillis - defaultRangeMillis;
  if (fromMillis >= toMillis) {
    throw new PipelineError('usage', `--from is ${new Date(fromMillis).toISOString()}, not before --to, which is ${new Date(toMillis).toISOString()}`);
  }
  const { service, process, host, type } = values;
  return { fromMillis, toMillis, service, process, host, type };
}

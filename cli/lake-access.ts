// How the commands that only read reach the lake under --data, and what they ask it for.
import { existsSync } from 'node:fs';
import { PipelineError } from '../lib/errors.ts';
import type { Filter } from '../query/filter.ts';
import { openQuery, type Query } from '../query/query.ts';
import { dataUrl } from './lake-url.ts';
import type { OptionValues } from './option-table.ts';

const defaultRangeMillis = 15 * 60_000;

export async function withQuery<T>(values: OptionValues, ask: (query: Query) => Promise<T>): Promise<T> {
  if (!existsSync(values.data)) {
    throw new PipelineError('usage', `data directory ${values.data} is not there; --data names the one that flamelake up was started with`);
  }
  const query = await openQuery({ store: dataUrl(values.data) });
  try {
    return await ask(query);
  } finally {
    await query.close();
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

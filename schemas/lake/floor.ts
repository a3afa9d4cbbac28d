// floor.json: the date below which the lake is gone or going. It is moved first, on condition, and only
// upwards; then exporters publish nothing below it any more, readers look at nothing below it, and the
// files can be deleted in any number of steps by anybody. Without the object nothing was ever deleted.
import { PipelineError } from '../../lib/errors.ts';
import type { Store } from '../../lib/store/store.ts';
import { dateDays, floorKey } from './paths.ts';

export const floorVersion = 1;

/**
 * A sample is taken when it is up to so many days old (docs/lake.md, time). Rows that old are published
 * within another day, so a lake that keeps less than two days more would delete rows as they come.
 */
export const lateDaysMax = 7;
export const retainDaysMin = lateDaysMax + 2;

export interface LakeFloor {
  readonly version: number;
  /** YYYY-MM-DD: the oldest date that is kept. */
  readonly date: string;
  readonly movedMillis: number;
  /** For people: why, and by whom. */
  readonly reason: string;
  readonly writer: string;
}

/** Null where there is none. Throws `lake_version` for what this code must not act on. */
export async function readFloor(store: Store): Promise<LakeFloor | null> {
  const bytes = await store.get(floorKey);
  return bytes === null ? null : parseFloor(bytes);
}

/** Days since 1970-01-01 below which nothing counts; -Infinity without a floor. */
export const floorDays = (floor: LakeFloor | null): number => (floor === null ? Number.NEGATIVE_INFINITY : dateDays(floor.date));

/** Moves the floor up to this date unless it is there or above; gives back what lies there afterwards. */
export async function raiseFloor(store: Store, floor: Omit<LakeFloor, 'version'>): Promise<LakeFloor> {
  const bytes = new TextEncoder().encode(`${JSON.stringify({ version: floorVersion, ...floor }, null, 1)}\n`);
  for (let attempt = 1; ; attempt++) {
    // The tag first: what is read after it is that version, or one that the condition refuses.
    const head = await store.head(floorKey);
    const found = head === null ? null : await readFloor(store);
    if (found !== null && found.date >= floor.date) return found;
    const put = head === null ? store.putIfAbsent(floorKey, bytes) : store.replace(floorKey, bytes, head.tag);
    const answer = await put.catch((error: unknown) => error);
    // Whatever it answered, what lies there counts.
    const stored = await readFloor(store);
    if (stored !== null && stored.date >= floor.date) return stored;
    if (answer instanceof Error && attempt >= attemptsMax) throw answer;
    if (attempt >= attemptsMax) throw new PipelineError('store_unavailable', `${floorKey}: others moved it ${attemptsMax} times while it was moved`);
  }
}

const attemptsMax = 5;

function parseFloor(bytes: Uint8Array): LakeFloor {
  let value: Partial<LakeFloor> | null;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes)) as Partial<LakeFloor> | null;
  } catch {
    value = null;
  }
  if (typeof value !== 'object' || value === null) throw new PipelineError('lake_version', `${floorKey}: is not a JSON object; restore it from a backup`);
  if (value.version !== floorVersion) {
    throw new PipelineError('lake_version', `${floorKey}: version ${JSON.stringify(value.version)} was found, this flamelake knows ${floorVersion}`);
  }
  if (typeof value.date !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(value.date) || !Number.isFinite(Date.parse(value.date))) {
    throw new PipelineError('lake_version', `${floorKey}: date is ${JSON.stringify(value.date)}, expected YYYY-MM-DD; restore it from a backup`);
  }
  return value as LakeFloor;
}

// lake.json: what is pinned when a lake is made. A row's shard must stay a pure function of
// (date, stack id), so nothing here changes afterwards (routes.json can, from a future date on).
// Every stage that touches the lake calls ensureLakeSettings first; whoever comes first makes it.
import { randomBytes } from 'node:crypto';
import { PipelineError } from '../../lib/errors.ts';
import type { Store } from '../../lib/store/store.ts';
import { settingsKey } from './paths.ts';
import { routingVersion } from './shard.ts';
import { identityVersion } from './stack-id.ts';

export const lakeSettingsVersion = 1;
/** Shard names and record keys allow more, but no lake needs them: 128 serve 100,000 hosts. */
export const lakeShardsMax = 4096;

export interface LakeSettings {
  readonly version: number;
  /** Random, lower hex, 32 digits; in every message and log line that names a lake. */
  readonly lakeId: string;
  readonly createdMillis: number;
  /** Q: number of shards = partitions of flamelake.rows. 1 embedded. */
  readonly shards: number;
  /** Version of the shard function (shard.ts). */
  readonly routing: number;
  /** Version of stack ids and digests (stack-id.ts, digest.ts). */
  readonly identity: number;
}

/** Reads lake.json, making it from `defaults` where the lake is new. What is there wins over `defaults`. */
export async function ensureLakeSettings(store: Store, defaults: { shards: number }): Promise<LakeSettings> {
  const found = await readLakeSettings(store);
  if (found) return found;
  const made: LakeSettings = {
    version: lakeSettingsVersion,
    lakeId: randomBytes(16).toString('hex'),
    createdMillis: Date.now(),
    shards: defaults.shards,
    routing: routingVersion,
    identity: identityVersion,
  };
  // Whatever the put answers, what counts is what lies there: another stage may have been first, or an
  // answer was lost.
  const outcome = await store.putIfAbsent(settingsKey, new TextEncoder().encode(`${JSON.stringify(made, null, 2)}\n`)).catch((error: unknown) => error);
  const settings = await readLakeSettings(store);
  if (settings) return settings;
  if (outcome instanceof Error) throw outcome;
  throw new PipelineError(
    'store_unavailable',
    `${store.url}: ${settingsKey} was put (${String(outcome)}) but is not there; the store does not read its own writes`,
  );
}

/** Null where there is no lake yet. Throws `lake_version` for a lake that this code must not touch. */
export async function readLakeSettings(store: Store): Promise<LakeSettings | null> {
  const bytes = await store.get(settingsKey);
  return bytes === null ? null : parseLakeSettings(bytes, store.url);
}

/** Of a lake at `url`. Throws as readLakeSettings does. */
export function parseLakeSettings(bytes: Uint8Array, url: string): LakeSettings {
  const refuse = (found: string): never => {
    throw new PipelineError('lake_version', `${url}/${settingsKey}: ${found}`);
  };
  let value: Partial<LakeSettings>;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes)) as Partial<LakeSettings>;
  } catch {
    return refuse('not JSON; restore it from a backup, the lake cannot be written without it');
  }
  if (typeof value !== 'object' || value === null) return refuse('not a JSON object; restore it from a backup');
  if (!isCount(value.version, 1_000_000))
    return refuse(`version is ${JSON.stringify(value.version)}, expected ${lakeSettingsVersion}; restore it from a backup`);
  const known: readonly (readonly [string, unknown, number])[] = [
    ['version', value.version, lakeSettingsVersion],
    ['routing', value.routing, routingVersion],
    ['identity', value.identity, identityVersion],
  ];
  for (const [name, found, expected] of known) {
    if (found !== expected)
      return refuse(`${name} ${JSON.stringify(found)} was found, this flamelake knows ${expected}; use the version that wrote the lake or a newer one`);
  }
  if (!isCount(value.shards, lakeShardsMax))
    return refuse(`shards is ${JSON.stringify(value.shards)}, expected 1 to ${lakeShardsMax}; restore it from a backup`);
  if (typeof value.lakeId !== 'string' || !/^[0-9a-f]{32}$/.test(value.lakeId)) return refuse('lakeId is not 32 hex digits; restore it from a backup');
  if (typeof value.createdMillis !== 'number' || !Number.isFinite(value.createdMillis))
    return refuse('createdMillis is not a number; restore it from a backup');
  return value as LakeSettings;
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max;
}

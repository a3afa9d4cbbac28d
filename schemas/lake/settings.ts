// lake.json: what is pinned when a lake is made. A row's shard must stay a pure function of
// (date, stack id), so nothing here changes afterwards (routes.json can, from a future date on).

export const lakeSettingsVersion = 1;

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

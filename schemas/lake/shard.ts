// Which shard a row belongs to, routing version 1. Frozen: a row's shard is a pure function of its
// stack id, or a repeated delivery could end in two shards. lake.json pins the number of shards and
// this version; an exporter refuses messages of another.
//
//   shard = (first 8 hex digits of the id + (next 4 hex digits mod spread)) mod shards
//
// The first 8 digits are the service's, so a service lies together; `spread` (1 unless raised from a
// future date on, routes.json) gives a service too large for one shard that many neighbouring ones.

export const routingVersion = 1;

export function shardOf(stackId: string, shards: number, spread = 1): number {
  const service = Number.parseInt(stackId.slice(0, 8), 16);
  const step = spread === 1 ? 0 : Number.parseInt(stackId.slice(8, 12), 16) % spread;
  return (service + step) % shards;
}

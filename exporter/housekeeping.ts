// What may go: staging and side objects that no record names (hot objects: hot-tier.ts). Nothing here is
// needed for the lake to be right; it only keeps the store from growing.
import type { Store, StoreEntry } from '../lib/store/store.ts';
import { carryPrefix, digestsPrefix, parseStagingKey, sideObjectSeq, stagingPrefix } from '../schemas/lake/paths.ts';
import { recordsInWindow } from './digest-records.ts';
import { listLimit, stagingKeptMillis, unsettledKeptMillis } from './limits.ts';
import { readHead } from './records.ts';

/** Staged bytes that the head of no shard names: every older record was finished long ago, and no later one names them. */
export async function sweepStaging(store: Store, shards: number, nowMillis: number): Promise<number> {
  const old = await olderThan(store, stagingPrefix, nowMillis);
  if (old.length === 0) return 0;
  const named = new Set<string>();
  const heads: number[] = [];
  for (let shard = 0; shard < shards; shard++) {
    const head = await readHead(store, shard);
    heads.push(head?.seq ?? 0);
    for (const file of head?.files ?? []) named.add(file.staging);
  }
  const isSettled = (key: string) => {
    const name = parseStagingKey(key);
    return name === null || name.seq <= (heads[name.shard] ?? Number.POSITIVE_INFINITY);
  };
  return deleteUnnamed(store, old.filter(mayGo(isSettled, nowMillis)), named);
}

/** Digests beyond the window, carried objects that were published, and those of attempts that came to nothing. */
export async function sweepSideObjects(store: Store, shard: number, nowMillis: number): Promise<number> {
  const old = [...(await olderThan(store, digestsPrefix(shard), nowMillis)), ...(await olderThan(store, carryPrefix(shard), nowMillis))];
  const head = old.length === 0 ? null : await readHead(store, shard);
  if (head === null) return 0;
  const named = new Set<string>([...(head.carry?.samples ?? []), ...(head.carry?.stacks ?? []), ...(head.carry?.messages ?? [])]);
  for (const record of await recordsInWindow(store, head)) if (record.digests !== null) named.add(record.digests);
  const isSettled = (key: string) => (sideObjectSeq(key) ?? 0) <= head.seq;
  return deleteUnnamed(store, old.filter(mayGo(isSettled, nowMillis)), named);
}

/** While the number of its record is free, an object may still be named: by an exporter that was stopped before its put. */
function mayGo(isSettled: (key: string) => boolean, nowMillis: number): (entry: StoreEntry) => boolean {
  return ({ key, modifiedMillis }) => isSettled(key) || modifiedMillis < nowMillis - unsettledKeptMillis;
}

async function deleteUnnamed(store: Store, entries: readonly StoreEntry[], named: ReadonlySet<string>): Promise<number> {
  let deleted = 0;
  for (const { key } of entries) {
    if (named.has(key)) continue;
    await store.delete(key);
    deleted++;
  }
  return deleted;
}

async function olderThan(store: Store, prefix: string, nowMillis: number): Promise<StoreEntry[]> {
  return (await listAll(store, prefix)).filter((entry) => entry.modifiedMillis < nowMillis - stagingKeptMillis);
}

export async function listAll(store: Store, prefix: string): Promise<StoreEntry[]> {
  const entries: StoreEntry[] = [];
  for (;;) {
    const after = entries.at(-1)?.key;
    const page = await store.list(prefix, { limit: listLimit, ...(after === undefined ? {} : { after }) });
    entries.push(...page);
    if (page.length < listLimit) return entries;
  }
}

// The digest window of a shard, read again from the side objects of its records.
import type { Store } from '../lib/store/store.ts';
import type { CommitRecord } from '../schemas/lake/record.ts';
import { type DigestEntries, type DigestWindow, decodeDigests } from './digests.ts';
import { digestWindowEntriesMax } from './limits.ts';
import { readRecord } from './records.ts';
import { clockOf, windowMillisOf } from './window-clock.ts';

/** Records whose digests may still be in the window of `head`, newest first, `head` included. */
export async function recordsInWindow(store: Store, head: CommitRecord): Promise<CommitRecord[]> {
  const records = [head];
  const { startMillis } = clockOf(head);
  for (let seq = head.seq - 1; seq >= 1; seq--) {
    const record = await readRecord(store, head.shard, seq);
    if (record === null) break; // lake check names the gap
    // Digests of a record were seen at its clock or before.
    if (windowMillisOf(record) < startMillis) break;
    records.push(record);
  }
  return records;
}

export async function restoreDigests(store: Store, head: CommitRecord | null, window: DigestWindow): Promise<void> {
  if (head === null) return;
  const newestFirst: DigestEntries[] = [];
  let length = 0;
  for (const record of await recordsInWindow(store, head)) {
    if (record.digests === null) continue;
    if (length >= digestWindowEntriesMax) break;
    const bytes = await store.get(record.digests);
    // Swept only when no head's window reaches it, so this is damage: a retry may then count twice, which
    // is less than refusing all that comes.
    if (bytes === null) continue;
    newestFirst.push(decodeDigests(bytes, record.digests));
    length += newestFirst.at(-1)!.length;
  }
  for (const entries of newestFirst.reverse()) window.restore(entries);
}

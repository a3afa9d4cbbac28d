// The digest window of a shard, read again from the side objects of its records.
import type { Store } from '../lib/store/store.ts';
import type { CommitRecord } from '../schemas/lake/record.ts';
import { type DigestWindow, decodeDigests } from './digests.ts';
import { digestWindowMillis } from './limits.ts';
import { readRecord } from './records.ts';

/** Records whose digests may still be in the window of `head`, newest first, `head` included. */
export async function recordsInWindow(store: Store, head: CommitRecord): Promise<CommitRecord[]> {
  const records = [head];
  for (let seq = head.seq - 1; seq >= 1; seq--) {
    const record = await readRecord(store, head.shard, seq);
    if (record === null) break; // lake check names the gap
    // Digests of a record were seen at its clock or before.
    if (record.clockMillis < head.clockMillis - digestWindowMillis) break;
    records.push(record);
  }
  return records;
}

export async function restoreDigests(store: Store, head: CommitRecord | null, window: DigestWindow): Promise<void> {
  if (head === null) return;
  const records = await recordsInWindow(store, head);
  for (const record of records.reverse()) {
    if (record.digests === null) continue;
    const bytes = await store.get(record.digests);
    // Swept only when no head's window reaches it, so this is damage: a retry may then count twice, which
    // is less than refusing all that comes.
    if (bytes !== null) window.restore(decodeDigests(bytes, record.digests));
  }
}

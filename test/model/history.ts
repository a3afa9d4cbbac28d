// A lake that is older than the run: a hundred records of other days, without files, so that a run that
// publishes ten times folds.
import { recordKey } from '../../schemas/lake/paths.ts';
import { type CommitRecord, encodeRecord, recordVersion } from '../../schemas/lake/record.ts';
import type { MemoryStore } from './memory-store.ts';

const betweenMillis = 20 * 60_000;

/** The records 1 to `count` of a shard, the last of them two days old. */
export function putHistory(store: MemoryStore, shard: number, count: number, logId: string, nowMillis: number): void {
  const ofSeq = (seq: number) => nowMillis - 2 * 86_400_000 - (count - seq) * betweenMillis;
  for (let seq = 1; seq <= count; seq++) {
    const createdMillis = ofSeq(seq);
    const record: CommitRecord = {
      ...{ version: recordVersion, shard, seq, attempt: `history-${seq}`, writer: 'history', createdMillis, firstMillis: ofSeq(1) },
      ...{ logId, position: 0, clockMillis: createdMillis, leaderEpoch: 0, highWaters: [] },
      ...{ files: [], carry: null, digests: null, samples: 0, stacks: 0, duplicates: 0, losses: {} },
    };
    store.objects.set(recordKey(shard, seq), { bytes: encodeRecord(record), modifiedMillis: createdMillis });
  }
}

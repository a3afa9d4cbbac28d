// One publication, from a closed batch to a finished record (docs/lake.md: exactly once, steps 2 to 4).
// Whatever goes wrong before the record is put leaves nothing but staging that no record names; from
// the put on, what lies under the record's key decides, whoever put it.
import { randomUUID } from 'node:crypto';
import { isPipelineError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Store } from '../lib/store/store.ts';
import { digestsKey, stagedName, stagingKey } from '../schemas/lake/paths.ts';
import { type CommitRecord, type RecordCarry, recordVersion } from '../schemas/lake/record.ts';
import type { Builder, Publication } from './builder.ts';
import type { Clock } from './clock.ts';
import { attemptMillisMax } from './limits.ts';
import { attemptDirectory, removeDirectory } from './local-files.ts';
import { dropStaging, finishRecord, putRecord } from './records.ts';
import type { Retry } from './retry.ts';

export interface PublisherOptions {
  readonly store: Store;
  readonly builder: Builder;
  readonly shard: number;
  readonly writer: string;
  readonly drafts: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type PublishOutcome =
  /** Our record is in the lake and finished. */
  | { readonly kind: 'won'; readonly record: CommitRecord; readonly publication: Publication }
  /** Somebody else's record has this number, and is finished now: all memory is to be forgotten. */
  | { readonly kind: 'lost'; readonly record: CommitRecord }
  /** Given up before the record was put. */
  | { readonly kind: 'abandoned'; readonly reason: 'asked' | 'too_old' };

/** `retry` asks again while a store does not answer, and throws where it should not be asked any longer. */
export async function publish(options: PublisherOptions, head: CommitRecord | null, logId: string, retry: Retry): Promise<PublishOutcome> {
  const { store, builder, clock } = options;
  const attempt = randomUUID();
  const begun = { wall: clock.wallMillis(), monotonic: clock.monotonicMillis() };
  // Both clocks: the monotonic one stands still while the machine sleeps, the wall clock may be set.
  const tooOld = () => Math.max(clock.wallMillis() - begun.wall, clock.monotonicMillis() - begun.monotonic) > attemptMillisMax;
  const seq = (head?.seq ?? 0) + 1;
  const directory = attemptDirectory(options.drafts, attempt);
  try {
    const publication = await builder.build({ seq, attempt, directory, nowMillis: clock.wallMillis() });
    if (publication === null) return { kind: 'abandoned', reason: 'asked' };
    const digests = publication.digests === null ? null : digestsKey(options.shard, seq, attempt);
    await retry(() => stage(options, attempt, publication, digests));
    const record = recordOf(options, { head, logId, seq, attempt, digests, publication });
    const stored = await retry(async () => {
      if (tooOld()) return null;
      return putRecord(store, record);
    });
    if (stored === null) return { kind: 'abandoned', reason: 'too_old' };
    await retry(() => finishRecord(store, stored));
    if (stored.attempt !== attempt) return { kind: 'lost', record: stored };
    await builder.commit(stored);
    await dropStaging(store, stored).catch((error: unknown) => {
      if (!isPipelineError(error)) throw error;
      options.logger.debug('staging is left to the sweep', { error: error.message });
    });
    return { kind: 'won', record: stored, publication };
  } finally {
    removeDirectory(directory);
  }
}

/** Puts every byte the record will name; the names are random, so nobody else's are touched. */
async function stage({ store }: PublisherOptions, attempt: string, publication: Publication, digests: string | null): Promise<void> {
  for (const file of publication.files) await store.put(stagingKey(attempt, stagedName(file.key)), { file: file.file });
  for (const { key, file } of publication.carry.add) await store.put(key, { file });
  if (digests !== null) await store.put(digests, publication.digests!);
}

interface RecordParts {
  readonly head: CommitRecord | null;
  readonly logId: string;
  readonly seq: number;
  readonly attempt: string;
  readonly digests: string | null;
  readonly publication: Publication;
}

function recordOf({ shard, writer, clock }: PublisherOptions, { head, logId, seq, attempt, digests, publication }: RecordParts): CommitRecord {
  const createdMillis = clock.wallMillis();
  return {
    version: recordVersion,
    shard,
    seq,
    attempt,
    writer,
    createdMillis,
    firstMillis: head?.firstMillis ?? createdMillis,
    logId,
    position: publication.position,
    clockMillis: publication.clockMillis,
    windowMillis: publication.windowMillis,
    leaderEpoch: 0,
    highWaters: publication.highWaters,
    files: publication.files.map(({ table, key, rows, bytes, sha256 }) => ({ table, staging: stagingKey(attempt, stagedName(key)), key, rows, bytes, sha256 })),
    carry: carryOf(head?.carry ?? null, publication, createdMillis),
    digests,
    samples: publication.samples,
    stacks: publication.stacks,
    duplicates: publication.duplicates,
    losses: publication.losses,
  };
}

function carryOf(before: RecordCarry | null, { carry }: Publication, createdMillis: number): RecordCarry | null {
  const kept = carry.keep ? before : null;
  if (kept === null && carry.add.length === 0) return null;
  const keys = (part: 'samples' | 'stacks' | 'messages') => [
    ...(kept?.[part] ?? []),
    ...carry.add.filter((object) => object.part === part).map((object) => object.key),
  ];
  return {
    samples: keys('samples'),
    stacks: keys('stacks'),
    messages: keys('messages'),
    rows: (kept?.rows ?? 0) + carry.rows,
    dates: [...new Set([...(kept?.dates ?? []), ...carry.dates])].sort(),
    sinceMillis: kept?.sinceMillis ?? createdMillis,
  };
}

/**
 * A record that only says that the rows topic was made anew: positions begin again, and nothing else
 * changes. High waters protect from what a processor sends again.
 */
export function adoptionRecord(options: PublisherOptions, head: CommitRecord, logId: string, position: number): CommitRecord {
  return {
    ...head,
    seq: head.seq + 1,
    attempt: randomUUID(),
    writer: options.writer,
    createdMillis: options.clock.wallMillis(),
    logId,
    position,
    files: [],
    digests: null,
    samples: 0,
    stacks: 0,
    duplicates: 0,
    losses: {},
  };
}

// A lake on disk, made by the exporter's own code from row messages, publication after publication, as a
// running exporter makes it; only the log is not there. Time is what the messages say.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepareDrafts } from '../exporter/local-files.ts';
import { publish as publishBatch } from '../exporter/publisher.ts';
import { ShardBuilder } from '../exporter/shard-builder.ts';
import type { Logger } from '../lib/logger.ts';
import { openStore } from '../lib/store/open.ts';
import { hotFileKey, settingsKey } from '../schemas/lake/paths.ts';
import type { CommitRecord, RecordFile } from '../schemas/lake/record.ts';
import type { LakeSettings } from '../schemas/lake/settings.ts';

export interface BenchLake {
  readonly url: string;
  /** A row message of (offset - 1, offset]. */
  append(value: Uint8Array, appendTimeMillis: number): Promise<void>;
  /** Hot objects of what was appended since the last ones, as a running exporter writes them every few seconds. */
  writeHot(): Promise<void>;
  /** Public files of all that was appended since; hot objects go, which readers have no use for. */
  publish(): Promise<readonly RecordFile[]>;
  close(): Promise<void>;
}

const quiet: Logger = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {}, named: () => quiet };

export async function makeLake(folder: string, createdMillis: number): Promise<BenchLake> {
  const url = pathToFileURL(join(folder, 'lake')).href;
  const store = await openStore(url);
  const settings: LakeSettings = { version: 1, lakeId: '0'.repeat(32), createdMillis, shards: 1, routing: 1, identity: 1 };
  await store.putIfAbsent(settingsKey, Buffer.from(JSON.stringify(settings)));
  const builder = new ShardBuilder({ store, settings, shard: 0, indexDir: folder });
  await builder.load(null, 0, []);
  const drafts = prepareDrafts(folder);
  let head: CommitRecord | null = null;
  let offset = 0;
  let now = createdMillis;
  let hotKeys: string[] = [];
  const clock = { wallMillis: () => now, monotonicMillis: () => now, sleep: async () => {} };
  return {
    url,
    append: async (value, appendTimeMillis) => {
      now = appendTimeMillis;
      const { refused, malformed } = await builder.append([{ offset, appendTimeMillis, value }]);
      if (refused !== null || malformed.length > 0) throw new Error(`row message ${offset}: ${refused?.message ?? malformed[0]!.message}`);
      offset++;
    },
    writeHot: async () => {
      for (const { from, to, bytes } of await builder.takeHot()) {
        const key = hotFileKey(0, from, to, 'bench', randomUUID());
        await store.put(key, bytes);
        hotKeys.push(key);
      }
    },
    publish: async () => {
      await builder.takeHot();
      await builder.cut();
      const outcome = await publishBatch({ store, builder, shard: 0, writer: 'bench', drafts, clock, logger: quiet }, head, 'bench', (work) => work());
      if (outcome.kind !== 'won') throw new Error(`publication was ${outcome.kind}`);
      head = outcome.record;
      for (const key of hotKeys) await store.delete(key);
      hotKeys = [];
      return outcome.record.files;
    },
    close: async () => {
      await builder.close();
      await store.close();
    },
  };
}

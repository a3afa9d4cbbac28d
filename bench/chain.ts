// The pipeline's cores one after the other, in this process, without log and timers: OTLP -> row
// messages -> hot objects and public files in a folder.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Publication } from '../exporter/builder.ts';
import { ShardBuilder } from '../exporter/shard-builder.ts';
import { openStore } from '../lib/store/open.ts';
import { KnownStacks } from '../processor/known-stacks.ts';
import { type PreparedMessage, prepareMessage } from '../processor/prepared-message.ts';
import { appendRows, noCounts, type ShardOutput } from '../processor/rows-from-profiles.ts';
import type { LakeSettings } from '../schemas/lake/settings.ts';
import { RowsBuilder } from '../schemas/rows/builder.ts';
import { encodeRows } from '../schemas/rows/codec.ts';
import { profilesTopic } from '../schemas/topics.ts';
import type { LoadMessage } from './load.ts';

/** Noon, so that no load passes midnight and starts a second date. */
export const startMillis = Date.UTC(2026, 0, 15, 12);
/** Source messages in one row message: a processor that keeps up takes what came in a moment. */
export const messagesPerBatch = 4;

const settings: LakeSettings = { version: 1, lakeId: '0'.repeat(32), createdMillis: startMillis, shards: 1, routing: 1, identity: 1 };
export const knownStacksMax = 262_144;

/** Log append time of a source message; one every five seconds. */
export const appendTime = (offset: number): number => startMillis + (offset + 1) * 5_000;

/** A builder for each row message. */
export function buildRows(prepared: readonly PreparedMessage[], known = new KnownStacks(knownStacksMax)): RowsBuilder[] {
  const builders: RowsBuilder[] = [];
  for (let at = 0; at < prepared.length; at += messagesPerBatch) {
    const builder = new RowsBuilder({ logId: 'bench', topic: profilesTopic, partition: 0, shard: 0, routing: settings.routing });
    const output: ShardOutput = { shard: 0, builder, added: new Set(), sent: [] };
    const target = { shards: settings.shards, output: () => output, known, nameOf: () => null };
    for (const [index, message] of prepared.slice(at, at + messagesPerBatch).entries()) {
      appendRows(message, { offset: at + index, appendTimeMillis: appendTime(at + index) }, target, noCounts());
    }
    for (const { words, date } of output.sent) known.add(words, date, 0);
    builders.push(builder);
  }
  return builders;
}

export function encodeBuilders(builders: readonly RowsBuilder[]): Uint8Array[] {
  return builders.map((builder, index) => encodeRows(builder.build(index * messagesPerBatch - 1, (index + 1) * messagesPerBatch - 1)));
}

export interface Exporting {
  readonly builder: ShardBuilder;
  append(offset: number, value: Uint8Array): Promise<void>;
  publish(): Promise<Publication>;
  close(): Promise<void>;
}

export async function openExporter(folder: string): Promise<Exporting> {
  const directory = join(folder, 'drafts');
  mkdirSync(directory, { recursive: true });
  const store = await openStore(pathToFileURL(join(folder, 'lake')).href);
  const builder = new ShardBuilder({ store, settings, shard: 0, indexDir: folder });
  await builder.load(null, 0, []);
  return {
    builder,
    append: async (offset, value) => {
      const { refused, malformed } = await builder.append([{ offset, appendTimeMillis: appendTime(offset * messagesPerBatch), value }]);
      if (refused !== null || malformed.length > 0) throw new Error(`row message ${offset}: ${refused?.message ?? malformed[0]!.message}`);
    },
    publish: async () => {
      await builder.cut();
      const publication = await builder.build({ seq: 1, attempt: '0'.repeat(32), directory, nowMillis: startMillis });
      if (publication === null) throw new Error('the build was abandoned');
      return publication;
    },
    close: async () => {
      await builder.close();
      await store.close();
    },
  };
}

/** Public files of one publication of all these messages. */
export async function publishLoad(folder: string, messages: readonly LoadMessage[]): Promise<Publication> {
  const exporting = await openExporter(folder);
  const rows = encodeBuilders(buildRows(messages.map(({ body }) => prepareMessage(body))));
  for (const [offset, value] of rows.entries()) {
    await exporting.append(offset, value);
    await exporting.builder.takeHot();
  }
  const publication = await exporting.publish();
  await exporting.close();
  return publication;
}

// The worker thread: holds the builders of this process's shards, so that a row group in the making
// (about a second) never holds up the log, the store or the process's signals.
import { parentPort, workerData } from 'node:worker_threads';
import { openStore } from '../lib/store/open.ts';
import type { LakeSettings } from '../schemas/lake/settings.ts';
import { ShardBuilder } from './shard-builder.ts';
import { type BuilderCall, type BuilderReply, encodeError } from './worker-protocol.ts';

export interface WorkerOptions {
  readonly store: string;
  readonly settings: LakeSettings;
  readonly indexDir: string;
}

const options = workerData as WorkerOptions;
const store = await openStore(options.store);
const builders = new Map<number, ShardBuilder>();

parentPort!.on('message', (call: BuilderCall) => {
  void answer(call).then((reply) => parentPort!.postMessage(reply));
});

async function answer(call: BuilderCall): Promise<BuilderReply> {
  try {
    return { id: call.id, result: await perform(call) };
  } catch (error) {
    return { id: call.id, error: encodeError(error) };
  }
}

async function perform(call: BuilderCall): Promise<unknown> {
  if (call.method === 'open') {
    builders.set(call.shard, new ShardBuilder({ store, settings: options.settings, shard: call.shard, indexDir: options.indexDir }));
    return null;
  }
  const builder = builders.get(call.shard);
  if (builder === undefined) throw new Error(`${call.method}: shard ${call.shard} is not open`);
  if (call.method === 'close') builders.delete(call.shard);
  const method = builder[call.method] as (...parameters: unknown[]) => Promise<unknown>;
  return method.apply(builder, [...call.parameters]);
}

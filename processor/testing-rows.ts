// Rows and stacks of one message as plain objects, for tests that say what a message becomes.
import { decodeRows } from '../schemas/rows/codec.ts';
import { nullInt32, nullInt64, type ResourceStringColumn, type RowsMessage, resourceStringColumns } from '../schemas/rows/message.ts';
import { buildBatch, decode } from './batch.ts';
import { KnownStacks } from './known-stacks.ts';
import type { NameOf } from './message-frames.ts';
import { nothingSent } from './position.ts';
import type { RowCounts } from './rows-from-profiles.ts';

export interface PlainRow extends Readonly<Partial<Record<ResourceStringColumn, string>>> {
  readonly time: bigint;
  readonly duration: bigint | null;
  readonly type: string;
  readonly value: bigint;
  readonly count: bigint;
  readonly stackId: string;
  readonly stack: PlainStack | null;
  readonly link: readonly string[] | null;
  readonly pid: bigint | null;
  readonly threadId: bigint | null;
  readonly threadName: string;
  readonly cpu: number | null;
  readonly scope: string;
  readonly profileId: string;
  readonly resourceAttributes: Readonly<Record<string, string>>;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface PlainStack {
  readonly date: number;
  readonly service: string;
  readonly cut: string;
  readonly frames: readonly PlainFrame[];
}

export interface PlainFrame {
  readonly function: string;
  readonly systemName: string;
  readonly file: string;
  readonly line: bigint;
  readonly inlined: boolean;
  readonly type: string;
  readonly mapping: string;
  readonly buildId: string;
  readonly address: bigint;
}

export interface MadeRows {
  readonly rows: readonly PlainRow[];
  readonly counts: RowCounts;
  readonly message: RowsMessage | null;
}

export function rowsOf(value: Uint8Array, options: { appendTimeMillis?: number; nameOf?: NameOf } = {}): MadeRows {
  const { appendTimeMillis = Date.now(), nameOf = () => null } = options;
  const decoded = decode({ offset: 0, appendTimeMillis, key: null, value, headers: {} });
  if (decoded.error) throw decoded.error;
  const target = { source: { logId: 'l', topic: 't', partition: 0 }, shards: 1, sent: nothingSent, known: new KnownStacks(1000), nameOf };
  const { messages, counts } = buildBatch([decoded], target);
  const message = messages[0] ? decodeRows(messages[0].value) : null;
  return { rows: message ? plainRows(message) : [], counts, message };
}

export function plainRows(message: RowsMessage): PlainRow[] {
  const { samples, resources, strings, maps, types, links, stackIds } = message;
  const map = (index: number) => Object.fromEntries(maps[index]!.map(([key, value]) => [strings[key]!, strings[value]!]));
  const integer = (value: bigint) => (value === nullInt64 ? null : value);
  return Array.from({ length: samples.length }, (_, row): PlainRow => {
    const resource = samples.resource[row]!;
    const columns = resourceStringColumns.map((name) => [name, strings[resources.strings[name][resource]!]!] as const);
    const stackId = stackIds[samples.stack[row]!]!;
    const date = Number(samples.time[row]! / 86_400_000_000n);
    return {
      ...Object.fromEntries(columns.filter(([, value]) => value !== '')),
      time: samples.time[row]!,
      duration: integer(samples.durationNanos[row]!),
      type: types[samples.type[row]!]!.map((index) => strings[index]).join('/'),
      value: samples.value[row]!,
      count: samples.count[row]!,
      stackId,
      stack: stackOf(message, stackId, date),
      link: samples.link[row] === 0 ? null : links[samples.link[row]!]!.map((index) => strings[index]!),
      pid: integer(resources.processPid[resource]!),
      threadId: integer(samples.threadId[row]!),
      threadName: strings[samples.threadName[row]!]!,
      cpu: samples.cpuLogicalNumber[row] === nullInt32 ? null : samples.cpuLogicalNumber[row]!,
      scope: strings[samples.scopeName[row]!]!,
      profileId: strings[samples.profileId[row]!]!,
      resourceAttributes: map(resources.attributes[resource]!),
      attributes: map(samples.attributes[row]!),
    };
  });
}

function stackOf({ stacks, strings, stackIds }: RowsMessage, id: string, date: number): PlainStack | null {
  for (let row = 0; row < stacks.length; row++) {
    if (stackIds[stacks.id[row]!] !== id || stacks.date[row] !== date) continue;
    const { frames } = stacks;
    const plain = (frame: number): PlainFrame => ({
      function: strings[frames.function[frame]!]!,
      systemName: strings[frames.systemName[frame]!]!,
      file: strings[frames.file[frame]!]!,
      line: frames.line[frame]!,
      inlined: frames.inlined[frame] === 1,
      type: strings[frames.type[frame]!]!,
      mapping: strings[frames.mapping[frame]!]!,
      buildId: strings[frames.buildId[frame]!]!,
      address: frames.address[frame]!,
    });
    const [first, last] = [stacks.frameStart[row]!, stacks.frameStart[row + 1]!];
    return {
      date,
      service: strings[stacks.serviceName[row]!]!,
      cut: strings[stacks.cut[row]!]!,
      frames: Array.from({ length: last - first }, (_, index) => plain(stacks.frame[first + index]!)),
    };
  }
  return null;
}

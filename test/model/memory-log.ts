// A log in memory, as lib/log/log.ts describes one, with what happens to real ones: topics made anew,
// retention, several partitions. It never fails by itself; the views on it do (world.ts, testing-world.ts).
import { PipelineError } from '../../lib/errors.ts';
import type { Log, LogMessage, LogRecord, PartitionPosition, PartitionRange, ReadResult, TopicInfo } from '../../lib/log/log.ts';

interface Partition {
  records: LogRecord[];
  /** Offsets that compaction took. */
  compacted: Set<number>;
  start: number;
}

interface Topic {
  logId: string;
  partitions: Partition[];
}

export class MemoryLog implements Log {
  readonly #topics = new Map<string, Topic>();
  readonly #positions = new Map<string, PartitionPosition>();
  readonly #wallMillis: () => number;
  /** How far the clock of the broker of a partition is ahead; of all of its topics. */
  readonly aheadMillis = new Map<number, number>();
  /** Whether trim frees anything (embedded) or is left to retention (Kafka). */
  trims = true;
  /** Told of each append. */
  onAppend: (topic: string, partition: number, value: Uint8Array) => void = () => {};

  constructor(wallMillis: () => number) {
    this.#wallMillis = wallMillis;
  }

  /** The topic is deleted and made anew; its positions go with it. */
  recreate(name: string, logId: string): void {
    const { length } = this.#topic(name).partitions;
    this.#topics.set(name, newTopic(logId, length));
    for (const key of [...this.#positions.keys()]) if (key.includes(` ${name}/`)) this.#positions.delete(key);
  }

  /** Retention takes everything below an offset. */
  retain(topic: string, partition: number, start: number): void {
    const { records } = this.#partition(topic, partition);
    this.#partition(topic, partition).start = Math.min(start, records.length);
  }

  logId(topic: string): string {
    return this.#topic(topic).logId;
  }

  positionOf(group: string, topic: string, partition: number): PartitionPosition | null {
    return this.#positions.get(`${group} ${topic}/${partition}`) ?? null;
  }

  compact(topic: string, partition: number, offset: number): void {
    this.#partition(topic, partition).compacted.add(offset);
  }

  /** Messages of a partition, also those that retention took. */
  all(topic: string, partition: number): LogRecord[] {
    return this.#partition(topic, partition).records;
  }

  rangeOf(topic: string, partition: number): PartitionRange {
    const { start, records } = this.#partition(topic, partition);
    return { start, end: records.length };
  }

  put(topic: string, partition: number, { value, key = null, headers = {} }: LogMessage): number {
    const { records } = this.#partition(topic, partition);
    const appendTimeMillis = this.#wallMillis() + (this.aheadMillis.get(partition) ?? 0);
    records.push({ offset: records.length, appendTimeMillis, key, value, headers });
    this.onAppend(topic, partition, value);
    return records.length - 1;
  }

  async ensureTopic({ name, partitions }: { name: string; partitions: number }): Promise<TopicInfo> {
    const known = this.#topics.get(name);
    if (known === undefined) this.#topics.set(name, newTopic(`${name}-1`, partitions));
    else while (known.partitions.length < partitions) known.partitions.push({ records: [], compacted: new Set(), start: 0 });
    return this.topic(name);
  }

  async topic(name: string): Promise<TopicInfo> {
    const { logId, partitions } = this.#topic(name);
    return { name, logId, partitions: partitions.length };
  }

  async append(topic: string, partition: number | null, message: LogMessage): Promise<{ partition: number; offset: number }> {
    return { partition: partition ?? 0, offset: this.put(topic, partition ?? 0, message) };
  }

  async read(topic: string, partition: number, from: number, { bytesMax }: { bytesMax: number }): Promise<ReadResult> {
    const range = this.rangeOf(topic, partition);
    if (from < range.start || from > range.end) {
      throw new PipelineError('offset_out_of_range', `${topic}/${partition}: ${from} was asked for, ${range.start} to ${range.end} are there`, {
        context: { range },
      });
    }
    const records: LogRecord[] = [];
    const { compacted, records: all } = this.#partition(topic, partition);
    let next = from;
    for (let bytes = 0; next < range.end; next++) {
      if (compacted.has(next)) continue;
      bytes += all[next]!.value.length;
      if (records.length > 0 && bytes > bytesMax) break;
      records.push(all[next]!);
    }
    return { records, next, range };
  }

  async range(topic: string, partition: number): Promise<PartitionRange> {
    return this.rangeOf(topic, partition);
  }

  join = async (_group: string, topic: string) => {
    const assigned = this.#topic(topic).partitions.map((_partition, index) => index);
    return { assigned: () => assigned, generation: () => 0, leave: async () => {} };
  };

  async position(group: string, topic: string, partition: number): Promise<PartitionPosition | null> {
    return this.positionOf(group, topic, partition);
  }

  async remember(group: string, topic: string, partition: number, position: PartitionPosition): Promise<void> {
    this.#positions.set(`${group} ${topic}/${partition}`, position);
  }

  async trim(topic: string, partition: number, offset: number): Promise<void> {
    const { start, end } = this.rangeOf(topic, partition);
    if (offset > end) throw new PipelineError('offset_out_of_range', `${topic}/${partition}: trim to ${offset}, the end is ${end}`);
    if (this.trims) this.retain(topic, partition, Math.max(start, offset));
  }

  usage = async () => null;
  close = async () => {};

  #topic(name: string): Topic {
    const topic = this.#topics.get(name) ?? newTopic(`${name}-1`, 1);
    this.#topics.set(name, topic);
    return topic;
  }

  #partition(name: string, partition: number): Partition {
    const found = this.#topic(name).partitions[partition];
    if (found === undefined) throw new PipelineError('topic_missing', `${name} has no partition ${partition}`);
    return found;
  }
}

function newTopic(logId: string, partitions: number): Topic {
  return { logId, partitions: Array.from({ length: partitions }, () => ({ records: [], compacted: new Set(), start: 0 })) };
}

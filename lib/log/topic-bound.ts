// Keeps a topic that nobody reads to its end (dead letters) within so many bytes: the oldest records go.
// In an embedded log all topics share one disk, so a sender that is wrong for weeks must not stop the
// pipeline. (Kafka has its retention, and does not say what it uses: there nothing is done.)
import { topicBoundShare } from './limits.ts';
import type { Log } from './log.ts';

const readBytesMax = 8 << 20;

export class TopicBound {
  readonly #log: Log;
  readonly #topic: string;
  readonly #bytesMax: number;
  /** Appended since the topic was last measured; it is measured before the first one. */
  #unmeasuredBytes = Number.POSITIVE_INFINITY;

  constructor(log: Log, topic: string, bytesMax: number) {
    this.#log = log;
    this.#topic = topic;
    this.#bytesMax = bytesMax;
  }

  /** Before an append of so many bytes to partition 0; gives back how many records had to go for it. */
  async makeRoom(bytes: number): Promise<number> {
    this.#unmeasuredBytes += bytes;
    // Measuring reads all of it: once for each quarter of what it may take. Several may append; each
    // measures what all have, so together they are beyond the bound by a quarter each at most.
    if (this.#unmeasuredBytes < this.#bytesMax / 4) return 0;
    const usage = await this.#log.usage();
    if (usage === null) return 0;
    this.#unmeasuredBytes = bytes;
    // A small log keeps room for what is on its way through it.
    const bytesMax = Math.min(this.#bytesMax, usage.bytesMax / topicBoundShare);
    let excess = bytes - bytesMax;
    for await (const record of this.#records()) excess += record.bytes;
    if (excess <= 0) return 0;
    let removed = 0;
    let keptFrom = 0;
    for await (const record of this.#records()) {
      if (excess <= 0) break;
      excess -= record.bytes;
      keptFrom = record.offset + 1;
      removed++;
    }
    if (removed > 0) await this.#log.trim(this.#topic, 0, keptFrom);
    return removed;
  }

  /** What the topic holds, never all of it in memory. */
  async *#records(): AsyncGenerator<{ offset: number; bytes: number }> {
    let { start: offset } = await this.#log.range(this.#topic, 0);
    for (;;) {
      const read = await this.#log.read(this.#topic, 0, offset, { bytesMax: readBytesMax, waitMillis: 0 });
      if (read.records.length === 0) return;
      for (const record of read.records) yield { offset: record.offset, bytes: record.value.byteLength };
      offset = read.next;
    }
  }
}

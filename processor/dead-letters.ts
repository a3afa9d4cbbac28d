// Puts what cannot be taken on the dead-letter topic. Nobody trims that topic, and in an embedded log it
// shares the disk with everything else: a sender that is wrong for weeks must not stop the pipeline, so
// the oldest letters go, counted, when all together are too much. (Kafka has its retention.)
import type { PipelineError } from '../lib/errors.ts';
import type { Log, LogRecord } from '../lib/log/log.ts';
import { deadLetterHeaders, deadLetterTopic } from '../schemas/topics.ts';
import type { Source } from './batch.ts';
import { deadLetterBytesMax, readBytesMax } from './limits.ts';

const messageChars = 1_000;

export class DeadLetters {
  readonly #log: Log;
  readonly #onRemoved: (letters: number) => void;
  /** Appended since the topic was last measured; it is measured before the first one. */
  #unmeasuredBytes = Number.POSITIVE_INFINITY;

  constructor(log: Log, onRemoved: (letters: number) => void) {
    this.#log = log;
    this.#onRemoved = onRemoved;
  }

  /** Durable when it answers. A letter may come twice, after a kill; its headers tell. */
  async add(source: Source, record: LogRecord, error: PipelineError): Promise<void> {
    await this.#makeRoom(record.value.byteLength);
    const headers = {
      ...record.headers,
      [deadLetterHeaders.reason]: error.code,
      [deadLetterHeaders.message]: error.message.slice(0, messageChars),
      [deadLetterHeaders.logId]: source.logId,
      [deadLetterHeaders.partition]: String(source.partition),
      [deadLetterHeaders.offset]: String(record.offset),
    };
    await this.#log.append(deadLetterTopic, null, { value: record.value, key: record.key, headers });
  }

  async #makeRoom(bytes: number): Promise<void> {
    this.#unmeasuredBytes += bytes;
    // Measuring reads all letters: once for each quarter of what they may take.
    if (this.#unmeasuredBytes < deadLetterBytesMax / 4 || (await this.#log.usage()) === null) return;
    this.#unmeasuredBytes = bytes;
    const letters = await this.#measure();
    let total = bytes + letters.reduce((sum, letter) => sum + letter.bytes, 0);
    const removed = letters.filter((letter) => {
      const goes = total > deadLetterBytesMax;
      if (goes) total -= letter.bytes;
      return goes;
    });
    if (removed.length === 0) return;
    await this.#log.trim(deadLetterTopic, 0, removed.at(-1)!.offset + 1);
    this.#onRemoved(removed.length);
  }

  async #measure(): Promise<{ offset: number; bytes: number }[]> {
    const letters: { offset: number; bytes: number }[] = [];
    let { start: offset } = await this.#log.range(deadLetterTopic, 0);
    for (;;) {
      const { records, next } = await this.#log.read(deadLetterTopic, 0, offset, { bytesMax: readBytesMax, waitMillis: 0 });
      if (records.length === 0) return letters;
      for (const record of records) letters.push({ offset: record.offset, bytes: record.value.byteLength });
      offset = next;
    }
  }
}

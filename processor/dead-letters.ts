// Puts what cannot be taken on the dead-letter topic, for a person to look at; that it is lost is told in
// the lake (losses.ts). The topic is kept within its bound: the oldest letters go, counted.
import type { PipelineError } from '../lib/errors.ts';
import type { Log, LogRecord } from '../lib/log/log.ts';
import { TopicBound } from '../lib/log/topic-bound.ts';
import { deadLetterBytesMax, deadLetterHeaders, deadLetterTopic } from '../schemas/topics.ts';
import type { Source } from './batch.ts';

const messageChars = 1_000;

export class DeadLetters {
  readonly #log: Log;
  readonly #onRemoved: (letters: number) => void;
  readonly #bound: TopicBound;

  constructor(log: Log, onRemoved: (letters: number) => void) {
    this.#log = log;
    this.#onRemoved = onRemoved;
    this.#bound = new TopicBound(log, deadLetterTopic, deadLetterBytesMax);
  }

  /** Durable when it answers. A letter may come twice, after a kill; its headers tell. */
  async add(source: Source, record: LogRecord, error: PipelineError): Promise<void> {
    const removed = await this.#bound.makeRoom(record.value.byteLength);
    if (removed > 0) this.#onRemoved(removed);
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
}

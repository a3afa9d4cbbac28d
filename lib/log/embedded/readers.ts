// Reads, and those that wait for a first record.
import { pollMillis, waitMillisMax } from '../limits.ts';
import type { ReadResult } from '../log.ts';
import type { RequestOf } from './protocol.ts';
import type { Topics } from './topics.ts';

type Read = RequestOf<'read'>;

interface Waiting {
  readonly read: Read;
  readonly timer: NodeJS.Timeout;
}

export interface ReaderHooks {
  answer(id: number, result: ReadResult): void;
  fail(id: number, error: unknown): void;
}

export class Readers {
  readonly #topics: Topics;
  readonly #hooks: ReaderHooks;
  readonly #waiting = new Map<number, Waiting>();
  #pollMillis = pollMillis;
  #poll: NodeJS.Timeout | null = null;

  constructor(topics: Topics, hooks: ReaderHooks) {
    this.#topics = topics;
    this.#hooks = hooks;
  }

  read(read: Read): void {
    if (this.#answerIfAny(read)) return;
    if (read.waitMillis <= 0) {
      this.#answer(read);
      return;
    }
    const timer = setTimeout(() => this.end(read.id), Math.min(read.waitMillis, waitMillisMax));
    this.#waiting.set(read.id, { read, timer });
    this.#poll ??= setInterval(() => this.look(null), this.#pollMillis);
  }

  /** Somebody appended to the topic (null: perhaps to any). */
  look(topic: string | null): void {
    for (const { read } of [...this.#waiting.values()]) {
      if ((topic === null || read.topic === topic) && this.#answerIfAny(read)) this.#forget(read.id);
    }
  }

  /** The wait is over; the read answers what is there. */
  end(id: number): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#forget(id);
    this.#answer(waiting.read);
  }

  endAll(): void {
    for (const id of [...this.#waiting.keys()]) this.end(id);
  }

  /** Without notifications from the kernel, waiting readers look by themselves. */
  pollEvery(millis: number): void {
    this.#pollMillis = millis;
  }

  /** True where the read is answered: with records, or with an error. */
  #answerIfAny(read: Read): boolean {
    try {
      const range = this.#topics.get(read.topic).range(read.partition);
      if (read.from === range.end) return false;
    } catch (error) {
      this.#hooks.fail(read.id, error);
      return true;
    }
    this.#answer(read);
    return true;
  }

  #answer(read: Read): void {
    try {
      this.#hooks.answer(read.id, this.#topics.get(read.topic).read(read.partition, read.from, read.bytesMax));
    } catch (error) {
      this.#hooks.fail(read.id, error);
    }
  }

  #forget(id: number): void {
    clearTimeout(this.#waiting.get(id)?.timer);
    this.#waiting.delete(id);
    if (this.#waiting.size > 0 || this.#poll === null) return;
    clearInterval(this.#poll);
    this.#poll = null;
  }
}

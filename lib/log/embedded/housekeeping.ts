// What keeps the files small, in steps that appends and reads can go between: checkpoints, deleting
// trimmed records, giving free pages back.
import { checkpointBytes, freeBytesKept, vacuumStepPages, walBytesMax } from '../limits.ts';
import type { LogFiles } from './files.ts';
import type { TopicFile } from './topic-file.ts';
import type { Topics } from './topics.ts';

/** After an error (disk full, busy) or when nothing was appended for so long. */
const restMillis = 1_000;

export class Housekeeping {
  readonly #topics: Topics;
  readonly #files: LogFiles;
  readonly #freeBytesKept: number;
  readonly #schedule: () => void;
  readonly #toSweep = new Set<string>();
  /** Bytes written by this process since the last checkpoint. */
  readonly #unmoved = new Map<string, number>();
  #rest: NodeJS.Timeout | null = null;

  constructor(topics: Topics, files: LogFiles, bytesMax: number, schedule: () => void) {
    this.#topics = topics;
    this.#files = files;
    this.#freeBytesKept = Math.min(freeBytesKept, bytesMax / 8);
    this.#schedule = schedule;
  }

  get waiting(): boolean {
    return this.#toSweep.size > 0;
  }

  /** Records of the topic were trimmed, here or by a process that did not live to delete them. */
  sweep(topic: string): void {
    this.#toSweep.add(topic);
    this.#schedule();
  }

  written(topic: TopicFile, bytes: number): void {
    const unmoved = (this.#unmoved.get(topic.name) ?? 0) + bytes;
    this.#unmoved.set(topic.name, unmoved);
    if (unmoved >= checkpointBytes) this.#checkpoint(topic);
    else this.#later();
  }

  /** One step; throws what SQLite says. */
  step(): void {
    const [name] = this.#toSweep;
    if (name === undefined) return;
    // Out of the set first: an error must not repeat without rest.
    this.#toSweep.delete(name);
    try {
      const topic = this.#topics.get(name);
      if (topic.sweep() || this.#shrink(topic)) this.sweep(name);
      else this.#checkpoint(topic);
    } catch (error) {
      this.#later(() => this.sweep(name));
      throw error;
    }
  }

  close(): void {
    if (this.#rest !== null) clearTimeout(this.#rest);
    this.#toSweep.clear();
  }

  #shrink(topic: TopicFile): boolean {
    const before = topic.freeBytes();
    if (before <= this.#freeBytesKept) return false;
    topic.shrink(vacuumStepPages);
    return topic.freeBytes() < before;
  }

  #checkpoint(topic: TopicFile): void {
    this.#unmoved.delete(topic.name);
    topic.checkpoint(this.#files.walBytes(topic.file) > walBytesMax);
  }

  #later(work?: () => void): void {
    if (work === undefined && this.#rest !== null) return;
    if (this.#rest !== null) clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      this.#rest = null;
      work?.();
      for (const name of [...this.#unmoved.keys()]) this.#checkpoint(this.#topics.get(name));
    }, restMillis);
  }
}

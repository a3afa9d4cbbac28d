// What keeps the files small, in steps that appends and reads can go between: checkpoints, deleting
// trimmed records, giving free pages back. Nobody waits for it; `guard` takes what goes wrong.
import { checkpointBytes, freeBytesKept, housekeepingRestMillis, vacuumStepPages, walBytesMax } from '../limits.ts';
import type { LogFiles } from './files.ts';
import type { TopicFile } from './topic-file.ts';
import type { Topics } from './topics.ts';

export interface HousekeepingOptions {
  readonly topics: Topics;
  readonly files: LogFiles;
  readonly bytesMax: number;
  /** Asks for a call of step() soon. */
  readonly schedule: () => void;
  readonly guard: (work: () => void) => void;
}

export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #toSweep = new Set<string>();
  /** Topics whose step failed (disk full, busy): tried again after a rest. */
  readonly #failed = new Set<string>();
  #rest: NodeJS.Timeout | null = null;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
  }

  get waiting(): boolean {
    return this.#toSweep.size > 0;
  }

  /** Records of the topic were trimmed, here or by a process that did not live to delete them. */
  sweep(topic: string): void {
    this.#toSweep.add(topic);
    this.#options.schedule();
  }

  written(topic: TopicFile): void {
    this.#options.guard(() => this.#checkpointIfLarge(topic));
  }

  step(): void {
    const [name] = this.#toSweep;
    if (name === undefined) return;
    this.#toSweep.delete(name);
    this.#failed.add(name);
    this.#options.guard(() => {
      const topic = this.#options.topics.get(name);
      if (topic.sweep() || this.#shrink(topic)) {
        this.#checkpointIfLarge(topic);
        this.sweep(name);
      } else topic.checkpoint(true);
      this.#failed.delete(name);
    });
    if (this.#failed.has(name)) this.#retryAfterRest();
  }

  close(): void {
    if (this.#rest !== null) clearTimeout(this.#rest);
    this.#toSweep.clear();
  }

  /** False when there is nothing to give back, or when it does not get less. */
  #shrink(topic: TopicFile): boolean {
    const before = topic.freeBytes();
    if (before <= Math.min(freeBytesKept, this.#options.bytesMax / 8)) return false;
    topic.shrink(vacuumStepPages);
    return topic.freeBytes() < before;
  }

  /** The file is cut when it starts anew, so its size says what has not been moved. */
  #checkpointIfLarge(topic: TopicFile): void {
    const bytes = this.#options.files.walBytes(topic.file);
    if (bytes >= checkpointBytes) topic.checkpoint(bytes >= walBytesMax);
  }

  #retryAfterRest(): void {
    this.#rest ??= setTimeout(() => {
      this.#rest = null;
      for (const name of this.#failed) this.sweep(name);
      this.#failed.clear();
    }, housekeepingRestMillis);
  }
}

// One thing at a time: every call, pause and sleep of the processes under test waits here until the
// scheduler picks it, by a seeded choice among all that could go on. So a seed is a whole interleaving,
// and a process can be killed or frozen at any of its awaits. Time is the scheduler's own.
import { createHash } from 'node:crypto';
import type { Random } from '../otlp/random.ts';

/** A simulated process: its awaits go on only while it lives and is not frozen. */
export class Process {
  readonly name: string;
  alive = true;
  frozen = false;
  /** Runs when it is killed: what the operating system would free. */
  onKill: () => void = () => {};

  constructor(name: string) {
    this.name = name;
  }
}

interface Waiting {
  readonly process: Process;
  readonly label: string;
  /** Not before this moment, unless `isReady` says so. */
  readonly dueMillis: number;
  readonly isReady: () => boolean;
  readonly goOn: () => void | Promise<void>;
}

export interface WaitOptions {
  readonly dueMillis?: number;
  readonly isReady?: () => boolean;
}

/** The real one: scheduled code sees another (take-over.ts). */
const realSetImmediate = setImmediate;
/** FLAMELAKE_MODEL_TRACE=1 keeps all of it. */
const traceEntriesMax = process.env.FLAMELAKE_MODEL_TRACE ? Number.POSITIVE_INFINITY : 60;

export class Scheduler {
  readonly random: Random;
  nowMillis: number;
  steps = 0;
  #waiting: Waiting[] = [];
  readonly #trace: string[] = [];
  readonly #hash = createHash('sha1');

  constructor(random: Random, nowMillis: number) {
    this.random = random;
    this.nowMillis = nowMillis;
  }

  /** The last things that happened, oldest first. */
  get trace(): readonly string[] {
    return this.#trace;
  }

  /** Of all notes so far. */
  get fingerprint(): string {
    return this.#hash.copy().digest('hex');
  }

  note(line: string): void {
    this.#hash.update(line);
    this.#trace.push(`${new Date(this.nowMillis).toISOString().slice(11, 23)} ${line}`);
    if (this.#trace.length > traceEntriesMax) this.#trace.shift();
  }

  wait(process: Process, label: string, goOn: () => void | Promise<void>, { dueMillis = 0, isReady = () => false }: WaitOptions = {}): void {
    if (process.alive) this.#waiting.push({ process, label, dueMillis, isReady, goOn });
  }

  kill(process: Process): void {
    if (!process.alive) return;
    process.alive = false;
    this.note(`${process.name} killed`);
    this.#waiting = this.#waiting.filter((entry) => entry.process !== process);
    process.onKill();
  }

  /** Lets one waiting thing go on and returns when all that follows from it waits again; false where nothing can. */
  async step(): Promise<boolean> {
    const runnable = this.#waiting.filter((entry) => !entry.process.frozen);
    if (runnable.length === 0) return false;
    let ready = runnable.filter((entry) => entry.dueMillis <= this.nowMillis || entry.isReady());
    if (ready.length === 0) {
      this.nowMillis = Math.min(...runnable.map((entry) => entry.dueMillis));
      ready = runnable.filter((entry) => entry.dueMillis <= this.nowMillis);
    }
    const chosen = ready[this.random.below(ready.length)]!;
    this.#waiting.splice(this.#waiting.indexOf(chosen), 1);
    this.nowMillis += this.random.below(8);
    this.steps++;
    if (chosen.label !== '') this.note(`${chosen.process.name} ${chosen.label}`);
    await chosen.goOn();
    await settled();
    return true;
  }
}

/** All that runs without waiting for a scheduler has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => void realSetImmediate(resolve));
}

// Group commit: all appends that wait at the moment go into one transaction per topic, each is
// answered after its fsync. While one group is written the next one gathers.
import { PipelineError } from '../../errors.ts';
import { letGo } from '../../let-go.ts';
import { groupBytesMax, groupMessagesMax } from '../limits.ts';
import type { LogUsage } from '../log.ts';
import type { LogFiles } from './files.ts';
import type { LogBounds, RequestOf } from './protocol.ts';
import type { TopicFile } from './topic-file.ts';
import type { Topics } from './topics.ts';

type Append = RequestOf<'append'>;

export interface AppenderHooks {
  answer(id: number, place: { partition: number; offset: number }): void;
  fail(id: number, error: unknown): void;
  /** After the answers are out. */
  written(topic: TopicFile): void;
}

/** Row header, offsets, checksum and the share of a page that stays empty. */
const rowOverheadBytes = 128;

export class Appender {
  readonly #topics: Topics;
  readonly #files: LogFiles;
  readonly #bounds: LogBounds;
  readonly #hooks: AppenderHooks;
  #queue: Append[] = [];
  /** The topic that had no room when an append was last refused; null since one was taken. */
  #refused: TopicFile | null = null;

  constructor(topics: Topics, files: LogFiles, bounds: LogBounds, hooks: AppenderHooks) {
    this.#topics = topics;
    this.#files = files;
    this.#bounds = bounds;
    this.#hooks = hooks;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  add(append: Append): void {
    this.#queue.push(append);
  }

  /** Refusing is over when there is room again, also where nobody has tried since. */
  usage(): LogUsage {
    const refusing = this.#refused === null ? this.#files.roomBytes() <= 0 : this.#room(this.#refused) <= 0;
    return {
      bytes: this.#files.bytes(),
      bytesMax: this.#bounds.bytesMax,
      diskRoomBytes: this.#files.roomBytes(),
      refusing: refusing ? this.#full().message : null,
    };
  }

  /** Writes one group; the rest of the queue waits for the next turn. */
  writeGroup(): void {
    const group = this.#takeGroup();
    const first = group[0];
    if (first === undefined) return;
    try {
      this.#write(this.#topics.get(first.topic), group);
    } catch (error) {
      for (const append of group) this.#hooks.fail(append.id, error);
    }
    for (const append of group) letGo(append.value);
  }

  /** The oldest append's topic decides. Order within a topic is kept; topics are independent. */
  #takeGroup(): Append[] {
    const topic = this.#queue[0]?.topic;
    const group: Append[] = [];
    const rest: Append[] = [];
    let bytes = 0;
    let full = false;
    for (const append of this.#queue) {
      const mine = append.topic === topic;
      full ||= mine && group.length > 0 && (group.length >= groupMessagesMax || bytes + append.value.byteLength > groupBytesMax);
      if (mine && !full) {
        group.push(append);
        bytes += append.value.byteLength;
      } else rest.push(append);
    }
    this.#queue = rest;
    return group;
  }

  #write(topic: TopicFile, group: readonly Append[]): void {
    const admitted = this.#admit(topic, group);
    if (admitted.length === 0) return;
    let places: { partition: number; offset: number }[];
    try {
      places = topic.append(admitted, Date.now());
    } catch (error) {
      for (const append of admitted) this.#hooks.fail(append.id, error);
      return;
    }
    admitted.forEach((append, index) => {
      this.#hooks.answer(append.id, places[index]!);
    });
    this.#hooks.written(topic);
  }

  /** Leaves out, and answers, what has no partition or no room. */
  #admit(topic: TopicFile, group: readonly Append[]): Append[] {
    const wanted = group.filter((append) => this.#hasPartition(topic, append));
    const wantedBytes = wanted.reduce((sum, append) => sum + bytesOf(append), 0);
    let room = this.#room(topic);
    if (room < wantedBytes) {
      // The write-ahead file counts too: empty it before anybody is refused.
      topic.checkpoint(true);
      room = this.#room(topic);
    }
    const admitted = wanted.filter((append) => {
      const bytes = bytesOf(append);
      if (bytes > room) {
        this.#hooks.fail(append.id, this.#full());
        return false;
      }
      room -= bytes;
      return true;
    });
    if (admitted.length < wanted.length) this.#refused = topic;
    else if (this.#refused === topic) this.#refused = null;
    return admitted;
  }

  #hasPartition(topic: TopicFile, append: Append): boolean {
    if (append.partition === null) return true;
    try {
      topic.check(append.partition);
      return true;
    } catch (error) {
      this.#hooks.fail(append.id, error);
      return false;
    }
  }

  /** After a refusal there must be clearly more of it: senders are told to wait once, not every other time. */
  #room(topic: TopicFile): number {
    const free = Math.min(this.#bounds.bytesMax - this.#files.bytes() + topic.freeBytes(), this.#files.roomBytes());
    return this.#refused === topic ? free - this.#bounds.resumeBytes : free;
  }

  #full(): PipelineError {
    const { bytesMax, diskReserveBytes } = this.#bounds;
    const bytes = this.#files.bytes();
    const room = this.#files.roomBytes();
    const context = { bytes, bytesMax, diskRoomBytes: room };
    const what =
      room < bytesMax - bytes
        ? `the disk is nearly full: ${room + diskReserveBytes} bytes are free, ${diskReserveBytes} are kept; free some space, what is in the log is kept`
        : `the log holds ${bytes} of at most ${bytesMax} bytes; it takes more when its readers have caught up`;
    return new PipelineError('log_full', `${this.#files.directory}: ${what}`, { context });
  }
}

function bytesOf(append: Append): number {
  return append.value.byteLength + (append.key?.byteLength ?? 0) + (append.headers?.length ?? 0) + rowOverheadBytes;
}

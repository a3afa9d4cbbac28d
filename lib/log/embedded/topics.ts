// The topic files that this process has open.
import { PipelineError } from '../../errors.ts';
import { partitionsMax } from '../limits.ts';
import type { TopicConfig, TopicInfo } from '../log.ts';
import type { LogFiles } from './files.ts';
import { TopicFile } from './topic-file.ts';

export class Topics {
  readonly #files: LogFiles;
  readonly #onOpen: (topic: TopicFile) => void;
  readonly #open = new Map<string, { topic: TopicFile; inode: number }>();

  constructor(files: LogFiles, onOpen: (topic: TopicFile) => void) {
    this.#files = files;
    this.#onOpen = onOpen;
  }

  ensure({ name, partitions }: TopicConfig): TopicInfo {
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > partitionsMax) {
      throw new PipelineError('usage', `topic ${name}: ${partitions} partitions asked for, 1 to ${partitionsMax} are allowed in an embedded log`);
    }
    this.#files.makeTopic(name);
    const topic = this.get(name);
    topic.growTo(partitions);
    return topic.info();
  }

  /** Looks at the file each time: an append to a file that somebody has removed meanwhile would be lost. */
  get(name: string): TopicFile {
    const file = this.#files.topic(name);
    const inode = this.#files.inode(file);
    const known = this.#open.get(name);
    if (known !== undefined && known.inode === inode) return known.topic;
    if (known !== undefined) this.#drop(name);
    if (inode === null)
      throw new PipelineError('topic_missing', `topic ${name} is not in the log at ${this.#files.directory}; start the stage that writes it first`);
    const topic = TopicFile.open(name, file);
    this.#open.set(name, { topic, inode });
    this.#onOpen(topic);
    return topic;
  }

  close(): void {
    for (const name of [...this.#open.keys()]) this.#drop(name);
  }

  #drop(name: string): void {
    const known = this.#open.get(name);
    this.#open.delete(name);
    known?.topic.close();
  }
}

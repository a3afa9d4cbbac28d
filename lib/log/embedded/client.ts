// The stage's side of the embedded log: checks what is asked, sends it to the thread that owns the
// files (worker.ts) and keeps nothing but the answers that are still due.
import { Worker } from 'node:worker_threads';
import { PipelineError } from '../../errors.ts';
import { endProcess } from '../../fatal.ts';
import { moduleUrl } from '../../module-url.ts';
import { headersBytesMax, inFlightBytesMax, keyBytesMax, metadataBytesMax, valueBytesMax } from '../limits.ts';
import type { Log, LogMessage, LogUsage, Membership, PartitionPosition, PartitionRange, ReadOptions, ReadResult, TopicConfig, TopicInfo } from '../log.ts';
import { type Calls, fromWire, type LogBounds, monotonicMillis, type Operation, type Reply, type WorkerData } from './protocol.ts';
import { readShare } from './share-memory.ts';

interface Due {
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

export class EmbeddedLog implements Log {
  readonly #directory: string;
  readonly #worker: Worker;
  readonly #due = new Map<number, Due>();
  #nextId = 1;
  #inFlightBytes = 0;
  #closed: Promise<void> | null = null;

  private constructor(directory: string, bounds: LogBounds) {
    this.#directory = directory;
    this.#worker = new Worker(moduleUrl('./worker', import.meta.url), {
      name: 'flamelake-log',
      // The command line's own flags (-e, --input-type) are not for the thread.
      execArgv: [],
      workerData: { directory, bounds } satisfies WorkerData,
    });
    this.#worker.on('message', (reply: Reply) => this.#onReply(reply));
    // No listener for 'error': a bug in the thread ends the process.
  }

  static async open(directory: string, bounds: LogBounds): Promise<EmbeddedLog> {
    const log = new EmbeddedLog(directory, bounds);
    try {
      await log.#call('open', {});
      return log;
    } catch (error) {
      await log.#worker.terminate();
      throw error;
    }
  }

  ensureTopic(config: TopicConfig): Promise<TopicInfo> {
    return this.#call('ensureTopic', { config });
  }

  topic(name: string): Promise<TopicInfo> {
    return this.#call('topic', { name });
  }

  async append(topic: string, partition: number | null, message: LogMessage): Promise<{ partition: number; offset: number }> {
    const key = message.key ?? null;
    const headers = message.headers === undefined ? null : JSON.stringify(message.headers);
    const bytes = message.value.byteLength;
    if (bytes > valueBytesMax) throw tooLarge(topic, 'value', bytes, valueBytesMax);
    if (key !== null && key.byteLength > keyBytesMax) throw tooLarge(topic, 'key', key.byteLength, keyBytesMax);
    if (headers !== null && headers.length > headersBytesMax) throw tooLarge(topic, 'headers', headers.length, headersBytesMax);
    if (this.#inFlightBytes + bytes > inFlightBytesMax) {
      throw new PipelineError(
        'log_unavailable',
        `topic ${topic}: ${this.#inFlightBytes} bytes wait to be written already, at most ${inFlightBytesMax} may; try later`,
      );
    }
    this.#inFlightBytes += bytes;
    try {
      // Copied once: the caller keeps its bytes, which may be a part of a larger buffer, and the copy is given away.
      return await this.#call('append', { topic, partition, key: key && owned(key), headers, value: owned(message.value) });
    } finally {
      this.#inFlightBytes -= bytes;
    }
  }

  async read(topic: string, partition: number, from: number, options: ReadOptions): Promise<ReadResult> {
    const { bytesMax, signal } = options;
    const waitMillis = signal?.aborted ? 0 : options.waitMillis;
    const id = this.#nextId;
    const cancel = () => void this.#call('cancel', { read: id }).catch(() => {});
    const result = this.#call('read', { topic, partition, from, bytesMax, waitMillis });
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await result;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  range(topic: string, partition: number): Promise<PartitionRange> {
    return this.#call('range', { topic, partition });
  }

  async join(group: string, topic: string): Promise<Membership> {
    const { member, share } = await this.#call('join', { group, topic });
    let left = false;
    return {
      assigned: () => {
        const { partitions, untilMillis } = readShare(share);
        // A process that slept through its lease (SIGSTOP, a suspended host) holds nothing until it is renewed.
        return left || monotonicMillis() > untilMillis ? [] : partitions;
      },
      generation: () => readShare(share).generation,
      leave: async () => {
        if (left) return;
        left = true;
        await this.#call('leave', { member });
      },
    };
  }

  position(group: string, topic: string, partition: number): Promise<PartitionPosition | null> {
    return this.#call('position', { group, topic, partition });
  }

  async remember(group: string, topic: string, partition: number, position: PartitionPosition): Promise<void> {
    const bytes = Buffer.byteLength(position.metadata);
    if (bytes > metadataBytesMax) throw tooLarge(topic, 'position metadata', bytes, metadataBytesMax);
    await this.#call('remember', { group, topic, partition, position });
  }

  async trim(topic: string, partition: number, offset: number): Promise<void> {
    await this.#call('trim', { topic, partition, offset });
  }

  usage(): Promise<LogUsage> {
    return this.#call('usage', {});
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    await this.#send('close', {});
    await exited;
  }

  #call<O extends Operation>(op: O, ask: Calls[O]['ask']): Promise<Calls[O]['answer']> {
    if (this.#closed !== null) return Promise.reject(new PipelineError('log_closed', `the log at ${this.#directory} is closed`));
    return this.#send(op, ask);
  }

  #send<O extends Operation>(op: O, ask: Calls[O]['ask']): Promise<Calls[O]['answer']> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#due.set(id, { resolve, reject });
      const { value, key } = ask as { value?: Uint8Array; key?: Uint8Array | null };
      const transfer = [value, key].flatMap((bytes) => (bytes ? [bytes.buffer as ArrayBuffer] : []));
      this.#worker.postMessage({ id, op, ...ask }, transfer);
    });
  }

  #onReply(reply: Reply): void {
    if ('fatal' in reply) endProcess(reply.fatal);
    const due = this.#due.get(reply.id);
    this.#due.delete(reply.id);
    if ('error' in reply) due?.reject(fromWire(reply.error));
    else due?.resolve(reply.result as never);
  }
}

function owned(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

function tooLarge(topic: string, what: string, bytes: number, bytesMax: number): PipelineError {
  return new PipelineError('message_too_large', `topic ${topic}: ${what} of ${bytes} bytes, at most ${bytesMax} are taken; split the message`, {
    context: { topic, bytes, bytesMax },
  });
}

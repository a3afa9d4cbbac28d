// The main thread's side of the worker: builders that are called by message.
import { Worker } from 'node:worker_threads';
import { moduleUrl } from '../lib/module-url.ts';
import type { Builder, RowsInput } from './builder.ts';
import type { WorkerOptions } from './worker.ts';
import { type BuilderCall, type BuilderReply, decodeError } from './worker-protocol.ts';

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

export class BuilderWorker {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  /** Set once the thread is gone: an error of the program, told to every caller. */
  #ended: Error | null = null;

  constructor(options: WorkerOptions) {
    this.#worker = new Worker(moduleUrl('./worker', import.meta.url), { workerData: options, name: 'exporter-builder' });
    this.#worker.on('message', (reply: BuilderReply) => this.#answer(reply));
    this.#worker.on('error', (error) => this.#end(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', (code) => this.#end(new Error(`the exporter's builder thread ended with code ${code}`)));
  }

  async open(shard: number): Promise<Builder> {
    const call = <T>(method: BuilderCall['method'], parameters: readonly unknown[] = [], transfer: ArrayBuffer[] = []) =>
      this.#call<T>({ shard, method, parameters }, transfer);
    await call('open');
    return {
      load: (...parameters) => call('load', parameters),
      append: (messages) => {
        // Copies of exactly the values: a posted view takes its whole buffer along, which others may share.
        const copies = messages.map((message): RowsInput => ({ ...message, value: new Uint8Array(message.value) }));
        return call(
          'append',
          [copies],
          copies.map((copy) => copy.value.buffer as ArrayBuffer),
        );
      },
      addLoss: (...parameters) => call('addLoss', parameters),
      takeHot: () => call('takeHot'),
      cut: (...parameters) => call('cut', parameters),
      build: (...parameters) => call('build', parameters),
      abandon: () => call('abandon'),
      commit: (...parameters) => call('commit', parameters),
      close: () => call('close'),
    };
  }

  async close(): Promise<void> {
    this.#worker.removeAllListeners('exit');
    await this.#worker.terminate();
  }

  #call<T>(call: Omit<BuilderCall, 'id'>, transfer: ArrayBuffer[]): Promise<T> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...call, id }, transfer);
    });
  }

  #answer(reply: BuilderReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ('error' in reply) waiting?.reject(decodeError(reply.error));
    else waiting?.resolve(reply.result as never);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}

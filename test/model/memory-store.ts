// A store in memory, as lib/store/store.ts describes one. It never fails by itself; the views on it do.
import { readFileSync } from 'node:fs';
import { PipelineError } from '../../lib/errors.ts';
import type { PutOutcome, Store, StoreBody, StoreEntry } from '../../lib/store/store.ts';

export class MemoryStore implements Store {
  readonly url = 'memory:';
  readonly objects = new Map<string, { readonly bytes: Uint8Array; readonly modifiedMillis: number; readonly version?: number }>();
  #versions = 0;
  /** Told after each change of a key. */
  onChange: (key: string) => void = () => {};
  readonly #wallMillis: () => number;

  constructor(wallMillis: () => number) {
    this.#wallMillis = wallMillis;
  }

  async putIfAbsent(key: string, body: StoreBody): Promise<PutOutcome> {
    if (this.objects.has(key)) return 'exists';
    this.#set(key, body instanceof Uint8Array ? body : readFileSync(body.file));
    return 'created';
  }

  async put(key: string, body: StoreBody): Promise<void> {
    this.#set(key, body instanceof Uint8Array ? body : readFileSync(body.file));
  }

  async replace(key: string, body: StoreBody, tag: string): Promise<'replaced' | 'exists'> {
    if ((await this.head(key))?.tag !== tag) return 'exists';
    await this.put(key, body);
    return 'replaced';
  }

  async publish(from: string, to: string): Promise<PutOutcome> {
    const staged = this.objects.get(from);
    if (staged === undefined) throw new PipelineError('store_missing', `${from}: there is no such object`);
    if (this.objects.has(to)) return 'exists';
    this.#set(to, staged.bytes);
    return 'created';
  }

  async get(key: string, range?: { start: number; end: number }): Promise<Uint8Array | null> {
    const bytes = this.objects.get(key)?.bytes ?? null;
    return range === undefined || bytes === null ? bytes : bytes.subarray(range.start, range.end);
  }

  async head(key: string): Promise<{ bytes: number; tag: string } | null> {
    const found = this.objects.get(key);
    return found === undefined ? null : { bytes: found.bytes.length, tag: String(found.version) };
  }

  async list(prefix: string, { after = '', limit = 1000 }: { after?: string; limit?: number } = {}): Promise<StoreEntry[]> {
    return this.keys(prefix)
      .filter((key) => key > after)
      .slice(0, limit)
      .map((key) => ({ key, bytes: this.objects.get(key)!.bytes.length, modifiedMillis: this.objects.get(key)!.modifiedMillis }));
  }

  /** In order, without drafts. */
  keys(prefix: string): string[] {
    return [...this.objects.keys()].filter((key) => key.startsWith(prefix) && !key.startsWith('tmp/')).sort();
  }

  async delete(key: string): Promise<void> {
    if (this.objects.delete(key)) this.onChange(key);
  }

  locate = (key: string) => key;
  close = async () => {};

  #set(key: string, bytes: Uint8Array): void {
    this.objects.set(key, { bytes, modifiedMillis: this.#wallMillis(), version: ++this.#versions });
    this.onChange(key);
  }
}

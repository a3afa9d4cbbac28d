// Which store a URL names. Stages only know the interface (store.ts).
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PipelineError } from '../errors.ts';
import { DirectoryStore } from './directory.ts';
import type { Store } from './store.ts';

export interface OpenStoreOptions {
  /** Makes, probes and sweeps nothing and refuses writes: for queries, also on a disk that is read-only. */
  readonly readOnly?: boolean;
}

/** `file:///absolute/directory` opens (and makes) a store there. */
export async function openStore(url: string, options: OpenStoreOptions = {}): Promise<Store> {
  const parsed = URL.parse(url);
  if (parsed?.protocol === 'file:' && parsed.host === '') return DirectoryStore.open(path.resolve(fileURLToPath(parsed)), options.readOnly ?? false);
  throw new PipelineError('usage', `store ${JSON.stringify(url)}: file:///absolute/directory is allowed`);
}

// The store under the lake: a directory or, later, S3. Keys are relative, '/'-separated, without
// '..' or empty parts. The conditional put is the one primitive the lake's protocol stands on.

export interface StoreEntry {
  readonly key: string;
  readonly bytes: number;
  readonly modifiedMillis: number;
}

/** Bytes, or a local file that the caller has finished writing (a directory links it where it can). */
export type StoreBody = Uint8Array | { readonly file: string };

/** `created`: these bytes are now there, by this call. `exists`: the key was taken; its content is unknown. */
export type PutOutcome = 'created' | 'exists';

/**
 * Errors are PipelineError: `store_unavailable` (try later; the outcome of a put is then unknown and
 * must be read back), `store_missing` (no such key), `store_full`, `store_readonly`, `key_invalid`.
 */
export interface Store {
  /** For messages and logs: `file:///…` or `s3://…`. */
  readonly url: string;
  /** Creates the key only if it is free (If-None-Match: *); durable when it answers. */
  putIfAbsent(key: string, body: StoreBody): Promise<PutOutcome>;
  /** Replaces without condition; for private objects only (staging, hot). Durable when it answers. */
  put(key: string, body: StoreBody): Promise<void>;
  /** Replaces only the version named by `tag` (If-Match); `exists` means somebody else changed it. */
  replace(key: string, body: StoreBody, tag: string): Promise<'replaced' | 'exists'>;
  /**
   * putIfAbsent of the bytes under `from` (staging), without a copy where the store can (link on a
   * directory, CopyObject or a fresh put on S3). `exists` where `to` was taken; `from` stays.
   */
  publish(from: string, to: string): Promise<PutOutcome>;
  /** Whole object, or bytes [start, end); null where the key is not there. */
  get(key: string, range?: { start: number; end: number }): Promise<Uint8Array | null>;
  /** Size and version tag; null where the key is not there. */
  head(key: string): Promise<{ bytes: number; tag: string } | null>;
  /**
   * Keys under a prefix in ascending byte order, at most `limit` (default 1000), after `after`.
   * A directory lists recursively; tmp/ and names that begin with '.' are never shown.
   */
  list(prefix: string, options?: { after?: string; limit?: number }): Promise<StoreEntry[]>;
  /** Missing keys are no error. */
  delete(key: string): Promise<void>;
  /** A path or URL that DuckDB reads directly. */
  locate(key: string): string;
  close(): Promise<void>;
}

// Which log a URL names. Stages only know the interface (log.ts).
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PipelineError } from '../errors.ts';
import { EmbeddedLog } from './embedded/client.ts';
import { logBytesMaxDefault } from './limits.ts';
import type { Log } from './log.ts';

export interface OpenLogOptions {
  /**
   * Bound of the embedded log on disk, all topics together; default 4 GiB. Each process holds its own
   * appends to the bound it was given: whoever feeds the head of the pipeline gets a smaller one
   * (three quarters), so that a full log can still move what it has on to its end.
   */
  readonly bytesMax?: number;
}

/** `file:///absolute/directory` opens (and makes) an embedded log there. */
export async function openLog(url: string, options: OpenLogOptions = {}): Promise<Log> {
  const parsed = URL.parse(url);
  if (parsed?.protocol === 'file:' && parsed.host === '') return EmbeddedLog.open(path.resolve(fileURLToPath(parsed)), options.bytesMax ?? logBytesMaxDefault);
  throw new PipelineError('usage', `log ${JSON.stringify(url)}: file:///absolute/directory is allowed`);
}

// Which log a URL names. Stages only know the interface (log.ts).
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PipelineError } from '../errors.ts';
import { EmbeddedLog } from './embedded/client.ts';
import { diskReserveBytes, logBytesMaxDefault } from './limits.ts';
import type { Log } from './log.ts';

export interface OpenLogOptions {
  /**
   * Bound of the embedded log on disk, all topics together; default 4 GiB. Each process holds its own
   * appends to the bound it was given: whoever feeds the head of the pipeline gets a smaller one
   * (three quarters), so that a full log can still move what it has on to its end.
   */
  readonly bytesMax?: number;
  /**
   * Room on the log's disk below which this process's appends are refused; at least, and by default,
   * limits.ts' own. Whoever feeds the head of the pipeline keeps more, or nobody can publish what is there.
   */
  readonly diskReserveBytes?: number;
  /** How much more room there must be, after a refusal, before appends are taken again. Default 0. */
  readonly resumeBytes?: number;
}

/** `file:///absolute/directory` opens (and makes) an embedded log there. */
export async function openLog(url: string, options: OpenLogOptions = {}): Promise<Log> {
  const parsed = URL.parse(url);
  if (parsed?.protocol === 'file:' && parsed.host === '') {
    return EmbeddedLog.open(path.resolve(fileURLToPath(parsed)), {
      bytesMax: options.bytesMax ?? logBytesMaxDefault,
      diskReserveBytes: Math.max(options.diskReserveBytes ?? 0, diskReserveBytes),
      resumeBytes: options.resumeBytes ?? 0,
    });
  }
  throw new PipelineError('usage', `log ${JSON.stringify(url)}: file:///absolute/directory is allowed`);
}

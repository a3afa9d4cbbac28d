// The one way in which this process ends itself on purpose. After fsync(2) has failed once, the kernel
// marks the pages clean and a second fsync says yes to data that is not on disk: nothing this process
// believes to be durable is known any more. Ending it makes the next start read what is really there.
import { writeSync } from 'node:fs';
import { jsonLine, logFormatVariable } from './logger.ts';
import { endNow } from './process-life.ts';

/** EX_IOERR of sysexits.h; the parent tells it from other failures. */
export const fsyncExitCode = 74;

export function endProcess(reason: string): never {
  try {
    const message = `${reason}; ending this process, since after a failed fsync nothing is known to be on disk`;
    writeSync(2, process.env[logFormatVariable] === 'json' ? jsonLine('flamelake', 'error', message) : `flamelake: ${message}\n`);
  } catch {}
  endNow(fsyncExitCode);
}

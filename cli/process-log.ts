// With `--log-format json` every line on standard error is JSON, also those that Node itself would
// write: its warnings, and the error of a process that crashes.
import { errorFields, type Logger, logFormatVariable } from '../lib/logger.ts';
import { endNow } from '../lib/process-life.ts';

export function logAllThatIsSaid(logger: Logger, format: 'text' | 'json'): void {
  // For lib/fatal.ts, whichever thread it ends the process from.
  process.env[logFormatVariable] = format;
  if (format === 'text') return;
  process.removeAllListeners('warning').on('warning', ({ name, message }) => logger.warn(message, { warning: name }));
  process.on('uncaughtException', (error) => {
    logger.error('this process crashes; please report it', {
      ...errorFields(error),
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    endNow(1);
  });
}

/** Before the options are read, for what is wrong with them. */
export function asksForJsonLog(args: readonly string[], env: Readonly<Record<string, string | undefined>>): boolean {
  const at = args.lastIndexOf('--log-format');
  const flag = at >= 0 ? args[at + 1] : args.findLast((arg) => arg.startsWith('--log-format='))?.slice('--log-format='.length);
  return (flag ?? env[logFormatVariable]) === 'json';
}

// What every command's file gives to main.ts: a function from the parsed options to the exit code.
import { createLogger, type Logger } from '../lib/logger.ts';
import type { OptionValues } from './option-table.ts';
import type { ParsedCommand } from './options.ts';

export type RunCommand = (parsed: ParsedCommand) => Promise<number>;

export function stderrLogger(name: string, values: Pick<OptionValues, 'logLevel' | 'logFormat'>): Logger {
  return createLogger({ name, level: values.logLevel, format: values.logFormat, write: (line) => process.stderr.write(line) });
}

// Log lines for people (`text`) or machines (`json`), on standard error. Stages get one named for
// them; nothing else in the project writes to the console.

import { isPipelineError } from './errors.ts';

export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** The option's own variable; stages and their threads are told by it too. */
export const logFormatVariable = 'FLAMELAKE_LOG_FORMAT';

export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** The same sink under another name, e.g. `receiver`. */
  named(name: string): Logger;
}

/** The kind of an error, as OpenTelemetry's conventions name it: for machines, since the text says it in words. */
const errorType = 'error.type';

/** For the fields of a line that says what went wrong: the code of one of ours, else the name of its class. */
export function errorFields(error: unknown): LogFields {
  return { [errorType]: isPipelineError(error) ? error.code : error instanceof Error ? error.name : typeof error };
}

export interface LoggerOptions {
  readonly name: string;
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
  readonly write: (line: string) => void;
}

export function createLogger(options: LoggerOptions): Logger {
  const rank = logLevels.indexOf(options.level);
  const emit = (level: LogLevel, message: string, fields: LogFields = {}) => {
    if (logLevels.indexOf(level) > rank) return;
    options.write(options.format === 'json' ? jsonLine(options.name, level, message, fields) : textLine(options.name, level, message, fields));
  };
  return {
    error: (message, fields) => emit('error', message, fields),
    warn: (message, fields) => emit('warn', message, fields),
    info: (message, fields) => emit('info', message, fields),
    debug: (message, fields) => emit('debug', message, fields),
    named: (name) => createLogger({ ...options, name }),
  };
}

export function jsonLine(name: string, level: LogLevel, message: string, fields: LogFields = {}): string {
  const line = { time: new Date().toISOString(), level, name, message };
  // First for the eye, and last so that no field takes the place of one.
  return `${JSON.stringify({ ...line, ...fields, ...line })}\n`;
}

function textLine(name: string, level: LogLevel, message: string, fields: LogFields): string {
  const tail = Object.entries(fields)
    .filter(([key, value]) => value !== undefined && key !== errorType)
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? oneLine(value) : value}`)
    .join('');
  const mark = level === 'info' ? '' : `${level}: `;
  return `${name.padEnd(9)} ${mark}${oneLine(message)}${tail}\n`;
}

/** Text from elsewhere (process names, messages of others) must not forge a line or drive a terminal. */
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

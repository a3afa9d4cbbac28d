// The `flamelake` command. Finds the command, reads its options, runs it; here every error ends as one
// line and an exit code: 0 done, 1 failed, 2 wrong usage or configuration.
import { PipelineError } from '../lib/errors.ts';
import { errorFields, jsonLine } from '../lib/logger.ts';
import type { RunCommand } from './command.ts';
import { commandTable, findCommand } from './command-table.ts';
import { commandHelp, mainHelp } from './help.ts';
import { suggestion } from './nearest.ts';
import { type CommandName, commandNames } from './option-table.ts';
import { misspelledVariables, parseCommand } from './options.ts';
import { quietWhenReaderLeaves } from './output.ts';
import { asksForJsonLog } from './process-log.ts';
import { readVersion } from './version.ts';

/** Loaded when asked for: `flamelake agent` must not pay for DuckDB. */
const loaders: Record<CommandName, () => Promise<{ run: RunCommand }>> = {
  up: () => import('./up.ts'),
  agent: () => import('./agent.ts'),
  sql: () => import('./sql.ts'),
  top: () => import('./top.ts'),
  flamegraph: () => import('./flamegraph.ts'),
  'lake check': () => import('./lake-check.ts'),
  'lake stats': () => import('./lake-stats.ts'),
  doctor: () => import('./doctor.ts'),
};

async function main(args: readonly string[]): Promise<number> {
  if (args.length === 0) {
    process.stderr.write(mainHelp(readVersion()));
    return 2;
  }
  if (['--version', '-V', 'version'].includes(args[0]!)) {
    process.stdout.write(`flamelake ${readVersion()}\n`);
    return 0;
  }
  const words = args[0] === 'help' ? args.slice(1) : args;
  const command = findCommand(words);
  if (args[0] === 'help' || asksForHelp(words)) return help(words, command?.name);
  if (command === null) throw unknownCommand(args);
  const parsed = await parseCommand(command.name, command.rest, process.env);
  const { argument } = commandTable[command.name];
  if (argument === null && parsed.positionals.length > 0) {
    throw new PipelineError('usage', `${command.name} takes no argument, found ${JSON.stringify(parsed.positionals[0])}`);
  }
  isJsonLog = hasLog(command.name) && parsed.values.logFormat === 'json';
  for (const line of misspelledVariables(process.env)) process.stderr.write(isJsonLog ? jsonLine('flamelake', 'warn', line) : `flamelake: ${line}\n`);
  const { run } = await loaders[command.name]();
  const code = await run(parsed);
  // A supervisor waits for their end; a query's last line is its end.
  if (hasLog(command.name)) (await import('../lib/process-life.ts')).endNow(code);
  return code;
}

/** The commands that run on and on; all others are read by a person, or by a program that wants their result. */
const hasLog = (command: CommandName): boolean => command === 'up' || command === 'agent';

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end < 0 ? args.length : end).some((word) => word === '--help' || word === '-h');
}

function help(words: readonly string[], command: CommandName | undefined): number {
  if (command === undefined && words.length > 0 && !words[0]!.startsWith('-') && !commandNames.some((name) => name.startsWith(`${words[0]} `))) {
    throw unknownCommand(words);
  }
  process.stdout.write(command === undefined ? mainHelp(readVersion()) : commandHelp(command));
  return 0;
}

function unknownCommand(args: readonly string[]): PipelineError {
  const [word = ''] = args;
  const longer = commandNames.filter((name) => name.startsWith(`${word} `));
  if (longer.length > 0) {
    const found = args[1] === undefined ? 'nothing more' : JSON.stringify(args[1]);
    return new PipelineError('usage', `after ${word}: found ${found}, expected ${longer.map((name) => name.slice(word.length + 1)).join(' or ')}`);
  }
  if (word.startsWith('-')) return new PipelineError('usage', `found ${word} where a command was expected; options come after it: flamelake up ${word} …`);
  return new PipelineError('usage', `unknown command ${JSON.stringify(word)}${suggestion(word, commandNames) || `; there are: ${commandNames.join(', ')}`}`);
}

quietWhenReaderLeaves();
const args = process.argv.slice(2);
/** Until the options are read: as far as can be told without. */
let isJsonLog = ['up', 'agent'].includes(args[0] ?? '') && asksForJsonLog(args, process.env);
try {
  process.exitCode = await main(args);
} catch (error) {
  // What a user can mend is one line; anything else is a bug of ours, and its place is wanted.
  const known = error instanceof PipelineError;
  const message = known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(isJsonLog ? jsonLine('flamelake', 'error', message, errorFields(error)) : `flamelake: ${message}\n`);
  process.exitCode = known && (error.code === 'usage' || error.code === 'config_invalid') ? 2 : 1;
}

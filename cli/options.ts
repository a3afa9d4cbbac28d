// From arguments, environment and file to one typed set of values: flag before environment before file
// before default. Whatever is wrong ends as one line that says what was found, where, and what is allowed.
import { parseArgs } from 'node:util';
import { PipelineError } from '../lib/errors.ts';
import type { FileValue } from './config-file.ts';
import { suggestion } from './nearest.ts';
import { type CommandName, envNames, flagName, type OptionName, type OptionValues, optionNames, optionSpec, optionsOf } from './option-table.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ParsedCommand {
  readonly values: OptionValues;
  readonly positionals: readonly string[];
  /** Options that somebody gave, as against those left at their default, and where: a flag, a variable, a line. */
  readonly given: ReadonlyMap<OptionName, string>;
}

interface Found {
  readonly text: string;
  readonly place: string;
  readonly code: 'usage' | 'config_invalid';
}

export async function parseCommand(command: CommandName, args: readonly string[], env: Environment): Promise<ParsedCommand> {
  const { flags, positionals } = readFlags(command, args);
  const configFile = flags.get('config')?.text ?? readEnv('config', env)?.text;
  const file = configFile === undefined ? new Map<OptionName, FileValue>() : await readFileValues(configFile);

  const values: Partial<Record<OptionName, unknown>> = {};
  const given = new Map<OptionName, string>();
  for (const name of optionNames) {
    const asked = optionSpec(name).commands.includes(command);
    const fromFile = file.get(name);
    // Every line of the file is checked, so that it is right or wrong for all commands alike.
    const fileValue = fromFile && parseValue(name, { text: fromFile.text, place: `${fromFile.place}: ${flagName(name)}`, code: 'config_invalid' });
    const found = asked ? (flags.get(name) ?? readEnv(name, env)) : undefined;
    if (found) values[name] = parseValue(name, found);
    else if (fromFile && asked) values[name] = fileValue;
    else values[name] = defaultValue(name);
    const place = found?.place ?? (asked ? fromFile?.place : undefined);
    if (place !== undefined) given.set(name, place);
  }
  return { values: values as OptionValues, positionals, given };
}

/** Loaded when there is a file: YAML's parser takes 16 MB that a small process would keep for life. */
async function readFileValues(file: string): Promise<Map<OptionName, FileValue>> {
  return (await import('./config-file.ts')).readConfigFile(file);
}

function readFlags(command: CommandName, args: readonly string[]): { flags: Map<OptionName, Found>; positionals: string[] } {
  const known = optionsOf(command);
  const options: Record<string, { type: 'string' | 'boolean' }> = {};
  for (const name of known) options[flagName(name)] = { type: takesValue(name) ? 'string' : 'boolean' };
  // Not strict: a value may begin with a dash (`--from -15m`), and the error lines are ours.
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });

  const flags = new Map<OptionName, Found>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const name = known.find((each) => `--${flagName(each)}` === token.rawName);
    if (name === undefined) throw unknownFlag(command, token.rawName);
    flags.set(name, { text: flagText(name, token), place: token.rawName, code: 'usage' });
  }
  return { flags, positionals };
}

function flagText(name: OptionName, token: { rawName: string; value: string | undefined; inlineValue: boolean | undefined }): string {
  if (!takesValue(name)) return token.value ?? 'true';
  if (token.value === undefined || (token.value.startsWith('--') && !token.inlineValue)) {
    throw new PipelineError('usage', `${token.rawName} needs a value; allowed: ${optionSpec(name).type.allowed}`);
  }
  return token.value;
}

const takesValue = (name: OptionName): boolean => optionSpec(name).type.placeholder !== '';

function unknownFlag(command: CommandName, flag: string): PipelineError {
  const elsewhere = optionNames.find((name) => `--${flagName(name)}` === flag);
  if (elsewhere) {
    const owners = optionSpec(elsewhere).commands.join(', ');
    return new PipelineError('usage', `${flag} is no option of flamelake ${command}, only of: ${owners}`);
  }
  const near = suggestion(
    flag,
    optionsOf(command).map((name) => `--${flagName(name)}`),
  );
  return new PipelineError('usage', `unknown option ${flag}${near || `; flamelake ${command} --help lists them`}`);
}

/** OpenTelemetry's rule, kept for ours too: an empty variable counts as not set. */
function readEnv(name: OptionName, env: Environment): Found | undefined {
  for (const variable of envNames(name)) {
    const value = env[variable];
    if (value !== undefined && value !== '') return { text: value, place: variable, code: 'config_invalid' };
  }
  return undefined;
}

function parseValue(name: OptionName, found: Found): unknown {
  const { type } = optionSpec(name);
  const value = type.parse(found.text);
  if (value !== undefined) return value;
  const shown = type.secret ? 'not well-formed (not shown here)' : JSON.stringify(found.text);
  throw new PipelineError(found.code, `${found.place} is ${shown}; allowed: ${type.allowed}`);
}

function defaultValue(name: OptionName): unknown {
  const spec = optionSpec(name);
  return spec.default === null ? undefined : spec.type.parse(spec.default);
}

/** Names that nobody reads but that look like a slip of one of ours; other programs may own the rest. */
export function misspelledVariables(env: Environment): string[] {
  const ours = optionNames.flatMap(envNames).filter((name) => name.startsWith('FLAMELAKE_'));
  return Object.keys(env)
    .filter((name) => name.startsWith('FLAMELAKE_') && !ours.includes(name))
    .flatMap((name) => {
      const near = suggestion(name, ours);
      return near === '' ? [] : [`environment variable ${name} is not known${near}`];
    });
}

// `--help` and docs/configuration.md, both from the option table. Pure text.
import { commandTable } from './command-table.ts';
import { type CommandName, commandNames, envNames, flagName, type OptionName, optionNames, optionSpec, optionsOf } from './option-table.ts';

const columnsMax = 100;

export function mainHelp(version: string): string {
  const width = Math.max(...commandNames.map((name) => name.length));
  return [
    `flamelake ${version}: continuous profiling of whole hosts, kept as Parquet`,
    '',
    'Usage: flamelake COMMAND [options]',
    '',
    ...commandNames.map((name) => `  ${name.padEnd(width)}  ${commandTable[name].summary}`),
    '',
    'flamelake COMMAND --help lists the options of a command, flamelake --version says which this is.',
    '',
  ].join('\n');
}

export function commandHelp(command: CommandName): string {
  const spec = commandTable[command];
  const lines = [`Usage: flamelake ${command}${spec.argument === null ? '' : ` ${spec.argument}`} [options]`, '', ...wrap(spec.summary, 0)];
  if (spec.more) lines.push(...wrap(spec.more, 0));
  lines.push('', 'Options (also as environment variables, and as keys of the --config file):');
  for (const name of optionsOf(command)) lines.push(...optionHelp(name));
  return `${lines.join('\n')}\n`;
}

function optionHelp(name: OptionName): string[] {
  const { type, help, default: preset } = optionSpec(name);
  const shownDefault = preset === null || type.placeholder === '' ? '' : ` Default: ${preset}.`;
  const shownAllowed = type.placeholder === '' || type.allowed === 'any text' ? '' : ` Allowed: ${type.allowed}.`;
  return [
    `  --${flagName(name)}${type.placeholder === '' ? '' : ` ${type.placeholder}`}`,
    ...wrap(`${help}${shownDefault}${shownAllowed} ${envNames(name).join(', ')}`, 6),
  ];
}

function wrap(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > columnsMax) {
      lines.push(' '.repeat(indent) + line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, ' '.repeat(indent) + line];
}

export function configurationPage(): string {
  const groups: readonly { title: string; commands: readonly CommandName[] }[] = [
    { title: 'flamelake up', commands: ['up'] },
    { title: 'flamelake agent', commands: ['agent'] },
    { title: 'flamelake sql, top, flamegraph', commands: ['sql', 'top', 'flamegraph'] },
    { title: 'flamelake lake check, lake stats, doctor', commands: ['lake check', 'lake stats', 'doctor'] },
  ];
  return [
    '# Configuration',
    '',
    '<!-- Made by `npm run docs` from cli/option-table.ts; edit it there. -->',
    '',
    'Every option can be given as a flag, as an environment variable, or as a key of a YAML file. A flag goes before the environment, the environment before the file, the file before the default. Where OpenTelemetry has a variable for it, that one is read and no other; where two are named, the first goes before the second. An empty variable counts as not set.',
    '',
    'The file is named by `--config FILE` (or `FLAMELAKE_CONFIG`). Its keys are spelled like the flags, without the dashes in front:',
    '',
    '```yaml',
    'data: /var/lib/flamelake',
    'rate: 49',
    'publish-interval: 10m',
    'resource-attributes:',
    '  deployment.environment.name: production',
    '```',
    '',
    'What is wrong is told in one line with its place and what is allowed, for example `flamelake.yaml:2:1: rate is "5000"; allowed: a whole number from 1 to 1000 (samples a second on each CPU)`, and the command ends with exit code 2. Other exit codes: 0 done, 1 failed.',
    '',
    ...groups.flatMap(({ title, commands }) => ['', `## ${title}`, '', ...optionRows(commands)]).slice(1),
    '',
  ].join('\n');
}

function optionRows(commands: readonly CommandName[]): string[] {
  const names = optionNames.filter((name) => optionSpec(name).commands.some((command) => commands.includes(command)));
  return ['| option | environment | default | allowed | |', '|---|---|---|---|---|', ...names.map((name) => optionRow(name, commands))];
}

function optionRow(name: OptionName, group: readonly CommandName[]): string {
  const { type, help, default: preset, commands } = optionSpec(name);
  const some = group.filter((command) => commands.includes(command));
  const only = some.length === group.length ? '' : ` (${some.join(', ')})`;
  const cells = [
    `\`--${flagName(name)}${type.placeholder === '' ? '' : ` ${type.placeholder}`}\``,
    envNames(name)
      .map((variable) => `\`${variable}\``)
      .join(' '),
    preset === null ? '' : `\`${preset}\``,
    type.allowed,
    `${help}${only}`,
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

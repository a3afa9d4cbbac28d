// What the commands are called, what they do and which arguments they take besides options: for help,
// documentation and dispatch.
import { type CommandName, commandNames } from './option-table.ts';

export interface CommandSpec {
  readonly summary: string;
  /** In the usage line, e.g. `"SELECT …"`; null: takes none. */
  readonly argument: string | null;
  /** More for its own `--help`. */
  readonly more?: string;
}

export const commandTable: Record<CommandName, CommandSpec> = {
  up: {
    summary: 'Run everything on this host: agent, receiver, processor, exporter, query and page.',
    argument: null,
    more: 'Without the rights for eBPF it says what is missing and runs the rest. Ctrl-C or SIGTERM ends it with everything kept.',
  },
  agent: {
    summary: 'Profile this host and send to any OpenTelemetry Collector or OTLP backend.',
    argument: null,
    more: 'Needs nothing else of Flamelake. `flamelake doctor` says which rights it needs.',
  },
  sql: {
    summary: 'Ask the lake in SQL (DuckDB).',
    argument: '"SELECT …"',
    more: 'Views: samples, stacks. Example: flamelake sql "SELECT service_name, sum(value) / 1e9 AS cpu_seconds FROM samples GROUP BY ALL ORDER BY 2 DESC"',
  },
  top: { summary: 'Functions by cost.', argument: null },
  flamegraph: { summary: 'A flame graph as one HTML or SVG file, collapsed text or JSON.', argument: null },
  'lake check': { summary: 'Prove that a lake is whole: every record, file, row and stack id.', argument: null },
  'lake stats': { summary: 'Sizes of a lake, bytes for each row and column, small files.', argument: null },
  doctor: { summary: 'What this host can and cannot do, and what to do about it.', argument: null },
};

/** The command at the head of the arguments, and the arguments after it. */
export function findCommand(args: readonly string[]): { name: CommandName; rest: string[] } | null {
  for (const words of [2, 1]) {
    const name = commandNames.find((each) => each === args.slice(0, words).join(' '));
    if (name !== undefined) return { name, rest: args.slice(words) };
  }
  return null;
}

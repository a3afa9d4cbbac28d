// The YAML file of --config: one flat map whose keys are spelled like the flags. Gives each value as
// text with its place; what a value means is the option table's business.
import { readFileSync, statSync } from 'node:fs';
import { isMap, isScalar, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import { PipelineError } from '../lib/errors.ts';
import { suggestion } from './nearest.ts';
import { flagName, type OptionName, optionNames, optionSpec } from './option-table.ts';

export interface FileValue {
  readonly text: string;
  /** file:line:column of the key. */
  readonly place: string;
}

/** A configuration is a page of text; more is a wrong file. */
const fileBytesMax = 1 << 20;

export function readConfigFile(file: string): Map<OptionName, FileValue> {
  return parseConfig(file, readText(file));
}

export function parseConfig(file: string, source: string): Map<OptionName, FileValue> {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [problem] = [...document.errors, ...document.warnings];
  if (problem) throw invalid(`${place(problem.pos[0])}: no valid YAML: ${problem.message.split('\n')[0]}`);

  const values = new Map<OptionName, FileValue>();
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return values;
  if (!isMap(root)) throw invalid(`${place(root.range?.[0] ?? 0)}: expected a map of options, such as "rate: 20"`);

  for (const pair of root.items as Pair<Node, Node | null>[]) {
    const at = place(pair.key.range?.[0] ?? 0);
    if (!isScalar(pair.key)) throw invalid(`${at}: a key must be the name of an option`);
    const key = String(pair.key.value);
    const name = optionNames.find((each) => flagName(each) === key);
    if (name === undefined) throw invalid(`${at}: unknown key ${JSON.stringify(key)}${suggestion(key, fileKeys())}`);
    if (optionSpec(name).notInFile) throw invalid(`${at}: ${key} can be given by flag and environment only`);
    const text = valueText(pair.value, optionSpec(name).type.takesMap === true);
    if (text === undefined) throw invalid(`${at}: ${key} must be one plain value; allowed: ${optionSpec(name).type.allowed}`);
    // A key without a value is one that somebody left open.
    if (text !== null) values.set(name, { text, place: at });
  }
  return values;
}

export const fileKeys = (): string[] => optionNames.filter((name) => !optionSpec(name).notInFile).map(flagName);

/** null: no value given; undefined: no value that an option could have. */
function valueText(node: Node | null, takesMap: boolean): string | null | undefined {
  if (node === null) return null;
  if (isScalar(node)) {
    if (node.value === null) return null;
    // The source, not the number that YAML makes of it: 1_0, 0x10 and 1e3 are not to mean anything here.
    return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
  }
  if (!takesMap || !isMap(node)) return undefined;
  const parts: string[] = [];
  for (const { key, value } of node.items as Pair<Node, Node | null>[]) {
    const content = valueText(value, false);
    if (!isScalar(key) || typeof content !== 'string') return undefined;
    parts.push(`${encodeURIComponent(String(key.value))}=${encodeURIComponent(content)}`);
  }
  return parts.join(',');
}

function readText(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > fileBytesMax) throw invalid(`${file}: has ${size} bytes; a configuration of at most ${fileBytesMax} is read`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof PipelineError) throw error;
    throw invalid(`${file}: the configuration can't be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`);
  }
}

function invalid(message: string): PipelineError {
  return new PipelineError('config_invalid', message);
}

// flamelake flamegraph: one file that needs nothing else, or text for other tools.
import { writeFile } from 'node:fs/promises';
import { PipelineError } from '../lib/errors.ts';
import type { FlameGraph } from '../query/flamegraph.ts';
import { flameGraphCollapsed } from '../query/render/collapsed.ts';
import { flameGraphHtml } from '../query/render/html.ts';
import { flameGraphSvg } from '../query/render/svg.ts';
import type { RunCommand } from './command.ts';
import { filterOf, withQuery } from './lake-access.ts';
import type { OptionValues } from './option-table.ts';
import { countText, print } from './output.ts';
import { rangeText, valueText } from './units.ts';

const writers: Record<OptionValues['format'], (graph: FlameGraph) => string> = {
  html: flameGraphHtml,
  svg: flameGraphSvg,
  collapsed: flameGraphCollapsed,
  json: (graph) => `${JSON.stringify(graph)}\n`,
};

export const run: RunCommand = async ({ values, given }) => {
  if (values.json && given.has('format') && values.format !== 'json') {
    throw new PipelineError('usage', `--json and --format ${values.format} are two formats; leave one out`);
  }
  const filter = filterOf(values);
  const graph = await withQuery(values, (query) => query.flamegraph(filter, { groupBy: values.groupBy }));
  const text = writers[values.json ? 'json' : values.format](graph);
  if (values.output === undefined) await print(text);
  else await writeOutput(values.output, text);
  const what = `${graph.type}: ${valueText(graph.total, graph.unit)} in ${countText(graph.samples)} samples, ${rangeText(graph.fromMillis, graph.toMillis)}`;
  // Beside the file, or beside what a pipe takes: never in it.
  if (values.output !== undefined || graph.samples === 0) process.stderr.write(`${what}${values.output === undefined ? '' : `: ${values.output}`}\n`);
  return 0;
};

async function writeOutput(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (error) {
    throw new PipelineError('usage', `--output ${file}: can't be written (${(error as NodeJS.ErrnoException).code ?? String(error)})`, { cause: error });
  }
}

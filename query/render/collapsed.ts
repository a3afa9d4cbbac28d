// A flame graph as collapsed text, one line a stack, root first, with its value: what speedscope,
// Firefox Profiler and others read.
import type { FlameGraph } from '../flamegraph.ts';

export function flameGraphCollapsed({ nodes, frames, strings }: FlameGraph): string {
  const paths: string[] = [];
  const lines: string[] = [];
  for (let node = 0; node < nodes.frame.length; node++) {
    const parent = nodes.parent[node]!;
    const above = parent < 0 ? '' : paths[parent]!;
    const label = collapsedLabel(strings[frames.label[nodes.frame[node]!]!]!);
    paths[node] = parent < 0 ? '' : above === '' ? label : `${above};${label}`;
    const self = Math.round(nodes.self[node]!);
    if (self !== 0 && paths[node] !== '') lines.push(`${paths[node]} ${self}\n`);
  }
  return lines.join('');
}

/** ';' parts frames and a line break parts stacks, so neither may stand in a name. */
const collapsedLabel = (label: string) =>
  label
    .toWellFormed()
    .replace(/;/g, ':')
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '\ufffd');

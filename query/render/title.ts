// One line that says what a flame graph shows.
import type { FlameGraph } from '../flamegraph.ts';

export function graphTitle(graph: FlameGraph): string {
  const amount = graph.unit === 'nanoseconds' ? `${(graph.total / 1e9).toFixed(2)} s` : `${graph.total.toLocaleString('en')} ${graph.unit}`;
  const minute = (millis: number) => `${new Date(millis).toISOString().slice(0, 19).replace('T', ' ')}`;
  return `${graph.type}: ${amount} in ${graph.samples.toLocaleString('en')} ${graph.samples === 1 ? 'sample' : 'samples'}, ${minute(graph.fromMillis)} to ${minute(graph.toMillis)} UTC`;
}

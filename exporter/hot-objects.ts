// Hot objects: rows as they came, so that a query sees them within seconds of their sample. Whole
// messages, unsorted, without statistics, at the cheapest compression; they live for minutes.
import type { LakeTable } from '../schemas/lake/paths.ts';
import type { Batch, MessageSpan } from './batch.ts';
import type { HotObject, OffsetRange } from './builder.ts';
import { finish, writeTable } from './tables.ts';

interface Run extends OffsetRange {
  readonly spans: readonly MessageSpan[];
}

/** Objects for the spans, leaving out offsets that existing objects cover (after a restart). Stacks come first. */
export function hotObjects(batch: Batch, spans: readonly MessageSpan[], covered: readonly OffsetRange[], shard: number): HotObject[] {
  return uncoveredRuns(spans, covered).flatMap((run) => [...object('stacks', batch, run, shard), ...object('samples', batch, run, shard)]);
}

/** Runs of spans between covered ranges. */
export function uncoveredRuns(spans: readonly MessageSpan[], covered: readonly OffsetRange[]): Run[] {
  const runs: { from: number; to: number; spans: MessageSpan[] }[] = [];
  let open = false;
  for (const span of spans) {
    if (covered.some((range) => range.from <= span.offset && span.offset < range.to)) {
      open = false;
      continue;
    }
    if (!open) runs.push({ from: span.offset, to: span.offset, spans: [] });
    open = true;
    const run = runs.at(-1)!;
    run.spans.push(span);
    run.to = span.offset + 1;
  }
  return runs;
}

function object(table: LakeTable, batch: Batch, run: Run, shard: number): HotObject[] {
  const [first, last] = [run.spans[0]!, run.spans.at(-1)!];
  const [start, end] = table === 'samples' ? [first.rowStart, last.rowEnd] : [first.stackStart, last.stackEnd];
  if (start === end) return [];
  const rows = Uint32Array.from({ length: end - start }, (_unused, index) => start + index);
  const offsetOf = table === 'samples' ? (row: number) => batch.offsetOfRow(row) : (stack: number) => batch.offsetOfStack(stack);
  const { contents } = finish(writeTable(table, null, batch, rows, { shard, offsetOf }));
  return [{ table, from: run.from, to: run.to, bytes: contents! }];
}

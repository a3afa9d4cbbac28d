// Hot objects: rows as they came, so that a query sees them within seconds of their sample. Whole
// messages with what of them counts (schemas/hot); they live for minutes.
import { encodeHot, type HotMessage } from '../schemas/hot/codec.ts';
import type { HotObject, OffsetRange } from './builder.ts';

interface Run extends OffsetRange {
  readonly messages: readonly HotMessage[];
}

/** What has come since the last hot objects: every offset, also of messages that left nothing. */
export interface Arrived {
  readonly offset: number;
  /** One at most, or two where a lost row came with it. */
  readonly messages: readonly HotMessage[];
}

/** Objects of what arrived, leaving out offsets that existing objects cover (after a restart). */
export function hotObjects(arrived: readonly Arrived[], covered: readonly OffsetRange[]): HotObject[] {
  return uncoveredRuns(arrived, covered)
    .filter((run) => run.messages.length > 0)
    .map(({ from, to, messages }) => ({ from, to, bytes: encodeHot(messages) }));
}

/** Runs between covered ranges. */
export function uncoveredRuns(arrived: readonly Arrived[], covered: readonly OffsetRange[]): Run[] {
  const runs: { from: number; to: number; messages: HotMessage[] }[] = [];
  let open = false;
  for (const { offset, messages } of arrived) {
    if (covered.some((range) => range.from <= offset && offset < range.to)) {
      open = false;
      continue;
    }
    if (!open) runs.push({ from: offset, to: offset, messages: [] });
    open = true;
    const run = runs.at(-1)!;
    run.messages.push(...messages);
    run.to = offset + 1;
  }
  return runs;
}

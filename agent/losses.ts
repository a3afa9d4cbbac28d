// What the agent could not take, by reason. Each is a metric and, with the next batch, a sample of type
// lost/count, so that it can be asked for in the lake.
import { counter } from './bpf/layout.gen.ts';

export const lossReasons = [
  'ring_full',
  'scratch_missing',
  'stack_cache_full',
  'stack_missing',
  'event_malformed',
  'queue_full',
  'rejected',
  'unconfirmed',
  'stopped',
] as const;
export type LossReason = (typeof lossReasons)[number];

/** Counters of the kernel half that are losses. */
export const kernelLosses = [
  ['ring_full', counter.lossRingFull],
  ['scratch_missing', counter.lossScratchMissing],
] as const satisfies readonly (readonly [LossReason, number])[];

export class Losses {
  /** Since start. */
  readonly total = new Map<LossReason, number>();
  #unreported = new Map<LossReason, number>();

  add(reason: LossReason, samples: number): void {
    if (samples <= 0) return;
    this.total.set(reason, (this.total.get(reason) ?? 0) + samples);
    this.#unreported.set(reason, (this.#unreported.get(reason) ?? 0) + samples);
  }

  /** A batch that reported them was lost itself: the next does. */
  reportAgain(losses: ReadonlyMap<LossReason, number>): void {
    for (const [reason, samples] of losses) this.#unreported.set(reason, (this.#unreported.get(reason) ?? 0) + samples);
  }

  /** What no batch has reported yet; afterwards it has. */
  takeUnreported(): ReadonlyMap<LossReason, number> {
    const taken = this.#unreported;
    this.#unreported = new Map();
    return taken;
  }
}

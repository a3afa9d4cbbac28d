// The heart of the agent: drains the ring, finds out whose each sample is while its process is still
// there, and cuts batches. Knows nothing of perf events and endpoints.
import { Batch } from './batch.ts';
import { eventKind, sampleEventLayout, sampleFlags, sampleLimits } from './bpf/layout.gen.ts';
import type { Ring } from './bpf/ring.ts';
import type { Sampler } from './bpf/sampler.ts';
import { type Clock, hostClock } from './clock.ts';
import type { CutReason, FrameSources } from './frames.ts';
import { batchBytesMax, clockStepNanos } from './limits.ts';
import { kernelLosses, type Losses } from './losses.ts';
import { parseStackEvent, RawStacks } from './raw-stacks.ts';
import type { EncodedBatch } from './send/delivery.ts';

export interface CollectorOptions {
  readonly sampler: Sampler;
  readonly ring: Ring;
  readonly sources: FrameSources;
  readonly losses: Losses;
  readonly hostAttributes: ReadonlyMap<string, string>;
  readonly agentVersion: string;
  readonly periodNanos: number;
  readonly onBatch: (batch: EncodedBatch) => void;
  readonly clock?: Clock;
}

export class Collector {
  readonly #options: CollectorOptions;
  readonly #clock: Clock;
  readonly #stacks = new RawStacks();
  readonly #kernelLost = new Map<number, number>();
  /** Samples whose stack was cut, by reason, since start. */
  readonly cut = new Map<CutReason, number>();
  #batch: Batch;
  #epoch = 1;
  #samples = 0;
  /** From time since boot to wall clock time, as of the last drain. */
  #anchorNanos: bigint;
  #nowMillis = 0;

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? hostClock;
    this.#anchorNanos = this.#clock.anchorNanos();
    this.#batch = this.#newBatch(this.#wallNanos());
    options.sampler.setEpoch(this.#epoch);
  }

  /** Samples taken into batches since start. */
  get samples(): number {
    return this.#samples;
  }

  /** Takes what is in the ring; how many events. What would take too long is left to the next drain. */
  drain(): number {
    this.#setClock();
    this.#nowMillis = performance.now();
    // What was found out about kernel addresses, stacks of them included, is true for the batch so far.
    if (this.#options.sources.kernel.hasChanged()) this.#endBatch();
    this.#options.sources.files.startDrain();
    return this.#options.ring.drain(this.#onEvent, this.#hasTime);
  }

  /** The last batch: nothing is left to a next drain. */
  finish(): void {
    while (this.#options.ring.pending() > 0 && this.drain() > 0);
    this.cutBatch();
  }

  /** Ends the batch: from here the kernel half sends each stack again with its next sample. */
  cutBatch(): void {
    this.#epoch++;
    this.#options.sampler.setEpoch(this.#epoch);
    this.drain();
    this.#countKernelLosses();
    this.#endBatch();
    this.#stacks.nextEpoch();
    this.#options.sources.processes.forgetIdle(this.#nowMillis);
    this.#options.sources.kernel.refresh(this.#nowMillis);
  }

  /** Within an epoch too, when the message is large enough: the stacks are still here for the next. */
  #endBatch(): void {
    const endNanos = this.#wallNanos();
    const batch = this.#batch;
    const losses = this.#options.losses.takeUnreported();
    const bytes = batch.finish(endNanos, losses);
    this.#batch = this.#newBatch(endNanos);
    if (bytes !== null) this.#options.onBatch({ bytes, samples: batch.samples, losses });
  }

  /** Where the wall clock was stepped, the batch ends with the times it had: a profile's range is of one clock. */
  #setClock(): void {
    const anchor = this.#clock.anchorNanos();
    const step = anchor - this.#anchorNanos;
    const isStep = step > clockStepNanos || step < -clockStepNanos;
    if (isStep) this.#endBatch();
    this.#anchorNanos = anchor;
    if (isStep) this.#batch = this.#newBatch(this.#wallNanos());
  }

  #wallNanos(): bigint {
    return this.#clock.bootNanos() + this.#anchorNanos;
  }

  #newBatch(startNanos: bigint): Batch {
    return new Batch({ ...this.#options, startNanos });
  }

  #countKernelLosses(): void {
    const counters = this.#options.sampler.readCounters();
    for (const [reason, counter] of kernelLosses) {
      const now = counters[counter]!;
      this.#options.losses.add(reason, now - (this.#kernelLost.get(counter) ?? 0));
      this.#kernelLost.set(counter, now);
    }
  }

  readonly #hasTime = (): boolean => this.#options.sources.files.hasTime;

  readonly #onEvent = (bytes: Uint8Array, view: DataView, at: number, length: number): void => {
    const kind = length >= 4 ? view.getUint32(at, true) : 0;
    if (kind === eventKind.eventSample && length >= sampleEventLayout.bytes) this.#onSample(bytes, view, at);
    else if (kind === eventKind.eventStack) this.#onStack(bytes, view, at, length);
    else this.#options.losses.add('event_malformed', 1);
  };

  #onStack(bytes: Uint8Array, view: DataView, at: number, length: number): void {
    const parsed = parseStackEvent(view, bytes, at, length);
    // The samples that name it find no stack, and are counted then.
    if (parsed !== null) this.#stacks.add(parsed.id, parsed.stack);
  }

  #onSample(bytes: Uint8Array, view: DataView, at: number): void {
    const { sources, losses } = this.#options;
    const stackId = view.getBigUint64(at + sampleEventLayout.stackId, true);
    const pid = view.getUint32(at + sampleEventLayout.tgid, true);
    const tid = view.getUint32(at + sampleEventLayout.tid, true);
    const threadName = commText(bytes, at + sampleEventLayout.comm);
    const isKernelThread = (view.getUint32(at + sampleEventLayout.flags, true) & sampleFlags.flagKernelThread) !== 0;
    const startNanos = view.getBigUint64(at + sampleEventLayout.startTime, true);
    const image = view.getBigUint64(at + sampleEventLayout.image, true);
    const process = sources.processes.see({ pid, startNanos, image, isKernelThread }, this.#nowMillis);
    const stack = this.#stacks.find(stackId);
    if (stack === undefined) {
      losses.add(this.#stacks.isFull ? 'stack_cache_full' : 'stack_missing', 1);
      return;
    }
    const timeNanos = view.getBigUint64(at + sampleEventLayout.time, true) + this.#anchorNanos;
    const reason = this.#batch.add(
      { process, tid, threadName, cpu: view.getUint32(at + sampleEventLayout.cpu, true), timeNanos, stackId, stack },
      this.#nowMillis,
    );
    if (reason !== null) this.cut.set(reason, (this.cut.get(reason) ?? 0) + 1);
    this.#samples++;
    if (this.#batch.bytes > batchBytesMax) this.#endBatch();
  }
}

/** A thread's name: up to 15 bytes of its own choice, made text that OTLP may carry. */
export function commText(bytes: Uint8Array, at: number): string {
  let end = at;
  while (end < at + sampleLimits.commBytes && bytes[end] !== 0) end++;
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at)
    .toString('utf8')
    .toWellFormed();
}

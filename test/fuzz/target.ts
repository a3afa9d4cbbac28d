// What a fuzz target is: makes an input from a seed, and feeds it to a reader of ours. Whatever the bytes,
// the reader answers or throws a PipelineError; everything else that is thrown is a finding.
import { isPipelineError } from '../../lib/errors.ts';
import { type Random, seeded } from '../../schemas/otlp/testing-data.ts';

export type Verdict = 'taken' | 'refused';

export interface Fuzzed {
  /** An input by structure: mostly what a good sender could send, changed here and there. */
  make(random: Random): Uint8Array;
  /** Checks what must hold of what is taken; `random` is for choices that the input does not fix. */
  feed(input: Uint8Array, random: Random): Verdict | Promise<Verdict>;
  /** After the last input: what must hold then. */
  close?(): Promise<void>;
}

export interface Target {
  readonly name: string;
  /** In npm test. */
  readonly shortRuns: number;
  /** Of a long run's inputs, as a weight: about as many as it reads in a second. */
  readonly weight: number;
  /** Takes everything, or refuses nearly everything: then the counts say nothing. */
  readonly oneSided?: boolean;
  open(): Promise<Fuzzed>;
}

/** One input is fixed by its number alone, so that it can be made again. */
export const makeInput = (fuzzed: Fuzzed, seed: number): Uint8Array => fuzzed.make(seeded(seed));

export async function feedInput(fuzzed: Fuzzed, input: Uint8Array, seed: number): Promise<Verdict> {
  return fuzzed.feed(input, seeded(~seed));
}

/** For `feed`: what the reader refuses in the way that it may. */
export function refusedOr<T>(read: () => T): { readonly value: T } | null {
  try {
    return { value: read() };
  } catch (error) {
    if (isPipelineError(error)) return null;
    throw error;
  }
}

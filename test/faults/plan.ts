// Which faults a run has, in which order: a seed and a number make them, so that a run can be had again.
import { createRandom, type Random } from '../otlp/random.ts';

export const stages = ['receiver', 'processor', 'exporter', 'query'] as const;
export type StageName = (typeof stages)[number];

/** Moments of the protocol that a kill must hit, each with the points of preload.ts that are in it. */
export const windows = {
  'log appended, not answered': { stage: 'receiver', points: ['log appended', 'answer due'], passesMax: 6 },
  staged: { stage: 'exporter', points: ['file staged'], passesMax: 4 },
  'record written': { stage: 'exporter', points: ['record written', 'record read back'], passesMax: 1 },
  'file k of n written': { stage: 'exporter', points: ['file of several written'], passesMax: 3 },
  'finished, not confirmed': { stage: 'exporter', points: ['all files written', 'position remembered'], passesMax: 1 },
  'rows appended, not remembered': { stage: 'processor', points: ['rows appended'], passesMax: 6 },
  'hot object written': { stage: 'exporter', points: ['hot object written'], passesMax: 2 },
  'stack ids indexed': { stage: 'exporter', points: ['stack ids indexed'], passesMax: 1 },
} as const satisfies Record<string, { stage: StageName; points: readonly string[]; passesMax: number }>;
export type WindowName = keyof typeof windows;
export const windowNames = Object.keys(windows) as WindowName[];

export type Fault =
  | { readonly kind: 'window'; readonly window: WindowName; readonly point: string; readonly pass: number; readonly whole: boolean }
  | { readonly kind: 'kill'; readonly target: StageName | 'up'; readonly afterMillis: number }
  | { readonly kind: 'stop'; readonly target: StageName | 'up'; readonly afterMillis: number; readonly millis: number }
  /** Frozen for longer than its lease, while another process has taken its share. */
  | { readonly kind: 'zombie'; readonly target: 'processor' | 'exporter' }
  /** What the disk was told to keep at the moment of an acknowledgement is all that is left. */
  | { readonly kind: 'power loss' }
  /** The same at a point of the protocol. */
  | { readonly kind: 'power loss in a window'; readonly window: WindowName; readonly point: string; readonly pass: number }
  | { readonly kind: 'disk full'; readonly leftBytes: number; readonly millis: number }
  | { readonly kind: 'disk read-only'; readonly millis: number }
  | { readonly kind: 'clock'; readonly target: StageName | 'all'; readonly shiftMillis: number; readonly millis: number };
export type FaultKind = Fault['kind'];

/** Shares of a run; the five named windows have a tenth each. */
const shares: readonly { readonly kind: FaultKind; readonly window?: WindowName; readonly weight: number; readonly needsDisk?: true }[] = [
  { kind: 'window', window: 'log appended, not answered', weight: 10 },
  { kind: 'window', window: 'staged', weight: 10 },
  { kind: 'window', window: 'record written', weight: 10 },
  { kind: 'window', window: 'file k of n written', weight: 10 },
  { kind: 'window', window: 'finished, not confirmed', weight: 10 },
  { kind: 'window', window: 'rows appended, not remembered', weight: 4 },
  { kind: 'window', window: 'hot object written', weight: 3 },
  { kind: 'window', window: 'stack ids indexed', weight: 2 },
  { kind: 'kill', weight: 11 },
  { kind: 'power loss', weight: 10, needsDisk: true },
  { kind: 'power loss in a window', weight: 4, needsDisk: true },
  { kind: 'stop', weight: 7 },
  { kind: 'clock', weight: 3 },
  { kind: 'zombie', weight: 2 },
  { kind: 'disk full', weight: 2, needsDisk: true },
  { kind: 'disk read-only', weight: 2, needsDisk: true },
];

export interface PlanOptions {
  readonly seed: number;
  readonly faults: number;
  /** Whether there is a file system of our own, which may be filled, cut off and made read-only. */
  readonly hasDisk: boolean;
  /** Only these kinds, to look into one of them. */
  readonly only?: readonly string[];
}

export function planFaults({ seed, faults, hasDisk, only }: PlanOptions): Fault[] {
  const random = createRandom(seed);
  const possible = shares.filter((share) => (hasDisk || share.needsDisk === undefined) && (only === undefined || only.includes(share.window ?? share.kind)));
  const weights = possible.reduce((sum, share) => sum + share.weight, 0);
  // In rounds, so that every kind has its share of whatever number is asked for, the heaviest first.
  const wanted = possible.map((share) => ({ share, count: Math.floor((faults * share.weight) / weights), rest: ((faults * share.weight) / weights) % 1 }));
  const left = faults - wanted.reduce((sum, { count }) => sum + count, 0);
  const late = wanted.toSorted((a, b) => b.rest - a.rest).slice(0, left);
  const plan = wanted.flatMap((each) => Array.from({ length: each.count + (late.includes(each) ? 1 : 0) }, () => makeFault(random, each.share)));
  return shuffle(random, plan);
}

function makeFault(random: Random, { kind, window }: { kind: FaultKind; window?: WindowName }): Fault {
  const target = () => random.pick(stages);
  const afterMillis = random.below(1_200);
  switch (kind) {
    case 'window':
      return { kind, ...momentIn(random, window!), whole: random.chance(0.4) };
    case 'power loss in a window':
      return { kind, ...momentIn(random, random.pick(windowNames)) };
    case 'kill':
      return { kind, target: random.chance(0.5) ? 'up' : target(), afterMillis };
    case 'stop':
      return { kind, target: random.chance(0.2) ? 'up' : target(), afterMillis, millis: random.chance(0.2) ? 7_000 : random.between(50, 2_500) };
    case 'zombie':
      return { kind, target: random.chance(0.7) ? 'exporter' : 'processor' };
    case 'power loss':
      return { kind };
    case 'disk full':
      return { kind, leftBytes: random.pick([0, 64 << 10, 8 << 20, 24 << 20]), millis: random.between(1_500, 5_000) };
    case 'disk read-only':
      return { kind, millis: random.between(500, 3_000) };
    case 'clock':
      return { kind, target: random.chance(0.5) ? 'all' : target(), shiftMillis: clockShift(random), millis: random.between(1_500, 4_000) };
    default:
      return kind satisfies never;
  }
}

function momentIn(random: Random, window: WindowName): { window: WindowName; point: string; pass: number } {
  const { points, passesMax } = windows[window];
  return { window, point: random.pick<string>(points), pass: random.between(1, passesMax) };
}

const minuteMillis = 60_000;

/** Within an hour the log holds its time, beyond it follows; a day makes other dates. */
function clockShift(random: Random): number {
  const minutes = random.pick([2, 10, 12, 50, 120, 26 * 60]);
  return (random.chance(0.5) ? 1 : -1) * minutes * minuteMillis;
}

function shuffle<T>(random: Random, items: T[]): T[] {
  for (let index = items.length - 1; index > 0; index--) {
    const other = random.below(index + 1);
    [items[index], items[other]] = [items[other]!, items[index]!];
  }
  return items;
}

export function faultText(fault: Fault): string {
  switch (fault.kind) {
    case 'window':
      return `kill ${fault.whole ? 'up' : windows[fault.window].stage} at: ${fault.window} (${fault.point}, pass ${fault.pass})`;
    case 'kill':
      return `kill ${fault.target}`;
    case 'stop':
      return `stop ${fault.target} for ${fault.millis} ms`;
    case 'zombie':
      return `freeze ${fault.target} until another has taken over`;
    case 'power loss':
      return 'power loss at an acknowledgement';
    case 'power loss in a window':
      return `power loss at: ${fault.window} (${fault.point}, pass ${fault.pass})`;
    case 'disk full':
      return `disk full but for ${fault.leftBytes} bytes, for ${fault.millis} ms`;
    case 'disk read-only':
      return `disk read-only, for ${fault.millis} ms`;
    case 'clock':
      return `clock of ${fault.target} shifted by ${fault.shiftMillis / minuteMillis} min, for ${fault.millis} ms`;
    default:
      return fault satisfies never;
  }
}

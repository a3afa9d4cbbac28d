// Weighted stacks -> which functions cost most: self (the function itself was running) and total (it
// was on the stack). A function counts once for a stack, however often it calls itself. Pure.
import { functionLabel, missingStackLabel, noFramesLabel, omittedLabel } from './frame-label.ts';
import { missingStack, type WeightedStacks } from './weighted-stacks.ts';

export interface TopRow {
  readonly name: string;
  readonly file: string | null;
  readonly mapping: string | null;
  /** profile.frame.type: kernel, native, jvm, …; null for what is not a frame. */
  readonly type: string | null;
  /** Whether `name` is a function's name; else it says where the code is, or why there is none. */
  readonly named: boolean;
  /** Only where asked for by process. */
  readonly process?: string;
  readonly self: number;
  readonly total: number;
  readonly selfSamples: number;
  readonly totalSamples: number;
}

export interface TopResult {
  readonly type: string;
  readonly unit: string;
  readonly fromMillis: number;
  readonly toMillis: number;
  readonly total: number;
  readonly samples: number;
  /** Heaviest self first. */
  readonly rows: readonly TopRow[];
  /** Functions beyond the limit. */
  readonly more: number;
}

export interface TopOptions {
  readonly fromMillis: number;
  readonly toMillis: number;
  readonly limit: number;
  readonly byProcess: boolean;
}

export function buildTop(stacks: WeightedStacks, options: TopOptions): TopResult {
  const table = new FunctionTable(stacks, options.byProcess);
  const { rows } = stacks;
  let total = stacks.omitted.value;
  let samples = stacks.omitted.samples;
  for (let row = 0; row < rows.length; row++) {
    total += rows.value[row]!;
    samples += rows.samples[row]!;
    table.addStack(row, rows.stack[row]!, rows.group[row]!, rows.value[row]!, rows.samples[row]!);
  }
  const all = table.rows();
  return {
    type: stacks.type,
    unit: stacks.unit,
    fromMillis: options.fromMillis,
    toMillis: options.toMillis,
    total,
    samples,
    rows: all.slice(0, options.limit),
    more: Math.max(0, all.length - options.limit),
  };
}

type Sums = { -readonly [Name in keyof TopRow]: TopRow[Name] } & { lastRow: number };

class FunctionTable {
  readonly #stacks: WeightedStacks;
  readonly #byProcess: boolean;
  /** Frame -> number of its function: frames that differ in address or inlining only are one function. */
  readonly #functionOf: Int32Array;
  readonly #functions: { name: string; file: string | null; mapping: string | null; type: string | null; named: boolean }[] = [];
  readonly #sums = new Map<number, Sums>();
  readonly #noFrames: number;
  readonly #missing: number;

  constructor(stacks: WeightedStacks, byProcess: boolean) {
    this.#stacks = stacks;
    this.#byProcess = byProcess;
    this.#functionOf = this.#nameFunctions();
    this.#noFrames = this.#note(noFramesLabel);
    this.#missing = this.#note(missingStackLabel);
  }

  addStack(row: number, stack: number, group: number, value: number, samples: number): void {
    const { start, frame } = this.#stacks.stacks;
    const first = stack === missingStack ? 0 : start[stack]!;
    const end = stack === missingStack ? 0 : start[stack + 1]!;
    const alone = stack === missingStack ? this.#missing : this.#noFrames;
    const leaf = this.#sumsOf(first === end ? alone : this.#functionOf[frame[first]!]!, group);
    leaf.self += value;
    leaf.selfSamples += samples;
    if (first === end) addTotal(leaf, row, value, samples);
    for (let index = first; index < end; index++) addTotal(this.#sumsOf(this.#functionOf[frame[index]!]!, group), row, value, samples);
  }

  rows(): TopRow[] {
    const { omitted } = this.#stacks;
    const rows: TopRow[] = [...this.#sums.values()].map(({ lastRow: _, ...row }) => row);
    if (omitted.stacks > 0) {
      const { value, samples } = omitted;
      rows.push({ ...note(omittedLabel(omitted.stacks)), self: value, total: value, selfSamples: samples, totalSamples: samples });
    }
    return rows.sort((a, b) => b.self - a.self || b.total - a.total || compare(a.name, b.name) || compare(a.process ?? '', b.process ?? ''));
  }

  #nameFunctions(): Int32Array {
    const { frames } = this.#stacks;
    const numbers = new Map<string, number>();
    return Int32Array.from({ length: frames.length }, (_, index) => {
      const named = Boolean(frames.function[index]);
      const described = {
        name: functionLabel(frames, index),
        file: named ? frames.file[index]! : null,
        mapping: frames.mapping[index]!,
        type: frames.type[index]!,
        named,
      };
      const key = JSON.stringify(Object.values(described));
      const number = numbers.get(key) ?? this.#functions.push(described) - 1;
      numbers.set(key, number);
      return number;
    });
  }

  #note(name: string): number {
    return this.#functions.push(note(name)) - 1;
  }

  #sumsOf(number: number, group: number): Sums {
    const key = this.#byProcess ? number * this.#stacks.groups.length + group : number;
    let sums = this.#sums.get(key);
    if (!sums) {
      const process = this.#byProcess ? { process: this.#stacks.groups[group]! } : {};
      sums = { ...this.#functions[number]!, ...process, self: 0, total: 0, selfSamples: 0, totalSamples: 0, lastRow: -1 };
      this.#sums.set(key, sums);
    }
    return sums;
  }
}

const note = (name: string) => ({ name, file: null, mapping: null, type: null, named: false });
const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function addTotal(sums: Sums, row: number, value: number, samples: number): void {
  if (sums.lastRow === row) return;
  sums.lastRow = row;
  sums.total += value;
  sums.totalSamples += samples;
}

// What a run had to bear, by kind; the long form adds them up.

export const faultKinds = [
  'crash',
  'crash after it took effect',
  'freeze',
  'wake',
  'stop',
  'error',
  'applied, answered with an error',
  'applied, answered "exists"',
  'slow',
  'log full',
  'list from before',
  'index lost',
  'client sent again',
  'poison',
  'input retention',
  'rows retention',
  'input made anew',
  'rows made anew',
  'clock set',
  'records folded',
  'floor raised',
  'file retired',
  'hours pass',
  'days pass',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export class Counts {
  readonly #counts = new Map<string, number>();

  add(kind: FaultKind): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  of(kind: FaultKind): number {
    return this.#counts.get(kind) ?? 0;
  }

  addAll(other: Counts): void {
    for (const [kind, count] of other.#counts) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + count);
  }
}

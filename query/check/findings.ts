// What `lake check` can find, each with what it means and what to do about it.

export const findingKinds = {
  stray_record: 'move it out of commits/; only records of an exporter belong there',
  record_damaged: 'restore the record from a backup; exporters of this shard stop at it',
  fold_damaged: 'restore it from a backup; exporters of this shard stop at it, and files of its records count as strays until then',
  record_superseded: 'nothing: an exporter that was frozen wrote it long after another had published that number; the next sweep deletes it',
  chain_gap: 'restore the missing records from a backup; their files count as strays until then, and late repeats could be stored twice',
  chain_order: 'restore the records of this shard from a backup: one of them was written by something else than an exporter',
  unfinished: 'nothing, if an exporter is running: it is being finished; else start flamelake, any exporter finishes it',
  file_missing: 'restore the file from a backup; until then every engine reads the lake without its rows',
  file_twice: 'restore the records from a backup: two records must never name one file',
  stray_file: 'move it out of lake/: every engine that lists the lake counts its rows, and no record knows them',
  stray_copy: 'move it out of lake/: it holds the same bytes as another file, so its rows count twice',
  size_wrong: 'restore the file from a backup: it was cut or written over',
  bytes_changed: 'restore the file from a backup: its bytes are not those that were committed',
  rows_wrong: 'restore the file from a backup: rows were removed or added',
  unreadable: 'restore the file from a backup: no engine can read it as Parquet',
  schema_older: 'restore the file from a backup, or rewrite it with the version of flamelake that wrote the lake: its columns are of an older or unknown form',
  schema_newer: 'use a newer flamelake: the file was written by one, and this one may read it wrongly',
  schema_columns: 'restore the file from a backup: columns are missing or have another type',
  row_misplaced: 'restore the file from a backup: engines that prune by date, hour or shard miss these rows',
  id_malformed: 'restore the file from a backup: a stack id is 32 lower hex digits',
  stack_twice: 'restore the stacks files of this date from a backup: a join counts samples of these stacks more than once',
  stack_dangling: 'restore the stacks files of this date from a backup: samples of these stacks cannot be named',
  carry_missing: 'restore it from a backup: rows of old dates wait in it for their publication',
} as const;

export type FindingKind = keyof typeof findingKinds;

/** Not damage: the lake is whole, or will be by itself. */
export const warningKinds: ReadonlySet<FindingKind> = new Set<FindingKind>(['unfinished', 'schema_newer', 'record_superseded']);

export interface Finding {
  readonly kind: FindingKind;
  readonly severity: 'error' | 'warning';
  /** Object that it is about. */
  readonly key: string;
  /** What was found and what was expected. */
  readonly text: string;
  readonly advice: string;
}

/** Keeps the first of each kind in full and counts the others. */
export class Findings {
  readonly list: Finding[] = [];
  readonly counts: Partial<Record<FindingKind, number>> = {};
  readonly #perKindMax: number;

  constructor(perKindMax: number) {
    this.#perKindMax = perKindMax;
  }

  add(kind: FindingKind, key: string, text: string): void {
    const count = (this.counts[kind] ?? 0) + 1;
    this.counts[kind] = count;
    if (count > this.#perKindMax) return;
    this.list.push({ kind, severity: warningKinds.has(kind) ? 'warning' : 'error', key, text, advice: findingKinds[kind] });
  }

  addAll(others: Findings): void {
    for (const { kind, key, text } of others.list) this.add(kind, key, text);
    for (const [kind, count] of Object.entries(others.counts) as [FindingKind, number][]) {
      const listed = others.list.filter((finding) => finding.kind === kind).length;
      this.counts[kind] = (this.counts[kind] ?? 0) + count - listed;
    }
  }

  get errors(): number {
    return Object.entries(this.counts).reduce((sum, [kind, count]) => sum + (warningKinds.has(kind as FindingKind) ? 0 : count), 0);
  }
}

// What happens to the log of a run: clocks that are set, retention that is too early, topics made anew. The
// ledger is told what was destroyed, and the readers what may be missing for it.
import { sourceKey } from '../../exporter/window-clock.ts';
import { decodeRows } from '../../schemas/rows/codec.ts';
import { processorGroup, profilesTopic, rowsTopic } from '../../schemas/topics.ts';
import type { Random } from '../otlp/random.ts';
import type { Ledger } from './ledger.ts';
import type { ProcessPlace } from './processes.ts';
import type { SnapshotReader } from './snapshot-reader.ts';

const minuteMillis = 60_000;

export class LogHarms {
  readonly #place: ProcessPlace;
  readonly #random: Random;
  readonly #ledger: Ledger;
  readonly #snapshot: SnapshotReader;

  constructor(place: ProcessPlace, ledger: Ledger, snapshot: SnapshotReader) {
    this.#place = place;
    this.#random = place.scheduler.random;
    this.#ledger = ledger;
    this.#snapshot = snapshot;
  }

  /** The append times of a partition go hours forward, or back to what is right. */
  setClock(): void {
    const partition = this.#random.below(this.#place.partitions);
    const aheadMillis = this.#random.pick([0, 20, 3 * 60, 7 * 60]) * minuteMillis;
    this.#place.counts.add('clock set');
    this.#place.scheduler.note(`the clock of partition ${partition} is ${aheadMillis / minuteMillis} minutes ahead`);
    this.#place.log.aheadMillis.set(partition, aheadMillis);
  }

  overtakeInput(): void {
    const { log, partitions, counts } = this.#place;
    const partition = this.#random.below(partitions);
    const { start, end } = log.rangeOf(profilesTopic, partition);
    if (end === start) return;
    const to = this.#random.between(start + 1, end);
    counts.add('input retention');
    this.#place.scheduler.note(`retention takes ${profilesTopic}/${partition} below ${to}`);
    const hasProcessor = log.positionOf(processorGroup, profilesTopic, partition) !== null;
    this.#ledger.inputDestroyed(log.logId(profilesTopic), partition, to, (shard) => hasProcessor && this.#snapshot.hasRecord(shard));
    log.retain(profilesTopic, partition, to);
  }

  overtakeRows(): void {
    const { log, settings, counts } = this.#place;
    const shard = this.#random.below(settings.shards);
    const { start, end } = log.rangeOf(rowsTopic, shard);
    if (end === start) return;
    const to = this.#random.between(start + 1, end);
    counts.add('rows retention');
    this.#place.scheduler.note(`retention takes ${rowsTopic}/${shard} below ${to}`);
    this.#destroyRows(shard, start, to, true);
    log.retain(rowsTopic, shard, to);
  }

  /** Of each source only its newest message stays. */
  compactRows(): void {
    const { log, settings } = this.#place;
    for (let shard = 0; shard < settings.shards; shard++) {
      const newest = new Map<string, number>();
      const sources = log.all(rowsTopic, shard).map(({ value }) => sourceKey(decodeRows(value)));
      for (const [offset, source] of sources.entries()) newest.set(source, offset);
      for (const [offset, source] of sources.entries()) if (newest.get(source) !== offset) log.compact(rowsTopic, shard, offset);
    }
    this.#place.scheduler.note('rows are compacted');
  }

  /** Row messages [start, end) that are in no record. */
  #destroyRows(shard: number, start: number, end: number, byRetention: boolean): void {
    const { log } = this.#place;
    const published = this.#snapshot.position(shard, log.logId(rowsTopic));
    for (let offset = Math.max(start, published); offset < end; offset++) {
      const values = this.#ledger.rowsDestroyed(shard, log.all(rowsTopic, shard)[offset]!.value, byRetention, this.#snapshot.hasRecord(shard));
      this.#snapshot.excuse(values);
    }
    this.#snapshot.mayDangle = true;
  }

  makeAnew(topics: readonly string[]): void {
    const { log, settings, partitions, counts } = this.#place;
    const anew = (topic: string) => log.recreate(topic, `${topic}-${this.#place.scheduler.steps}`);
    if (topics.includes(rowsTopic)) {
      counts.add('rows made anew');
      for (let shard = 0; shard < settings.shards; shard++) this.#destroyRows(shard, 0, log.rangeOf(rowsTopic, shard).end, false);
      anew(rowsTopic);
    }
    if (topics.includes(profilesTopic)) {
      counts.add('input made anew');
      for (let partition = 0; partition < partitions; partition++) {
        this.#ledger.inputDestroyed(log.logId(profilesTopic), partition, log.rangeOf(profilesTopic, partition).end, () => false);
      }
      anew(profilesTopic);
    }
    this.#place.scheduler.note(`made anew: ${topics}`);
  }
}

// What the world did, for the reckoning at the end of a run: which profiles lie where in the input, and
// which source offsets were destroyed by retention or with their log before they were safe.
import { lossReasons } from '../../schemas/lake/lost.ts';
import { shardOf } from '../../schemas/lake/shard.ts';
import { servicePart } from '../../schemas/lake/stack-id.ts';
import { decodeRows } from '../../schemas/rows/codec.ts';
import { deadLetterHeaders, deadLetterTopic, profilesTopic, rowsTopic } from '../../schemas/topics.ts';
import type { Copy, ModelProfile, ModelSample } from './clients.ts';
import type { LakeReader, SeenLoss } from './lake-reader.ts';
import type { MemoryLog } from './memory-log.ts';
import type { SnapshotReader } from './snapshot-reader.ts';

const sourceName = ({ logId, partition, offset }: Copy) => `${logId}/${partition}/${offset}`;

export class Ledger {
  readonly profiles: ModelProfile[] = [];
  readonly #shards: number;
  /** By shard: source offsets that lie within the range of a row message. */
  readonly #sent: Set<string>[];
  /** By shard: source offsets that may be missing for good. */
  readonly #destroyed: Set<string>[];
  /** By shard: those that went before anybody had been there, a processor or a record: who begins can't know of them. */
  readonly #untold: Set<string>[];
  /** Offsets of the rows topic that retention took before they were published, by shard. */
  readonly #overtaken: number[];

  constructor(shards: number) {
    this.#shards = shards;
    this.#sent = Array.from({ length: shards }, () => new Set());
    this.#destroyed = Array.from({ length: shards }, () => new Set());
    this.#untold = Array.from({ length: shards }, () => new Set());
    this.#overtaken = Array.from({ length: shards }, () => 0);
  }

  get isHarmed(): boolean {
    return this.#destroyed.some((offsets) => offsets.size > 0) || this.#overtaken.some((messages) => messages > 0);
  }

  shardOf(profile: Pick<ModelProfile, 'service'>): number {
    return shardOf(servicePart('', profile.service).padEnd(32, '0'), this.#shards);
  }

  rowsAppended(shard: number, value: Uint8Array): void {
    const { logId, partition, from, to } = decodeRows(value);
    for (let offset = from + 1; offset <= to; offset++) this.#sent[shard]!.add(sourceName({ logId, partition, offset }));
  }

  /** Input offsets below `end` go away; `isTold`: a processor has been there before, and the shard has a record. */
  inputDestroyed(logId: string, partition: number, end: number, isTold: (shard: number) => boolean): void {
    for (let offset = 0; offset < end; offset++) {
      const name = sourceName({ logId, partition, offset });
      for (let shard = 0; shard < this.#shards; shard++) {
        if (this.#sent[shard]!.has(name)) continue;
        this.#destroyed[shard]!.add(name);
        if (!isTold(shard)) this.#untold[shard]!.add(name);
      }
    }
  }

  /** A row message that was in no record goes away; gives back the values of its rows. */
  rowsDestroyed(shard: number, value: Uint8Array, byRetention: boolean, isTold: boolean): readonly bigint[] {
    const { logId, partition, from, to, samples } = decodeRows(value);
    for (let offset = from + 1; offset <= to; offset++) {
      this.#destroyed[shard]!.add(sourceName({ logId, partition, offset }));
      if (!isTold) this.#untold[shard]!.add(sourceName({ logId, partition, offset }));
    }
    if (byRetention) this.#overtaken[shard]!++;
    return [...samples.value];
  }

  /** Compares the finished lake with what the clients sent. */
  async reckon(reader: LakeReader, log: MemoryLog, snapshot: SnapshotReader): Promise<void> {
    const { floor, carriesBelowFloor } = snapshot;
    const rows = new Map(reader.rows().map((row) => [row.type === 'lost' ? `lost ${row.value}` : String(row.value), row]));
    const stacks = new Map(reader.stacks().map((stack) => [`${stack.date} ${stack.stackId}`, stack]));
    const dead = new Set(log.all(deadLetterTopic, 0).map(({ headers }) => deadName(headers)));
    const losses = this.#lossRanges(reader, dead);
    /** By shard: samples of dates that retention has taken before they were published, at least and at most. */
    const unseen = Array.from({ length: this.#shards }, () => ({ least: 0, most: 0 }));
    const { logId: current } = await log.topic(profilesTopic);
    for (const profile of this.profiles) {
      const shard = this.shardOf(profile);
      const gone = profile.copies.filter((copy) => dead.has(sourceName(copy)) || this.#destroyed[shard]!.has(sourceName(copy)));
      const isBelow = ({ timeMillis }: ModelSample) => dateOf(timeMillis) < floor;
      for (const sample of profile.samples.filter(isBelow)) {
        rows.delete(String(sample.id));
        if (profile.copies.length === 0 || reader.hasSeen(sample.id) || snapshot.isRecorded(sample.id)) continue;
        unseen[shard]!.most++;
        if (gone.length < profile.copies.length) unseen[shard]!.least++;
      }
      const samples = profile.samples.filter((sample) => !isBelow(sample));
      if (samples.length === 0) continue;
      const found = samples.filter((sample) => rows.delete(String(sample.id)));
      const what = `${profile.service} ${profile.samples.map(({ id }) => id).join(',')} at ${profile.copies.map(sourceName).join(' ')}`;
      if (found.length !== 0 && found.length !== samples.length) throw new Error(`a profile in part: ${what}`);
      if (found.length === 0 && gone.length < profile.copies.length) throw new Error(`lost: ${what}`);
      if (found.length === 0 && profile.copies.length > 0) {
        const isTold = profile.copies.some(
          (copy) => copy.logId !== current || this.#isUntold(shard, copy, dead) || isCovered(copy, dead.has(sourceName(copy)) ? losses.flat() : losses[shard]!),
        );
        if (!isTold) throw new Error(`lost without a lost row in shard ${shard}: ${what}; told: ${JSON.stringify(losses)}`);
      }
      this.#checkRows(profile, reader, stacks);
    }
    const strangers = [...rows.keys()].filter((name) => !name.startsWith('lost'));
    if (strangers.length > 0) throw new Error(`rows that nobody sent: ${strangers}`);
    const told = Array.from({ length: this.#shards }, (_unused, shard) => sum(reader.losses.filter((loss) => loss.shard === shard && isBelowRetention(loss))));
    for (const [shard, { least, most }] of unseen.entries()) {
      if (told[shard]! > most || (told[shard]! < least && !carriesBelowFloor))
        throw new Error(`shard ${shard}: retention took ${least} to ${most} samples before they were public, ${told[shard]} were told`);
    }
  }

  #isUntold(shard: number, copy: Copy, dead: ReadonlySet<string>): boolean {
    const name = sourceName(copy);
    return dead.has(name) ? this.#untold.some((untold) => untold.has(name)) : this.#untold[shard]!.has(name);
  }

  #checkRows(profile: ModelProfile, reader: LakeReader, stacks: ReadonlyMap<string, { leaf: string | null; cut: string | null }>): void {
    for (const sample of profile.samples) {
      const row = reader.row(sample.id);
      if (row === undefined) continue;
      const date = dateOf(sample.timeMillis);
      if (row.date !== date) throw new Error(`sample ${sample.id} of ${date} lies under ${row.date}`);
      const stack = stacks.get(`${row.date} ${row.stackId}`)!;
      if (stack.cut === 'stack_lost' && this.isHarmed) continue;
      if (stack.leaf !== sample.frames[0]) throw new Error(`sample ${sample.id} has the stack ${stack.leaf} (cut ${stack.cut}), not ${sample.frames[0]}`);
    }
  }

  /** Lost ranges by shard; each must hold something that was destroyed or buried. */
  #lossRanges(reader: LakeReader, dead: ReadonlySet<string>): LossRange[][] {
    const ranges: LossRange[][] = Array.from({ length: this.#shards }, () => []);
    const overtaken = this.#overtaken.slice();
    for (const loss of reader.losses) {
      if (isBelowRetention(loss)) continue;
      const { attributes, value, shard } = loss;
      const reason = attributes['flamelake.lost.reason'];
      const range = {
        logId: attributes['flamelake.lost.log_id']!,
        partition: Number(attributes['flamelake.lost.partition']),
        from: Number(attributes['flamelake.lost.from']),
        to: Number(attributes['flamelake.lost.to']),
      };
      const text = `${reason} ${JSON.stringify(range)}`;
      if (Number(value) !== range.to - range.from + 1) throw new Error(`a lost row of ${value} says ${text}`);
      if (reason === 'source_gap') {
        const offsets = Array.from({ length: range.to - range.from + 1 }, (_unused, index) => ({ ...range, offset: range.from + index }));
        if (!offsets.some((copy) => this.#destroyed[shard]!.has(sourceName(copy)))) throw new Error(`told as lost, and nothing was: ${text} in shard ${shard}`);
        ranges[shard]!.push(range);
      } else if (attributes['flamelake.lost.topic'] === rowsTopic) {
        overtaken[shard]! -= Number(value);
        if (overtaken[shard]! < 0) throw new Error(`told as lost, and nothing was: ${text} in shard ${shard}`);
      } else if (range.from === range.to && dead.has(sourceName({ ...range, offset: range.from }))) {
        ranges[shard]!.push(range); // the shard of its own stack, whatever the message held
      } else throw new Error(`told as lost, and nothing was: ${text} in shard ${shard}`);
    }
    return ranges;
  }
}

const dateOf = (timeMillis: number) => new Date(timeMillis).toISOString().slice(0, 10);
const isBelowRetention = ({ attributes }: SeenLoss) => attributes['flamelake.lost.reason'] === lossReasons.belowRetention;
const sum = (losses: readonly SeenLoss[]) => losses.reduce((total, { value }) => total + Number(value), 0);

interface LossRange {
  readonly logId: string;
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

function isCovered(copy: Copy, ranges: readonly LossRange[]): boolean {
  return ranges.some(({ logId, partition, from, to }) => logId === copy.logId && partition === copy.partition && from <= copy.offset && copy.offset <= to);
}

function deadName(headers: Readonly<Record<string, string>>): string {
  const of = (name: keyof typeof deadLetterHeaders) => headers[deadLetterHeaders[name]]!;
  return sourceName({ logId: of('logId'), partition: Number(of('partition')), offset: Number(of('offset')) });
}

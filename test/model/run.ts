// One run: clients, processors and exporters over a log and a store in memory, a storm of everything that
// can go wrong, then quiet, and the reckoning. All of it follows from the seed.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Findings } from '../../query/check/findings.ts';
import { readChain } from '../../query/check/records.ts';
import { floorKey } from '../../schemas/lake/paths.ts';
import type { LakeSettings } from '../../schemas/lake/settings.ts';
import { processorGroup, profilesTopic, rowsTopic, versionHeader } from '../../schemas/topics.ts';
import { createRandom, type Random } from '../otlp/random.ts';
import { encodeMessage, type ModelProfile, makeProfile, type ProfileShape } from './clients.ts';
import { Counts } from './counts.ts';
import { putHistory } from './history.ts';
import { LakeReader } from './lake-reader.ts';
import { Ledger } from './ledger.ts';
import { LogHarms } from './log-harms.ts';
import { MemoryLog } from './memory-log.ts';
import { MemoryStore } from './memory-store.ts';
import { type Hooks, indexDirectory, loseIndex, type ProcessPlace, type Running, startExporter, startProcessor } from './processes.ts';
import { Process, Scheduler } from './scheduler.ts';
import { SnapshotReader } from './snapshot-reader.ts';
import { currentProcess, takeOver } from './take-over.ts';

export interface RunResult {
  readonly counts: Counts;
  readonly steps: number;
  readonly messages: number;
  readonly records: number;
  /** Of all that happened: equal for equal seeds. */
  readonly fingerprint: string;
}

/** What a run found wrong; the message has the seed and the last steps. */
export class ModelFailure extends Error {}

const minuteMillis = 60_000;
const dayMillis = 86_400_000;
const startMillis = Date.UTC(2026, 10, 24, 12, 0, 1);
const quietStepsMax = 30_000;
const harms = ['input', 'rows', 'anew'] as const;

export async function runModel(seed: number, hooks: Hooks = {}): Promise<RunResult> {
  const run = new Run(seed, hooks);
  try {
    return await run.run();
  } catch (error) {
    const { message, stack } = error as Error;
    throw new ModelFailure(`seed ${seed}: ${message}\n${run.scheduler.trace.join('\n')}\n${stack}`, { cause: error });
  } finally {
    run.end();
  }
}

class Run {
  readonly scheduler: Scheduler;
  readonly #random: Random;
  readonly #place: ProcessPlace;
  readonly #ledger: Ledger;
  readonly #lake: LakeReader;
  readonly #snapshot: SnapshotReader;
  readonly #harms: LogHarms;
  readonly #giveBack: () => void;
  readonly #shape: ProfileShape;
  /** Whether this run's world destroys what was not safe yet: retention, topics made anew. */
  readonly #isHarmful: boolean;
  readonly #setsClocks: boolean;
  /** Whether the lake is older than the run, so that its records fold, and retention takes every date that it may. */
  readonly #isOld: boolean;
  readonly #historyRecords: number;
  /** Two in some runs: each takes the shards for its own. */
  #exportersLeast: number;
  #processors: Running[] = [];
  #exporters: Running[] = [];
  /** The member of the group that has the input's partitions. */
  #owner: Process | null = null;
  #started = 0;
  #nextId = 1n;
  #messages = 0;
  #changed = { lake: false, snapshot: false };
  #failure: { error: unknown } | null = null;

  constructor(seed: number, hooks: Hooks) {
    const random = createRandom(seed);
    this.#random = random;
    // Some runs begin shortly before an hour or a day ends.
    this.scheduler = new Scheduler(random, random.pick([startMillis, startMillis + 59 * minuteMillis, startMillis + 719 * minuteMillis]));
    const now = () => this.scheduler.nowMillis;
    const shards = random.pick([1, 1, 2]);
    const settings: LakeSettings = { version: 1, lakeId: '0'.repeat(32), createdMillis: 0, shards, routing: 1, identity: 1 };
    const [log, store] = [new MemoryLog(now), new MemoryStore(now)];
    this.#lake = new LakeReader(store, shards);
    this.#snapshot = new SnapshotReader(store, shards);
    this.#ledger = new Ledger(shards);
    this.#isHarmful = random.chance(0.3) || hooks.isHarmful === true;
    this.#setsClocks = random.chance(0.5);
    this.#isOld = random.chance(0.3);
    this.#historyRecords = this.#isOld ? random.between(95, 101) : 0;
    this.#exportersLeast = hooks.exportersLeast ?? random.pick([1, 1, 2]);
    log.trims = random.chance(0.6);
    log.onAppend = (topic, partition, value) => {
      if (topic === rowsTopic) this.#ledger.rowsAppended(partition, value);
    };
    store.onChange = (key) => {
      this.#count(key);
      this.#changed.lake ||= key.startsWith('lake/');
      this.#changed.snapshot ||= /^(hot|lake|commits|carry|staging)\/|^floor/.test(key);
    };
    this.#shape = { services: random.pick([1, 1, 2, 3]), stacks: random.pick([2, 6, 20]), oldShare: this.#isOld ? 0.3 : random.pick([0, 0, 0.2]) };
    this.#place = {
      scheduler: this.scheduler,
      counts: new Counts(),
      log,
      store,
      settings,
      hooks,
      directory: mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'flamelake-model-')),
      partitions: random.pick([1, 2]),
      faultShare: random.pick([0.01, 0.03, 0.1]),
      knownStacksMax: random.pick([4, 1024]),
      limits: {
        publishIntervalMillis: random.pick([300, 3_000, 15_000]),
        publishBytes: random.pick([2_000, 1e9]),
        publishRowsMax: random.pick([5, 1e6]),
        hotIntervalMillis: random.pick([100, 3_000]),
        retainBytes: this.#isOld ? 1 : null,
      },
      afterEffect: () => this.#look(),
      owns: (process) => process === this.#owner,
      failed: (error) => {
        this.#failure ??= { error };
      },
    };
    this.#harms = new LogHarms(this.#place, this.#ledger, this.#snapshot);
    this.#giveBack = takeOver(this.scheduler);
  }

  async run(): Promise<RunResult> {
    const { log, store, settings, partitions } = this.#place;
    await log.ensureTopic({ name: profilesTopic, partitions });
    const { logId } = await log.ensureTopic({ name: rowsTopic, partitions: settings.shards });
    for (let shard = 0; shard < settings.shards; shard++) putHistory(store, shard, this.#historyRecords, logId, this.scheduler.nowMillis);
    const stormSteps = this.#random.pick([100, 200, 400]);
    for (let step = 0; step < stormSteps; step++) {
      if (this.#random.chance(0.06)) this.#send();
      if (this.#random.chance(0.03)) await this.#disturb();
      this.#keepRunning();
      await this.#step();
    }
    await this.#calmDown();
    await this.#lake.check();
    await this.#ledger.reckon(this.#lake, log, this.#snapshot);
    await this.#checkChains();
    const records = this.#snapshot.seqs.reduce((sum, seq) => sum + seq - this.#historyRecords, 0);
    return { counts: this.#place.counts, steps: this.scheduler.steps, messages: this.#messages, records, fingerprint: this.scheduler.fingerprint };
  }

  end(): void {
    for (const { process } of [...this.#processors, ...this.#exporters]) this.scheduler.kill(process);
    this.#giveBack();
    rmSync(this.#place.directory, { recursive: true, force: true });
  }

  #count(key: string): void {
    const { counts, store } = this.#place;
    if (key.startsWith('folds/') && store.objects.has(key)) counts.add('records folded');
    if (key === floorKey) counts.add('floor raised');
    if (key.startsWith('lake/') && !store.objects.has(key)) counts.add('file retired');
  }

  /** As `lake check` does; what a zombie left under a number that was folded meanwhile goes with the next fold. */
  async #checkChains(): Promise<void> {
    const findings = new Findings(10);
    for (let shard = 0; shard < this.#place.settings.shards; shard++) await readChain(this.#place.store, shard, findings, () => {});
    const wrong = findings.list.filter(({ kind }) => kind !== 'record_superseded');
    if (wrong.length > 0) throw new Error(`the chain of records is broken: ${JSON.stringify(wrong)}`);
  }

  async #step(): Promise<boolean> {
    const moved = await this.scheduler.step();
    if (this.#failure !== null) throw this.#failure.error;
    return moved;
  }

  /** The readers look, right after a call took effect and before anybody knows of it. */
  async #look(): Promise<void> {
    const { lake, snapshot } = this.#changed;
    this.#changed = { lake: false, snapshot: false };
    if (lake) await this.#lake.check();
    if (snapshot) await this.#snapshot.check();
  }

  // --- clients ---------------------------------------------------------------------------------

  #send(): void {
    const random = this.#random;
    const profiles = [...this.#unsettled().filter(() => random.chance(0.5)), ...Array.from({ length: random.between(0, 2) }, () => this.#newProfile())];
    if (profiles.length === 0) return;
    this.#append(profiles, random.chance(0.03));
  }

  #newProfile(service?: number): ModelProfile {
    const shape = service === undefined ? this.#shape : { ...this.#shape, oldShare: 0, service };
    const profile = makeProfile(this.#random, this.scheduler.nowMillis, shape, () => this.#nextId++);
    this.#ledger.profiles.push(profile);
    return profile;
  }

  /** What clients still want to send: the window of the digests is the time that they take for it. */
  #unsettled(): ModelProfile[] {
    const { nowMillis } = this.scheduler;
    for (const profile of this.#ledger.profiles) if (nowMillis - profile.firstSentMillis > 10 * minuteMillis) profile.isSettled = true;
    return this.#ledger.profiles.filter((profile) => !profile.isSettled);
  }

  #append(profiles: readonly ModelProfile[], isPoison: boolean, partition = this.#random.below(this.#place.partitions)): void {
    const random = this.#random;
    const { log, counts } = this.#place;
    if (profiles.some((profile) => profile.copies.length > 0)) counts.add('client sent again');
    // Never arrived, or arrived and the answer was lost: the client sends again.
    const fate = random.chance(0.12) ? 'not arrived' : random.chance(0.12) ? 'answer lost' : 'acknowledged';
    for (const profile of profiles) profile.isSettled ||= fate === 'acknowledged';
    if (fate === 'not arrived') return;
    const offset = log.put(profilesTopic, partition, { value: encodeMessage(profiles), headers: isPoison ? this.#poison() : {} });
    if (isPoison) counts.add('poison');
    this.#messages++;
    for (const profile of profiles) profile.copies.push({ logId: log.logId(profilesTopic), partition, offset });
    this.scheduler.note(`client sends ${profiles.flatMap(({ samples }) => samples.map(({ id }) => id)).join(',')} to ${partition}/${offset}: ${fate}`);
  }

  /** Headers of a message that ends who decodes it, or brings out an error of the program. */
  #poison(): Record<string, string> {
    const kills = this.#random.chance(0.7);
    const bite = () => {
      const process = currentProcess();
      if (kills && process !== undefined) this.scheduler.kill(process);
      throw new Error('poison');
    };
    return Object.defineProperty({}, versionHeader, { get: bite, enumerable: false }) as Record<string, string>;
  }

  // --- processes -------------------------------------------------------------------------------

  #keepRunning(): void {
    const awake = (running: readonly Running[]) => running.some(({ process }) => process.alive && !process.frozen);
    // A frozen one is replaced after a while and becomes a zombie.
    const replaces = (running: readonly Running[]) => !awake(running) && (running.every(({ process }) => !process.alive) || this.#random.chance(0.05));
    if (replaces(this.#processors)) this.#beginProcessor();
    if (replaces(this.#exporters) || this.#alive(this.#exporters).length < this.#exportersLeast) this.#beginExporter();
  }

  #beginProcessor(): void {
    const process = new Process(`processor-${++this.#started}`);
    this.#owner = process;
    this.scheduler.note(`${process.name} starts`);
    this.#processors = [...this.#alive(this.#processors), startProcessor(this.#place, process)];
  }

  #beginExporter(): void {
    const taken = new Set(this.#alive(this.#exporters).map(({ process }) => process.name));
    const free = ['exporter-a', 'exporter-b', 'exporter-c', 'exporter-d', 'exporter-e', 'exporter-f'].filter((name) => !taken.has(name));
    if (free.length === 0) return;
    const process = new Process(this.#random.pick(free));
    const directory = indexDirectory(this.#place, process.name);
    if (this.#random.chance(0.2)) {
      loseIndex(directory);
      this.#place.counts.add('index lost');
    }
    this.scheduler.note(`${process.name} starts`);
    this.#exporters = [...this.#alive(this.#exporters), startExporter(this.#place, process, directory)];
  }

  /** One that begins at once on what has just become new, and stops in the middle of it. */
  async #beginAndFreeze(): Promise<void> {
    this.#beginExporter();
    for (let step = this.#random.below(25); step > 0; step--) await this.#step();
    const last = this.#alive(this.#exporters).at(-1);
    if (last === undefined) return;
    last.process.frozen = true;
    this.#place.counts.add('freeze');
  }

  #alive(running: readonly Running[]): Running[] {
    return running.filter(({ process }) => process.alive);
  }

  // --- what goes wrong -------------------------------------------------------------------------

  async #disturb(): Promise<void> {
    const random = this.#random;
    const all = this.#alive([...this.#processors, ...this.#exporters]);
    const frozen = all.filter(({ process }) => process.frozen);
    const kinds = [
      'kill',
      'freeze',
      'wake',
      'wake',
      'stop',
      'second',
      'hours',
      ...(this.#isOld ? (['hours', 'hours'] as const) : []),
      ...(this.#setsClocks ? (['clock', 'clock'] as const) : []),
      ...(this.#isHarmful ? harms : []),
      ...(this.#place.hooks.compactsRows ? (['compact'] as const) : []),
    ] as const;
    switch (random.pick(kinds)) {
      case 'kill':
        if (all.length > 0) this.#kill(random.pick(all).process);
        break;
      case 'freeze':
        if (all.length > 0) random.pick(all).process.frozen = true;
        this.#place.counts.add('freeze');
        break;
      case 'wake':
        if (frozen.length > 0) this.#wake(random.pick(frozen).process);
        break;
      case 'stop':
        if (all.length > 0) this.#stop(random.pick(all));
        break;
      case 'second':
        if (all.length < 5) random.chance(0.5) ? this.#beginProcessor() : this.#beginExporter();
        break;
      case 'hours':
        await this.#pass(random.pick(this.#isOld ? [20, 70, 50 * 60, 50 * 60] : [20, 70, 70, 50 * 60]) * minuteMillis);
        break;
      case 'clock':
        this.#harms.setClock();
        break;
      case 'input':
        this.#harms.overtakeInput();
        break;
      case 'rows':
        this.#harms.overtakeRows();
        break;
      case 'compact':
        this.#harms.compactRows();
        break;
      case 'anew':
        // A log refuses those who knew the old topic; who reads the new one is started anew.
        for (const { process } of all) this.scheduler.kill(process);
        this.#harms.makeAnew(random.pick([[profilesTopic], [rowsTopic], [profilesTopic, rowsTopic]]));
        if (random.chance(0.5)) await this.#beginAndFreeze();
        break;
    }
  }

  #kill(process: Process): void {
    this.#place.counts.add('crash');
    this.scheduler.kill(process);
  }

  #wake(process: Process): void {
    this.#place.counts.add('wake');
    this.scheduler.note(`${process.name} wakes`);
    process.frozen = false;
  }

  #stop(running: Running): void {
    if (running.isStopping) return;
    running.isStopping = true;
    this.#place.counts.add('stop');
    this.scheduler.note(`${running.process.name} is told to stop`);
    void running.stop().then(
      () => this.scheduler.kill(running.process),
      (error: unknown) => this.#place.failed(error),
    );
  }

  /**
   * A long time, with some processes frozen in the middle of something. The digests' window is promised
   * to clients by the log's clock, so what was sent before is rows before.
   */
  async #pass(millis: number): Promise<void> {
    for (const profile of this.#ledger.profiles) profile.isSettled = true;
    const frozen = this.#alive(this.#exporters).filter(() => this.#random.chance(0.5));
    const { faultShare } = this.#place;
    this.#place.faultShare = 0;
    for (const { process } of frozen) process.frozen = true;
    for (let step = 0; step < quietStepsMax && !this.#inputIsRows(); step++) {
      if (this.#alive(this.#processors).every(({ process }) => process !== this.#owner || process.frozen)) this.#beginProcessor();
      await this.#step();
    }
    this.#place.faultShare = faultShare;
    this.#place.counts.add(millis > dayMillis ? 'days pass' : 'hours pass');
    this.scheduler.note(`${millis / minuteMillis} minutes pass`);
    this.scheduler.nowMillis += millis;
    for (const { process } of frozen) if (this.#random.chance(0.7)) this.#wake(process);
  }

  /** All that lies in the input was taken and remembered. */
  #inputIsRows(): boolean {
    const { log, partitions } = this.#place;
    for (let partition = 0; partition < partitions; partition++) {
      const position = log.positionOf(processorGroup, profilesTopic, partition);
      if ((position?.offset ?? 0) < log.rangeOf(profilesTopic, partition).end) return false;
    }
    return true;
  }

  // --- the end ---------------------------------------------------------------------------------

  /** Nothing goes wrong any more: zombies do what they still can, then everything comes to rest. */
  async #calmDown(): Promise<void> {
    this.#place.faultShare = 0;
    this.#exportersLeast = 1;
    for (const { process } of this.#alive([...this.#processors, ...this.#exporters])) if (process.frozen) this.#wake(process);
    for (let step = this.#random.below(150); step > 0; step--) {
      this.#keepRunning();
      await this.#step();
    }
    for (const running of [this.#processors, this.#exporters]) for (const { process } of this.#alive(running).slice(0, -1)) this.scheduler.kill(process);
    for (const profile of this.#ledger.profiles) profile.isSettled = true;
    await this.#comeToRest();
    // What is carried is published a day later, and what was lost shows with the next message of its source.
    this.scheduler.nowMillis += dayMillis + minuteMillis;
    await this.#comeToRest();
  }

  async #comeToRest(): Promise<void> {
    for (let partition = 0; partition < this.#place.partitions; partition++) {
      const profiles = this.#servicesOfAllShards().map((service) => this.#newProfile(service));
      const before = this.#messages;
      while (this.#messages === before) this.#append(profiles, false, partition);
    }
    for (let step = 0; !this.#isAtRest(); step++) {
      if (step === quietStepsMax) throw new Error(`it does not come to rest`);
      if (this.#owner?.alive !== true) this.#beginProcessor();
      if (this.#alive(this.#exporters).length === 0) this.#beginExporter();
      await this.#step();
    }
  }

  /** Those of the run, and one for each shard that has none of them: the loss of a buried message may lie there. */
  #servicesOfAllShards(): number[] {
    const services = Array.from({ length: this.#shape.services }, (_unused, service) => service);
    const shardOf = (service: number) => this.#ledger.shardOf({ service: `service-${service}` });
    const covered = new Set(services.map(shardOf));
    for (let service = services.length; covered.size < this.#place.settings.shards; service++) {
      if (covered.has(shardOf(service))) continue;
      covered.add(shardOf(service));
      services.push(service);
    }
    return services;
  }

  #isAtRest(): boolean {
    if (!this.#inputIsRows()) return false;
    const { log, settings } = this.#place;
    for (let shard = 0; shard < settings.shards; shard++) {
      const { start, end } = log.rangeOf(rowsTopic, shard);
      // Where retention took all that there was before the first record, there is nothing to make one of.
      const position = this.#snapshot.hasRecord(shard) ? this.#snapshot.position(shard, log.logId(rowsTopic)) : start;
      if (position < end) return false;
    }
    return this.#snapshot.isFinished;
  }
}

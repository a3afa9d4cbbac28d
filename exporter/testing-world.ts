// A small world for tests of the protocol: the log and the store in memory of test/model, shared by several
// exporters, each through a view of its own that can fail, lie, freeze or die at any call that the test
// names; and the reader of test/model. (There a seed decides about everything; here a test tells a story.)
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PipelineError } from '../lib/errors.ts';
import type { Log } from '../lib/log/log.ts';
import type { Store } from '../lib/store/store.ts';
import type { LakeSettings } from '../schemas/lake/settings.ts';
import { rowsTopic } from '../schemas/topics.ts';
import { LakeReader } from '../test/model/lake-reader.ts';
import { MemoryLog } from '../test/model/memory-log.ts';
import { MemoryStore } from '../test/model/memory-store.ts';
import { noMeter, quietLogger } from '../test/model/quiet.ts';
import type { Clock } from './clock.ts';
import { prepareDrafts } from './local-files.ts';
import { createMetrics } from './metrics.ts';
import { Shard, type ShardOptions } from './shard.ts';
import { ShardBuilder } from './shard-builder.ts';

export const settings: LakeSettings = { version: 1, lakeId: '0'.repeat(32), createdMillis: 0, shards: 1, routing: 1, identity: 1 };

/** Thrown at the call at which a simulated process dies, and at every later one. */
export class Crash extends Error {}

/** Time that only moves when somebody sleeps or a test says so. */
export class TestClock implements Clock {
  now: number;

  constructor(now: number) {
    this.now = now;
  }

  wallMillis = () => this.now;
  monotonicMillis = () => this.now;

  async sleep(millis: number): Promise<void> {
    this.now += Math.min(millis, 20);
    await new Promise(setImmediate);
  }
}

export interface Faults {
  /** Asked at every call of an exporter; what it answers happens. */
  next(call: string): 'none' | 'crash_before' | 'crash_after' | 'error_before' | 'error_after' | 'says_exists' | 'freeze';
  /** A frozen call goes on when this resolves. */
  thaw(): Promise<void>;
}

export const noFaults: Faults = { next: () => 'none', thaw: async () => {} };

/** Faults that freeze the first call of a name, as a process is stopped there, until the test lets it go on. */
export class Freezer implements Faults {
  readonly #call: string;
  readonly #freeze = Promise.withResolvers<void>();
  readonly #thaw = Promise.withResolvers<void>();
  isFrozen = false;

  constructor(call: string) {
    this.#call = call;
  }

  get frozen(): Promise<void> {
    return this.#freeze.promise;
  }

  next(call: string): 'none' | 'freeze' {
    return call === this.#call && !this.isFrozen ? 'freeze' : 'none';
  }

  thaw(): Promise<void> {
    this.isFrozen = true;
    this.#freeze.resolve();
    return this.#thaw.promise;
  }

  goOn(): void {
    this.#thaw.resolve();
  }
}

const faultyMethods = new Set([
  'putIfAbsent',
  'put',
  'replace',
  'publish',
  'get',
  'head',
  'list',
  'delete',
  'read',
  'range',
  'topic',
  'remember',
  'trim',
  'append',
]);

/** A view of a store or log through which one exporter sees it. */
export function faulty<Target extends object>(target: Target, faults: Faults, afterCall: (method: string, key: unknown) => Promise<void>): Target {
  let dead = false;
  const die = () => {
    dead = true;
    throw new Crash('the process is dead');
  };
  return new Proxy(target, {
    get(object, name) {
      const value = Reflect.get(object, name) as unknown;
      if (typeof value !== 'function' || !faultyMethods.has(String(name))) return value;
      return async (...parameters: unknown[]) => {
        if (dead) die();
        const fault = faults.next(String(name));
        if (fault === 'freeze') await faults.thaw();
        if (fault === 'crash_before') die();
        if (fault === 'error_before') throw new PipelineError('store_unavailable', `${String(name)}: not reached`);
        const result = await (value as (...all: unknown[]) => Promise<unknown>).apply(object, parameters);
        await afterCall(String(name), name === 'publish' ? parameters[1] : parameters[0]);
        if (fault === 'crash_after') die();
        if (fault === 'error_after') throw new PipelineError('store_unavailable', `${String(name)}: the answer was lost`);
        return fault === 'says_exists' && (name === 'putIfAbsent' || name === 'publish') ? 'exists' : result;
      };
    },
  });
}

export interface Exporter {
  readonly shard: Shard;
  readonly builder: ShardBuilder;
  readonly name: string;
}

export class World {
  readonly clock = new TestClock(Date.UTC(2026, 10, 24, 12, 0, 1));
  readonly store = new MemoryStore(() => this.clock.now);
  readonly log = new MemoryLog(() => this.clock.now);
  readonly reader = new LakeReader(this.store, 1);
  readonly #directory = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'exporter-world-'));
  readonly messages: string[] = [];
  /** Those that were started and not taken out. */
  readonly exporters: Exporter[] = [];
  limits: ShardOptions['limits'] = { publishIntervalMillis: 2000, publishBytes: 1e9, publishRowsMax: 1e6, hotIntervalMillis: 300 };

  /** `indexDir` as after a restart of the same exporter, or of another one. */
  start(name: string, faults: Faults = noFaults): Exporter {
    const indexDir = path.join(this.#directory, name);
    const drafts = prepareDrafts(indexDir);
    const afterCall = async (method: string, key: unknown) => {
      if ((method === 'publish' || method === 'delete') && String(key).startsWith('lake/')) await this.reader.check();
    };
    const store = faulty<Store>(this.store, faults, afterCall);
    const log = faulty<Log>(this.log, faults, async () => {});
    const builder = new ShardBuilder({ store, settings, shard: 0, indexDir });
    const logger = quietLogger((line) => this.messages.push(`${name}: ${line}`));
    const { clock, limits } = this;
    const shard = new Shard({ store, log, builder, settings, limits, clock, logger, drafts, shard: 0, writer: name, metrics: createMetrics(noMeter) });
    const exporter = { shard, builder, name };
    this.exporters.push(exporter);
    return exporter;
  }

  /** Steps of a healthy exporter until the log is read, visible and published. */
  async settle(exporter: Exporter): Promise<void> {
    const { end } = await this.log.range(rowsTopic, 0);
    for (let turn = 0; turn < 200; turn++) {
      await exporter.shard.step();
      await exporter.shard.published();
      if ((await this.position()) >= end) return;
      this.clock.now += 500;
    }
    throw new Error(`not published after 200 turns: ${exporter.shard.text}\n${this.messages.slice(-10).join('\n')}`);
  }

  /** Position of the head record. */
  async position(): Promise<number> {
    const [entry] = await this.store.list('commits/000/', { limit: 1 });
    if (entry === undefined) return 0;
    return (JSON.parse(new TextDecoder().decode(this.store.objects.get(entry.key)!.bytes)) as { position: number }).position;
  }

  async close(): Promise<void> {
    for (const { builder } of this.exporters.splice(0)) await builder.close();
    rmSync(this.#directory, { recursive: true });
  }
}

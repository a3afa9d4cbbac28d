// Each kind of fault, from a pipeline that is well to one that is well again.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { zstdDecompressSync } from 'node:zlib';
import { isAlive } from '../e2e/processes.ts';
import { Hopeless, until } from '../e2e/until.ts';
import type { Disk } from './disk.ts';
import { type Load, markOf, samplesPerMessage } from './load.ts';
import { kill, type Pipeline } from './pipeline.ts';
import { type Fault, type StageName, type WindowName, windows } from './plan.ts';
import type { Arm } from './preload.ts';
import type { Reader } from './reader.ts';
import { samplesInFiles } from './verdict.ts';

export interface World {
  readonly folder: string;
  readonly pipeline: Pipeline;
  readonly disk: Disk;
  readonly load: Load;
  readonly reader: Reader | null;
  /** Deaths of each stage since `up` was started: it waits twice as long after each. */
  readonly deaths: { starts: number; of: Map<StageName, number> };
}

export interface Outcome {
  readonly kills: number;
  /** What happened exactly. */
  readonly note: string;
  /** Wrong already by itself. */
  readonly wrong?: string;
}

const movesMillis = 120_000;
const hitMillis = 60_000;
/** After two deaths of a stage the third start would wait a second: then all of it is killed and started anew. */
const deathsMax = 2;

let count = 0;
const newId = (): string => `${process.pid}-${++count}`;

/** Waits for acknowledgements, so that no fault meets an idle pipeline. */
export async function moves({ load, pipeline }: World, messages: number): Promise<void> {
  const before = load.acknowledged.size;
  await until(`${messages} more messages are acknowledged`, movesMillis, async () => {
    if (!pipeline.isUp()) await pipeline.recover();
    return load.acknowledged.size >= before + messages;
  });
}

export async function inject(world: World, fault: Fault): Promise<Outcome> {
  switch (fault.kind) {
    case 'window':
      return killInWindow(world, fault);
    case 'kill':
      return killSomewhere(world, fault);
    case 'stop':
      return stopForAWhile(world, fault);
    case 'zombie':
      return makeZombie(world, fault.target);
    case 'power loss':
      return losePower(world);
    case 'power loss in a window':
      return losePowerInWindow(world, fault);
    case 'disk full':
      return fillDisk(world, fault);
    case 'disk read-only':
      return makeReadOnly(world, fault.millis);
    case 'clock':
      return shiftClock(world, fault);
    default:
      return fault satisfies never;
  }
}

async function killInWindow(world: World, fault: Extract<Fault, { kind: 'window' }>): Promise<Outcome> {
  const { pipeline } = world;
  const isWhole = fault.whole || isTired(world, windows[fault.window].stage);
  const pids = pipeline.pids();
  const hit = await comeTo(world, fault, { whole: isWhole, signal: 'SIGKILL' });
  if (hit !== null && isWhole) await endsAlone(pids);
  await pipeline.recover();
  return hit === null ? missed(fault) : { kills: 1, note: `${hit}${isWhole ? ', up too' : ''}` };
}

interface Moment {
  readonly window: WindowName;
  readonly point: string;
  readonly pass: number;
}

/** Has the stage send itself the signal when it comes to the point; what it says of it, or null where it does not come. */
async function comeTo({ pipeline }: World, { window, point, pass }: Moment, how: Pick<Arm, 'whole' | 'signal'>): Promise<string | null> {
  const { stage } = windows[window];
  const arm = { id: newId(), point, pass, ...how };
  pipeline.arm(stage, arm);
  const hit = await until(`${stage} comes to: ${point}`, hitMillis, () => pipeline.hit(arm.id)).catch(() => null);
  pipeline.disarm(stage);
  return hit;
}

function missed({ window, point, pass }: Moment): Outcome {
  return { kills: 0, note: 'not hit', wrong: `the window "${window}" (${point}, pass ${pass}) was not come to within ${hitMillis} ms` };
}

/** Stages end with their parent. */
async function endsAlone(pids: readonly number[]): Promise<void> {
  await until('all stages have ended after flamelake up was killed', movesMillis, () => !pids.some(isAlive));
}

function isTired({ deaths, pipeline }: World, stage: StageName): boolean {
  if (deaths.starts !== pipeline.starts()) {
    deaths.starts = pipeline.starts();
    deaths.of.clear();
  }
  const before = deaths.of.get(stage) ?? 0;
  deaths.of.set(stage, before + 1);
  return before >= deathsMax;
}

async function killSomewhere(world: World, { target, afterMillis }: Extract<Fault, { kind: 'kill' }>): Promise<Outcome> {
  const { pipeline } = world;
  await sleep(afterMillis);
  const victim = target === 'up' || isTired(world, target) ? 'up' : target;
  const pid = pipeline.pid(victim);
  const pids = pipeline.pids();
  const isKilled = pid !== null && kill(pid, 'SIGKILL');
  if (isKilled && victim === 'up') await endsAlone(pids);
  await pipeline.recover();
  return { kills: isKilled ? 1 : 0, note: isKilled ? victim : `${victim} was not there` };
}

async function stopForAWhile({ pipeline }: World, { target, afterMillis, millis }: Extract<Fault, { kind: 'stop' }>): Promise<Outcome> {
  await sleep(afterMillis);
  const pid = target === 'up' ? null : pipeline.pid(target);
  const pids = target === 'up' ? pipeline.pids() : pid === null ? [] : [pid];
  for (const each of pids) kill(each, 'SIGSTOP');
  await sleep(millis);
  for (const each of pids) kill(each, 'SIGCONT');
  await pipeline.recover();
  return { kills: 0, note: `${pids.length} processes` };
}

interface Standby {
  readonly child: ChildProcess;
  /** What it says of its stages. */
  status(): Record<'processor' | 'exporter', string> | null;
}

function startStandby({ pipeline, folder }: World): Standby {
  const index = path.join(folder, 'standby-index');
  mkdirSync(index, { recursive: true });
  const url = (name: string) => pathToFileURL(path.join(pipeline.dataDir, name)).href;
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'standby.ts'), url('log'), url('.'), index], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...pipeline.env },
  });
  let last: Record<'processor' | 'exporter', string> | null = null;
  createInterface({ input: child.stdout! }).on('line', (line) => {
    last = JSON.parse(line);
  });
  return { child, status: () => last };
}

const takesOver = { processor: /reads otlp_profiles/, exporter: /shard 0: (reading|waiting)/ } as const;
/** Its lease of 5 s, a look at the share each second, and loading; longer where it was frozen within a transaction. */
const takeOverMillis = 20_000;

async function makeZombie(world: World, target: 'processor' | 'exporter'): Promise<Outcome> {
  const { pipeline } = world;
  const standby = startStandby(world);
  try {
    await until('the second member is there', movesMillis, () => {
      if (standby.child.exitCode !== null) throw new Hopeless(`the second member has ended with ${standby.child.exitCode}`);
      return standby.status() !== null;
    });
    const pid = pipeline.pid(target);
    if (pid === null) return { kills: 0, note: `${target} was not there` };
    kill(pid, 'SIGSTOP');
    const isTaken = await until('the second member has the share', takeOverMillis, () => takesOver[target].test(standby.status()?.[target] ?? '')).catch(
      () => false,
    );
    // Long enough for publications of its own.
    if (isTaken) await sleep(3_000);
    kill(pid, 'SIGCONT');
    await sleep(2_000);
    return {
      kills: 1,
      note: isTaken ? 'the second member had taken over, and was killed after the first woke' : `nobody could take over (${standby.status()?.[target]})`,
    };
  } finally {
    if (kill(standby.child.pid!, 'SIGKILL') && standby.child.exitCode === null && standby.child.signalCode === null) await once(standby.child, 'exit');
    await pipeline.recover();
  }
}

/** For what a stopped process has in the kernel still: an fsync that was under way. */
const settleMillis = 50;

async function losePower(world: World): Promise<Outcome> {
  const { pipeline, load, reader } = world;
  await reader?.pause();
  const pids = pipeline.pids();
  const message = await load.nextAcknowledgement(() => {
    for (const pid of pids) kill(pid, 'SIGSTOP');
  });
  await cutOff(world);
  // On a busy machine the answer comes late, and the message may be public by then.
  const where = whereInLog(world, message) ?? ((await samplesInFiles(pipeline.dataDir, message)) === samplesPerMessage ? 'public files' : null);
  await pipeline.recover();
  await reader?.resume();
  const note = `message ${message} was in ${where ?? 'no file'}`;
  return { kills: 1, note, ...(where === null ? { wrong: `message ${message} was acknowledged, and not on disk` } : {}) };
}

async function losePowerInWindow(world: World, fault: Extract<Fault, { kind: 'power loss in a window' }>): Promise<Outcome> {
  const { pipeline, reader } = world;
  await reader?.pause();
  const hit = await comeTo(world, fault, { whole: true, signal: 'SIGSTOP' });
  for (const pid of pipeline.pids()) kill(pid, 'SIGSTOP');
  await cutOff(world);
  await pipeline.recover();
  await reader?.resume();
  return hit === null ? missed(fault) : { kills: 1, note: hit };
}

/** All processes are stopped already. */
async function cutOff({ pipeline, disk }: World): Promise<void> {
  await sleep(settleMillis);
  disk.snapshot();
  await pipeline.killAll();
  disk.restore();
}

/** Which of the log's files, as they are on disk, holds a message: as it came, or as rows. */
function whereInLog({ pipeline, folder }: World, message: number): string | null {
  const mark = Buffer.from(markOf(message));
  const copy = path.join(folder, 'copied.db');
  for (const topic of ['otlp_profiles', 'flamelake.rows']) {
    const file = path.join(pipeline.dataDir, 'log/topics', `${topic}.db`);
    for (const ending of ['', '-wal']) {
      rmSync(`${copy}${ending}`, { force: true });
      if (existsSync(`${file}${ending}`)) copyFileSync(`${file}${ending}`, `${copy}${ending}`);
    }
    rmSync(`${copy}-shm`, { force: true });
    const db = new DatabaseSync(copy);
    try {
      for (const row of db.prepare('SELECT value FROM p0 ORDER BY offset DESC').iterate()) {
        const value = Buffer.from(row.value as Uint8Array);
        const plain = topic === 'flamelake.rows' ? zstdDecompressSync(value.subarray(rowsPrefixBytes)) : value;
        if (plain.includes(mark)) return topic;
      }
    } catch {
      // Not even a log: then it does not hold the message.
    } finally {
      db.close();
    }
  }
  return null;
}

/** schemas/rows/codec.ts: magic, version and length stand before what is compressed. */
const rowsPrefixBytes = 16;

async function fillDisk({ pipeline, disk }: World, { leftBytes, millis }: Extract<Fault, { kind: 'disk full' }>): Promise<Outcome> {
  disk.fill(leftBytes);
  await sleep(millis);
  const wasUp = pipeline.isUp();
  disk.empty();
  await pipeline.recover();
  return { kills: 0, note: wasUp ? 'it went on running' : 'it had ended' };
}

async function makeReadOnly({ pipeline, disk, load, reader }: World, millis: number): Promise<Outcome> {
  await reader?.pause();
  // Nobody is answered in this very moment: where ext4 gives up its journal, an fsync that is under way may
  // come back with success and its data be gone (a loop of pwrite and fdatasync alone shows it, one time in 30).
  await load.pause();
  disk.makeReadOnly();
  load.goOn();
  await sleep(millis);
  const wasUp = pipeline.isUp();
  await pipeline.killAll();
  disk.remount();
  await pipeline.recover();
  await reader?.resume();
  return { kills: 1, note: wasUp ? 'it went on running' : 'it had ended' };
}

/** The window in which a repetition is recognised goes by the receiver's clock: no client may be half-way when it jumps over it. */
const windowMillis = 12 * 60_000;

async function shiftClock(world: World, { target, shiftMillis, millis }: Extract<Fault, { kind: 'clock' }>): Promise<Outcome> {
  const { pipeline, load } = world;
  const isLong = Math.abs(shiftMillis) > windowMillis && (target === 'all' || target === 'receiver');
  const change = async (shift: number | null) => {
    if (isLong) await load.pause();
    pipeline.setClock(target, shift);
    // Every process has looked at it.
    await sleep(200);
    load.goOn();
  };
  load.setWitnesses(false);
  await change(shiftMillis);
  await sleep(millis);
  // A start under the wrong clock, and one under the right clock after it.
  const pid = target === 'all' ? pipeline.pid('exporter') : pipeline.pid(target);
  const isKilled = pid !== null && kill(pid, 'SIGKILL');
  await pipeline.recover();
  await moves(world, 5);
  await change(null);
  load.setWitnesses(true);
  await pipeline.recover();
  return { kills: isKilled ? 1 : 0, note: isKilled ? 'and killed under it' : '' };
}

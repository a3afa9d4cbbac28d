// `flamelake up` of a fault run: started as a user does, started again after each death, its stages
// known by name, and the files by which preload.ts is told what to do.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePorts, type Ports, startUp, type Up } from '../e2e/flamelake.ts';
import { commandLine, descendants, isAlive } from '../e2e/processes.ts';
import { until } from '../e2e/until.ts';
import type { StageName } from './plan.ts';
import type { Arm } from './preload.ts';

export const publishMillis = 1_000;
const flags = ['--no-agent', '--publish-interval', `${publishMillis}ms`, '--hot-interval', '500ms'];

/** Generous: several of these machines' builds run side by side, and one start is 2 s of CPU time. */
const patienceMillis = 90_000;

export interface Pipeline {
  readonly ports: Ports;
  readonly dataDir: string;
  /** Environment of every process that preload.ts is to be in. */
  readonly env: NodeJS.ProcessEnv;
  start(): Promise<void>;
  /** Waits until all is well again, starting what has ended. */
  recover(): Promise<void>;
  /** Kills all that is left of it and waits for that. */
  killAll(): Promise<void>;
  stop(): Promise<void>;
  isUp(): boolean;
  /** The parent's process number, or a stage's; null while there is none. */
  pid(target: StageName | 'up'): number | null;
  pids(): number[];
  arm(stage: StageName, arm: Arm): void;
  /** What was hit, once it was. */
  hit(id: string): string | null;
  disarm(stage: StageName): void;
  setClock(target: StageName | 'all', shiftMillis: number | null): void;
  starts(): number;
  /** The end of what the processes said, for a report. */
  output(): string;
}

export async function createPipeline(dataDir: string, folder: string): Promise<Pipeline> {
  const ports = await freePorts();
  mkdirSync(folder, { recursive: true });
  const preload = pathToFileURL(path.join(import.meta.dirname, 'preload.ts')).href;
  const env = { NODE_OPTIONS: `--import=${preload}`, FAULTS_FOLDER: folder };
  const file = (name: string) => path.join(folder, name);
  let up: Up | null = null;
  let starts = 0;
  let said = '';

  const start = async () => {
    starts++;
    up = startUp({ dataDir, flags, env }, ports);
    await up.waitReady();
  };
  const pids = () => (up === null ? [] : [up.pid, ...descendants(up.pid)]);
  const killAll = async () => {
    // Children are looked for before their parent is gone, and die with it.
    const all = pids();
    for (const pid of all.filter(isAlive)) kill(pid, 'SIGKILL');
    await until('all processes have ended', patienceMillis, () => !all.some(isAlive));
    said = up?.output() ?? said;
    up = null;
  };
  const isReady = async () => up !== null && up.exited() === null && (await fetch(`http://127.0.0.1:${ports.listen}/readyz`)).ok;

  return {
    ports,
    dataDir,
    env,
    start,
    killAll,
    recover: async () => {
      const deadline = performance.now() + patienceMillis;
      for (;;) {
        if (up === null || up.exited() !== null) {
          await killAll();
          await start();
        }
        if (await isReady().catch(() => false)) return;
        if (performance.now() > deadline) throw new Error(`not ready within ${patienceMillis} ms\n${up?.output()}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    stop: async () => {
      await up?.stop();
      said = up?.output() ?? said;
      up = null;
    },
    isUp: () => up !== null && up.exited() === null,
    pid: (target) => {
      if (up === null || up.exited() !== null) return null;
      if (target === 'up') return up.pid;
      const isIt = new RegExp(`stage-process\\.[tj]s ${target} `);
      return descendants(up.pid).find((pid) => isIt.test(commandLine(pid)) && isAlive(pid)) ?? null;
    },
    pids,
    arm: (stage, arm) => writeFileSync(file(`arm-${stage}`), JSON.stringify(arm)),
    hit: (id) => (existsSync(file(`hit-${id}`)) ? readFileSync(file(`hit-${id}`), 'utf8') : null),
    disarm: (stage) => rmSync(file(`arm-${stage}`), { force: true }),
    setClock: (target, shiftMillis) => {
      if (shiftMillis === null) rmSync(file(`clock-${target}`), { force: true });
      else writeFileSync(file(`clock-${target}`), String(shiftMillis));
    },
    starts: () => starts,
    output: () => (up?.output() ?? said).split('\n').slice(-30).join('\n'),
  };
}

/** One that has just ended by itself is as good as hit. */
export function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

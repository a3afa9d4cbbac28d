// A fault run: a real `flamelake up`, a counted load, a foreign reader, faults one after another, and the
// verdict in the end. main.ts is its command, faults.test.ts its short form.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { findPython } from '../engines/python.ts';
import { openDisk } from './disk.ts';
import { inject, moves, type World } from './inject.ts';
import { samplesPerMessage, startLoad } from './load.ts';
import { createPipeline } from './pipeline.ts';
import { type Fault, faultText, planFaults } from './plan.ts';
import { type Reader, type ReaderReport, startReader } from './reader.ts';
import { judge, type Verdict } from './verdict.ts';

export interface RunOptions {
  readonly folder: string;
  readonly seed: number;
  readonly faults: number;
  readonly only?: readonly string[];
  readonly keep?: boolean;
  readonly onProgress?: (line: string) => void;
  /** No further fault; what was done is judged. */
  readonly signal?: AbortSignal;
}

export interface FaultCount {
  readonly faults: number;
  readonly kills: number;
}

export interface RunReport extends Verdict {
  readonly seed: number;
  readonly faults: number;
  readonly kills: number;
  /** By kind, and kills by the window that they were in. */
  readonly byKind: Readonly<Record<string, FaultCount>>;
  readonly acknowledgedMessages: number;
  readonly acknowledgedSamples: number;
  readonly abandonedMessages: number;
  readonly tries: number;
  readonly starts: number;
  readonly seconds: number;
  readonly reader: ReaderReport | null;
  /** What could not be done on this host, with the reason. */
  readonly left: readonly string[];
}

/** Messages between a fault and the next one. */
const movesMessages = 12;

export async function runFaults({ folder, seed, faults, only, keep = false, signal, onProgress = () => {} }: RunOptions): Promise<RunReport> {
  const begun = performance.now();
  const python = findPython();
  const disk = openDisk(folder);
  const left = [
    ...(disk.lack === null ? [] : [`power loss, full and read-only disk: a file system of its own ${disk.lack}`]),
    ...(python === null ? ['the reader that lists meanwhile, and DuckDB for Python in the end: no Python'] : []),
  ];
  for (const line of left) onProgress(`left out: ${line}`);
  const plan = planFaults({ seed, faults, hasDisk: disk.lack === null, ...(only === undefined ? {} : { only }) });
  const pipeline = await createPipeline(disk.dataDir, path.join(folder, 'faults'));
  let reader: Reader | null = null;
  const wrong: string[] = [];
  try {
    await pipeline.start();
    const load = startLoad({ otlpGrpc: `127.0.0.1:${pipeline.ports.grpc}`, otlpHttp: `http://127.0.0.1:${pipeline.ports.http}` }, seed);
    mkdirSync(path.join(disk.dataDir, 'lake'), { recursive: true });
    reader = python === null ? null : startReader(python, path.join(disk.dataDir, 'lake'));
    const world: World = { folder, pipeline, disk, load, reader, deaths: { starts: 0, of: new Map() } };
    const counts = new Map<string, FaultCount>();
    for (const [index, fault] of plan.entries()) {
      if (signal?.aborted) break;
      const since = performance.now();
      await moves(world, movesMessages);
      const { kills, note, wrong: atOnce } = await inject(world, fault);
      if (atOnce !== undefined) wrong.push(`fault ${index + 1}: ${atOnce}`);
      const name = nameOf(fault);
      const before = counts.get(name) ?? { faults: 0, kills: 0 };
      counts.set(name, { faults: before.faults + 1, kills: before.kills + kills });
      onProgress(
        `${index + 1}/${plan.length} ${faultText(fault)}: ${note} (${((performance.now() - since) / 1000).toFixed(1)} s)${atOnce === undefined ? '' : ` WRONG: ${atOnce}`}`,
      );
    }
    await moves(world, movesMessages);
    await load.finish();
    onProgress(`${load.acknowledged.size} messages are acknowledged; waiting for a last publication`);
    const verdict = await judge(disk.dataDir, load, python);
    const seen = (await reader?.end()) ?? null;
    await pipeline.stop();
    wrong.push(
      ...load.refused.map((text) => `refused: ${text}`),
      ...verdict.wrong,
      ...(seen?.wrong ?? []).map((text) => `seen by a reader meanwhile: ${text}`),
    );
    return {
      seed,
      faults: [...counts.values()].reduce((sum, each) => sum + each.faults, 0),
      kills: [...counts.values()].reduce((sum, each) => sum + each.kills, 0),
      byKind: Object.fromEntries([...counts].sort(([a], [b]) => a.localeCompare(b))),
      acknowledgedMessages: load.acknowledged.size,
      acknowledgedSamples: load.acknowledged.size * samplesPerMessage,
      abandonedMessages: load.abandoned.size,
      tries: load.tries(),
      starts: pipeline.starts(),
      seconds: Math.round((performance.now() - begun) / 1000),
      reader: seen,
      left,
      lost: verdict.lost,
      doubled: verdict.doubled,
      wrong,
    };
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${pipeline.output()}`);
  } finally {
    await reader?.kill();
    await pipeline.killAll();
    disk.remove(keep);
  }
}

const nameOf = (fault: Fault): string => (fault.kind === 'window' ? `window: ${fault.window}` : fault.kind);

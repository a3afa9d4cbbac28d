// The whole path from the timer interrupt to a row, on this host: programs that know how their CPU time
// was spent, and SQL that must find the same. Needs root.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildProgram, type Program, runProgram } from '../programs/programs.ts';
import { freePorts, isRoot, killStarted, type Row, sql, startUp, temporaryFolder, type Up } from './flamelake.ts';
import { findBrowser, openPage } from './page.ts';
import { bpfObjects, descendants, isAlive } from './processes.ts';
import { until } from './until.ts';

if (!isRoot) process.stderr.write('tests that sample this host are skipped: they need root\n');

/** Two-sided 99 % of a normal distribution. */
const z99 = 2.576;
/** Where three shares are asked for in every run of the tests, one run in thirty would fail at 99 %. */
const z999 = 3.291;
const freshMillis = 15_000;
const startMillis = 20_000;

const folder = temporaryFolder('sampling');
afterAll(async () => {
  await killStarted();
  folder.remove();
});

const program = (source: string, name?: string): Program => buildProgram(source, join(folder.path, 'programs'), name);

/** Everything sampled until now has arrived: some sample of the host is younger. */
async function waitUntilSeen(dataDir: string, millis = Date.now()): Promise<void> {
  const query = `SELECT coalesce(epoch_ms(max(time)) > ${millis}, false)::VARCHAR AS seen FROM samples`;
  await until('samples of this moment arrive', freshMillis + 5_000, async () => (await sql(dataDir, query))[0]?.seen === 'true');
}

const cpuRows = (pid: number) => `FROM samples WHERE process_pid = ${pid} AND sample_type = 'cpu'`;
const numbers = (row: Row | undefined): Record<string, number> => Object.fromEntries(Object.entries(row ?? {}).map(([name, value]) => [name, Number(value)]));

/** Samples and CPU time of a process, and the period: every sample stands for the same. */
async function cpuOf(dataDir: string, pid: number): Promise<{ samples: number; nanos: number; period: number }> {
  const query = `SELECT count(*)::VARCHAR AS samples, coalesce(sum(value), 0)::VARCHAR AS nanos, coalesce(max(value), 0)::VARCHAR AS period,
    coalesce(min(value), 0)::VARCHAR AS least ${cpuRows(pid)}`;
  const { samples, nanos, period, least } = numbers((await sql(dataDir, query))[0]);
  expect(least).toBe(period);
  return { samples: samples!, nanos: nanos!, period: period! };
}

describe.skipIf(!isRoot)('at the default rate', () => {
  const dataDir = join(folder.path, 'default');
  let up: Up;
  let startedMillis: number;

  beforeAll(async () => {
    startedMillis = Date.now();
    up = startUp({ dataDir }, await freePorts());
    await up.waitReady();
  });

  test('within 20 s of the start the page shows the flame graph of this host', async () => {
    const browser = findBrowser();
    await until('samples', startMillis, async () => numbers((await sql(dataDir, 'SELECT count(*)::VARCHAR AS rows FROM samples'))[0]).rows! > 0);
    expect((await fetch(up.http)).status).toBe(200);
    expect(Date.now() - startedMillis).toBeLessThan(startMillis);
    if (browser === null) {
      process.stderr.write('the page was not looked at: no browser is installed\n');
      return;
    }
    const picture = join(folder.path, 'page.png');
    const page = await openPage(browser, up.http, picture);
    expect(statSync(picture).size).toBeGreaterThan(10_000);
    // The pipeline's own processes are among what it sees. (The page is long: never print it.)
    const shown = { host: page.includes('samples/s from 1 host'), frames: /<tr[^>]*data-row="[^"]+"/.test(page), node: page.includes('node') };
    expect(shown).toEqual({ host: true, frames: true, node: true });
  });

  test('a sample is visible in SQL within 15 s, at every moment, and CPU time by samples is CPU time by the kernel', async () => {
    const run = runProgram(program('shares', 'fresh'), ['14']);
    const start = performance.now();
    await until('its first sample', freshMillis, async () => (await cpuOf(dataDir, run.pid)).samples > 0);
    const ages: number[] = [];
    while (performance.now() - start < 12_000) {
      const asked = Date.now();
      const { newest } = numbers((await sql(dataDir, `SELECT epoch_ms(max(time))::VARCHAR AS newest ${cpuRows(run.pid)}`))[0]);
      ages.push(asked - newest!);
    }
    expect(Math.max(...ages)).toBeLessThan(freshMillis);
    const { userNanos, systemNanos } = await run.result;
    await waitUntilSeen(dataDir);
    const { nanos, period } = await cpuOf(dataDir, run.pid);
    const used = userNanos! + systemNanos!;
    // It had a CPU for itself most of the time: only the rest is left to chance.
    const error = z99 * Math.sqrt((used / period) * 0.2) + 2;
    expect(Math.abs(nanos - used) / period).toBeLessThan(error);
  });

  test('3 ms of each 10 ms on an absolute timer get their share in five runs', async () => {
    const timer = program('absolute_timer');
    const seconds = 6;
    const runs: ReturnType<typeof runProgram>[] = [];
    for (const cpus of [[0, 1], [0, 1], [0]]) {
      const round = cpus.map((cpu) => runProgram(timer, [String(seconds)], { wrapper: ['taskset', '-c', String(cpu)] }));
      await Promise.all(round.map((run) => run.result));
      runs.push(...round);
    }
    await waitUntilSeen(dataDir);
    const found = [];
    for (const run of runs) {
      const { wallNanos, userNanos, systemNanos } = await run.result;
      const used = userNanos! + systemNanos!;
      const { samples, period } = await cpuOf(dataDir, run.pid);
      const slots = wallNanos! / period;
      const share = used / wallNanos!;
      const error = z99 * Math.sqrt(slots * share * (1 - share));
      found.push({ samples, expected: slots * share, error, isWithin: Math.abs(samples - slots * share) <= error });
    }
    expect(
      found.every((run) => run.isWithin),
      JSON.stringify(found),
    ).toBe(true);
  });

  test('ended, it leaves no process and no BPF program or map behind', async () => {
    const pids = descendants(up.pid);
    const held = pids.map(bpfObjects);
    const programs = held.flatMap((objects) => [...objects.programs]);
    expect(programs.length).toBeGreaterThan(0);
    await up.stop();
    expect(pids.filter(isAlive)).toEqual([]);
    await expectGone(held);
  });
});

/** Ids are never given twice while a kernel runs, so nobody may hold one of these any more. */
async function expectGone(held: readonly { programs: ReadonlySet<number>; maps: ReadonlySet<number> }[]): Promise<void> {
  const { execFileSync } = await import('node:child_process');
  const known = (what: string) =>
    new Set((JSON.parse(execFileSync('bpftool', [what, 'show', '--json'], { encoding: 'utf8' })) as { id: number }[]).map(({ id }) => id));
  const left = () => [
    ...held.flatMap(({ programs }) => [...programs]).filter((id) => known('prog').has(id)),
    ...held.flatMap(({ maps }) => [...maps]).filter((id) => known('map').has(id)),
  ];
  // The kernel frees them after a grace period of its own.
  await until('the kernel has freed the BPF objects', 10_000, () => left().length === 0);
}

describe.skipIf(!isRoot)('at 200 samples a second', () => {
  const dataDir = join(folder.path, 'fast');
  const environment = { OTEL_SERVICE_NAME: 'the shop', OTEL_RESOURCE_ATTRIBUTES: 'service.version=1.2,deployment.environment.name=test', NOT_OURS: 'secret' };
  let up: Up;
  let programs: Record<'shares' | 'syscalls' | 'named', Program>;
  let runs: Record<'shares' | 'syscalls' | 'named', ReturnType<typeof runProgram>>;

  beforeAll(async () => {
    programs = { shares: program('shares'), syscalls: program('syscalls'), named: program('shares', 'named') };
    up = startUp({ dataDir, flags: ['--rate', '200'] }, await freePorts());
    await up.waitReady();
    runs = {
      shares: runProgram(programs.shares, ['6']),
      syscalls: runProgram(programs.syscalls, ['3']),
      named: runProgram(programs.named, ['1'], { env: environment }),
    };
    await Promise.all(Object.values(runs).map((run) => run.result));
    await waitUntilSeen(dataDir);
  });

  test('SQL finds the shares of a C program, its functions by name, its build id', async () => {
    const { shares } = programs;
    const run = runs.shares;
    const result = await run.result;
    const query = `SELECT leaf_function AS name, count(*)::VARCHAR AS samples, any_value(frames[1].build_id) AS build_id, any_value(frames[1].mapping) AS mapping,
      any_value(frames[1].type) AS type, (count(*) FILTER (WHERE list_contains(list_transform(frames, lambda f: f.function), 'share_all')))::VARCHAR AS called
      FROM samples JOIN stacks USING (date, stack_id) WHERE process_pid = ${run.pid} AND sample_type = 'cpu' GROUP BY ALL`;
    const rows = new Map((await sql(dataDir, query)).map((row) => [row.name as string, row]));
    const names = ['share_sixty', 'share_twenty_five', 'share_fifteen'];
    const work = names.reduce((sum, name) => sum + result[name]!, 0);
    const samples = names.reduce((sum, name) => sum + Number(rows.get(name)?.samples ?? 0), 0);
    expect(samples).toBeGreaterThan(800);
    for (const name of names) {
      const row = rows.get(name)!;
      const share = result[name]! / work;
      const error = z999 * Math.sqrt((share * (1 - share)) / samples);
      expect(Math.abs(Number(row.samples) / samples - share), `${name}: ${row.samples} of ${samples}, ${share} of the time`).toBeLessThan(error);
      expect(row).toMatchObject({ build_id: shares.buildId, type: 'native' });
      // Before a function has pushed its frame pointer, its caller is skipped: a handful of instructions.
      expect(Number(row.called) / Number(row.samples)).toBeGreaterThan(0.95);
      expect(String(row.mapping).endsWith(shares.name)).toBe(true);
    }
  });

  test('kernel frames stand above the user frames that called them, with their names', async () => {
    const run = runs.syscalls;
    const query = `SELECT count(*)::VARCHAR AS samples, frames FROM samples JOIN stacks USING (date, stack_id)
      WHERE process_pid = ${run.pid} AND sample_type = 'cpu' GROUP BY ALL`;
    const rows = await sql(dataDir, query);
    let [all, inKernel] = [0, 0];
    for (const row of rows) {
      const frames = row.frames as { type: string; function: string | null }[];
      const kernel = frames.findIndex((frame) => frame.type !== 'kernel');
      all += Number(row.samples);
      if (kernel <= 0) continue;
      expect(frames.slice(kernel).every((frame) => frame.type !== 'kernel')).toBe(true);
      const isNamed = frames.slice(0, kernel).every((frame) => frame.function !== null);
      if (isNamed && frames[kernel]!.function === 'read_zeros') inKernel += Number(row.samples);
    }
    expect(all).toBeGreaterThan(400);
    expect(inKernel / all).toBeGreaterThan(0.9);
  });

  test('service, host and process of its samples are right', async () => {
    const { named } = programs;
    const run = runs.named;
    const rows = await sql(
      dataDir,
      `SELECT DISTINCT service_name, service_version, deployment_environment_name, process_executable_name, process_executable_path,
      thread_name, thread_id::VARCHAR AS thread_id, host_name, host_id IS NOT NULL AS has_host_id, CAST(resource_attributes AS VARCHAR) AS more ${cpuRows(run.pid)} AND thread_name = 'named'`,
    );
    // Between fork and exec the task still bears the name of its parent: those samples are not asked for.
    expect(rows, JSON.stringify(rows)).toHaveLength(1);
    const { hostname } = await import('node:os');
    expect(rows[0]).toMatchObject({
      service_name: 'the shop',
      service_version: '1.2',
      deployment_environment_name: 'test',
      process_executable_name: 'named',
      process_executable_path: named.path,
      thread_name: 'named',
      thread_id: String(run.pid),
      host_name: hostname(),
      has_host_id: true,
    });
    expect(String(rows[0]!.more)).not.toContain('secret');
  });

  test('kill -9 of the parent: all end within a second, no BPF program or map is left', async () => {
    const pids = descendants(up.pid);
    const held = pids.map(bpfObjects);
    expect(held.flatMap((objects) => [...objects.programs]).length).toBeGreaterThan(0);
    process.kill(up.pid, 'SIGKILL');
    await until('all children have ended', 1_000, () => !pids.some(isAlive));
    await expectGone(held);
  });
});

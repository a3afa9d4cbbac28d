// Starting and stopping as users and their supervisors do it.
import { spawnSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { countedLoad } from '../otlp/messages.ts';
import { freePorts, isRoot, killStarted, launcher, runCommand, startCommand, startUp, temporaryFolder } from './flamelake.ts';
import { differences, rowsBySql } from './lake-rows.ts';
import { descendants, isAlive } from './processes.ts';
import { createSender } from './send.ts';
import { until } from './until.ts';

/** Its number on every Linux. */
const nobody = 65534;
const folders: ReturnType<typeof temporaryFolder>[] = [];
const newFolder = () => {
  const folder = temporaryFolder('lifecycle');
  folders.push(folder);
  return folder.path;
};
afterEach(killStarted);
afterAll(() => {
  for (const folder of folders) folder.remove();
});

const start = async (dataDir: string, flags: readonly string[] = ['--no-agent']) => {
  const up = startUp({ dataDir, flags }, await freePorts());
  await up.waitReady();
  return up;
};

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('to the parent alone: flushed, exit 0, no process left, nothing lost', async () => {
    const dataDir = newFolder();
    const up = await start(dataDir);
    const sender = createSender(up);
    const messages = [...countedLoad({ seed: 5, nowMillis: Date.now() }, 5)];
    for (const message of messages) await sender.send(message, message.contentType.endsWith('json') ? 'http' : 'grpc');
    sender.close();
    const children = descendants(up.pid);
    up.child.kill(signal);
    expect(await up.waitExit(), up.output()).toEqual({ code: 0, signal: null });
    expect(children.filter(isAlive)).toEqual([]);
    // What no process had published yet is seen after the next start, or before it, but is seen.
    const again = await start(dataDir);
    const expected = messages.flatMap((message) => message.rows);
    await until('all rows are there', 20_000, async () => (await rowsBySql(dataDir)).samples.length >= expected.length);
    expect(differences(await rowsBySql(dataDir), expected)).toEqual([]);
    await again.stop();
  });

  test('to the whole group, so that each process gets it and the parent may get it twice: exit 0', async () => {
    const up = await start(newFolder());
    const children = descendants(up.pid);
    process.kill(-up.pid, signal);
    process.kill(-up.pid, signal);
    expect(await up.waitExit(), up.output()).toEqual({ code: 0, signal: null });
    expect(children.filter(isAlive)).toEqual([]);
  });
});

test('a second start on the same data directory is refused in one line, and the first goes on', async () => {
  const dataDir = newFolder();
  const up = await start(dataDir);
  const second = startUp({ dataDir, flags: ['--no-agent'] }, await freePorts());
  const { code } = await second.waitExit();
  expect(code).toBe(1);
  expect(second.output().trim().split('\n')).toHaveLength(1);
  expect(second.output()).toContain(dataDir);
  expect((await fetch(`${up.http}/readyz`)).status).toBe(200);
  await up.stop();
});

test('a port that is taken is named in one line with its flag', async () => {
  const ports = await freePorts();
  const first = startUp({ dataDir: newFolder(), flags: ['--no-agent'] }, ports);
  await first.waitReady();
  const second = startUp({ dataDir: newFolder(), flags: ['--no-agent'] }, { ...(await freePorts()), http: ports.http });
  const { code } = await second.waitExit();
  expect(code).toBe(1);
  expect(second.output()).toContain(String(ports.http));
  expect(second.output()).toContain('--otlp-http');
  await first.stop();
});

test('it starts again at once on the same ports and directory', async () => {
  const dataDir = newFolder();
  const ports = await freePorts();
  for (let round = 0; round < 2; round++) {
    const up = startUp({ dataDir, flags: ['--no-agent'] }, ports);
    await up.waitReady();
    await up.stop();
  }
});

/** A clone below /root is out of an ordinary user's reach. */
const canBeAnother = isRoot && spawnSync(launcher, ['--version'], { uid: nobody, gid: nobody }).status === 0;

test.skipIf(!canBeAnother)(
  'an ordinary user is told what sampling needs, and all the rest runs',
  async () => {
    const dataDir = newFolder();
    chownSync(dataDir, nobody, nobody);
    const up = startUp({ dataDir, uid: nobody, env: { HOME: dataDir } }, await freePorts());
    await up.waitReady();
    await until('the line for the agent', 10_000, () => /^agent .*CAP_BPF/m.test(up.output()));
    expect(up.output()).toMatch(/setcap|root|sudo/);
    const sender = createSender(up);
    const [message] = [...countedLoad({ seed: 6, nowMillis: Date.now() }, 1)];
    await sender.send(message!, 'grpc+gzip');
    sender.close();
    await until('its rows', 20_000, async () => (await rowsBySql(dataDir)).samples.length >= message!.rows.length);
    expect(differences(await rowsBySql(dataDir), message!.rows)).toEqual([]);
    await up.stop();
  },
  60_000,
);

test.each([
  [['up', '--listen', 'nowhere'], '--listen'],
  [['up', '--rate', '0'], '--rate'],
  [['up', '--no-such-flag'], '--no-such-flag'],
  [['up', '--publish-interval', 'soon'], '--publish-interval'],
  [['no-such-command'], 'no-such-command'],
  [['sql'], 'sql'],
])('wrong usage is one line with exit code 2: %j', async (args, named) => {
  const { code, stdout, stderr } = await runCommand(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).toContain(named);
});

test('/metrics, /healthz and /readyz answer; /readyz is 503 until every stage takes work', async () => {
  const ports = await freePorts();
  const up = startUp({ dataDir: newFolder(), flags: ['--no-agent'] }, ports);
  const seen = new Set<number>();
  await until('ready', 30_000, async () => {
    const { status } = await fetch(`${up.http}/readyz`);
    seen.add(status);
    return status === 200;
  });
  expect([...seen].filter((status) => status !== 200 && status !== 503)).toEqual([]);
  expect((await fetch(`${up.http}/healthz`)).status).toBe(200);
  const metrics = await (await fetch(`${up.http}/metrics`)).text();
  for (const stage of ['receiver', 'processor', 'exporter']) expect(metrics).toMatch(new RegExp(`^flamelake_${stage}_\\w+(\\{[^}]*\\})? [0-9.e+-]+`, 'm'));
  await up.stop();
});

test('the command itself: --help says what there is, --version says which', async () => {
  const help = await runCommand(['--help']);
  expect(help.code).toBe(0);
  for (const name of ['up', 'agent', 'sql', 'top', 'flamegraph', 'lake', 'doctor']) expect(help.stdout).toContain(name);
  const { child, output, exited } = startCommand(launcher, ['--version']);
  await until('--version ends', 10_000, exited);
  expect(child.exitCode).toBe(0);
  expect(output()).toMatch(/\d+\.\d+\.\d+/);
});

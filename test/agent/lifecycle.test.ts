// `flamelake agent` from start to end: beside another one, killed, stopped while nobody takes its
// messages. Whatever happens, the kernel is left as it was. Needs root.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { isRoot, killStarted, launcher, startCommand, temporaryFolder } from '../e2e/flamelake.ts';
import { bpfObjects } from '../e2e/processes.ts';
import { Hopeless, until } from '../e2e/until.ts';
import { buildProgram, runProgram } from '../programs/programs.ts';
import { startAgent } from './running-agent.ts';
import { eventsOf, samplesOf } from './seen.ts';

const folder = temporaryFolder('agent-lifecycle');
const servers: Server[] = [];
afterAll(async () => {
  for (const server of servers) server.close();
  await killStarted();
  folder.remove();
});

const idsOf = (what: 'prog' | 'map'): Set<number> =>
  new Set((JSON.parse(execFileSync('bpftool', [what, 'show', '--json'], { encoding: 'utf8' })) as { id: number }[]).map(({ id }) => id));

/** Ids are never given twice while a kernel runs. It frees objects after a grace period of its own. */
const expectGone = ({ programs, maps }: ReturnType<typeof bpfObjects>) =>
  until('the kernel has freed the BPF objects', 10_000, () => {
    const known = [idsOf('prog'), idsOf('map')] as const;
    return [...programs].every((id) => !known[0].has(id)) && [...maps].every((id) => !known[1].has(id));
  });

/** Half of what a program with a CPU for itself gives. */
const eventsMin = (rateHz: number, seconds: number) => 0.5 * rateHz * seconds;

const nobody = async (): Promise<number> => 9;

/** Takes connections and says nothing. */
async function silent(): Promise<number> {
  const server = createServer(() => {});
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

interface DeafEndpoint {
  readonly name: string;
  readonly protocol: string;
  /** Its port. */
  readonly open: () => Promise<number>;
}

const deafEndpoints: readonly DeafEndpoint[] = [
  { name: 'nobody over gRPC', protocol: 'grpc', open: nobody },
  { name: 'nobody over HTTP', protocol: 'http/protobuf', open: nobody },
  { name: 'silence over gRPC', protocol: 'grpc', open: silent },
  { name: 'silence over HTTP', protocol: 'http/protobuf', open: silent },
];

describe.skipIf(!isRoot)('flamelake agent', () => {
  test('two at once, at different rates, see the same and don’t disturb each other; one is killed, the other goes on', async () => {
    const program = buildProgram('shares', folder.path);
    const [slow, fast] = await Promise.all([startAgent(['--rate', '97']), startAgent(['--rate', '211'])]);
    const held = [slow, fast].map(({ pid }) => bpfObjects(pid));
    for (const { programs, maps } of held) expect([programs.size > 0, maps.size > 0]).toEqual([true, true]);
    expect([...held[0]!.maps].filter((id) => held[1]!.maps.has(id))).toEqual([]);
    const both = runProgram(program, ['2']);
    const { userNanos, systemNanos } = await both.result;
    await Promise.all([slow.settle(), fast.settle()]);
    const used: number = (userNanos! + systemNanos!) / 1e9;
    for (const { agent, rateHz } of [
      { agent: slow, rateHz: 97 },
      { agent: fast, rateHz: 211 },
    ]) {
      const events = eventsOf(samplesOf(agent.messages(), both.pid));
      // The period is 1 to 5 % shorter than the rate says; the rest is for chance and for other work here.
      expect(events / (rateHz * used)).toBeGreaterThan(0.85);
      expect(events / (rateHz * used)).toBeLessThan(1.2);
    }
    await fast.kill();
    await expectGone(held[1]!);
    const alone = runProgram(program, ['1']);
    await alone.result;
    await slow.settle();
    expect(eventsOf(samplesOf(slow.messages(), alone.pid))).toBeGreaterThan(eventsMin(97, 1));
    await slow.stop();
    await expectGone(held[0]!);
  });

  test.concurrent.each(deafEndpoints)('stopped with $name: it ends in time and says what was not delivered', async ({ name, protocol, open }) => {
    const agent = startCommand(launcher, ['agent', '--endpoint', `http://127.0.0.1:${await open()}`, '--protocol', protocol]);
    await until('its start', 20_000, () => {
      if (agent.exited()) throw new Hopeless(`it ended: ${agent.output()}`);
      return agent.output().includes('samples every process');
    });
    const held = bpfObjects(agent.child.pid!);
    // Some samples to lose, its own start among them.
    await runProgram(buildProgram('shares', folder.path, name.replace(/\W+/g, '-')), ['0.3']).result;
    agent.child.kill('SIGTERM');
    // 5 s for the last batches, the rest for a busy host.
    const end = await until('its end', 10_000, agent.exited);
    expect(end, agent.output()).toEqual({ code: 0, signal: null });
    expect(agent.output()).toMatch(/[1-9]\d* samples were not delivered to /);
    await expectGone(held);
  });
});

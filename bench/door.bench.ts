// A receiver under attack: 200 connections that each send 60 MiB slowly (half of them over HTTP/2), and
// 50 senders of gzip and zstd bombs, beside one good client that sends small messages. Prints the
// receiver's resident memory and the good client's latency; throws where memory passes the stated bound
// or a message that was acknowledged is not stored.
import { type ChildProcess, fork } from 'node:child_process';
import { on, once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { toBinary } from '@bufbuild/protobuf';
import { openLog } from '../lib/log/open.ts';
import { messageBytesMaxDefault, residentBytesMax } from '../receiver/limits.ts';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { seeded, someData } from '../schemas/otlp/testing-data.ts';
import { profilesTopic } from '../schemas/topics.ts';
import { type Bench, figure, main, type Outcome, type Size } from './measure.ts';

const MiB = 1024 * 1024;

interface Attack {
  readonly connections: number;
  readonly bombers: number;
  readonly seconds: number;
  /** What the good client sends at least; it goes on as long as the attack lasts. */
  readonly goodMessages: number;
}

const attacks: Record<Size, Attack> = {
  small: { connections: 60, bombers: 10, seconds: 2, goodMessages: 10 },
  large: { connections: 200, bombers: 50, seconds: 60, goodMessages: 100 },
};
const bound = residentBytesMax(messageBytesMaxDefault);

export const bench: Bench = async (size) => {
  const attack = attacks[size];
  const folder = mkdtempSync(path.join(tmpdir(), 'flamelake-door-'));
  const log = pathToFileURL(path.join(folder, 'log')).href;
  const receiver = fork(path.join(import.meta.dirname, 'door-receiver.ts'), [log]);
  try {
    const [addresses] = (await once(receiver, 'message')) as [{ grpc: string; http: string }];
    const before = residentBytes(receiver.pid!, 'VmRSS');
    const numbers = [attack.connections, attack.bombers, attack.seconds].map(String);
    const attackers = fork(path.join(import.meta.dirname, 'door-attack.ts'), [addresses.grpc, addresses.http, ...numbers]);
    const messages = on(attackers, 'message', { close: ['exit'] }) as AsyncIterator<[Record<string, number>]>;
    await said(messages);
    const over = said(messages);
    const good = await goodClient(addresses.http, attack, over);
    const answers = await over;
    const peak = residentBytes(receiver.pid!, 'VmHWM');
    const reader = await openLog(log);
    const stored = (await reader.range(profilesTopic, 0)).end;
    await reader.close();
    if (peak > bound) throw new Error(`resident memory of ${peak} bytes is above the bound of ${bound}`);
    // Nothing of the attack is a message.
    if (stored !== good.millis.length) throw new Error(`${good.millis.length} messages were acknowledged and ${stored} are stored`);
    return outcome(attack, { before, peak, good, answers });
  } finally {
    await stop(receiver);
    rmSync(folder, { recursive: true, force: true });
  }
};

async function said<T>(messages: AsyncIterator<[T]>): Promise<T> {
  const next = await messages.next();
  if (next.done) throw new Error('the attackers ended before they had said how it went');
  return next.value[0];
}

async function stop(receiver: ChildProcess): Promise<void> {
  if (receiver.connected) receiver.send('stop');
  if (receiver.exitCode === null && receiver.signalCode === null) await once(receiver, 'exit');
}

const residentBytes = (pid: number, name: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;

interface GoodResult {
  readonly millis: number[];
  /** Answers that asked to send again. */
  readonly again: number;
}

/** Small messages, one after the other, each until it is acknowledged; the time is to its acknowledgement. */
async function goodClient(address: string, { goodMessages }: Attack, over: Promise<unknown>): Promise<GoodResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const millis: number[] = [];
  let again = 0;
  let isOver = false;
  void over.then(() => {
    isOver = true;
  });
  for (let index = 0; index < goodMessages || !isOver; index++) {
    const body = gzipSync(toBinary(ProfilesDataSchema, someData(seeded(index + 1))));
    const started = performance.now();
    while ((await post(address, body, agent)) !== 200) {
      again++;
      await pause(20);
    }
    millis.push(performance.now() - started);
    await pause(20);
  }
  agent.destroy();
  return { millis, again };
}

function post(address: string, body: Buffer, agent: Agent): Promise<number> {
  const [host, port] = address.split(':');
  const headers = { 'content-type': 'application/x-protobuf', 'content-encoding': 'gzip' };
  return new Promise((resolve) => {
    const asked = request({ host, port, path: '/v1development/profiles', method: 'POST', headers, agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode!));
      response.on('error', () => resolve(0));
    });
    asked.on('error', () => resolve(0));
    asked.end(body);
  });
}

interface Findings {
  readonly before: number;
  readonly peak: number;
  readonly good: GoodResult;
  readonly answers: Readonly<Record<string, number>>;
}

function outcome({ connections, bombers, seconds }: Attack, { before, peak, good, answers }: Findings): Outcome {
  const sorted = good.millis.toSorted((left, right) => left - right);
  const p99 = sorted[Math.min(sorted.length - 1, Math.floor(0.99 * sorted.length))]!;
  return {
    input: `${connections} connections of 60 MiB over 50 s each, ${bombers} senders of bombs of 128 MiB, ${seconds} s; ${good.millis.length} good messages`,
    resultHash: null,
    figures: [
      figure('resident memory, at most', `MiB (bound ${(bound / MiB).toFixed(0)})`, [peak / MiB]),
      figure('good message acknowledged', 'ms', good.millis),
      figure('good message acknowledged, p99', 'ms', [p99]),
    ],
    notes: [
      `  ${(before / MiB).toFixed(0)} MiB before; ${good.again} answers asked the good client to send again`,
      `  bombs answered: ${Object.entries(answers)
        .map(([status, count]) => `${count} x ${status}`)
        .join(', ')}`,
    ],
  };
}

await main(import.meta, 'door', bench);

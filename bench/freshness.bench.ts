// How old a sample is when a query first shows it: `flamelake up` with its agent and with 24 hosts that
// send over OTLP as agents do, asked twice a second in SQL over its API. The age is from the sample's own
// time to the answer that has it, so the batch of the sender and the query itself are in it.
// `node bench/freshness.bench.ts [--small]`
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts, isRoot, killStarted, runCommand, startUp, temporaryFolder, type Up } from '../test/e2e/flamelake.ts';
import { until } from '../test/e2e/until.ts';
import { generateLoad, type LoadMessage, loads } from './load.ts';
import { type Bench, figure, main } from './measure.ts';

/** One message of each host holds so much, as an agent's batch does. */
const windowMillis = 5_000;
const askMillis = 500;
/** Long enough for whatever is under way at the end of the load. */
const visibleMillis = 60_000;

interface Run {
  readonly windows: number;
  readonly hosts: number;
  readonly withAgent: boolean;
}

const runs: Readonly<Record<'small' | 'large', Run>> = {
  small: { windows: 1, hosts: 2, withAgent: false },
  large: { windows: 60, hosts: loads['24-hosts'].hosts, withAgent: isRoot },
};

/** What one answer showed: the newest sample of each host. */
interface Look {
  readonly millis: number;
  readonly newestMicros: ReadonlyMap<string, number>;
}

export const bench: Bench = async (size) => {
  const run = runs[size];
  const folder = temporaryFolder('freshness');
  const up = startUp({ dataDir: folder.path, flags: ['--log-level', 'error', ...(run.withAgent ? [] : ['--no-agent'])] }, await freePorts());
  try {
    await up.waitReady();
    const { looks, events } = await measure(up, run);
    const { clients, agent } = await agesOf(folder.path, looks);
    await up.stop();
    const windows = `${events.toLocaleString('en')} samples of ${run.hosts} hosts in ${run.windows} batches each`;
    return {
      input: `${windows}${run.withAgent ? ', and those of the agent' : ''}; ${looks.length} looks`,
      resultHash: null,
      figures: [...figuresOf('OTLP clients', clients), ...figuresOf('agent of up', agent)],
      notes: [
        `  time for one look, p99: ${quantile(
          looks.map(({ millis }, at) => (at === 0 ? 0 : millis - looks[at - 1]!.millis - askMillis)),
          0.99,
        ).toFixed(0)} ms`,
      ],
    };
  } finally {
    await killStarted();
    folder.remove();
  }
};

async function measure(up: Up, { windows, hosts }: Run): Promise<{ looks: Look[]; events: number }> {
  const startMillis = Date.now() - windowMillis;
  const load = generateLoad({ ...loads['24-hosts'], hosts, seed: 1, startMillis });
  const looks: Look[] = [];
  const looking = new AbortController();
  const lookOn = async () => {
    for (; !looking.signal.aborted; await sleep(askMillis)) looks.push(await look(up));
  };
  const looked = lookOn();
  // Told below; until then it must not end the process, which has others to end.
  looked.catch(() => {});
  let events = 0;
  for (let window = 0; window < windows; window++) {
    const dueMillis = startMillis + (window + 1) * windowMillis;
    await sleep(Math.max(0, dueMillis - Date.now()));
    const batch = Array.from({ length: hosts }, () => load.next().value as LoadMessage);
    for (const message of batch) events += message.events;
    // Hosts do not send in step: each somewhere in the first fifth of the next batch's time.
    await Promise.all(batch.map((message, host) => sleep((host / hosts) * (windowMillis / 5)).then(() => send(up, message))));
  }
  const endMicros = (startMillis + (windows - 1) * windowMillis) * 1000;
  const isShown = ({ newestMicros }: Look) => [...newestMicros].filter(([host, newest]) => isClient(host) && newest >= endMicros).length === hosts;
  await Promise.race([until('the last batch of every host', visibleMillis, () => looks.some(isShown)), looked]);
  looking.abort();
  await looked;
  return { looks, events };
}

/** As bench/load.ts names them. */
const isClient = (host: string): boolean => /^node-\d+\.internal$/.test(host);

async function look(up: Up): Promise<Look> {
  const q = 'SELECT host_name AS host, max(epoch_us(time))::BIGINT AS newest FROM samples GROUP BY ALL';
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${up.http}/api/v1/sql`, { method: 'POST', headers, body: JSON.stringify({ q, from: '-2m' }) });
  const body = await answer.text();
  if (!answer.ok) throw new Error(`a look was answered ${answer.status}: ${body}`);
  const { rows } = JSON.parse(body) as { rows: [string, number | string][] };
  return { millis: Date.now(), newestMicros: new Map(rows.map(([host, newest]) => [host, Number(newest)])) };
}

async function send(up: Up, { body }: LoadMessage): Promise<void> {
  const headers = { 'content-type': 'application/x-protobuf' };
  const answer = await fetch(`${up.otlpHttp}/v1development/profiles`, { method: 'POST', headers, body: body as Uint8Array<ArrayBuffer> });
  await answer.arrayBuffer();
  if (answer.status !== 200) throw new Error(`answer ${answer.status}, expected 200: the load is meant to be one that is kept up with`);
}

/** Milliseconds from each sample's time to the first look that has it. A host's samples come in order of batches. */
async function agesOf(dataDir: string, looks: readonly Look[]): Promise<{ clients: number[]; agent: number[] }> {
  const query = 'SELECT host_name AS host, epoch_us(time)::BIGINT AS micros, sum(count)::BIGINT AS n FROM samples GROUP BY ALL ORDER BY ALL';
  const { stdout } = await runCommand(['sql', '--data', dataDir, '--json', query]);
  const samples = JSON.parse(stdout) as { host: string; micros: number | string }[];
  const ages = { clients: [] as number[], agent: [] as number[] };
  let [host, at] = ['', 0];
  for (const sample of samples) {
    const micros = Number(sample.micros);
    if (sample.host !== host) [host, at] = [sample.host, 0];
    while (at < looks.length && (looks[at]!.newestMicros.get(host) ?? 0) < micros) at++;
    // What came after the last look was never looked for.
    if (at < looks.length) ages[isClient(host) ? 'clients' : 'agent'].push(looks[at]!.millis - micros / 1000);
  }
  return ages;
}

function figuresOf(name: string, ages: readonly number[]) {
  if (ages.length === 0) return [];
  const seconds = (share: number) => quantile(ages, share) / 1000;
  return [0.5, 0.99, 1].map((share) =>
    figure(`${name}: ${share === 1 ? 'oldest' : `p${share * 100}`} of ${ages.length.toLocaleString('en')}`, 's', [seconds(share)]),
  );
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

await main(import.meta, 'freshness', bench);

// The flame graph of 15 minutes of one service, on a lake of many publications and dates:
// `node bench/query.bench.ts [--small] [--rows 10000000] [--lake DIR]`. Rows go through real row messages and the
// exporter's own code. `--lake` keeps what is made in a folder, and only asks where one was kept before. Cold is
// a new process (the kernel may have the files in its memory), warm the same one asked again.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openQuery } from '../query/query.ts';
import type { RecordFile } from '../schemas/lake/record.ts';
import { makeLake } from './lake.ts';
import { type Bench, figure, main, type Size } from './measure.ts';
import { type FleetOptions, generateFleet } from './rows-load.ts';

/** 24 hosts with 115 samples a second together; a day of them is 10 M rows. */
const rowsPerPublication = { small: 2_000, large: 104_000 } as const;
const messagesPerPublication = { small: 4, large: 40 } as const;
const publicationMillis = 15 * 60_000;
const fleet = { seed: 7, hosts: 24, newStacks: 0.01, startMillis: Date.UTC(2026, 0, 15, 22) } as const;
const shapes = { small: { services: 6, stacksPerService: 50 }, large: { services: 60, stacksPerService: 2_000 } } as const;
const rowsDefault = { small: 20_000, large: 10_000_000 } as const;
const asks = { small: 2, large: 5 } as const;
const child = '--ask';

interface Answer {
  /** Opening the lake and the first answer. */
  readonly coldSeconds: number;
  readonly warmSeconds: readonly number[];
  readonly bytesRead: number;
  readonly filesOpened: number;
  readonly value: number;
  readonly nodes: number;
  readonly rssBytes: number;
}

export const bench: Bench = async (size) => {
  const rows = Number(process.argv[process.argv.indexOf('--rows') + 1]) || rowsDefault[size];
  const kept = process.argv.includes('--lake') ? process.argv[process.argv.indexOf('--lake') + 1]! : null;
  const folder = kept ?? mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
  const note = join(folder, 'made.json');
  try {
    const made = existsSync(note) ? (JSON.parse(readFileSync(note, 'utf8')) as Made) : await make(folder, size, rows);
    if (kept !== null) writeFileSync(note, JSON.stringify(made));
    // A quarter of an hour in the middle, by the clock.
    const from = fleet.startMillis + Math.floor(made.publications / 2) * publicationMillis;
    const answer = ask(made.url, from, size);
    const hash = createHash('sha256').update(
      JSON.stringify([made.rows, made.publications, made.files, made.bytes, answer.value, answer.nodes, answer.filesOpened]),
    );
    return {
      input: `${made.rows.toLocaleString('en')} rows in ${made.publications} publications on ${made.dates} dates: ${made.files} files of ${(made.bytes / 1e6).toFixed(1)} MB, made in ${made.seconds.toFixed(0)} s`,
      resultHash: hash.digest('hex').slice(0, 16),
      figures: [
        figure('cold, a new process', 's', [answer.coldSeconds]),
        figure('warm', 's', answer.warmSeconds),
        figure('read for the first answer', 'MB', [answer.bytesRead / 1e6]),
        figure('files of the range', 'files', [answer.filesOpened]),
        figure('resident memory of the process', 'MB', [answer.rssBytes / 1e6]),
      ],
      notes: [`  flame graph: ${answer.nodes.toLocaleString('en')} nodes, ${(answer.value / 1e9).toFixed(2)} s of CPU time of service-0`],
    };
  } finally {
    if (kept === null) rmSync(folder, { recursive: true });
  }
};

interface Made {
  readonly url: string;
  readonly rows: number;
  readonly publications: number;
  readonly files: number;
  readonly bytes: number;
  readonly dates: number;
  readonly seconds: number;
}

async function make(folder: string, size: Size, rows: number): Promise<Made> {
  const begun = performance.now();
  mkdirSync(folder, { recursive: true });
  const messages = messagesPerPublication[size];
  const options: FleetOptions = {
    ...fleet,
    ...shapes[size],
    rowsPerMessage: rowsPerPublication[size] / messages,
    millisPerMessage: publicationMillis / messages,
  };
  const lake = await makeLake(folder, options.startMillis);
  const load = generateFleet(options);
  const publications = Math.max(1, Math.round(rows / rowsPerPublication[size]));
  const files: RecordFile[] = [];
  for (let publication = 0; publication < publications; publication++) {
    for (let message = 0; message < messages; message++) {
      const { value, appendTimeMillis } = load.next().value!;
      await lake.append(value, appendTimeMillis);
    }
    files.push(...(await lake.publish()));
  }
  await lake.close();
  const samples = files.filter((file) => file.table === 'samples');
  return {
    url: lake.url,
    publications,
    rows: samples.reduce((sum, file) => sum + file.rows, 0),
    files: files.length,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    dates: new Set(samples.map(({ key }) => /date=([^/]+)/.exec(key)![1])).size,
    seconds: (performance.now() - begun) / 1000,
  };
}

function ask(url: string, fromMillis: number, size: Size): Answer {
  const answer = execFileSync(process.execPath, [fileURLToPath(import.meta.url), child, url, String(fromMillis), String(asks[size])], { encoding: 'utf8' });
  return JSON.parse(answer) as Answer;
}

/** Bytes that this process has read by system calls. */
function bytesRead(): number {
  return Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))![1]);
}

async function answerInThisProcess(url: string, fromMillis: number, times: number): Promise<Answer> {
  const before = bytesRead();
  const seconds: number[] = [];
  const begun = performance.now();
  const query = await openQuery({ store: url, keepHot: true });
  const filter = { fromMillis, toMillis: fromMillis + publicationMillis, service: 'service-0' };
  const graph = await query.flamegraph(filter);
  const coldSeconds = (performance.now() - begun) / 1000;
  const read = bytesRead() - before;
  for (let time = 0; time < times; time++) {
    const start = performance.now();
    await query.flamegraph(filter);
    seconds.push((performance.now() - start) / 1000);
  }
  const { files } = await query.activity(filter);
  await query.close();
  const nodes = graph.nodes.parent.length;
  return {
    coldSeconds,
    warmSeconds: seconds,
    bytesRead: read,
    filesOpened: files.published,
    value: graph.total,
    nodes,
    rssBytes: process.memoryUsage.rss(),
  };
}

if (process.argv[2] === child) {
  const [, , , url, from, times] = process.argv;
  process.stdout.write(JSON.stringify(await answerInThisProcess(url!, Number(from), Number(times))));
} else {
  await main(import.meta, 'query', bench);
}

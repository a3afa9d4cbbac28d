// Bytes of the lake for a row, by column, after zstd: `node bench/lake-bytes.bench.ts [--small] [--part 0.1]`.
// Publications of a quarter of an hour, as a running exporter makes them. `--part` takes only so much of each
// input's time, which makes rows look larger than they are: fewer of them share a dictionary.
import { createHash, type Hash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parquetMetadata } from 'hyparquet';
import { KnownStacks } from '../processor/known-stacks.ts';
import { prepareMessage } from '../processor/prepared-message.ts';
import { appendRows, noCounts, type ShardOutput } from '../processor/rows-from-profiles.ts';
import { type LakeTable, lakeTables } from '../schemas/lake/paths.ts';
import type { RecordFile } from '../schemas/lake/record.ts';
import { RowsBuilder } from '../schemas/rows/builder.ts';
import { encodeRows } from '../schemas/rows/codec.ts';
import { profilesTopic } from '../schemas/topics.ts';
import { knownStacksMax } from './chain.ts';
import { makeLake } from './lake.ts';
import { generateLoad, type LoadMessage, type LoadShape, loads } from './load.ts';
import { type Bench, type Figure, figure, main, type Size } from './measure.ts';

interface Input {
  readonly name: string;
  readonly shape: LoadShape;
  readonly minutes: number;
}

const tiny = { cpusPerHost: 2, processesPerHost: 2, services: 2, stacksPerProcess: 10, eventsPerMessage: 20 };
const dayMinutes = 24 * 60;
const publicationMinutes = 15;

const inputs: Readonly<Record<Size, readonly Input[]>> = {
  small: [
    { name: 'one host, 1 min', shape: { ...loads['steady-server'], ...tiny }, minutes: 1 },
    { name: 'two hosts, linked, 20 min', shape: { ...loads['24-hosts'], ...tiny, hosts: 2, linked: 0.1, eventsPerMessage: 2 }, minutes: 20 },
  ],
  large: [
    { name: 'one host, 15 min', shape: loads['steady-server'], minutes: publicationMinutes },
    // 4 CPUs, 15 % busy: a million samples a day.
    {
      name: 'one host, a day',
      shape: { ...loads['steady-server'], cpusPerHost: 4, processesPerHost: 12, services: 6, eventsPerMessage: 60 },
      minutes: dayMinutes,
    },
    { name: '24 hosts, 15 min', shape: loads['24-hosts'], minutes: publicationMinutes },
    { name: '24 hosts, 10 % linked', shape: { ...loads['24-hosts'], linked: 0.1 }, minutes: publicationMinutes },
  ],
};

/** Midnight, so that a day is one date. */
const startMillis = Date.UTC(2026, 0, 15);
/** Every host sends one message in five seconds (load.ts). */
const windowMillis = 5_000;
/** What a processor that keeps up takes at once: messages of five seconds, or of four hosts. */
const messagesPerRows = 4;

export const bench: Bench = async (size) => {
  const part = Number(process.argv[process.argv.indexOf('--part') + 1]) || 1;
  const hash = createHash('sha256');
  const figures: Figure[] = [];
  const notes: string[] = [];
  const described: string[] = [];
  for (const input of inputs[size]) {
    const folder = mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
    try {
      const { events, sums } = await measure(folder, { ...input, minutes: input.minutes * part }, hash);
      described.push(`${input.name}: ${events.toLocaleString('en')} samples`);
      figures.push(...figuresOf(input.name, events, sums));
      notes.push(...lakeTables.map((table) => `  ${input.name}, ${table}: ${describeColumns(sums[table])}`));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  return { input: described.join('; '), resultHash: hash.digest('hex').slice(0, 16), figures, notes };
};

interface TableSums {
  rows: number;
  bytes: number;
  readonly columns: Map<string, number>;
}

type Sums = Readonly<Record<LakeTable, TableSums>>;

async function measure(folder: string, { shape, minutes }: Input, hash: Hash): Promise<{ events: number; sums: Sums }> {
  const lake = await makeLake(folder, startMillis);
  const sums: Sums = { samples: { rows: 0, bytes: 0, columns: new Map() }, stacks: { rows: 0, bytes: 0, columns: new Map() } };
  const rows = rowMessages(shape, (minutes * 60_000) / windowMillis);
  const windowsPerPublication = (publicationMinutes * 60_000) / windowMillis;
  let published = 0;
  let events = 0;
  const publish = async () => {
    for (const file of await lake.publish()) {
      hash.update(`${file.key} ${file.sha256}\n`);
      addFile(sums[file.table], file, fileURLToPath(`${lake.url}/${file.key}`));
    }
  };
  for (const { value, window, events: count } of rows) {
    for (; window >= published + windowsPerPublication; published += windowsPerPublication) await publish();
    await lake.append(value, startMillis + (window + 1) * windowMillis);
    events += count;
  }
  await publish();
  await lake.close();
  return { events, sums };
}

interface RowsOfWindow {
  readonly value: Uint8Array;
  /** Of its first source message. */
  readonly window: number;
  readonly events: number;
}

function* rowMessages(shape: LoadShape, windows: number): Generator<RowsOfWindow> {
  const known = new KnownStacks(knownStacksMax);
  const messages = generateLoad({ ...shape, seed: 2, startMillis });
  const total = Math.ceil(windows * shape.hosts);
  for (let offset = 0; offset < total; offset += messagesPerRows) {
    const sources: LoadMessage[] = [];
    while (sources.length < Math.min(messagesPerRows, total - offset)) sources.push(messages.next().value as LoadMessage);
    const builder = new RowsBuilder({ logId: 'bench', topic: profilesTopic, partition: 0, shard: 0, routing: 1 });
    const output: ShardOutput = { shard: 0, builder, added: new Set(), sent: [] };
    const windowOf = (index: number) => Math.floor((offset + index) / shape.hosts);
    for (const [index, { body }] of sources.entries()) {
      const position = { offset: offset + index, appendTimeMillis: startMillis + (windowOf(index) + 1) * windowMillis };
      appendRows(prepareMessage(body), position, { shards: 1, output: () => output, known, nameOf: () => null }, noCounts());
    }
    for (const { words, date } of output.sent) known.add(words, date, 0);
    const value = encodeRows(builder.build(offset - 1, offset + sources.length - 1));
    yield { value, window: windowOf(0), events: sources.reduce((sum, { events }) => sum + events, 0) };
  }
}

function addFile(sums: TableSums, file: RecordFile, path: string): void {
  sums.rows += file.rows;
  sums.bytes += file.bytes;
  const bytes = readFileSync(path);
  const metadata = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  for (const { meta_data: column } of metadata.row_groups.flatMap((group) => group.columns)) {
    const name = column!.path_in_schema.filter((part) => !['list', 'element', 'key_value'].includes(part)).join('.');
    const filter = column!.bloom_filter_length ?? 0;
    sums.columns.set(name, (sums.columns.get(name) ?? 0) + Number(column!.total_compressed_size) + filter);
  }
}

const linkColumns = ['trace_id', 'span_id', 'link_source'];

function figuresOf(name: string, events: number, { samples, stacks }: Sums): Figure[] {
  const links = linkColumns.reduce((sum, column) => sum + samples.columns.get(column)!, 0);
  return [
    figure(`${name}: a row without links`, 'B', [(samples.bytes - links) / samples.rows]),
    figure(`${name}: its links`, 'B', [links / samples.rows]),
    figure(`${name}: a new stack`, `B (${stacks.rows.toLocaleString('en')} stacks)`, [stacks.bytes / stacks.rows]),
    figure(`${name}: whole lake / samples`, 'B', [(samples.bytes + stacks.bytes) / events]),
  ];
}

/** Columns by size; what is below a hundredth of a byte a row is summed up, and so are the footers. */
function describeColumns({ rows, bytes, columns }: TableSums): string {
  const sorted = [...columns].map(([name, sum]) => [name, sum / rows] as const).sort(([, left], [, right]) => right - left);
  const shown = sorted.filter(([, size]) => size >= 0.01).map(([name, size]) => `${name} ${size.toFixed(2)}`);
  const rest = sorted.filter(([, size]) => size < 0.01);
  const footers = (bytes - [...columns.values()].reduce((sum, size) => sum + size, 0)) / rows;
  return `${shown.join(', ')}, ${rest.length} others ${rest.reduce((sum, [, size]) => sum + size, 0).toFixed(2)}, footers ${footers.toFixed(2)}`;
}

await main(import.meta, 'lake-bytes', bench);

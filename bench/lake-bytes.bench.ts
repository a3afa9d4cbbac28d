// Bytes of the lake for a row, by column, after zstd, without file footers:
// `node bench/lake-bytes.bench.ts [--small]`. One publication of one host and one of 24 hosts.
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetMetadata } from 'hyparquet';
import type { BuiltFile } from '../exporter/builder.ts';
import { publishLoad, startMillis } from './chain.ts';
import { describeMessages, generateLoad, type LoadOptions, steadyServer, takeEvents } from './load.ts';
import { type Bench, type Figure, figure, main, type Size } from './measure.ts';

type Input = readonly [name: string, options: Omit<LoadOptions, 'seed' | 'startMillis'>, events: number];

/** A quarter of an hour at 20 samples a second: eight busy CPUs of one host; two of each of 24 hosts. */
const inputs: Readonly<Record<Size, readonly Input[]>> = {
  small: [
    ['one host', { ...steadyServer, processesPerHost: 4, stacksPerProcess: 20, eventsPerMessage: 200 }, 800],
    ['24 hosts', { ...steadyServer, hosts: 24, processesPerHost: 2, stacksPerProcess: 5, eventsPerMessage: 40 }, 960],
  ],
  large: [
    ['one host', { ...steadyServer, eventsPerMessage: 800 }, 144_000],
    ['24 hosts', { ...steadyServer, hosts: 24, eventsPerMessage: 200 }, 864_000],
  ],
};

export const bench: Bench = async (size) => {
  const hash = createHash('sha256');
  const figures: Figure[] = [];
  const notes: string[] = [];
  const described: string[] = [];
  for (const [name, options, events] of inputs[size]) {
    const messages = takeEvents(generateLoad({ ...options, seed: 2, startMillis }), events);
    described.push(`${name}: ${describeMessages(messages)}`);
    const folder = mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
    try {
      const { files } = await publishLoad(folder, messages);
      for (const table of ['samples', 'stacks'] as const) {
        const parts = files.filter((file) => file.table === table);
        const rows = parts.reduce((sum, file) => sum + file.rows, 0);
        figures.push(figure(`${name}: ${table}`, `B a row (${rows.toLocaleString('en')} rows)`, [parts.reduce((sum, file) => sum + file.bytes, 0) / rows]));
        notes.push(`  ${name}, ${table}: ${columnBytes(parts, rows)}`);
      }
      for (const { key, sha256 } of files) hash.update(`${key} ${sha256}\n`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  return { input: described.join('; '), resultHash: hash.digest('hex').slice(0, 16), figures, notes };
};

/** Columns by size; what is below a hundredth of a byte a row is summed up. */
function columnBytes(files: readonly BuiltFile[], rows: number): string {
  const sums = new Map<string, number>();
  for (const { file } of files) {
    const bytes = readFileSync(file);
    const metadata = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    for (const { meta_data: column } of metadata.row_groups.flatMap((group) => group.columns)) {
      if (!column) continue;
      const name = column.path_in_schema.filter((part) => !['list', 'element', 'key_value'].includes(part)).join('.');
      sums.set(name, (sums.get(name) ?? 0) + Number(column.total_compressed_size));
    }
  }
  const sorted = [...sums].map(([name, sum]) => [name, sum / rows] as const).sort(([, left], [, right]) => right - left);
  const shown = sorted.filter(([, size]) => size >= 0.01).map(([name, size]) => `${name} ${size.toFixed(2)}`);
  const rest = sorted.filter(([, size]) => size < 0.01);
  return `${shown.join(', ')}${rest.length > 0 ? `, ${rest.length} others ${rest.reduce((sum, [, size]) => sum + size, 0).toFixed(2)}` : ''}`;
}

await main(import.meta, 'lake-bytes', bench);

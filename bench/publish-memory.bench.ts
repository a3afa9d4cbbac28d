// Memory of an exporter that publishes as much as it ever does at once, 128 MB of row messages or 4 M rows:
// `node bench/publish-memory.bench.ts [--small]`. The rows' generator is in the same process.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeLake } from './lake.ts';
import { type Bench, figure, main } from './measure.ts';
import { type FleetOptions, generateFleet } from './rows-load.ts';

/** The exporter's defaults (docs/configuration.md). */
const bytesMax = { small: 50_000, large: 128_000_000 } as const;
const rowsMax = 4_000_000;
const options: FleetOptions = {
  seed: 11,
  hosts: 24,
  services: 60,
  stacksPerService: 500,
  newStacks: 0.05,
  rowsPerMessage: 2_000,
  millisPerMessage: 500,
  startMillis: Date.UTC(2026, 0, 15, 12),
};

export const bench: Bench = async (size) => {
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-bench-'));
  try {
    const lake = await makeLake(folder, options.startMillis);
    const load = generateFleet(size === 'small' ? { ...options, services: 4, stacksPerService: 50, rowsPerMessage: 500 } : options);
    const before = process.memoryUsage.rss();
    let [bytes, rows] = [0, 0];
    while (bytes < bytesMax[size] && rows < rowsMax) {
      const { value, appendTimeMillis } = load.next().value!;
      await lake.append(value, appendTimeMillis);
      await lake.writeHot(); // a running exporter holds the messages of seconds, not of a publication
      bytes += value.length;
      rows += size === 'small' ? 500 : options.rowsPerMessage;
    }
    const appended = process.memoryUsage.rss();
    const files = await lake.publish();
    await lake.close();
    const hash = createHash('sha256').update(files.map(({ key, sha256 }) => `${key} ${sha256}`).join('\n'));
    return {
      input: `${rows.toLocaleString('en')} rows in ${(bytes / 1e6).toFixed(1)} MB of row messages, ${files.map((file) => `${file.table} ${(file.bytes / 1e6).toFixed(1)} MB`).join(', ')}`,
      resultHash: hash.digest('hex').slice(0, 16),
      figures: [
        figure('resident before the first row', 'MB', [before / 1e6]),
        figure('resident with the batch full', 'MB', [appended / 1e6]),
        figure('most of all', 'MB', [process.resourceUsage().maxRSS / 1e3]),
      ],
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
};

await main(import.meta, 'publish-memory', bench);

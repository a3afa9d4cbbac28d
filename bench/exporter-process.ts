// The exporter of exporter-memory.bench.ts, in a process of its own so that its memory is its own:
// exporter-process.ts FOLDER PUBLISH_ROWS.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startExporter } from '../exporter/main.ts';
import { createLogger } from '../lib/logger.ts';
import { createMetricRegistry } from '../lib/metrics.ts';

const [folder, rows] = process.argv.slice(2) as [string, string];
const logger = createLogger({ name: 'exporter', level: 'error', format: 'text', write: (line) => process.stderr.write(line) });
await startExporter(
  {
    log: pathToFileURL(join(folder, 'log')).href,
    store: pathToFileURL(folder).href,
    indexDir: join(folder, 'index'),
    publishIntervalMillis: 3_600_000,
    publishBytes: 128_000_000,
    publishRowsMax: Number(rows),
    hotIntervalMillis: 3_000,
  },
  { logger, meter: createMetricRegistry().meter },
);
process.on('disconnect', () => process.exit(1));

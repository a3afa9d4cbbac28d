// A processor and an exporter beside those of `flamelake up`, on the same log and lake: standby.ts LOG_URL
// STORE_URL INDEX_FOLDER. Without a share until another member of their groups is not heard of any more.

import { startExporter } from '../../exporter/main.ts';
import { createLogger } from '../../lib/logger.ts';
import { createMetricRegistry } from '../../lib/metrics.ts';
import { startProcessor } from '../../processor/main.ts';

const [log, store, indexDir] = process.argv.slice(2) as [string, string, string];
const logger = createLogger({ name: 'standby', level: 'warn', format: 'text', write: (line) => process.stderr.write(line) });
const host = { logger, meter: createMetricRegistry(() => {}).meter };
const processor = await startProcessor({ log, store, symbols: true }, host);
const exporter = await startExporter(
  { log, store, indexDir, publishIntervalMillis: 1_000, publishBytes: 1e8, publishRowsMax: 1e6, hotIntervalMillis: 500 },
  host,
);
setInterval(() => process.stdout.write(`${JSON.stringify({ processor: processor.status().text, exporter: exporter.status().text })}\n`), 100);

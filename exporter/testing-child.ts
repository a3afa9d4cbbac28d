// An exporter as a process of its own, for tests that kill it: options as JSON in argv, one line of
// status a moment on standard output, stops when standard input ends.
import { createLogger } from '../lib/logger.ts';
import { noMeter } from '../test/model/quiet.ts';
import { type ExporterOptions, startExporter } from './main.ts';

const options = JSON.parse(process.argv[2]!) as ExporterOptions;
const logger = createLogger({ name: 'exporter', level: 'info', format: 'text', write: (line) => process.stderr.write(line) });
const stage = await startExporter(options, { logger, meter: noMeter });
const timer = setInterval(() => process.stdout.write(`${JSON.stringify(stage.status())}\n`), 50);
process.stdin.resume();
process.stdin.on('end', () => {
  clearInterval(timer);
  void stage.stop().then(() => process.exit(0));
});

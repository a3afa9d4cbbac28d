// The receiver of door.bench.ts, in a process of its own so that its memory is its own: door-receiver.ts LOG_URL.
import { createLogger } from '../lib/logger.ts';
import { createMetricRegistry } from '../lib/metrics.ts';
import { messageBytesMaxDefault } from '../receiver/limits.ts';
import { startReceiver } from '../receiver/main.ts';

const logger = createLogger({ name: 'receiver', level: 'error', format: 'text', write: (line) => process.stderr.write(line) });
const options = { grpcListen: '127.0.0.1:0', httpListen: '127.0.0.1:0', messageBytesMax: messageBytesMaxDefault, log: process.argv[2]! };
const receiver = await startReceiver(options, { logger, meter: createMetricRegistry().meter });
process.send!({ grpc: receiver.grpcAddress, http: receiver.httpAddress });
process.on('message', () => void receiver.stop().then(() => process.exit(0)));
process.on('disconnect', () => process.exit(1));

// A processor that kills itself at a point of its loop, for the tests: by SIGKILL, so that nothing is
// flushed or closed. Arguments: log URL, store URL, point.
import { EmbeddedLog } from '../lib/log/embedded/client.ts';
import type { Log } from '../lib/log/log.ts';
import { rowsTopic } from '../schemas/topics.ts';
import { startProcessor } from './main.ts';
import { testHost } from './testing.ts';

const [log, store, point] = process.argv.slice(2) as [string, string, string];
const log0 = EmbeddedLog.prototype as Log;
const { append, remember } = log0;

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is there before the call returns.
  for (;;);
}

let remembered = 0;
log0.append = async function (this: Log, topic, partition, message) {
  const position = await append.call(this, topic, partition, message);
  if (point === 'send' && topic === rowsTopic) die();
  return position;
};
log0.remember = async function (this: Log, group, topic, partition, position) {
  const isAnnouncement = position.metadata.includes('"attempt"');
  await remember.call(this, group, topic, partition, position);
  // The first is the start's, which only repeats what it found.
  const isFirst = remembered++ === 0;
  if (point === 'decode' && isAnnouncement && !isFirst) die();
  if (point === 'remember' && !isAnnouncement && remembered > 2) die();
};

await startProcessor({ log, store, symbols: false }, testHost());

// A processor that kills itself at a point of its loop, for the tests: by SIGKILL, so that nothing is
// flushed or closed. Arguments: log URL, store URL, point.
import { EmbeddedLog } from '../lib/log/embedded/client.ts';
import type { Log } from '../lib/log/log.ts';
import { rowsTopic } from '../schemas/topics.ts';
import { startProcessor } from './main.ts';
import { testHost } from './testing.ts';

const [log, store, point] = process.argv.slice(2) as [string, string, string];
const embedded = EmbeddedLog.prototype as Log;
const { append, remember } = embedded;

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is there before the call returns.
  for (;;);
}

/** Each message is announced twice: before it is decoded, and before its rows are made. */
const fatalAnnouncement = point === 'decode' ? 1 : point === 'build' ? 2 : -1;
let remembered = 0;
let announced = 0;
let before = 0;
embedded.append = async function (this: Log, topic, partition, message) {
  const position = await append.call(this, topic, partition, message);
  if (point === 'send' && topic === rowsTopic) die();
  return position;
};
embedded.remember = async function (this: Log, group, topic, partition, position) {
  const count = (JSON.parse(position.metadata) as { attempt?: [number, number] }).attempt?.[1] ?? 0;
  const isAnnouncement = count > before;
  before = count;
  await remember.call(this, group, topic, partition, position);
  // The first is the start's, which only repeats what it found.
  const isFirst = remembered++ === 0;
  if (isAnnouncement && !isFirst) announced++;
  if (isAnnouncement && announced === fatalAnnouncement) die();
  if (point === 'remember' && !isAnnouncement && remembered > 2) die();
};

await startProcessor({ log, store, symbols: false }, testHost());

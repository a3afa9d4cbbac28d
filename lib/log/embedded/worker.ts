// The thread that owns the SQLite files of one process's embedded log. Appends that wait together go
// into one transaction (one fsync); a read that finds nothing waits here for a wake-up; housekeeping
// runs in small steps between them.
import { parentPort, workerData } from 'node:worker_threads';
import { isPipelineError } from '../../errors.ts';
import { pollWithoutWatchMillis } from '../limits.ts';
import { Appender } from './appender.ts';
import { LogFiles } from './files.ts';
import { Housekeeping } from './housekeeping.ts';
import { Members } from './members.ts';
import { Memberships, membersWake } from './memberships.ts';
import { Positions } from './positions.ts';
import { type Reply, type Request, toWire, type WorkerData } from './protocol.ts';
import { Readers } from './readers.ts';
import { FsyncFailed } from './sqlite.ts';
import type { TopicFile } from './topic-file.ts';
import { Topics } from './topics.ts';
import { WakeFiles } from './wake.ts';

const port = parentPort!;
const { directory, bounds } = workerData as WorkerData;

/** Closed, or the disk can't be trusted: nothing is answered any more. */
let dead = false;
const send = (reply: Reply, transfer: ArrayBuffer[] = []) => {
  if (!dead) port.postMessage(reply, transfer);
};
const fail = (id: number, error: unknown) => (error instanceof FsyncFailed ? die(error) : send({ id, error: toWire(error) }));

function die(error: FsyncFailed): void {
  send({ fatal: error.message });
  dead = true;
}

/** Work that nobody waits for: what goes wrong with the disk shows at the next request. */
function inBackground(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof FsyncFailed) die(error);
    else if (!isPipelineError(error)) throw error;
  }
}

const files = new LogFiles(directory, bounds.diskReserveBytes);
const topics = new Topics(files, (topic) => housekeeping.sweep(topic.name));
const readers = new Readers(topics, {
  answer: (id, result) =>
    send(
      { id, result },
      result.records.flatMap((record) => [record.value, ...(record.key ? [record.key] : [])].map((bytes) => bytes.buffer as ArrayBuffer)),
    ),
  fail,
});
const housekeeping = new Housekeeping({ topics, files, bytesMax: bounds.bytesMax, schedule, guard: inBackground });
const appender = new Appender(topics, files, bounds, {
  answer: (id, place) => send({ id, result: place }),
  fail,
  written(topic) {
    wakeFiles?.wake(topic.name);
    readers.look(topic.name);
    housekeeping.written(topic);
  },
});
let wakeFiles: WakeFiles | null = null;
let positions: Positions | null = null;
let memberships: Memberships | null = null;

function open(): null {
  files.prepare();
  positions = new Positions(files.positions);
  memberships = new Memberships(new Members(files.members), topics, {
    changed: () => wakeFiles?.wake(membersWake),
    fail: (error) =>
      inBackground(() => {
        throw error;
      }),
  });
  wakeFiles = new WakeFiles(
    directory,
    (name) => (name === membersWake ? memberships?.beat() : readers.look(name)),
    () => readers.pollEvery(pollWithoutWatchMillis),
  );
  return null;
}

let scheduled = false;
function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(turn);
}

/** One group of appends and one step of housekeeping, so that neither waits long for the other. */
function turn(): void {
  scheduled = false;
  if (dead) return;
  appender.writeGroup();
  housekeeping.step();
  if (appender.waiting > 0) schedule();
  else if (closing !== null) finish(closing);
  else if (housekeeping.waiting) schedule();
}

let closing: number | null = null;
function finish(id: number): void {
  housekeeping.close();
  // What was acknowledged is on disk already, whatever these say.
  for (const part of [memberships, topics, positions, wakeFiles]) inBackground(() => part?.close());
  send({ id, result: null });
  dead = true;
  port.close();
}

/** Answers at once, or returns `later` where the parts above answer. */
const later = Symbol('later');
function handle(request: Request): unknown {
  switch (request.op) {
    case 'open':
      return open();
    case 'ensureTopic':
      return topics.ensure(request.config);
    case 'topic':
      return topics.get(request.name).info();
    case 'append':
      appender.add(request);
      schedule();
      return later;
    case 'read':
      readers.read(request);
      return later;
    case 'cancel':
      readers.end(request.read);
      return null;
    case 'range':
      return topics.get(request.topic).range(request.partition);
    case 'join':
      return memberships!.join(request.group, request.topic);
    case 'leave':
      memberships!.leave(request.member);
      return null;
    case 'position':
      return positions!.get(request.group, request.topic, checked(request).logId, request.partition);
    case 'remember':
      positions!.set(request.group, request.topic, checked(request).logId, request.partition, request.position);
      return null;
    case 'trim':
      topics.get(request.topic).trim(request.partition, request.offset);
      housekeeping.sweep(request.topic);
      return null;
    case 'usage':
      return appender.usage();
    case 'close':
      closing = request.id;
      readers.endAll();
      schedule();
      return later;
    default:
      return request satisfies never;
  }
}

function checked({ topic, partition }: { topic: string; partition: number }): TopicFile {
  const file = topics.get(topic);
  file.check(partition);
  return file;
}

port.on('message', (request: Request) => {
  if (dead) return;
  try {
    const result = handle(request);
    if (result !== later) send({ id: request.id, result });
  } catch (error) {
    fail(request.id, error);
  }
});

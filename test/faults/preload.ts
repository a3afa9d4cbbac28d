// Loaded into every process of a fault run before its own code (NODE_OPTIONS=--import), and into its
// worker threads. Ends the process with SIGKILL (or stops it) at a named point of the protocol, where a file in
// FAULTS_FOLDER asks for it, and shifts the clock by what another file there says. The product has no
// hooks for any of this: the calls to the file system, to SQLite and to the sockets are wrapped here.
//
//   arm-<stage>     JSON Arm: which point, at which of its passes. Renamed to hit-<id> just before.
//   clock-<stage>   milliseconds to add to the wall clock of one stage; clock-all for every process
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import http from 'node:http';
import http2, { type ServerHttp2Stream } from 'node:http2';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isMainThread } from 'node:worker_threads';

/** The points of plan.ts; each is passed in one thread of one stage. */
export interface Arm {
  readonly id: string;
  readonly point: string;
  /** Which pass since the file was written: 1 is the next one. */
  readonly pass: number;
  /** The parent too, and with it all stages. */
  readonly whole: boolean;
  /** SIGSTOP: to be looked at in this moment, and killed after. */
  readonly signal: 'SIGKILL' | 'SIGSTOP';
}

const folder = process.env.FAULTS_FOLDER ?? '';
// Threads have their parent's environment, but not its arguments.
if (isMainThread) process.env.FAULTS_STAGE = /stage-process\.[tj]s$/.test(process.argv[1] ?? '') ? process.argv[2] : 'up';
const stage = process.env.FAULTS_STAGE ?? 'up';
const armFile = path.join(folder, `arm-${stage}`);
// The wrapped ones are for the code that is tested.
const { readFileSync, renameSync, existsSync, writeFileSync } = fs;

let counted = { id: '', passes: 0 };

function at(point: string, detail = ''): void {
  const arm = readArm();
  if (arm === null || arm.point !== point) return;
  if (counted.id !== arm.id) counted = { id: arm.id, passes: 0 };
  counted.passes++;
  if (counted.passes < arm.pass) return;
  const hit = path.join(folder, `hit-${arm.id}`);
  renameSync(armFile, hit);
  writeFileSync(hit, detail === '' ? point : `${point} (${detail})`);
  if (arm.whole) process.kill(process.ppid, arm.signal);
  process.kill(process.pid, arm.signal);
}

function readArm(): Arm | null {
  if (!existsSync(armFile)) return null;
  try {
    return JSON.parse(readFileSync(armFile, 'utf8')) as Arm;
  } catch {
    return null;
  }
}

// --- the log: SQLite commits ---------------------------------------------------------------------

// By the prototype: what a module exports cannot be exchanged for modules that exist as node:… only.
const { exec } = DatabaseSync.prototype;
const writing = new WeakSet<DatabaseSync>();
DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string): void {
  exec.call(this, sql);
  if (sql.startsWith('BEGIN IMMEDIATE')) writing.add(this);
  if (sql === 'COMMIT' && writing.delete(this)) committed(this.location() ?? '');
};

function committed(file: string): void {
  const name = path.basename(file);
  if (stage === 'receiver' && name.startsWith('otlp_profiles')) at('log appended', 'committed, its thread not told');
  if (stage === 'processor' && name.startsWith('flamelake.rows')) at('rows appended');
  if (stage === 'exporter' && name.startsWith('positions')) at('position remembered');
  if (stage === 'exporter' && path.basename(path.dirname(file)) === 'index') at('stack ids indexed');
}

// --- the answers ---------------------------------------------------------------------------------

const { writeHead } = http.ServerResponse.prototype;
http.ServerResponse.prototype.writeHead = function (this: http.ServerResponse, ...args: Parameters<typeof writeHead>) {
  if (stage === 'receiver' && args[0] === 200 && this.req.method === 'POST') at('answer due', 'HTTP');
  return writeHead.apply(this, args);
} as typeof writeHead;

const { createServer } = http2;
http2.createServer = ((...args: Parameters<typeof createServer>) => {
  const server = createServer(...args);
  server.on('stream', (stream: ServerHttp2Stream) => {
    const respond = stream.respond.bind(stream);
    stream.respond = (headers, options) => {
      if (stage === 'receiver' && options?.waitForTrailers) at('answer due', 'gRPC');
      respond(headers, options);
    };
  });
  return server;
}) as typeof createServer;

// --- the store: what gets a name -----------------------------------------------------------------

let filesOfRecord = 0;
let filesNamed = 0;

const { link, rename, unlink, readFile } = fsp;
const text = (name: fs.PathLike | fsp.FileHandle): string => (typeof name === 'string' ? name : '');

fsp.link = async (from, to) => {
  await link(from, to);
  const name = text(to);
  if (/\/commits\/\d+\/[^/]*\.json$/.test(name)) {
    filesOfRecord = (JSON.parse(readFileSync(name, 'utf8')) as { files?: unknown[] }).files?.length ?? 0;
    filesNamed = 0;
    at('record written', 'named, its folder not synced');
  }
  if (/\/lake\/(samples|stacks)\/.*\.parquet$/.test(name)) {
    filesNamed++;
    // A record that is finished by the next start is not counted from its first file on: any is one of several then.
    if (filesOfRecord === 0 || filesNamed < filesOfRecord)
      at('file of several written', `${filesNamed} of ${filesOfRecord || 'those of a record found at the start'}`);
  }
};

fsp.rename = async (from, to) => {
  await rename(from, to);
  const name = text(to);
  if (name.includes('/staging/')) at('file staged');
  if (name.includes('/hot/')) at('hot object written');
};

fsp.readFile = (async (...args: Parameters<typeof readFile>) => {
  const name = text(args[0]);
  if (/\/commits\/\d+\/[^/]*\.json$/.test(name)) at('record read back');
  return readFile(...args);
}) as typeof readFile;

fsp.unlink = async (name) => {
  // The first thing that happens once every file has its public name.
  if (text(name).includes('/staging/')) at('all files written');
  await unlink(name);
};

// --- the clock -----------------------------------------------------------------------------------

const RealDate = Date;
const clockMillis = 50;
let shiftMillis = 0;
const now = (): number => RealDate.now() + shiftMillis;

function readShift(): void {
  const found = ['all', stage].map((name) => path.join(folder, `clock-${name}`)).find((file) => existsSync(file));
  shiftMillis = found === undefined ? 0 : Number(readFileSync(found, 'utf8')) || 0;
}

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: [], newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
  get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
});

if (folder !== '') {
  readShift();
  setInterval(() => {
    try {
      readShift();
    } catch {
      // Taken away in this moment: the next look sees it.
    }
  }, clockMillis).unref();
}

syncBuiltinESMExports();

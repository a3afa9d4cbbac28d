// The log and the store on disks that are full, read-only or broken. Small disks are mounted in a
// mount namespace of the child's own; a broken fsync is a library put before the C library's.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const module = (name: string) => JSON.stringify(new URL(name, import.meta.url).href);

/** `place` is the disk, `outcome` names what became of a promise, `say` collects the answer. */
const prelude = `
  import { closeSync, fsyncSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
  import { spawnSync } from 'node:child_process';
  const { openLog } = await import(${module('./log/open.ts')});
  const { openStore } = await import(${module('./store/open.ts')});
  const place = process.env.PLACE;
  const outcome = (promise) => promise.then((value) => value ?? 'done', (error) => error.code + ': ' + error.message);
  const said = {};
  const say = (name, value) => { said[name] = value; };
  const fillDisk = () => {
    const file = openSync(place + '/ballast', 'w');
    try { for (;;) writeSync(file, Buffer.alloc(65536, 1)); } catch {}
    closeSync(file);
  };
  const retry = async (work) => {
    for (;;) {
      const is = await outcome(work());
      if (!String(is).includes('_full')) return is;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };`;

let place: string;
beforeEach(() => {
  place = mkdtempSync(path.join(tmpdir(), 'flamelake-disk-'));
});
afterEach(() => rmSync(place, { recursive: true }));

interface Outcome {
  readonly status: number | null;
  readonly stderr: string;
  readonly said: Record<string, unknown>;
}

async function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const child = spawn(command, args, { env: { ...process.env, PLACE: place, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name].on('data', (chunk) => (output[name] += chunk));
  const [status] = await once(child, 'close');
  return { status, stderr: output.stderr, said: JSON.parse(output.stdout || '{}') };
}

const program = (script: string) => ['--input-type=module', '-e', `${prelude}\n${script}\nwriteSync(1, JSON.stringify(said));`];

/** Runs `script` with a disk of its own mounted at `place`. */
async function onDisk(mount: string, script: string): Promise<Record<string, unknown>> {
  const result = await run('unshare', ['--mount', 'sh', '-ec', `${mount}\nexec "$@"`, 'sh', process.execPath, ...program(script)]);
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
  return result.said;
}

const mayMount = spawnSync('unshare', ['--mount', 'true']).status === 0;
const smallDisk = 'mount -t tmpfs -o size=96m tmpfs "$PLACE"';

describe.skipIf(!mayMount)('the log', () => {
  test('on a small disk says so before it is full, keeps its word, and goes on when there is room', async () => {
    const said = await onDisk(
      smallDisk,
      `
      const log = await openLog('file://' + place + '/log');
      await log.ensureTopic({ name: 't', partitions: 1 });
      const value = new Uint8Array(500_000);
      let count = 0;
      for (;; count++) {
        const is = await outcome(log.append('t', 0, { value }));
        if (is.offset !== count) { say('refused', is); break; }
      }
      say('some', count > 50);
      say('remember', await outcome(log.remember('g', 't', 0, { offset: count, metadata: '' })));
      const before = await log.range('t', 0);
      fillDisk();
      say('full', await outcome(log.append('t', 0, { value: new Uint8Array(10) })));
      await outcome(log.remember('g', 't', 0, { offset: 1, metadata: 'x'.repeat(4000) }));
      say('kept', (await log.range('t', 0)).end === before.end && (await log.read('t', 0, count - 1, { bytesMax: 1, waitMillis: 0 })).records.length === 1);
      rmSync(place + '/ballast');
      say('trim', await outcome(log.trim('t', 0, count)));
      say('again', (await retry(() => log.append('t', 0, { value }))).offset === count);
      await log.close();
      const next = await openLog('file://' + place + '/log');
      say('reopened', (await next.range('t', 0)).end === count + 1);
      await next.close();`,
    );
    expect(said).toEqual({
      refused: expect.stringMatching(/^log_full: .*the disk is nearly full/),
      some: true,
      remember: 'done',
      full: expect.stringMatching(/^log_full: /),
      kept: true,
      trim: 'done',
      again: true,
      reopened: true,
    });
  });

  test('opened on a full disk is refused clearly and works when there is room', async () => {
    const said = await onDisk(
      'mount -t tmpfs -o size=40m tmpfs "$PLACE"',
      `
      fillDisk();
      say('full', await outcome(openLog('file://' + place + '/log')));
      rmSync(place + '/ballast');
      const log = await openLog('file://' + place + '/log');
      say('opened', (await log.ensureTopic({ name: 't', partitions: 1 })).partitions);
      await log.close();`,
    );
    expect(said).toEqual({ full: expect.stringMatching(/^log_full: .*disk is full/), opened: 1 });
  });

  test('on a read-only disk is refused clearly', async () => {
    const said = await onDisk('mount -t tmpfs -o ro tmpfs "$PLACE"', `say('open', await outcome(openLog('file://' + place + '/log')));`);
    expect(said).toEqual({ open: expect.stringMatching(/^log_unavailable: .*read-only/) });
  });

  test('on a disk that became read-only refuses to open for appends, and says why', async () => {
    const said = await onDisk(
      `${smallDisk}`,
      `
      const log = await openLog('file://' + place + '/log');
      await log.ensureTopic({ name: 't', partitions: 1 });
      await log.append('t', 0, { value: new Uint8Array(10) });
      await log.close();
      spawnSync('mount', ['-o', 'remount,ro', place]);
      say('open', await outcome(openLog('file://' + place + '/log').then((log) => log.ensureTopic({ name: 't', partitions: 1 }))));`,
    );
    expect(said).toEqual({ open: expect.stringMatching(/^log_unavailable: .*read-only/) });
  });
});

describe.skipIf(!mayMount)('the store', () => {
  test('on a full disk says so, leaves no draft behind, and goes on when there is room', async () => {
    const said = await onDisk(
      smallDisk,
      `
      const store = await openStore('file://' + place + '/store');
      await store.put('a/1', new Uint8Array(1000));
      fillDisk();
      const value = new Uint8Array(1_000_000);
      say('put', await outcome(store.put('a/1', value)));
      say('putIfAbsent', await outcome(store.putIfAbsent('a/2', value)));
      say('kept', (await store.get('a/1')).length);
      say('free', await store.get('a/2'));
      rmSync(place + '/ballast');
      say('again', await outcome(store.putIfAbsent('a/2', value)));
      say('keys', (await store.list('')).map((entry) => entry.key));`,
    );
    expect(said).toEqual({
      put: expect.stringMatching(/^store_full: .*disk is full/),
      putIfAbsent: expect.stringMatching(/^store_full: .*disk is full/),
      kept: 1000,
      free: null,
      again: 'created',
      keys: ['a/1', 'a/2'],
    });
  });

  test('on a read-only disk can be read, and says what else it can not', async () => {
    const said = await onDisk(
      smallDisk,
      `
      const store = await openStore('file://' + place + '/store');
      await store.put('a/1', new Uint8Array(10));
      spawnSync('mount', ['-o', 'remount,ro', place]);
      for (const [name, put] of Object.entries({ put: () => store.put('a/1', new Uint8Array(1)), delete: () => store.delete('a/1') })) say(name, await outcome(put()));
      say('open', await outcome(openStore('file://' + place + '/store')));
      const reader = await openStore('file://' + place + '/store', { readOnly: true });
      say('read', (await reader.get('a/1')).length);`,
    );
    const readOnly = expect.stringMatching(/^store_readonly: .*read-only/);
    expect(said).toEqual({ put: readOnly, delete: readOnly, open: readOnly, read: 10 });
  });

  test('over two file systems is refused at the start', async () => {
    const said = await onDisk(
      'mkdir "$PLACE/store" "$PLACE/store/tmp" && mount -t tmpfs tmpfs "$PLACE/store/tmp"',
      `say('open', await outcome(openStore('file://' + place + '/store')));`,
    );
    expect(said).toEqual({ open: expect.stringMatching(/^store_unavailable: .*another file system/) });
  });
});

const compiler = ['cc', 'clang', 'gcc'].find((name) => spawnSync(name, ['--version']).status === 0);

describe.skipIf(compiler === undefined)('on a disk that answers with errors', () => {
  // fsync and fdatasync fail with EIO, link with EPERM, inotify with EMFILE, once the file that the variable names exists.
  const broken = `
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <errno.h>
    #include <stdlib.h>
    #include <unistd.h>
    static int is_broken(const char *name) { return access(getenv(name), F_OK) == 0; }
    static int sync_or_fail(const char *name, int fd) {
      if (is_broken("BROKEN_SYNC")) { errno = EIO; return -1; }
      return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
    }
    int fsync(int fd) { return sync_or_fail("fsync", fd); }
    int fdatasync(int fd) { return sync_or_fail("fdatasync", fd); }
    int inotify_init1(int flags) {
      if (is_broken("BROKEN_WATCH")) { errno = EMFILE; return -1; }
      return ((int (*)(int))dlsym(RTLD_NEXT, "inotify_init1"))(flags);
    }
    int link(const char *from, const char *to) {
      if (is_broken("BROKEN_LINK")) { errno = EPERM; return -1; }
      return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "link"))(from, to);
    }`;

  let env: Record<string, string>;
  beforeEach(() => {
    writeFileSync(path.join(place, 'broken.c'), broken);
    const library = path.join(place, 'broken.so');
    expect(spawnSync(compiler!, ['-shared', '-fPIC', '-o', library, path.join(place, 'broken.c'), '-ldl']).status).toBe(0);
    env = {
      LD_PRELOAD: library,
      BROKEN_SYNC: path.join(place, 'no-sync'),
      BROKEN_LINK: path.join(place, 'no-link'),
      BROKEN_WATCH: path.join(place, 'no-watch'),
    };
  });

  const openLog = `const log = await openLog('file://' + place + '/log');`;
  const openStore = `const store = await openStore('file://' + place + '/store');`;
  const topic = `await log.ensureTopic({ name: 't', partitions: 1 });`;
  const message = `{ value: new Uint8Array(1) }`;
  const breakSync = `writeFileSync(process.env.BROKEN_SYNC, '');`;
  const acknowledged = `.then(() => writeSync(2, 'acknowledged'));`;

  test.each([
    ['an append', `${openLog} ${topic} await log.append('t', 0, ${message}); ${breakSync} await log.append('t', 0, ${message})${acknowledged}`],
    ['a position', `${openLog} ${topic} ${breakSync} await log.remember('g', 't', 0, { offset: 0, metadata: '' })${acknowledged}`],
    ['a new topic', `${openLog} ${breakSync} await log.ensureTopic({ name: 't', partitions: 1 })${acknowledged}`],
    ['an object', `${openStore} ${breakSync} await store.putIfAbsent('a/b', new Uint8Array(1))${acknowledged}`],
    ['a publication', `${openStore} await store.put('a/b', new Uint8Array(1)); ${breakSync} await store.publish('a/b', 'c/d')${acknowledged}`],
  ])('the failed fsync of %s ends the process before it is acknowledged', async (_what, script) => {
    const { status, stderr } = await run(process.execPath, program(script), env);
    expect(stderr).toMatch(/fsync failed .*; ending this process/);
    expect(stderr).not.toContain('acknowledged');
    expect(status).toBe(74);
  });

  test('log and store without hard links are refused at the start', async () => {
    writeFileSync(env.BROKEN_LINK!, '');
    const script = `say('log', await outcome(openLog('file://' + place + '/log'))); say('store', await outcome(openStore('file://' + place + '/store')));`;
    const { said } = await run(process.execPath, program(script), env);
    expect(said).toEqual({
      log: expect.stringMatching(/^log_unavailable: .*no hard links/),
      store: expect.stringMatching(/^store_unavailable: .*no hard links/),
    });
  });

  test('readers of another process are served without notifications from the kernel too', async () => {
    writeFileSync(env.BROKEN_WATCH!, '');
    const script = `
      const [reader, writer] = [await openLog('file://' + place + '/log'), await openLog('file://' + place + '/log')];
      await writer.ensureTopic({ name: 't', partitions: 1 });
      for (let offset = 0; offset < 10; offset++) {
        const read = reader.read('t', 0, offset, { bytesMax: 1, waitMillis: 60_000 });
        await writer.append('t', 0, { value: new Uint8Array(1) });
        say(offset, (await read).next);
      }
      await Promise.all([reader.close(), writer.close()]);`;
    const { said } = await run(process.execPath, program(script), env);
    expect(Object.values(said)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDoor } from '../lib/door/door.ts';
import { createLogger } from '../lib/logger.ts';
import { createMetricRegistry } from '../lib/metrics.ts';
import type { Stage } from '../lib/stage.ts';
import type { Report } from './api.ts';
import { createGate } from './gate.ts';
import { parseListen, startHttp } from './http.ts';
import { limits } from './limits.ts';
import { startQuery } from './main.ts';
import { openQuery, type Query } from './query.ts';
import { FixtureLake, sampleRow, stackId, stackRow } from './testing-lake.ts';

let lake: FixtureLake;
let stage: Stage;
let url: string;
let reports: Report[] = [{ name: 'receiver', ready: true, text: 'listens' }];
const log: string[] = [];
const host = () => ({
  logger: createLogger({ name: 'query', level: 'debug', format: 'text', write: (line) => log.push(line) }),
  meter: createMetricRegistry().meter,
});
const urlOf = (started: Stage) => /http:\S+/.exec(started.status().text)![0];

beforeAll(async () => {
  lake = await FixtureLake.make();
  const samples = [1, 2, 3].map((second) => sampleRow(`2026-11-24T10:00:0${second}Z`, stackId(1), { process_executable_name: 'app', host_name: 'node-1' }));
  await lake.publish({ seq: 1, position: 1, samples, stacks: [stackRow(stackId(1), [{ function: 'vfs_read', type: 'kernel' }, 'main'])] });
  stage = await startQuery(
    { store: lake.url, listen: '127.0.0.1:0', reports: () => reports, metricsText: async () => '# TYPE x counter\nx_total 1\n' },
    host(),
  );
  url = urlOf(stage);
});
afterAll(async () => {
  await stage.stop();
  await lake.remove();
});

const day = 'from=2026-11-24&to=2026-11-25';

async function get(path: string, init: RequestInit = {}): Promise<{ status: number; type: string; headers: Headers; text: string }> {
  const response = await fetch(url + path, init);
  return { status: response.status, type: response.headers.get('content-type') ?? '', headers: response.headers, text: await response.text() };
}
const answer = async (path: string, init?: RequestInit) => JSON.parse((await get(path, init)).text);

/** With headers that fetch does not let a program set. */
function raw(path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    httpRequest(url + path, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    })
      .on('error', reject)
      .end();
  });
}

describe('page and health', () => {
  test('the page and all that it names are there', async () => {
    const page = await get('/');
    expect([page.status, page.type]).toEqual([200, 'text/html; charset=utf-8']);
    const names = [...page.text.matchAll(/(?:src|href)="(\/[a-z.]+)"/g)].map(([, name]) => name!);
    expect(names).toContain('/page.mjs');
    const modules = await Promise.all(['/page.mjs', '/flame.mjs'].map(async (name) => (await get(name)).text));
    names.push(...modules.flatMap((text) => [...text.matchAll(/from '\.(\/[a-z]+\.mjs)'/g)].map(([, name]) => name!)));
    for (const name of names) expect((await get(name)).status, name).toBe(200);
  });

  test('no source beyond itself, no frame around it, no guessing of types', async () => {
    const { headers } = await get('/');
    expect(headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'self'; style-src 'self'.*frame-ancestors 'none'/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect((await get('/api/v1/nothing')).headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  test('healthz, readyz, metrics', async () => {
    expect(await get('/healthz')).toMatchObject({ status: 200, text: 'ok\n' });
    expect(await get('/readyz')).toMatchObject({ status: 200, text: 'receiver: ready: listens\n' });
    reports = [...reports, { name: 'agent', ready: false, text: 'missing CAP_BPF' }];
    expect(await get('/readyz')).toMatchObject({ status: 503, text: 'receiver: ready: listens\nagent: not ready: missing CAP_BPF\n' });
    reports = reports.slice(0, 1);
    expect(await get('/metrics')).toMatchObject({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', text: '# TYPE x counter\nx_total 1\n' });
  });

  test('HEAD has no body, other methods and paths are named', async () => {
    expect(await get('/', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
    expect(await get('/', { method: 'DELETE' })).toMatchObject({ status: 405 });
    expect(await get('/../../etc/passwd')).toMatchObject({ status: 404 });
    expect(await get('/web/page.mjs')).toMatchObject({ status: 404 });
  });
});

describe('the API', () => {
  test('flame graph in each format', async () => {
    expect(await answer(`/api/v1/flamegraph?${day}`)).toMatchObject({
      version: 1,
      type: 'cpu',
      total: 150_000_000,
      samples: 3,
      strings: expect.arrayContaining(['app', 'main', 'vfs_read']),
    });
    expect(await get(`/api/v1/flamegraph?${day}&format=collapsed`)).toMatchObject({ type: 'text/plain; charset=utf-8', text: 'app;main;vfs_read 150000000\n' });
    expect(await get(`/api/v1/flamegraph?${day}&format=svg`)).toMatchObject({ type: 'image/svg+xml; charset=utf-8', text: expect.stringContaining('<svg') });
    const html = await get(`/api/v1/flamegraph?${day}&format=html&download=1`);
    expect(html.headers.get('content-disposition')).toBe('attachment; filename="flamelake-cpu-20261124T000000.html"');
    expect(html.headers.get('content-security-policy')).toMatch(/script-src 'sha256-/);
    expect((await answer(`/api/v1/flamegraph?${day}&group=none`)).strings).not.toContain('app');
  });

  test('top, labels, status', async () => {
    expect((await answer(`/api/v1/top?${day}&by=process&limit=1`)).rows).toMatchObject([{ name: 'vfs_read', process: 'app', self: 150_000_000 }]);
    expect(await answer(`/api/v1/labels?${day}`)).toMatchObject({ hosts: [{ value: 'node-1', samples: 3 }], types: [{ value: 'cpu' }] });
    expect(await answer(`/api/v1/status?${day}`)).toMatchObject({ reports: [{ name: 'receiver' }], activity: { samples: 3, samplesPerSecond: 1.5 } });
  });

  test('SQL by GET and POST', async () => {
    const q = 'SELECT count(*) AS n FROM samples';
    const wanted = { columns: [{ name: 'n', type: 'BIGINT' }], rows: [[3]], truncated: false };
    expect(await answer(`/api/v1/sql?q=${encodeURIComponent(q)}`)).toEqual(wanted);
    const post = (body: unknown, type = 'application/json') =>
      get('/api/v1/sql', { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), headers: { 'content-type': type } });
    expect(JSON.parse((await post({ q, from: '2026-11-24', to: '2026-11-24T10:00:03Z' })).text).rows).toEqual([[2]]);
    expect(await post({ q }, 'text/plain')).toMatchObject({ status: 400 });
    expect(await post('{')).toMatchObject({ status: 400 });
    expect(await post('[]')).toMatchObject({ status: 400 });
    expect(await post({ q: { $gt: '' } })).toMatchObject({ status: 400 });
    expect(await post({ q, evil: 1 })).toMatchObject({ status: 400 });
    expect(await post({ q: 'x'.repeat(limits.bodyBytesMax) })).toMatchObject({ status: 413 });
  });

  test('what is wrong is said in one line of JSON', async () => {
    const wrong = [
      '/api/v1/flamegraph?from=yesterday',
      '/api/v1/flamegraph?from=now&to=-15m',
      '/api/v1/flamegraph?format=pdf',
      '/api/v1/flamegraph?group=galaxy',
      '/api/v1/flamegraph?nodes=-1',
      '/api/v1/flamegraph?nodes=1e9',
      '/api/v1/flamegraph?hots=a',
      '/api/v1/flamegraph?host=a&host=b',
      `/api/v1/top?host=${'x'.repeat(2000)}`,
      '/api/v1/top?limit=many',
      '/api/v1/top?by=name',
      '/api/v1/sql',
      '/api/v1/sql?q=DROP%20VIEW%20samples',
      '/api/v1/sql?q=SELECT%20nope%20FROM%20samples',
      '/api/v1/sql?q=SELECT%201&rows=0',
      '/api/v1/sql?q=SELECT%201%0AFROM%20nowhere',
    ];
    for (const path of wrong) {
      const { status, type, text } = await get(path);
      expect([status, type], path).toEqual([400, 'application/json; charset=utf-8']);
      const { error, code, ...rest } = JSON.parse(text);
      expect(['usage', 'query_failed'], path).toContain(code);
      expect(error, path).toMatch(/^[^\n]{10,400}$/);
      expect(rest).toEqual({});
    }
    expect(await get('/api/v1/nothing')).toMatchObject({ status: 404 });
    expect(await get('/api/v1/constructor')).toMatchObject({ status: 404 });
    expect(await get('/api/v1/top', { method: 'POST' })).toMatchObject({ status: 405 });
    expect(log.filter((line) => line.includes('of our own'))).toEqual([]);
  });
});

describe('at the door', () => {
  test('a name that was bound to the loopback by somebody else is turned away', async () => {
    expect(await raw('/healthz', { host: 'evil.example' })).toBe(421);
    expect(await raw('/api/v1/status', { host: 'evil.example:4040' })).toBe(421);
    expect(await raw('/healthz', { host: '127.0.0.1.evil.example' })).toBe(421);
    for (const name of ['localhost:1', '127.0.0.1', '127.8.8.8:80', '[::1]:5', 'LOCALHOST', 'flame.localhost'])
      expect(await raw('/healthz', { host: name }), name).toBe(200);
  });

  test('a page of another site gets no answer, but a link to the page works', async () => {
    expect(await raw('/api/v1/status', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).toBe(403);
    expect(await raw('/api/v1/status', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).toBe(403);
    expect(await raw('/', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).toBe(200);
    expect(await raw('/api/v1/status', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' })).toBe(200);
  });

  test('where a browser says only the origin, another one is turned away too', async () => {
    expect(await raw('/api/v1/status', { origin: 'https://evil.example' })).toBe(403);
    expect(await raw('/api/v1/status', { origin: 'null' })).toBe(403);
    expect(await raw('/api/v1/status', { origin: url })).toBe(200);
  });

  test('an address that is too long, and bytes that are no HTTP', async () => {
    expect(await raw(`/?${'x'.repeat(limits.urlCharsMax)}`, {})).toBe(400);
    const { port } = new URL(url);
    const reply = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.write('\u0000\u0001 nonsense\r\n\r\n'));
      let got = '';
      socket.on('data', (chunk) => {
        got += String(chunk);
      });
      socket.on('close', () => resolve(got));
      socket.on('error', reject);
    });
    expect(reply).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('listen addresses', () => {
    expect(parseListen('127.0.0.1:4040')).toEqual({ host: '127.0.0.1', port: 4040 });
    expect(parseListen('[::1]:0')).toEqual({ host: '::1', port: 0 });
    expect(parseListen('localhost:65535')).toEqual({ host: 'localhost', port: 65_535 });
    for (const wrong of ['', '4040', ':4040', '127.0.0.1', '127.0.0.1:99999', '::1:4040', 'a b:1', '127.0.0.1:4040/x'])
      expect(() => parseListen(wrong), wrong).toThrow('host:port is allowed');
  });

  test('a port that is taken is said so', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    const started = startQuery({ store: lake.url, listen: `127.0.0.1:${port}`, reports: () => [], metricsText: async () => '' }, host());
    await expect(started).rejects.toMatchObject({ code: 'port_in_use', message: expect.stringContaining(`127.0.0.1:${port}`) });
    taken.close();
  });
});

describe('with tokens', () => {
  const token = 'a-token-that-is-long-enough';
  const next = 'the-token-that-comes-after-it';
  let folder: string;
  let locked: Stage;
  let own: string;
  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'flamelake-door-'));
    const tokenFile = path.join(folder, 'tokens');
    writeFileSync(tokenFile, `# of this page\n${token}\n${next}\n`);
    locked = await startQuery(
      { store: lake.url, listen: '127.0.0.1:0', door: { tokenFile }, reports: () => reports, metricsText: async () => 'secret_total 1\n' },
      host(),
    );
    own = urlOf(locked);
  });
  afterAll(async () => {
    await locked.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const ask = (where: string, headers: Record<string, string> = {}) => fetch(own + where, { headers });
  const signIn = (body: unknown, contentType = 'application/json') =>
    fetch(`${own}/session`, { method: 'POST', headers: { 'content-type': contentType }, body: JSON.stringify(body) });

  test('API and metrics answer nobody without one', async () => {
    for (const path of [`/api/v1/status?${day}`, '/api/v1/sql?q=SELECT%201', '/api/v1/nothing', '/metrics']) {
      for (const authorization of [
        '',
        'Bearer',
        'Bearer ',
        `Bearer ${token}x`,
        `Bearer ${token.slice(1)}`,
        `Basic ${token}`,
        token,
        `Bearer ${token} ${token}`,
      ]) {
        const answer = await ask(path, authorization === '' ? {} : { authorization });
        expect([answer.status, answer.headers.get('www-authenticate')], `${path} ${authorization}`).toEqual([401, 'Bearer']);
        expect(await answer.text()).not.toContain('secret_total');
      }
      expect((await ask(`${path}${path.includes('?') ? '&' : '?'}token=${token}`)).status).toBe(401);
    }
    for (const authorization of [`Bearer ${token}`, `bearer ${next}`]) {
      expect((await ask(`/api/v1/status?${day}`, { authorization })).status).toBe(200);
      expect(await (await ask('/metrics', { authorization })).text()).toBe('secret_total 1\n');
    }
  });

  test('the page itself and health come without, health without its words', async () => {
    for (const path of ['/', '/page.mjs', '/sign-in.mjs', '/healthz']) expect((await ask(path)).status, path).toBe(200);
    expect(await (await ask('/readyz')).text()).toBe('receiver: ready\n');
    expect(await (await ask('/readyz', { authorization: `Bearer ${token}` })).text()).toBe('receiver: ready: listens\n');
  });

  test('a person signs in once: a cookie that no script reads and no other site sends', async () => {
    expect((await signIn({ token: 'a-token-that-is-wrong-here' })).status).toBe(401);
    expect((await signIn({ token: [token] })).status).toBe(401);
    expect((await signIn(null)).status).toBe(401);
    expect((await signIn({ token }, 'text/plain')).status).toBe(401);
    const given = (await signIn({ token })).headers.get('set-cookie')!;
    expect(given).toMatch(/^flamelake=\d+\.[\w-]{43}; Path=\/; Max-Age=604800; HttpOnly; SameSite=Strict$/);
    const [cookie] = given.split(';') as [string];
    expect(cookie).not.toContain(token);
    expect((await ask(`/api/v1/status?${day}`, { cookie })).status).toBe(200);
    expect((await ask(`/api/v1/status?${day}`, { cookie: `other=1; ${cookie}` })).status).toBe(200);
    // Another end, another proof, or a wrong token beside it.
    const [, end, proof] = /=(\d+)\.(.*)$/.exec(cookie)!;
    expect((await ask(`/api/v1/status?${day}`, { cookie: `flamelake=${Number(end) + 1}.${proof}` })).status).toBe(401);
    expect((await ask(`/api/v1/status?${day}`, { cookie: `flamelake=${end}.${'A'.repeat(43)}` })).status).toBe(401);
    expect((await ask(`/api/v1/status?${day}`, { cookie, authorization: 'Bearer wrong' })).status).toBe(401);
    const out = await fetch(`${own}/session`, { method: 'DELETE' });
    expect(out.headers.get('set-cookie')).toContain('flamelake=; Path=/; Max-Age=0');
  });

  test('no token is logged', () => {
    expect(log.filter((line) => line.includes(token) || line.includes(next))).toEqual([]);
  });
});

describe('under load', () => {
  /** A query that ends when it is told to. */
  function slowQuery(): { query: Query; started: () => number; release: () => void; aborted: () => number } {
    let started = 0;
    let aborted = 0;
    const waiting: (() => void)[] = [];
    const slow = (_text: string, options: { signal?: AbortSignal | undefined } = {}) => {
      started++;
      options.signal?.addEventListener('abort', () => aborted++);
      return new Promise<never>((_resolve, reject) => waiting.push(() => reject(new Error('released'))));
    };
    return {
      query: { sql: slow } as unknown as Query,
      started: () => started,
      aborted: () => aborted,
      release: () => waiting.splice(0).forEach((end) => void end()),
    };
  }

  async function untilTrue(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  test('beyond what runs and waits, 503 with Retry-After; who goes away frees its place', async () => {
    const slow = slowQuery();
    const gate = createGate(1, 1);
    const { server, url: own } = await startHttp({
      listen: { host: '127.0.0.1', port: 0 },
      door: openDoor({}, host().logger),
      api: { query: slow.query, reports: () => [], nowMillis: Date.now },
      gate,
      sqlGate: gate,
      metricsText: async () => '',
      logger: createLogger({ name: 'query', level: 'error', format: 'text', write: () => {} }),
      answered: () => {},
    });
    const ask = (signal?: AbortSignal) => fetch(`${own}/api/v1/sql?q=SELECT`, signal ? { signal } : {}).catch((error: Error) => error);
    const first = new AbortController();
    const second = new AbortController();
    const firstAnswer = ask(first.signal);
    await untilTrue(() => slow.started() === 1);
    const secondAnswer = ask(second.signal);
    await untilTrue(() => gate.waiting === 1);
    const third = await fetch(`${own}/api/v1/sql?q=SELECT`);
    expect([third.status, third.headers.get('retry-after'), ((await third.json()) as { code: string }).code]).toEqual([503, '1', 'overloaded']);

    second.abort();
    await secondAnswer;
    await untilTrue(() => gate.waiting === 0);
    first.abort();
    await firstAnswer;
    await untilTrue(() => slow.aborted() === 1);
    slow.release();
    await untilTrue(() => gate.running === 0);
    server.close();
  });

  test('a real query of somebody who went away is interrupted', async () => {
    const query = await openQuery({ store: lake.url });
    const gate = createGate(1, 1);
    const { server, url: own } = await startHttp({
      listen: { host: '127.0.0.1', port: 0 },
      door: openDoor({}, host().logger),
      api: { query, reports: () => [], nowMillis: Date.now },
      gate,
      sqlGate: gate,
      metricsText: async () => '',
      logger: createLogger({ name: 'query', level: 'error', format: 'text', write: () => {} }),
      answered: () => {},
    });
    const abort = new AbortController();
    const asked = fetch(`${own}/api/v1/sql?q=${encodeURIComponent('SELECT sum(hash(i)) FROM range(1000000000000) t(i)')}`, { signal: abort.signal }).catch(
      () => null,
    );
    await untilTrue(() => gate.running === 1);
    abort.abort();
    await asked;
    await untilTrue(() => gate.running === 0);
    server.close();
    await query.close();
  });
});

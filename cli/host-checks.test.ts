import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { checkData, checkKernel, checkNode, checkPorts } from './host-checks.ts';
import { parseCommand } from './options.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'flamelake-doctor-'));
afterAll(() => rmSync(dir, { recursive: true }));

async function valuesOf(...args: string[]) {
  return (await parseCommand('doctor', args, {})).values;
}

test('a port in use is told from a free one, and what moves it is named', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const busy = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [page, grpc, http] = await checkPorts(await valuesOf('--listen', busy, '--otlp-grpc', '127.0.0.1:0', '--otlp-http', '192.0.2.1:1'));
  server.close();
  expect(page).toMatchObject({ state: 'limited', found: `${busy} is in use`, advice: expect.stringContaining('--listen') });
  expect(grpc).toMatchObject({ state: 'ok', advice: '' });
  expect(http).toMatchObject({ state: 'limited', found: expect.stringContaining('EADDRNOTAVAIL'), advice: expect.stringContaining('--otlp-http') });
});

test('a data directory may not be there yet', async () => {
  const data = path.join(dir, 'a/b/c');
  const check = checkData(await valuesOf('--data', data));
  expect(check.found).toContain(`${data}, `);
  expect(check.state).not.toBe('missing');
});

test('a data directory that nobody can write is missing', async () => {
  const check = checkData(await valuesOf('--data', '/proc/flamelake'));
  expect(check).toMatchObject({ state: 'missing', found: expect.stringContaining('nothing can be written to /proc') });
});

test('a file is no data directory, and nothing can be below one', async () => {
  const file = path.join(dir, 'file');
  writeFileSync(file, '');
  for (const data of [file, path.join(file, 'below')]) {
    expect(checkData(await valuesOf('--data', data))).toMatchObject({ state: 'missing', found: `${file} is a file` });
  }
});

test('looking leaves nothing behind', async () => {
  const empty = mkdtempSync(path.join(dir, 'empty-'));
  checkData(await valuesOf('--data', empty));
  expect(readdirSync(empty)).toEqual([]);
});

test('Node and kernel say which they are', () => {
  expect(checkNode()).toMatchObject({ state: 'ok', found: expect.stringContaining(process.version) });
  expect(checkKernel().found).toMatch(/^Linux \d+\.\d+/);
});

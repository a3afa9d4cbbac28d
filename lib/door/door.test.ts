import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect, createServer, type PeerCertificate } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLogger } from '../logger.ts';
import { hostOf, isLoopback, isOwnOrigin, requireLock } from './address.ts';
import { openDoor } from './door.ts';
import { makeCertificates, type TestCertificates } from './testing.ts';
import { bearerToken, isAmong, parseTokens } from './tokens.ts';

let folder: string;
let made: TestCertificates;
const lines: string[] = [];
const logger = createLogger({ name: 'door', level: 'info', format: 'text', write: (line) => lines.push(line) });

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'flamelake-door-'));
  made = makeCertificates(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string): string => path.join(folder, name);

describe('addresses', () => {
  test('what is the loopback', () => {
    for (const own of ['127.0.0.1', '127.9.9.9', '::1', '[::1]', 'localhost', 'LOCALHOST', 'a.localhost']) expect(isLoopback(own), own).toBe(true);
    for (const other of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example', 'localhost.example', '::ffff:10.0.0.1', '127.1', '']) {
      expect(isLoopback(other), other).toBe(false);
    }
    expect([hostOf('127.0.0.1:1'), hostOf('[::1]:1'), hostOf('name:443'), hostOf('name')]).toEqual(['127.0.0.1', '::1', 'name', 'name']);
  });

  test('whose origin it is', () => {
    expect(isOwnOrigin('http://localhost:4040', 'localhost:4040')).toBe(true);
    expect(isOwnOrigin('https://page.example', 'page.example')).toBe(true);
    for (const other of ['null', '', 'http://localhost:4041', 'http://evil.example', 'garbage'])
      expect(isOwnOrigin(other, 'localhost:4040'), other).toBe(false);
  });

  test('beyond the loopback only with TLS and credentials', () => {
    const options = { listen: '--listen', credentials: '--token' };
    const attempt = (address: string, hasTls: boolean, hasCredentials: boolean) => () => requireLock(address, { hasTls, hasCredentials }, options);
    for (const open of ['0.0.0.0:1', '[::]:1', '10.1.2.3:1', 'name.example:1']) {
      expect(attempt(open, false, false), open).toThrow(
        `--listen ${open} is reached from other hosts; give --tls-cert-file and --tls-key-file, and --token, or listen on 127.0.0.1, or say --insecure`,
      );
      expect(attempt(open, true, false), open).toThrow('give --token, or');
      expect(attempt(open, false, true), open).toThrow('give --tls-cert-file and --tls-key-file, or');
      expect(attempt(open, true, true), open).not.toThrow();
    }
    expect(attempt('127.0.0.1:1', false, false)).not.toThrow();
    expect(attempt('[::1]:1', false, false)).not.toThrow();
  });
});

describe('tokens', () => {
  const good = 'abcdefghijklmnop';

  test('one a line, with comments', () => {
    expect(parseTokens(`# ours\n\n  ${good}  \r\n${good}==\n`, 'f')).toEqual([good, `${good}==`]);
  });

  test('what is wrong with a file is said without what stands in it', () => {
    const wrong: [string, RegExp][] = [
      ['', /^f: found no token/],
      ['# nothing\n', /^f: found no token/],
      ['short-secret', /^f, line 1: found a token of 12 characters, expected 16 to/],
      [`${good}\nwith a blank in it`, /^f, line 2: found a character/],
      [`${good}\u00e4`, /^f, line 1: found a character/],
      [`${good}\n`.repeat(101), /^f: found 101 tokens, expected at most 100/],
    ];
    for (const [text, message] of wrong) {
      expect(() => parseTokens(text, 'f')).toThrow(message);
      expect(() => parseTokens(text, 'f')).not.toThrow(/short-secret|blank in it|abcdef/);
    }
  });

  test('a header shows one of them or does not', () => {
    expect(bearerToken('Bearer abc')).toBe('abc');
    expect(bearerToken('bEaReR  abc')).toBe('abc');
    for (const none of [undefined, '', 'Bearer', 'Bearer ', 'Basic abc', 'abc', 'Bearer a b', 'xBearer abc']) expect(bearerToken(none), none).toBeNull();
    expect(isAmong('b', ['a', 'b'])).toBe(true);
    expect(isAmong('', ['a'])).toBe(false);
    expect(isAmong('a', [])).toBe(false);
  });
});

describe('a door', () => {
  test('without files lets everybody in', () => {
    const door = openDoor({}, logger);
    expect([door.tls, door.asksToken, door.admits(undefined)]).toEqual([null, false, true]);
    door.close();
  });

  test.each([
    ['a certificate that is not there', { certFile: 'nowhere.pem', keyFile: 'server.key' }, /nowhere\.pem can't be read \(ENOENT\)/],
    ['a key of another certificate', { certFile: 'server.pem', keyFile: 'client.key' }, /^TLS: found .* in .*server\.pem, .*client\.key; expected a PEM/],
    ['a file that is no PEM', { certFile: 'server.ext', keyFile: 'server.key' }, /^TLS: found /],
    ['a CA that is none', { certFile: 'server.pem', keyFile: 'server.key', clientCaFile: 'server.ext' }, /^TLS: found no certificate in PEM in .*server\.ext/],
    ['tokens that are not there', { tokenFile: 'no-tokens' }, /no-tokens can't be read/],
  ])('%s is refused', (_name, files, message) => {
    const named = Object.fromEntries(Object.entries(files).map(([key, name]) => [key, file(name)]));
    expect(() => openDoor(named, logger)).toThrow(expect.objectContaining({ code: 'config_invalid', message: expect.stringMatching(message) }));
  });

  test('files that change are used, and wrong ones are not', async () => {
    const [certFile, keyFile, tokenFile] = [file('now.pem'), file('now.key'), file('now.tokens')];
    copyFileSync(made.serverCert, certFile);
    copyFileSync(made.serverKey, keyFile);
    writeFileSync(tokenFile, 'the-first-token-of-it\n');
    const door = openDoor({ certFile, keyFile, tokenFile }, logger, 5);
    const server = createServer(door.tls!, (socket) => socket.end());
    server.on('tlsClientError', () => {});
    door.attach(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const shownName = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
          resolve(String((socket.getPeerCertificate() as PeerCertificate).subject.CN));
          socket.destroy();
        });
        socket.on('error', reject);
      });
    expect(await shownName()).toBe('server');
    expect([door.admits('Bearer the-first-token-of-it'), door.admits('Bearer another-token-of-it')]).toEqual([true, false]);

    writeFileSync(tokenFile, 'the-first-token-of-it\nanother-token-of-it\n');
    await expect.poll(() => door.admits('Bearer another-token-of-it')).toBe(true);
    writeFileSync(tokenFile, 'another-token-of-it\n');
    await expect.poll(() => door.admits('Bearer the-first-token-of-it')).toBe(false);
    writeFileSync(tokenFile, '');
    await expect.poll(() => lines.some((line) => line.includes('found no token'))).toBe(true);
    expect(door.admits('Bearer another-token-of-it')).toBe(true);

    // The certificate first: for a moment it does not fit the key, and the old pair goes on.
    copyFileSync(made.strangerCert, certFile);
    await expect.poll(() => lines.some((line) => line.includes('a changed file is not used: TLS'))).toBe(true);
    expect(await shownName()).toBe('server');
    copyFileSync(made.strangerKey, keyFile);
    await expect.poll(shownName).toBe('stranger');
    expect(lines.join('')).not.toContain('token-of-it');
    expect(lines.join('')).not.toContain(readFileSync(keyFile, 'utf8').split('\n')[1]);
    door.close();
    server.close();
  });
});

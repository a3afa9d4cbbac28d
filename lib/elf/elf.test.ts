import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readBuildIds } from './build-id.ts';
import { fileOffsetToAddress, readElf } from './elf.ts';
import { openFileSource } from './file.ts';
import { memorySource } from './source.ts';
import { buildElf } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'flamelake-elf-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const gnuId = Buffer.from('00112233445566778899aabbccddeeff00112233', 'hex');
const gnuNote = { name: 'GNU', type: 3, description: gnuId };
const goNote = { name: 'Go', type: 4, description: Buffer.from('abc/def/ghi') };
const malformed = expect.objectContaining({ code: 'elf_malformed' });

describe('headers', () => {
  test.each([64, 32] as const)('of %i bits', (bits) => {
    const segments = [
      { type: 1, flags: 4, offset: 0, address: 0x400000n, bytes: 0x1000 },
      { type: 1, flags: 5, offset: 0x1800, address: 0x402800n, bytes: 0x2345 },
    ];
    const elf = readElf(memorySource(buildElf({ bits, machine: 183, segments, text: { address: 0x402800n, bytes: 0x2000 } })));
    expect([elf.bits, elf.machine, elf.type, elf.segments.length]).toEqual([bits, 183, 3, 2]);
    expect(elf.segments[1]).toMatchObject({ type: 1, flags: 5, offset: 0x1800, address: 0x402800n, fileBytes: 0x2345 });
    expect(elf.sections().map(({ name }) => name)).toEqual(['', '.text', '.notes', '.symbols', '.strings', '.shstrtab']);
    expect(elf.sections()[1]).toMatchObject({ address: 0x402800n, bytes: 0x2000 });
  });

  test('of this very process agree with readelf', () => {
    const elf = readElf(openFileSource(process.execPath));
    const listed = execFileSync('readelf', ['-lW', process.execPath], { encoding: 'utf8' });
    const loads = [...listed.matchAll(/LOAD +0x([0-9a-f]+) 0x([0-9a-f]+)/g)].map(([, offset, address]) => [Number(`0x${offset}`), BigInt(`0x${address}`)]);
    expect(loads.length).toBeGreaterThan(1);
    expect(elf.segments.filter(({ type }) => type === 1).map(({ offset, address }) => [offset, address])).toEqual(loads);
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['no ELF', Buffer.from('#!/bin/sh\n'.repeat(20))],
    ['big endian', Buffer.from(buildElf({})).fill(2, 5, 6)],
    ['an unknown class', Buffer.from(buildElf({})).fill(3, 4, 5)],
    ['segments past the end', withWord(buildElf({ segments: [{ type: 1, offset: 0, address: 0n, bytes: 1 }] }), 32, 0xffffff)],
  ])('%s is malformed', (_, bytes) => {
    expect(() => readElf(memorySource(bytes))).toThrow(malformed);
  });

  test('a section table past the end fails when it is asked for, not before', () => {
    const elf = readElf(memorySource(withWord(buildElf({}), 40, 0xffffff)));
    expect(() => elf.sections()).toThrow(malformed);
  });
});

function withWord(bytes: Buffer, at: number, value: number): Buffer {
  bytes.writeUInt32LE(value, at);
  return bytes;
}

describe('a file offset', () => {
  const elf = readElf(
    memorySource(
      buildElf({
        segments: [
          { type: 1, flags: 4, offset: 0, address: 0x400000n, bytes: 0x17ff },
          { type: 1, flags: 5, offset: 0x1800, address: 0x402800n, bytes: 0x1000 },
          { type: 1, flags: 5, offset: 0x5000, address: 0xffffffff81000000n, bytes: 0x1000 },
          { type: 1, flags: 6, offset: 0x7000, address: 0x700000n, bytes: 0x1000 },
        ],
      }),
    ),
  );
  test.each([
    ['inside', 0x1900, 0x402900n],
    ['at the start', 0x1800, 0x402800n],
    ['at the last byte', 0x27ff, 0x4037ffn],
    ['in the first page, before the segment', 0x1000, 0x402000n],
    ['in the last page, after it', 0x2fff, 0x403fffn],
    ['of a kernel', 0x5123, 0xffffffff81000123n],
    ['in the page before', 0xfff, null],
    ['in a page that is not code', 0x7100, null],
    ['past everything', 0x100000, null],
  ])('%s', (_, offset, address) => {
    expect(fileOffsetToAddress(elf, offset)).toBe(address);
  });
});

describe('build ids', () => {
  test.each(['segment', 'section'] as const)('in a note %s', (notesIn) => {
    const ids = readBuildIds(readElf(memorySource(buildElf({ notesIn, notes: [{ name: 'Other', type: 3, description: Buffer.alloc(5) }, gnuNote, goNote] }))));
    expect(ids).toMatchObject({ gnu: gnuId.toString('hex'), go: 'abc/def/ghi' });
  });

  test('are none where no note has them, but for the hash', () => {
    const bytes = buildElf({ segments: [{ type: 1, offset: 0, address: 0n, bytes: 10 }] });
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(bytes.length));
    const expected = createHash('sha256').update(bytes).update(bytes).update(length).digest('hex').slice(0, 32);
    expect(readBuildIds(readElf(memorySource(bytes)))).toEqual({ gnu: null, go: null, htlhash: expected });
  });

  test('hash the head and the tail of a file above 4096 bytes', () => {
    const bytes = Buffer.concat([buildElf({ notes: [gnuNote] }), Buffer.alloc(20_000, 7), Buffer.from('tail')]);
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(bytes.length));
    const expected = createHash('sha256').update(bytes.subarray(0, 4096)).update(bytes.subarray(-4096)).update(length).digest('hex').slice(0, 32);
    expect(readBuildIds(readElf(memorySource(bytes)))).toEqual({ gnu: gnuId.toString('hex'), go: null, htlhash: expected });
  });

  test('agree with readelf on this very process', () => {
    const listed = execFileSync('readelf', ['-nW', process.execPath], { encoding: 'utf8' });
    expect(readBuildIds(readElf(openFileSource(process.execPath))).gnu).toBe(/Build ID: ([0-9a-f]+)/.exec(listed)?.[1]);
  });

  test('survive a broken section table', () => {
    const ids = readBuildIds(readElf(memorySource(withWord(buildElf({ notes: [goNote] }), 40, 0xffffff))));
    expect(ids).toMatchObject({ gnu: null, go: 'abc/def/ghi' });
  });
});

describe('files of others', () => {
  const path = (name: string) => join(folder, name);

  test('are read where they are regular, also through a link', () => {
    writeFileSync(path('file'), buildElf({ notes: [gnuNote] }));
    symlinkSync(path('file'), path('link'));
    const source = openFileSource(path('link'));
    expect(source.identity.bytes).toBe(readFileSync(path('file')).length);
    expect(Buffer.from(source.read(1, 3)).toString()).toBe('ELF');
    expect(() => source.read(source.bytes - 1, 2)).toThrow(malformed);
    expect(() => source.read(-1, 1)).toThrow(malformed);
    source.close();
  });

  test('are refused where they are a FIFO, a socket, a device or a folder, without waiting for anybody', async () => {
    execFileSync('mkfifo', [path('fifo')]);
    const server = createServer().listen(path('socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    for (const name of [path('fifo'), path('socket'), '/dev/zero', folder]) expect(() => openFileSource(name), name).toThrow(malformed);
    server.close();
  });

  test('that shrink while they are read are malformed', () => {
    writeFileSync(path('shrinks'), Buffer.alloc(10_000, 1));
    const source = openFileSource(path('shrinks'));
    truncateSync(path('shrinks'), 100);
    expect(() => source.read(0, 10_000)).toThrow(malformed);
    source.close();
  });

  test('that are missing say so by their own error', () => {
    expect(() => openFileSource(path('missing'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});

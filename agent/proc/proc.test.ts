import { describe, expect, test } from 'vitest';
import { executableMappingsMax } from '../limits.ts';
import { parseContainerId } from './cgroup.ts';
import { parseEnviron, parseResourceAttributes } from './environ.ts';
import { mappingAt, parseMaps } from './maps.ts';
import { imageOf, parseStat, startsAt } from './stat.ts';

const id = '0123456789abcdef'.repeat(4);

describe('maps', () => {
  const text = [
    '00400000-00401000 r--p 00000000 fd:00 123                                /bin/a b',
    '00401000-00500000 r-xp 00001000 fd:00 123                                /bin/a b',
    '7f0000000000-7f0000001000 r-xp 00000000 00:05 99                         /memfd:jit (deleted)',
    '7f0000002000-7f0000003000 rwxp 00000000 00:00 0 ',
    '7f0000004000-7f0000005000 r-xp 00000000 fd:00 5                          /tmp/new\\012line',
    'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]',
    'garbage',
    '7f0000007000-7f0000006000 r-xp 00000000 fd:00 5                          /end/before/start',
  ].join('\n');

  test('executable lines, and only they', () => {
    expect(parseMaps(Buffer.from(text))).toEqual([
      { start: 0x401000n, end: 0x500000n, fileOffset: 0x1000n, device: 'fd:00', inode: 123n, path: '/bin/a b', deleted: false },
      { start: 0x7f0000000000n, end: 0x7f0000001000n, fileOffset: 0n, device: '00:05', inode: 99n, path: '/memfd:jit', deleted: true },
      { start: 0x7f0000002000n, end: 0x7f0000003000n, fileOffset: 0n, device: '00:00', inode: 0n, path: '', deleted: false },
      { start: 0x7f0000004000n, end: 0x7f0000005000n, fileOffset: 0n, device: 'fd:00', inode: 5n, path: '/tmp/new\nline', deleted: false },
      { start: 0xffffffffff600000n, end: 0xffffffffff601000n, fileOffset: 0n, device: '00:00', inode: 0n, path: '[vsyscall]', deleted: false },
    ]);
  });

  test('an address finds its mapping, the gaps find none', () => {
    const mappings = parseMaps(Buffer.from(text));
    expect(mappingAt(mappings, 0x401000n)?.path).toBe('/bin/a b');
    expect(mappingAt(mappings, 0x4fffffn)?.path).toBe('/bin/a b');
    expect(mappingAt(mappings, 0x500000n)).toBeNull();
    expect(mappingAt(mappings, 0n)).toBeNull();
    expect(mappingAt(mappings, 0xffffffffff600fffn)?.path).toBe('[vsyscall]');
    expect(mappingAt([], 1n)).toBeNull();
  });

  test('a path of any characters', () => {
    const path = '/tmp/\r \u2028 \t\u0001 (deleted)x';
    expect(parseMaps(Buffer.from(`401000-500000 r-xp 00001000 fd:00 123 ${path}\n`))).toMatchObject([{ path, deleted: false }]);
  });

  test('a process with more mappings than the cap', () => {
    const line = (index: number) => `${(0x10000 + index * 0x2000).toString(16)}-${(0x11000 + index * 0x2000).toString(16)} r-xp 00000000 00:00 0`;
    const lines = Array.from({ length: executableMappingsMax + 100 }, (_, index) => line(index));
    expect(parseMaps(Buffer.from(lines.join('\n')))).toHaveLength(executableMappingsMax);
  });
});

describe('container id', () => {
  test.each([
    `0::/docker/${id}`,
    `12:memory:/system.slice/docker-${id}.scope\n0::/`,
    `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a.slice/cri-containerd-${id}.scope`,
    `1:name=systemd:/kubepods/besteffort/pod4a3f/${id}`,
    `0::/machine.slice/libpod-${id}.scope/container`,
    `0::/kubepods.slice/crio-${id}.scope`,
    `0::/kubepods.slice/kubepods-pod1.slice:cri-containerd:${id}`,
    `0::/docker/${'f'.repeat(64)}/docker/${id}`,
  ])('%s', (text) => expect(parseContainerId(text)).toBe(id));

  test.each([
    '0::/',
    '0::/user.slice/user-0.slice',
    `0::/docker/${id}0`,
    `0::/x/${id.toUpperCase()}`,
    `0::/machine.slice/libpod-conmon-${id}.scope`,
    '',
    'garbage',
  ])('none in %j', (text) => expect(parseContainerId(text)).toBeNull());
});

describe('environ', () => {
  const environ = (...variables: string[]) => Buffer.from(`${variables.join('\0')}\0`);

  test('the two variables, OTEL_SERVICE_NAME first', () => {
    expect([...parseEnviron(environ('A=1', 'OTEL_RESOURCE_ATTRIBUTES=service.name=x,deployment.environment.name=a%2Cb', 'OTEL_SERVICE_NAME=shop'))]).toEqual([
      ['service.name', 'shop'],
      ['deployment.environment.name', 'a,b'],
    ]);
  });
  test('a name inside another value is not a variable', () => {
    expect(parseEnviron(environ('X=OTEL_SERVICE_NAME=evil', 'XOTEL_SERVICE_NAME=evil')).size).toBe(0);
    expect(parseEnviron(environ('X=OTEL_SERVICE_NAME=evil', 'OTEL_SERVICE_NAME=good')).get('service.name')).toBe('good');
  });
  test('cut in the middle, empty, not text', () => {
    expect(parseEnviron(Buffer.from('OTEL_SERVICE_NAME=sh')).get('service.name')).toBe('sh');
    expect(parseEnviron(environ('OTEL_SERVICE_NAME=')).size).toBe(0);
    expect(parseEnviron(new Uint8Array(0)).size).toBe(0);
    expect(parseEnviron(Buffer.from([0xff, 0, 0xfe])).size).toBe(0);
  });
  test.each(['novalue', '=x', 'a=%zz', 'a=1,b'])('%j is dropped whole', (text) => expect(parseResourceAttributes(text).size).toBe(0));
});

describe('stat', () => {
  test('the name may hold parentheses and spaces', () => {
    const tail = Array.from({ length: 50 }, (_, index) => String(index + 3)).join(' ');
    expect(parseStat(`12 (a) b) c) ${tail}`)).toEqual({ startTicks: 22n, image: imageOf(26n, 27n, 28n) });
    expect(parseStat('12 (a')).toBeNull();
    expect(startsAt(22n, 229_999_999n)).toBe(true);
    expect(startsAt(22n, 230_000_000n)).toBe(false);
  });
});

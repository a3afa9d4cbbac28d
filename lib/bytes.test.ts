import { describe, expect, test } from 'vitest';
import { formatBytes, parseBytes } from './bytes.ts';

describe('parseBytes', () => {
  test.each([
    ['0', 0],
    ['4096', 4096],
    ['128MB', 128_000_000],
    ['64MiB', 67_108_864],
    ['1.5 GiB', 1_610_612_736],
    ['4gb', 4_000_000_000],
    ['7B', 7],
    ['2TiB', 2_199_023_255_552],
    [' 1KB ', 1000],
  ])('%s', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  test.each(['', 'MB', '-1MB', '1e9', '1 zb', '128M', '1..5MB', '0x10', '9007199254740993TiB', '1,5MB', 'Infinity'])(
    '%j is refused with what is allowed',
    (text) => expect(() => parseBytes(text)).toThrow(expect.objectContaining({ code: 'usage', message: expect.stringContaining('128MB') })),
  );
});

describe('formatBytes', () => {
  test.each([
    [0, '0B'],
    [1023, '1023B'],
    [1024, '1KiB'],
    [1536, '1.5KiB'],
    [1024 ** 2 - 1, '1MiB'],
    [67_108_864, '64MiB'],
    [5 * 1024 ** 4, '5TiB'],
    [9000 * 1024 ** 4, '9000TiB'],
    [-2048, '-2KiB'],
  ])('%d', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

import { expect, test } from 'vitest';
import { isPipelineError } from '../../lib/errors.ts';
import { decodeHot, encodeHot, type HotMessage } from './codec.ts';

const messages: HotMessage[] = [
  { offset: 7, value: Uint8Array.of(1, 2, 3), rows: [{ start: 0, end: 2 }] },
  { offset: 8, value: Uint8Array.of(), rows: [] },
  {
    offset: 2 ** 52,
    value: Uint8Array.of(9),
    rows: [
      { start: 1, end: 1 },
      { start: 4, end: 4_000_000_000 },
    ],
  },
];
const plain = (decoded: readonly HotMessage[]) => decoded.map(({ value, ...rest }) => ({ ...rest, value: [...value] }));

test('messages come back as they were', () => {
  expect(plain(decodeHot(encodeHot(messages), 'hot/a'))).toEqual(plain(messages));
  expect(decodeHot(encodeHot([]), 'hot/a')).toEqual([]);
});

test('what another version wrote is said in one line', () => {
  const newer = encodeHot(messages);
  newer[4] = 9;
  for (const [bytes, found] of [
    [newer, /^hot\/a: version 9 found, .* reads hot objects of version 1; /],
    [Buffer.from('PAR1 and whatever comes after it'), /^hot\/a: first bytes "PAR1" found, /],
  ] as const) {
    const error = caught(() => decodeHot(bytes, 'hot/a'));
    expect(isPipelineError(error, 'lake_version')).toBe(true);
    expect((error as Error).message).toMatch(found);
    expect((error as Error).message).not.toContain('\n');
  }
});

test('an object that ends early, at any byte, is refused', () => {
  const whole = encodeHot(messages);
  for (let length = 0; length < whole.length; length++) {
    expect(isPipelineError(caught(() => decodeHot(whole.subarray(0, length), 'hot/a'))), `${length} bytes`).toBe(true);
  }
  expect(isPipelineError(caught(() => decodeHot(Buffer.concat([whole, Buffer.of(0)]), 'hot/a')))).toBe(true);
});

function caught(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

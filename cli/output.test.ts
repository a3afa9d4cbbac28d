import { describe, expect, test } from 'vitest';
import { doctorText } from './doctor.ts';
import { cutMiddle, printable, tableText } from './output.ts';
import { topText } from './top.ts';
import { percentText, valueText } from './units.ts';

describe('tables', () => {
  test('numbers to the right, words to the left, nothing behind the last word', () => {
    const columns = [
      { title: 'n', align: 'right' },
      { title: 'name', align: 'left' },
    ] as const;
    expect(
      tableText(columns, [
        ['1', 'a'],
        ['1000', ''],
        ['2', 'größer'],
      ]),
    ).toBe(['   n  name', '----  ------', '   1  a', '1000', '   2  größer', ''].join('\n'));
  });

  test('names of others move no cursor, forge no line and turn no text around', () => {
    expect(printable('a\u001b[2Jb\nc\td\u009b1m\u202eevil\u2066')).toBe('a\\u001b[2Jb\\nc\\td\\u009b1m\\u202eevil\\u2066');
    expect(tableText([{ title: 'x', align: 'left' }], [['a\nb']]).split('\n')).toHaveLength(4);
  });
});

describe('tables in a terminal', () => {
  const columns = [
    { title: 'self', align: 'right' },
    { title: 'function', align: 'left' },
    { title: 'in', align: 'left' },
  ] as const;
  const rows = [
    ['1000000', `std::vector<${'x'.repeat(200)}>::push_back`, '/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.33'],
    ['5', 'main', 'a'],
  ];
  const widths = (width: number | null) =>
    tableText(columns, rows, width)
      .trimEnd()
      .split('\n')
      .map((line) => [...line].length);

  test('fit its width by cutting the widest words in the middle, never numbers', () => {
    for (const width of [60, 80, 120, 200]) expect(Math.max(...widths(width)), String(width)).toBe(width);
    const [, , first, second] = tableText(columns, rows, 60).split('\n');
    expect(first).toBe('1000000  std::vector<…::push_back  /usr/lib/x86…++.so.6.0.33');
    expect(second).toMatch(/^ {6}5 {2}main +a$/);
  });

  test('are whole where there is room, or no terminal', () => {
    expect(tableText(columns, rows, 1000)).toBe(tableText(columns, rows, null));
    expect(Math.max(...widths(null))).toBeGreaterThan(250);
  });

  test('stay readable where the terminal is narrower than that allows', () => {
    expect(Math.max(...widths(10))).toBe(7 + 2 + 12 + 2 + 12);
    expect(cutMiddle('abcdefghij', 5)).toBe('ab…ij');
    expect(cutMiddle('abc', 3)).toBe('abc');
    expect(cutMiddle('größer😀x', 4)).toBe('gr…x');
  });
});

test('values are shown in the unit of their type', () => {
  expect(['nanoseconds', 'bytes', 'count'].map((unit) => valueText(1_500_000_000, unit))).toEqual(['1.50 s', '1.4GiB', '1,500,000,000']);
  expect([47_618_900, 5e9, 250e9, 7200e9].map((nanos) => valueText(nanos, 'nanoseconds'))).toEqual(['47.6 ms', '5.00 s', '250 s', '2.00 h']);
  expect([percentText(1, 3), percentText(1, 0)]).toEqual(['33.3%', '']);
});

describe('top', () => {
  const row = { name: 'f', file: null, mapping: 'libc.so.6', type: 'native', named: true, self: 1e9, total: 2e9, selfSamples: 20, totalSamples: 40 };
  const result = { type: 'cpu', unit: 'nanoseconds', fromMillis: 0, toMillis: 60_000, total: 4e9, samples: 80, rows: [row], more: 3 };

  test('self and total with their shares', () => {
    expect(topText(result)).toBe(
      [
        'cpu: 4.00 s in 80 samples, 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z',
        '',
        '  self  self %   total  total %  function  in',
        '------  ------  ------  -------  --------  ---------',
        '1.00 s   25.0%  2.00 s    50.0%  f         libc.so.6',
        '(3 more; --limit N shows them)',
        '',
      ].join('\n'),
    );
  });

  test('by process, and with nothing to show', () => {
    expect(topText({ ...result, rows: [{ ...row, process: 'node' }] })).toContain('process  function');
    expect(topText({ ...result, rows: [], more: 0 })).toContain('No samples of this kind in this time range');
  });
});

test('one remedy for several lacks stands once, below the last', () => {
  const lack = { name: 'Sampling', state: 'missing' as const, advice: 'run it as root' };
  expect(
    doctorText([
      { name: 'Node', state: 'ok', found: 'v24', advice: '' },
      { ...lack, found: 'without a' },
      { ...lack, found: 'without b' },
    ]),
  ).toBe(['ok       Node      v24', 'missing  Sampling  without a', 'missing  Sampling  without b', '                   run it as root', ''].join('\n'));
});

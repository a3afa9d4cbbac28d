import { describe, expect, test } from 'vitest';
import { parseDuration, parseTime } from './duration.ts';

const usage = (example: string) => expect.objectContaining({ code: 'usage', message: expect.stringContaining(example) });

describe('parseDuration', () => {
  test.each([
    ['250ms', 250],
    ['3s', 3000],
    ['15m', 900_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['0s', 0],
    ['1m500ms', 60_500],
  ])('%s', (text, millis) => expect(parseDuration(text)).toBe(millis));

  test.each(['', '15', 'm', '-15m', '15 m', '1w', '1e3s', '1h30', 'h1', '999999999999d'])('%j is refused with what is allowed', (text) =>
    expect(() => parseDuration(text)).toThrow(usage('15m')),
  );
});

describe('parseTime', () => {
  const now = Date.UTC(2026, 10, 24, 8, 0, 0);
  test.each([
    ['now', now],
    ['-15m', now - 900_000],
    ['-0s', now],
    ['2026-11-24T07:30:00Z', now - 1_800_000],
    ['2026-11-24t07:30:00z', now - 1_800_000],
    ['2026-11-24 07:30:00Z', now - 1_800_000],
    ['2026-11-24T09:30:00+02:00', now - 1_800_000],
    ['2026-11-24T07:59:59.123456789Z', now - 877],
    ['2026-11-24', Date.UTC(2026, 10, 24)],
    ['2024-02-29', Date.UTC(2024, 1, 29)],
    ['2016-12-31T23:59:60Z', Date.UTC(2017, 0, 1)],
  ])('%s', (text, millis) => expect(parseTime(text, now)).toBe(millis));

  test.each([
    '',
    'yesterday',
    '15m',
    '+15m',
    '2026-11-24T07:30:00',
    '2026-02-30',
    '2025-02-29T00:00:00Z',
    '2026-13-01',
    '2026-11-24T24:00:00Z',
    '2026-11-24T07:60:00Z',
    '1795509688',
    '2026-11-24T07:30:00+2:00',
  ])('%j is refused with what is allowed', (text) => expect(() => parseTime(text, now)).toThrow(usage('-15m or now')));
});

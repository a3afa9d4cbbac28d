import { describe, expect, test } from 'vitest';
import type { OpenBatch } from './builder.ts';
import { openBatchBytesMax } from './limits.ts';
import { intervalAfter, type PublishMoment, publishIsDue } from './schedule.ts';

const minute = 60_000;
const hour = 60 * minute;
const limits = { publishIntervalMillis: 15 * minute, publishBytes: 1000, publishRowsMax: 100 };
const noon = Date.UTC(2026, 10, 24, 12);
const open: OpenBatch = { rows: 5, stacks: 1, messageBytes: 10, openBytes: 0, heldBytes: 0, hotBytes: 0, firstAppendMillis: noon + minute };
/** A lake of some days, last published at 12:00. */
const head = { createdMillis: noon, firstMillis: noon - 50 * hour };
const due = (moment: Partial<PublishMoment>) =>
  publishIsDue({ nowMillis: noon + 2 * minute, openForMillis: minute, caughtUp: true, head, open, ...moment }, limits);

describe('a batch is published', () => {
  test('after its interval, by either clock', () => {
    expect(due({})).toBe(false);
    expect(due({ nowMillis: noon + 16 * minute - 1 })).toBe(false);
    expect(due({ nowMillis: noon + 16 * minute })).toBe(true);
    expect(due({ nowMillis: noon - 24 * hour, openForMillis: 15 * minute })).toBe(true);
  });

  test('at the turn of the hour', () => {
    expect(due({ nowMillis: noon + hour })).toBe(true);
    expect(due({ nowMillis: noon + hour + 1, open: { ...open, firstAppendMillis: noon + hour } })).toBe(false);
  });

  test('when it is full, even in the middle of a catch-up', () => {
    expect(due({ caughtUp: false, nowMillis: noon + 5 * hour })).toBe(false);
    expect(due({ caughtUp: false, open: { ...open, rows: 100 } })).toBe(true);
    expect(due({ caughtUp: false, open: { ...open, messageBytes: 1000 } })).toBe(true);
    expect(due({ caughtUp: false, open: { ...open, openBytes: openBatchBytesMax } })).toBe(true);
  });

  test('early where the disk is nearly full, also in the middle of a catch-up', () => {
    expect(due({ diskIsLow: true, openForMillis: 29_999 })).toBe(false);
    expect(due({ diskIsLow: true, openForMillis: 30_000 })).toBe(true);
    expect(due({ diskIsLow: true, openForMillis: 30_000, caughtUp: false })).toBe(true);
  });

  test('never without a message', () => {
    expect(due({ nowMillis: noon + 5 * hour, openForMillis: hour, open: { ...open, rows: 0, firstAppendMillis: null } })).toBe(false);
  });

  test('not at once after a restart: the interval counts from the first message that waits', () => {
    expect(due({ head: { ...head, createdMillis: noon - 40 * minute }, nowMillis: noon + 2 * minute })).toBe(false);
  });
});

test('a new lake publishes after 15 s, 30 s, 1 min … and its age survives restarts', () => {
  const ages = [];
  let created = noon;
  ages.push(intervalAfter(null, 15 * minute));
  for (let record = 0; record < 8; record++) {
    const interval = intervalAfter({ createdMillis: created, firstMillis: noon }, 15 * minute);
    ages.push(interval);
    created += interval;
  }
  expect(ages.map((millis) => millis / 1000)).toEqual([15, 30, 60, 120, 240, 480, 900, 900, 900]);
  expect(intervalAfter(null, 5000)).toBe(5000);
});

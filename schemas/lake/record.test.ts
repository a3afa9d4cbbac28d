import { describe, expect, test } from 'vitest';
import { carryKey, dateDays, dateName, hotFileKey, hotLog, lakeFileKey, parseHotFileKey, parseLakeFileKey, parseRecordKey, recordKey } from './paths.ts';
import { type CommitRecord, encodeRecord, parseRecord } from './record.ts';

const record: CommitRecord = {
  version: 1,
  shard: 0,
  seq: 3,
  attempt: 'a',
  writer: 'host/1',
  createdMillis: 5,
  firstMillis: 1,
  logId: 'log',
  position: 42,
  clockMillis: 4,
  leaderEpoch: 0,
  highWaters: [{ logId: 'in', topic: 'otlp_profiles', partition: 0, offset: 9 }],
  files: [{ table: 'samples', staging: 'staging/a/x', key: lakeFileKey('samples', '2026-11-24', 0, 13, 3, 0), rows: 1, bytes: 2, sha256: 'ab'.repeat(32) }],
  carry: { samples: ['c'], stacks: [], messages: ['m'], rows: 1, dates: ['2026-11-20'], sinceMillis: 3 },
  digests: null,
  samples: 1,
  stacks: 0,
  duplicates: 0,
  losses: {},
};
const changed = (change: object) => new TextEncoder().encode(JSON.stringify({ ...record, ...change }));

describe('records', () => {
  test('come back as they were written', () => {
    expect(parseRecord(encodeRecord(record), 'key')).toEqual(record);
  });

  test('that are damaged or newer are refused with their key', () => {
    const wrong: object[] = [
      { version: 2 },
      { seq: 1.5 },
      { position: 2 ** 53 },
      { attempt: undefined },
      { files: [{ ...record.files[0], key: 'lake/../etc' }] },
      { files: [{ ...record.files[0], key: lakeFileKey('stacks', '2026-11-24', 0, 13, 3, 0) }] },
      { files: [{ ...record.files[0], sha256: 'no' }] },
      { highWaters: [{ offset: 'x' }] },
      { carry: { samples: 'c' } },
      { digests: 7 },
    ];
    for (const change of wrong) expect(() => parseRecord(changed(change), 'commits/000/x'), JSON.stringify(change)).toThrow(/^commits\/000\/x: /);
    expect(() => parseRecord(new Uint8Array([123]), 'commits/000/x')).toThrow(/not JSON/);
  });
});

describe('names', () => {
  test('say again what they were made from', () => {
    expect(parseLakeFileKey(lakeFileKey('stacks', '2026-11-24', 7, 3, 12, 1))).toEqual({
      table: 'stacks',
      date: '2026-11-24',
      shard: 7,
      hour: 3,
      seq: 12,
      part: 1,
    });
    const uuid = '01234567-89ab-cdef-0123-456789abcdef';
    expect(parseHotFileKey(hotFileKey(0, 5, 9, 'the log', uuid))).toEqual({ shard: 0, from: 5, to: 9, log: hotLog('the log') });
    const before = 'hot/shard=000/000000000000005-000000000000009-01234567-89ab-4def-8123-456789abcdef.rows';
    expect(parseHotFileKey(before)).toEqual({ shard: 0, from: 5, to: 9, log: null });
    expect(parseRecordKey(recordKey(3, 17))).toEqual({ shard: 3, seq: 17 });
    expect(dateName(dateDays('2026-11-24'))).toBe('2026-11-24');
    expect(parseLakeFileKey(carryKey('samples', 0, 1, uuid))).toBeNull();
  });

  test('of a younger record come first', () => {
    const keys = [1, 2, 10, 999, 1000].map((seq) => recordKey(0, seq));
    expect([...keys].sort().reverse()).toEqual(keys);
  });
});

// The digest window against a plain model of it, and its side objects.
import { describe, expect, test } from 'vitest';
import { DigestEntries, DigestWindow, decodeDigests, encodeDigests } from './digests.ts';
import { digestWindowEntriesMax, digestWindowMillis } from './limits.ts';

const digest = (number: number) => ((BigInt(number) * 0x9e3779b97f4a7c15f39cc0605cedc835n) & ((1n << 128n) - 1n)).toString(16).padStart(32, '0');

describe('window', () => {
  test('says exactly what a map with times says, through growth, expiry and repeats', () => {
    const window = new DigestWindow();
    const model = new Map<string, number>();
    let state = 5;
    const random = () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
    let clock = 1_000_000_000;
    for (let step = 0; step < 60_000; step++) {
      clock += Math.floor(random() * 60);
      const name = digest(Math.floor(random() * 30_000));
      const last = model.get(name);
      expect(window.seen(name, clock, clock - digestWindowMillis)).toBe(last !== undefined && last >= clock - digestWindowMillis);
      model.set(name, clock);
    }
  });

  test('holds a million profiles: the next one takes the place of the oldest', () => {
    const entries = new DigestEntries();
    entries.words = new Uint32Array(4 * digestWindowEntriesMax);
    entries.clocks = new Float64Array(digestWindowEntriesMax);
    entries.length = digestWindowEntriesMax;
    for (let index = 0; index < digestWindowEntriesMax; index++) entries.words[4 * index] = Math.imul(index + 1, 0x9e3779b1);
    const digestOf = (index: number) => (Math.imul(index + 1, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0').padEnd(32, '0');
    const window = new DigestWindow();
    window.restore(entries);
    expect(window.length).toBe(digestWindowEntriesMax);
    expect(window.seen('f'.repeat(32), 1, 0)).toBe(false); // goes in, the oldest out
    expect(window.length).toBe(digestWindowEntriesMax);
    expect(window.seen(digestOf(digestWindowEntriesMax - 1), 1, 0)).toBe(true);
    expect(window.seen(digestOf(0), 1, 0)).toBe(false);
  });

  test('a digest that keeps coming stays in the window', () => {
    const window = new DigestWindow();
    const seenAt = (clock: number) => window.seen(digest(1), clock, clock - digestWindowMillis);
    expect(seenAt(0)).toBe(false);
    for (let times = 1; times < 10; times++) expect(seenAt(times * (digestWindowMillis - 1))).toBe(true);
    expect(seenAt(11 * digestWindowMillis)).toBe(false);
  });
});

describe('side objects', () => {
  test('a window restored from them decides as the one that was there', () => {
    const [before, after] = [new DigestWindow(), new DigestWindow()];
    const entries = new DigestEntries();
    for (let number = 0; number < 500; number++) {
      before.seen(digest(number % 300), number * 1000, number * 1000 - digestWindowMillis);
      entries.add(digest(number % 300), number * 1000);
    }
    after.restore(decodeDigests(encodeDigests(entries), 'key'));
    expect(after.length).toBe(before.length);
    for (let number = 0; number < 600; number++) {
      const clock = 500_000 + number * 2000;
      const start = clock - digestWindowMillis;
      expect(after.seen(digest(number), clock, start)).toBe(before.seen(digest(number), clock, start));
    }
  });

  test('bytes that are no side object are refused', () => {
    const bytes = encodeDigests(new DigestEntries());
    for (const wrong of [new Uint8Array(), bytes.subarray(1), new Uint8Array([...bytes, 0]), new Uint8Array(16)]) {
      expect(() => decodeDigests(wrong, 'digests/x')).toThrow(/digests\/x/);
    }
  });
});

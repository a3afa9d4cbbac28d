// The clock of the digests' window: how far it goes when append times do strange things, and that an exporter
// which begins at a record says the same as one that was there all the time.
import { describe, expect, test } from 'vitest';
import type { HighWater } from '../schemas/lake/record.ts';
import { createRandom } from '../test/otlp/random.ts';
import { digestClockStepMillis, digestSourceWaitMillis, digestWindowMillis } from './limits.ts';
import { WindowClock } from './window-clock.ts';

const start = Date.UTC(2026, 10, 24);
const second = 1000;
const hour = 3_600_000;

/** A clock that has run by `source` for a while. */
function running(...sources: string[]): WindowClock {
  const clock = new WindowClock(0);
  for (let at = 0; at <= 60 * second; at += 10 * second) for (const source of sources) clock.move(source, start + at);
  return clock;
}

describe('the clock', () => {
  test('runs by the append times', () => {
    const clock = running('a');
    expect([clock.nowMillis, clock.startMillis]).toEqual([start + 60 * second, start + 60 * second - digestWindowMillis]);
  });

  test('goes one step where these go hours, forward and back and forward again', () => {
    const clock = running('a');
    const { nowMillis, startMillis } = clock;
    for (const ahead of [7 * hour, 0, 20 * hour]) clock.move('a', start + ahead);
    expect([clock.nowMillis, clock.startMillis]).toEqual([nowMillis + 2 * digestClockStepMillis, startMillis + 2 * digestClockStepMillis]);
  });

  test('starts fifteen minutes before the slowest partition, while that is waited for', () => {
    const clock = running('a', 'b');
    const before = clock.startMillis;
    for (let at = 60 * second; at <= digestSourceWaitMillis; at += 60 * second) clock.move('a', start + at);
    expect(clock.startMillis).toBe(before);
    // What b says now was said six hours ago.
    clock.move('b', start + 61 * second);
    expect(clock.startMillis).toBe(before + second);
    for (let at = 0; at <= 2 * 60 * second; at += 60 * second) clock.move('a', start + digestSourceWaitMillis + at);
    expect(clock.startMillis).toBe(clock.nowMillis - digestWindowMillis);
    clock.move('b', start + 62 * second); // and does not bring back what has left
    expect(clock.startMillis).toBe(clock.nowMillis - digestWindowMillis);
  });

  test('never goes back, and goes on from a record as if nothing had been', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = createRandom(seed);
      let [here, other] = [new WindowClock(0), new WindowClock(0)];
      let at = start;
      let last = here.startMillis;
      for (let step = 0; step < 300; step++) {
        at += random.pick([0, second, 50 * second, 20 * 60 * second, -5 * hour, 5 * hour]);
        const source = random.pick(['a', 'b', 'c']);
        for (const clock of [here, other]) clock.move(source, at);
        expect(here.startMillis, `seed ${seed} step ${step}`).toBeGreaterThanOrEqual(last);
        expect([other.nowMillis, other.startMillis], `seed ${seed} step ${step}`).toEqual([here.nowMillis, here.startMillis]);
        last = here.startMillis;
        if (random.chance(0.1)) [here, other] = [other, restored(here)];
      }
    }
  });
});

function restored(clock: WindowClock): WindowClock {
  const water = (source: string): HighWater => ({ logId: source, topic: '', partition: 0, offset: 0, ...clock.stateOf(source) });
  return new WindowClock(
    clock.nowMillis,
    ['a', 'b', 'c'].map((source) => [source, water(source)] as const),
  );
}

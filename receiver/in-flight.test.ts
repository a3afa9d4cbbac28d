import { expect, test } from 'vitest';
import { createInFlight, type Hold } from './in-flight.ts';
import { evictAfterMillis } from './limits.ts';

let nowMillis = 0;
const clock = () => nowMillis;

/** A request that is still being received; tells when it had to make room. */
function sender(hold: Hold): { hold: Hold; evicted: () => boolean } {
  let evicted = false;
  hold.receiving(() => {
    evicted = true;
  });
  return { hold, evicted: () => evicted };
}

test('what is taken is counted until it is given back, once', () => {
  const account = createInFlight(100, clock);
  const [one, two] = [account.hold(), account.hold()];
  one.take(60);
  two.take(40);
  expect(account.bytes).toBe(100);
  expect(() => two.take(1)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  one.release();
  one.release();
  expect(account.bytes).toBe(40);
  two.take(60);
  expect(account.bytes).toBe(100);
});

test('when it is full the slowest that still sends makes room', () => {
  const account = createInFlight(100, clock);
  const slow = sender(account.hold());
  slow.hold.take(10);
  const slower = sender(account.hold());
  slower.hold.take(5);
  const done = sender(account.hold());
  done.hold.take(1);
  done.hold.received();
  nowMillis += evictAfterMillis;
  const quick = sender(account.hold());
  quick.hold.take(84);
  expect([slow.evicted(), slower.evicted()]).toEqual([false, false]);

  quick.hold.take(3);
  expect([slow.evicted(), slower.evicted(), account.bytes]).toEqual([false, true, 98]);
  quick.hold.take(10);
  expect([slow.evicted(), account.bytes]).toEqual([true, 98]);
  // Whoever has sent everything keeps its place, and whoever has only begun is not slow yet.
  expect(() => quick.hold.take(3)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  expect([done.evicted(), quick.evicted()]).toEqual([false, false]);
});

test('the slowest does not push out others', () => {
  const account = createInFlight(100, clock);
  const slow = sender(account.hold());
  slow.hold.take(1);
  nowMillis += evictAfterMillis;
  const quick = sender(account.hold());
  nowMillis += evictAfterMillis;
  quick.hold.take(99);
  expect(() => slow.hold.take(1)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  expect(quick.evicted()).toBe(false);
});

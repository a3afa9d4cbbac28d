import { expect, test } from 'vitest';
import { createInFlight, type Hold } from './in-flight.ts';
import { evictAfterMillis, muchFreedBytes, requestBytes, smallRequestBytes } from './limits.ts';

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

/** The last sixteenth of an account is not for them; a hundred are for all. */
const room = 107;
/** Beside it what a request takes by itself does not matter. */
const unit = 1024 * requestBytes;
const units = (account: { readonly bytes: number }): number => Math.floor(account.bytes / unit);

test('what is taken is counted until it is given back, once', () => {
  const account = createInFlight(100, clock);
  const [one, two] = [account.hold(), account.hold()];
  one.take(60);
  two.take(40);
  expect(account.bytes).toBe(100);
  expect(() => two.take(1)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  expect(() => two.allot(1)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  one.give(10);
  expect(account.bytes).toBe(90);
  one.release();
  one.release();
  expect(account.bytes).toBe(40);
  two.take(60);
  expect(account.bytes).toBe(100);
});

test('counts whole buffers, and their memory is gone when it says so', () => {
  const account = createInFlight(1024 * 1024);
  const before = process.memoryUsage().arrayBuffers;
  const real = () => process.memoryUsage().arrayBuffers - before;
  const hold = account.hold();
  const parts = [hold.allot(64 * 1024).fill('a'), hold.allot(128 * 1024).fill('b'), hold.allot(64 * 1024).fill('c')];
  expect(account.bytes).toBe(256 * 1024);
  expect(real()).toBeGreaterThanOrEqual(256 * 1024);
  const whole = hold.join([parts[0]!, parts[1]!, parts[2]!.subarray(0, 1000)], 192 * 1024 + 1000);
  expect(whole.toString()).toBe('a'.repeat(64 * 1024) + 'b'.repeat(128 * 1024) + 'c'.repeat(1000));
  expect(parts.slice(0, 2).map((part) => part.buffer.byteLength)).toEqual([0, 0]);
  const stranger = Buffer.alloc(64 * 1024);
  hold.free(stranger);
  expect(stranger.length).toBe(64 * 1024);
  hold.release();
  expect([whole.buffer.byteLength, parts[2]!.buffer.byteLength, account.bytes]).toEqual([0, 0, 0]);
});

test('when it is full the slowest that still send make room', () => {
  const account = createInFlight(room * unit, clock);
  const slow = sender(account.hold());
  slow.hold.take(10 * unit);
  const slower = sender(account.hold());
  slower.hold.take(5 * unit);
  const done = sender(account.hold());
  done.hold.take(unit);
  done.hold.received();
  nowMillis += evictAfterMillis;
  const quick = sender(account.hold());
  quick.hold.take(83 * unit);
  expect([slow.evicted(), slower.evicted(), units(account)]).toEqual([false, false, 99]);

  quick.hold.take(3 * unit);
  expect([slow.evicted(), slower.evicted(), units(account)]).toEqual([false, true, 97]);
  quick.hold.take(10 * unit);
  expect([slow.evicted(), units(account)]).toEqual([true, 97]);
  // Whoever has sent everything keeps its place, and whoever has only begun is not slow yet.
  expect(() => quick.hold.take(5 * unit)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  expect([done.evicted(), quick.evicted()]).toEqual([false, false]);
});

test('the last of it is for those that want little', () => {
  const account = createInFlight(room * unit, clock);
  const large = account.hold();
  large.take((room * unit * 15) / 16);
  expect(() => large.take(1)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  const small = account.hold();
  small.take(smallRequestBytes);
  expect(() => small.take(1)).toThrow(expect.objectContaining({ code: 'overloaded' }));
});

test('says when it has fallen by much, and again when it falls on', () => {
  let said = 0;
  const account = createInFlight(10 * muchFreedBytes, clock, () => said++);
  const holds = Array.from({ length: 8 }, () => account.hold());
  for (const hold of holds) hold.take(muchFreedBytes / 2);
  holds[0]!.release();
  expect(said).toBe(0);
  for (const hold of holds.slice(1)) hold.release();
  expect(said).toBe(4);
});

test('the slowest does not push out others', () => {
  const account = createInFlight(room * unit, clock);
  const slow = sender(account.hold());
  slow.hold.take(unit);
  nowMillis += evictAfterMillis;
  const quick = sender(account.hold());
  nowMillis += evictAfterMillis;
  quick.hold.take(98 * unit);
  expect(() => slow.hold.take(2 * unit)).toThrow(expect.objectContaining({ code: 'overloaded' }));
  expect(quick.evicted()).toBe(false);
});

test('many that send nothing make room too: a request is not for free', () => {
  const account = createInFlight(100 * requestBytes, clock);
  const idle = Array.from({ length: 100 }, () => sender(account.hold()));
  expect(() => sender(account.hold())).toThrow(expect.objectContaining({ code: 'overloaded' }));
  nowMillis += evictAfterMillis;
  sender(account.hold());
  const evicted = idle.filter((each) => each.evicted()).length;
  expect(evicted).toBeGreaterThan(0);
  expect(account.bytes).toBe((101 - evicted) * requestBytes);
});

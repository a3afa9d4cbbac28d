// What the code under test takes from the platform and a seed must decide: random names, pauses, sleeps
// and the date. For the time of a run they are the scheduler's, for code that runs in one of its
// processes; everybody else keeps the real ones.
import { AsyncLocalStorage } from 'node:async_hooks';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';
import type { Process, Scheduler } from './scheduler.ts';

const running = new AsyncLocalStorage<Process>();

/** Runs work as a process: what it starts, and all that follows from it, is the process's. */
export function runAs<T>(process: Process, work: () => T): T {
  return running.run(process, work);
}

/** The process whose code is running; undefined outside of one. */
export const currentProcess = (): Process | undefined => running.getStore();

const real = { randomUUID: crypto.randomUUID, sleep: timers.setTimeout, setImmediate: globalThis.setImmediate, now: Date.now };

/** Gives back what ends it. */
export function takeOver(scheduler: Scheduler): () => void {
  const { random } = scheduler;
  const uuid = () => `${random.hex(8)}-${random.hex(4)}-4${random.hex(3)}-8${random.hex(3)}-${random.hex(12)}`;
  const sleep = (millis: number | undefined, value: unknown, options: unknown) => {
    const process = running.getStore();
    if (process === undefined) return real.sleep(millis, value, options as never);
    return new Promise((resolve) => scheduler.wait(process, '', () => resolve(value), { dueMillis: scheduler.nowMillis + (millis ?? 0) }));
  };
  const pause = (callback: (...parameters: unknown[]) => void, ...parameters: unknown[]) => {
    const process = running.getStore();
    if (process === undefined) return real.setImmediate(callback, ...parameters);
    scheduler.wait(process, '', () => callback(...parameters));
    return undefined;
  };
  crypto.randomUUID = (() => (running.getStore() === undefined ? real.randomUUID() : uuid())) as typeof crypto.randomUUID;
  timers.setTimeout = sleep as typeof timers.setTimeout;
  globalThis.setImmediate = pause as typeof setImmediate;
  Date.now = () => (running.getStore() === undefined ? real.now() : scheduler.nowMillis);
  syncBuiltinESMExports();
  return () => {
    crypto.randomUUID = real.randomUUID;
    timers.setTimeout = real.sleep;
    globalThis.setImmediate = real.setImmediate;
    Date.now = real.now;
    syncBuiltinESMExports();
  };
}

// The log gets three times what it may hold while nobody reads it: senders are told to wait before
// anything is lost, and when its readers are back all that was acknowledged is in the lake, once.
import { afterAll, expect, test } from 'vitest';
import { temporaryFolder } from '../e2e/flamelake.ts';
import { World } from './world.ts';

const MiB = 2 ** 20;
const logBytesMax = 32 * MiB;
/** Of 1 MiB each. */
const messages = (3 * logBytesMax) / MiB;
const patienceMillis = 120_000;

const folder = temporaryFolder('log-full');
const world = new World(folder.path, { logBytesMax, diskReserveBytes: 64 * MiB });
afterAll(async () => {
  await world.stop();
  folder.remove();
});

test('a log that gets three times its bound says so, and loses nothing', async () => {
  await world.startReceiver();
  expect(await world.fill(messages)).toEqual({ status: 503, retryAfter: '5' });
  expect(world.acknowledged).toBeGreaterThan(logBytesMax / MiB / 2);
  expect(world.acknowledged).toBeLessThan(logBytesMax / MiB);
  expect(world.receiverStatus()).toMatchObject({ ready: false, text: expect.stringMatching(/the log holds \d+ of at most \d+ bytes/) });

  await world.startProcessor();
  await world.startExporter();
  while (world.acknowledged < messages) await world.sendUntilAcknowledged(patienceMillis);
  await world.untilInLake(patienceMillis);
  expect(await world.lakeRows()).toEqual({ rows: messages, different: messages });
  await expect.poll(() => world.receiverStatus().ready, { timeout: patienceMillis }).toBe(true);
}, 300_000);

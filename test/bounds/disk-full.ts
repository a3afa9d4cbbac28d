// What disk-full.test.ts runs on a small disk of its own: disk-full.ts DIRECTORY. Prints what it saw as
// JSON, one object.
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { World } from './world.ts';

const MiB = 2 ** 20;
const reserve = 64 * MiB;
const patienceMillis = 120_000;
const place = process.argv[2]!;
const ballast = join(place, 'ballast');

const freeBytes = (): number => {
  const { bavail, bsize } = statfsSync(place);
  return bavail * bsize;
};

/** Another program takes room, until so much is left. */
function takeRoom(leftBytes: number): void {
  const file = openSync(ballast, 'a');
  const part = Buffer.alloc(64 * 1024, 1);
  try {
    while (freeBytes() > leftBytes) writeSync(file, part);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
  closeSync(file);
}

async function until(what: () => boolean, timeoutMillis = patienceMillis): Promise<boolean> {
  const deadline = performance.now() + timeoutMillis;
  while (!what()) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}

const world = new World(join(place, 'data'), { logBytesMax: 1024 * MiB, diskReserveBytes: reserve });
const said: Record<string, unknown> = {};
await world.startReceiver();
await world.startProcessor();
await world.startExporter();
for (let message = 0; message < 5; message++) await world.send();

// Less room than is kept: refused, before there is none; what was acknowledged is published meanwhile.
takeRoom(reserve + 4 * MiB);
said.refused = await world.fill(200);
said.freeWhenRefused = freeBytes();
said.notReady = (await until(() => !world.receiverStatus().ready)) && world.receiverStatus().text;
await world.untilInLake(patienceMillis);
said.publishedWhileLow = { ...(await world.lakeRows()), acknowledged: world.acknowledged };

// No room at all, for anybody, and mostly with rows on their way: in a hot object, a draft, the log.
rmSync(ballast);
for (let message = 0; message < 5; message++) await world.sendUntilAcknowledged(patienceMillis);
takeRoom(0);
said.refusedWhenFull = await world.send();
await until(() => !world.exporterStatus().ready, 2000);

// There is room again.
rmSync(ballast);
for (let message = 0; message < 5; message++) await world.sendUntilAcknowledged(patienceMillis);
said.readyAgain = await until(() => world.receiverStatus().ready);
await world.untilInLake(patienceMillis);
said.afterwards = { ...(await world.lakeRows()), acknowledged: world.acknowledged };
await world.stop();
writeSync(1, JSON.stringify(said));
process.exit(0);

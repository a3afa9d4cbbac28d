// A disk that fills up under all stages: 503 while there is still room for what was acknowledged, that
// is published all the same, and when there is room again the stages go on by themselves.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, expect, test } from 'vitest';
import { temporaryFolder } from '../e2e/flamelake.ts';

const MiB = 2 ** 20;
const mayMount = spawnSync('unshare', ['--mount', 'true']).status === 0;
const folder = temporaryFolder('disk-full');
afterAll(() => folder.remove());

/** Runs disk-full.ts with a disk of 224 MiB at the folder, seen by that process alone. */
async function onSmallDisk(): Promise<Record<string, unknown>> {
  const script = 'mount -t tmpfs -o size=224m tmpfs "$1" && exec "$2" "$3" "$1"';
  const program = new URL('./disk-full.ts', import.meta.url).pathname;
  const child = spawn('unshare', ['--mount', 'sh', '-ec', script, 'sh', folder.path, process.execPath, program], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name].on('data', (part) => (output[name] += part));
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`exit code ${status}\n${output.stderr}`);
  return JSON.parse(output.stdout);
}

// Where nothing may be mounted (no root, a container): not run, and vitest says so.
test.skipIf(!mayMount)(
  'a disk that fills up: refused in time, published all the same, nothing lost',
  async () => {
    const said = await onSmallDisk();
    expect(said).toMatchObject({
      refused: { status: 503, retryAfter: '5' },
      notReady: expect.stringContaining('the disk is nearly full'),
      refusedWhenFull: { status: 503, retryAfter: '5' },
      readyAgain: true,
    });
    expect(said.freeWhenRefused).toBeGreaterThan(32 * MiB);
    for (const moment of [said.publishedWhileLow, said.afterwards] as Record<string, number>[]) {
      expect(moment.rows).toBe(moment.acknowledged);
      expect(moment.different).toBe(moment.acknowledged);
    }
  },
  240_000,
);

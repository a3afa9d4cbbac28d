import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const module = JSON.stringify(new URL('./process-life.ts', import.meta.url).href);

/** A parent that starts a child with `childScript`, and says the child's pid once the child is up. */
async function family(childScript: string): Promise<{ parent: ChildProcess; childPid: number; childStarted: string }> {
  const parentScript = `
    import { spawn } from 'node:child_process';
    const child = spawn(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(childScript)}], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    child.on('message', () => process.stdout.write(String(child.pid)));
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', parentScript], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = await once(parent.stdout!, 'data');
  const childPid = Number(said);
  return { parent, childPid, childStarted: startedAt(childPid)! };
}

/** Start time of a process that runs; null where it is gone or only waits to be reaped. */
function startedAt(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : fields[19]!;
  } catch {
    return null;
  }
}

async function goneWithin(pid: number, started: string, millis: number): Promise<boolean> {
  const end = performance.now() + millis;
  while (performance.now() < end) {
    if (startedAt(pid) !== started) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

async function killParent(childScript: string): Promise<boolean> {
  const { parent, childPid, childStarted } = await family(childScript);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  const gone = await goneWithin(childPid, childStarted, 1000);
  if (!gone) process.kill(childPid, 'SIGKILL');
  return gone;
}

describe('a child of a parent that is killed with SIGKILL', () => {
  test('ends, also with a blocked event loop', async () => {
    const blocked = `const { dieWithParent } = await import(${module}); dieWithParent(); process.send('up', () => { for (;;); });`;
    expect(await killParent(blocked)).toBe(true);
  });

  test('ends by the closed channel alone where the kernel has no note of it', async () => {
    // What a change of user or capabilities does: the note is cleared.
    const cleared = `const { dieWithParent } = await import(${module}); dieWithParent();
      const { prctl } = await import(${JSON.stringify(new URL('./libc.ts', import.meta.url).href)}); prctl(1, 0, 0, 0, 0); process.send('up');`;
    expect(await killParent(cleared)).toBe(true);
  });

  test('would live on without it: the test can fail', async () => {
    expect(await killParent(`process.send('up', () => { for (;;); });`)).toBe(false);
  });
});

test('a child whose parent was gone before ends itself', async () => {
  const script = `const { dieWithParent } = await import(${module}); dieWithParent(process.ppid + 1); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
});

describe('endNow', () => {
  const run = async (script: string): Promise<{ code: number | null; bytes: number }> => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', `const { endNow } = await import(${module}); ${script}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let bytes = 0;
    child.stdout!.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, bytes };
  };

  test('ends with the code that was asked for, and the lines written before arrive', async () => {
    expect(await run(`process.stdout.write('x'.repeat(50_000)); endNow(7);`)).toEqual({ code: 7, bytes: 50_000 });
  });

  test('ends the whole process from a worker, and from beside one that is busy', async () => {
    const worker = `const { Worker } = await import('node:worker_threads');`;
    expect(
      await run(
        `${worker} new Worker('import(' + JSON.stringify(${module}) + ').then((life) => life.endNow(5))', { eval: true }); setInterval(() => {}, 1000);`,
      ),
    ).toEqual({ code: 5, bytes: 0 });
    expect(await run(`${worker} new Worker('for (;;);', { eval: true }).once('online', () => endNow(6));`)).toEqual({ code: 6, bytes: 0 });
  });
});

// A data directory that a newer version has written: refused in one line, and left as it is.
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { openLog } from '../../lib/log/open.ts';
import { profilesTopic } from '../../schemas/topics.ts';
import { freePorts, killStarted, startUp, temporaryFolder } from './flamelake.ts';

const folder = temporaryFolder('newer');
afterAll(async () => {
  await killStarted();
  folder.remove();
});

/** But for what any reader of SQLite's files makes beside them. */
function contents(dir: string): Record<string, string> {
  const files = globSync('**', { cwd: dir }).filter(
    (name) => statSync(path.join(dir, name)).isFile() && !/^lock$|-(wal|shm)$|members\.db$|positions\.db$/.test(name),
  );
  return Object.fromEntries(
    files.sort().map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(path.join(dir, name)))
        .digest('hex'),
    ]),
  );
}

async function endOf(dataDir: string): Promise<{ code: number | null; lines: string[] }> {
  const up = startUp({ dataDir, flags: ['--no-agent'] }, await freePorts());
  const { code } = (await up.waitExit())!;
  return { code, lines: up.output().trimEnd().split('\n') };
}

test('a lake of a newer version', async () => {
  const dataDir = path.join(folder.path, 'lake');
  mkdirSync(path.join(dataDir, 'commits'), { recursive: true });
  writeFileSync(
    path.join(dataDir, 'lake.json'),
    JSON.stringify({ version: 2, lakeId: '0'.repeat(32), createdMillis: 1, shards: 1, routing: 1, identity: 1, more: {} }),
  );
  const before = contents(dataDir);
  const { code, lines } = await endOf(dataDir);
  expect({ code, lines }).toEqual({
    code: 1,
    lines: [`flamelake: ${dataDir}/lake.json: version 2 was found, this flamelake knows 1; use the version that wrote the lake or a newer one`],
  });
  expect(contents(dataDir)).toEqual(before);
});

test('a log of a newer version', async () => {
  const dataDir = path.join(folder.path, 'log');
  const log = await openLog(pathToFileURL(path.join(dataDir, 'log')).href);
  await log.ensureTopic({ name: profilesTopic, partitions: 1 });
  await log.append(profilesTopic, 0, { value: Buffer.from('kept') });
  await log.close();
  const [file] = globSync(`log/topics/${profilesTopic}.db`, { cwd: dataDir });
  const db = new DatabaseSync(path.join(dataDir, file!));
  db.exec('PRAGMA user_version = 2');
  db.close();
  const before = contents(dataDir)[file!];
  const { code, lines } = await endOf(dataDir);
  expect(code).toBe(1);
  expect(lines.at(-1)).toBe(`flamelake: ${path.join(dataDir, file!)}: written by a newer Flamelake (format 2, this one reads 1); run that version`);
  expect(contents(dataDir)[file!]).toBe(before);
});

// `npm run test:upgrade [-- COMMIT]`: an earlier version and this one take turns over one data
// directory, with kill -9 between them. Either reads what the other left, or says in one line what it
// found and touches nothing; in the end every acknowledged row is in the lake once.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { launcher as currentLauncher, freePorts, killStarted, runCommand, sql, startUp, temporaryFolder, type Up } from '../e2e/flamelake.ts';
import { differences, publishedRows, rowsBySql } from '../e2e/lake-rows.ts';
import { createSender, transportsFor } from '../e2e/send.ts';
import { Hopeless, until } from '../e2e/until.ts';
import type { ExpectedRow } from '../otlp/expected.ts';
import { type CountedMessage, countedLoad } from '../otlp/messages.ts';

/** The last commit of the first whole path: there is no release before this one. */
const earlierDefault = 'd413bd9';
const root = path.join(import.meta.dirname, '../..');
const visibleMillis = 60_000;
const messagesPerTurn = 12;
/** What a version says that meets something newer than itself. */
const refusals = /(lake_version|message_version|log_corrupt|newer Flamelake|this flamelake (knows|reads)|version .* was found)/;

interface Version {
  readonly name: string;
  readonly launcher: string;
}

async function main(): Promise<void> {
  const commit = process.argv[2] ?? earlierDefault;
  const work = temporaryFolder('upgrade');
  const earlier = checkOut(commit, path.join(work.path, 'earlier'));
  if (earlier === null) {
    console.log(`skipped: commit ${commit} is not in this repository's history`);
    work.remove();
    return;
  }
  try {
    await takeTurns(earlier, { name: 'this version', launcher: currentLauncher }, path.join(work.path, 'data'));
  } finally {
    await killStarted();
    work.remove();
  }
}

/** Its files as they were, with the packages of this checkout where they are the same, else with its own. */
function checkOut(commit: string, folder: string): Version | null {
  try {
    execFileSync('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: root, stdio: 'ignore' });
  } catch {
    return null;
  }
  mkdirSync(folder);
  const archive = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 1 << 30 });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  const lockOf = (dir: string) => readFileSync(path.join(dir, 'package-lock.json'), 'utf8');
  if (lockOf(folder) === lockOf(root)) symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  else execFileSync('npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder, stdio: 'inherit' });
  const gathered = path.join(root, '.setup/compile-cache');
  if (existsSync(gathered)) cpSync(gathered, path.join(folder, '.setup/compile-cache'), { recursive: true });
  return { name: `commit ${commit}`, launcher: path.join(folder, 'bin/flamelake') };
}

async function takeTurns(earlier: Version, current: Version, dataDir: string): Promise<void> {
  const source = countedLoad({ seed: 4, nowMillis: Date.now(), samplesPerProfile: 3 }, Number.MAX_SAFE_INTEGER);
  const acknowledged: ExpectedRow[] = [];
  const turn = async (version: Version, what: string, flags: readonly string[], end: (up: Up) => Promise<void>): Promise<void> => {
    const up = startUp({ dataDir, flags: ['--no-agent', ...flags], launcher: version.launcher }, await freePorts());
    const refusal = await readyOrRefused(up);
    if (up.exited() !== null) {
      console.log(`${version.name}, ${what}: ends with one line: ${refusal}`);
      return;
    }
    // One that waits for a newer exporter takes messages all the same.
    acknowledged.push(...(await send(up, source)));
    if (refusal === null) await showsAll(version, up);
    const shown = await visible(dataDir, version);
    console.log(`${version.name}, ${what}: ${shown} rows shown of ${acknowledged.length}${refusal === null ? '' : `; it says: ${refusal}`}`);
    await end(up);
  };
  const showsAll = async (version: Version, up: Up): Promise<void> => {
    const isThere = async () => (await visible(dataDir, version)) >= acknowledged.length;
    await until(`${version.name} shows all ${acknowledged.length} rows`, visibleMillis, isThere).catch((error: Error) => {
      throw new Error(`${error.message}\n${up.output()}`);
    });
    const shown = await visible(dataDir, version);
    if (shown !== acknowledged.length)
      throw new Error(`${version.name} shows ${shown} rows of ${acknowledged.length}; ${await lossesOf(dataDir, version)}\n${up.output()}`);
  };
  const published = ['--publish-interval', '2s'];
  await turn(earlier, 'publishing', published, async (up) => {
    await until('public files', visibleMillis, async () => (await publishedRows(path.join(dataDir, 'lake'))) > 0);
    await up.stop();
  });
  await turn(earlier, 'rows left in its log', [], kill);
  await turn(current, 'over what the earlier one left', [], kill);
  await turn(earlier, 'over what this one left', [], (up) => up.stop());
  await turn(current, 'again, publishing', published, async (up) => {
    await until(`${acknowledged.length} rows published`, visibleMillis, async () => (await publishedRows(path.join(dataDir, 'lake'))) >= acknowledged.length);
    await up.stop();
  });
  await prove(dataDir, acknowledged);
}

async function kill(up: Up): Promise<void> {
  process.kill(-up.pid, 'SIGKILL');
  await up.waitExit();
}

/** null where it is ready; else the one line that says what it found. */
async function readyOrRefused(up: Up): Promise<string | null> {
  let refusal: string | undefined;
  await until('ready, or a line that says why not', visibleMillis, async () => {
    refusal = up
      .output()
      .split('\n')
      .find((line) => refusals.test(line));
    if (refusal !== undefined) return true;
    if (up.exited() !== null) throw new Hopeless('it ended without such a line');
    return (await fetch(`${up.http}/readyz`)).ok;
  }).catch((error: Error) => {
    throw new Error(`${error.message}\n${up.output()}`);
  });
  return refusal ?? null;
}

async function send(up: Up, source: Generator<CountedMessage>): Promise<ExpectedRow[]> {
  const sender = createSender(up);
  const rows: ExpectedRow[] = [];
  for (let count = 0; count < messagesPerTurn; count++) {
    const message = source.next().value as CountedMessage;
    await sender.sendUntilAcknowledged(message, transportsFor(message)[0]!, visibleMillis);
    rows.push(...message.rows);
  }
  sender.close();
  return rows;
}

async function visible(dataDir: string, { launcher }: Version): Promise<number> {
  const [row] = await sql(dataDir, 'SELECT count(*)::INTEGER AS rows FROM samples', { launcher });
  return row!.rows as number;
}

/** What the pipeline itself has told as lost. */
async function lossesOf(dataDir: string, { launcher }: Version): Promise<string> {
  const rows = await sql(
    dataDir,
    "SELECT service_name, value, attributes::VARCHAR AS attributes FROM samples WHERE sample_type = 'lost' AND service_name LIKE 'flamelake.%'",
    { launcher },
  );
  return `rows of type lost: ${JSON.stringify(rows)}`;
}

async function prove(dataDir: string, acknowledged: readonly ExpectedRow[]): Promise<void> {
  const wrong = differences(await rowsBySql(dataDir), acknowledged);
  if (wrong.length > 0) throw new Error(`rows that are not as they were sent:\n${wrong.slice(0, 10).join('\n')}`);
  const check = await runCommand(['lake', 'check', '--data', dataDir]);
  if (check.code !== 0) throw new Error(check.stdout + check.stderr);
  console.log(`all ${acknowledged.length} rows are there once. ${check.stdout.trim().split('\n').at(-1)}`);
}

await main();

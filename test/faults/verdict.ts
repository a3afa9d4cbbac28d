// What is in the lake in the end, held against what was sent: by `flamelake sql`, by `flamelake lake
// check`, and by DuckDB for Python over the plain files.

import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { runCommand, sql } from '../e2e/flamelake.ts';
import { differences, rowsBySql } from '../e2e/lake-rows.ts';
import { until } from '../e2e/until.ts';
import type { ExpectedRow } from '../otlp/expected.ts';
import { numberedType, samplesPerMessage, stackCount } from './load.ts';

/** [message, rows, distinct samples, rows with a wrong stack] */
type MessageCounts = readonly [message: number, rows: number, distinct: number, wrongStacks: number];

export interface Verdict {
  readonly lost: number;
  readonly doubled: number;
  readonly wrong: readonly string[];
}

interface Sent {
  readonly acknowledged: ReadonlySet<number>;
  readonly abandoned: ReadonlySet<number>;
  readonly witnessed: readonly ExpectedRow[];
}

const shownMax = 5;
const lineCharsMax = 400;
const publishedMillis = 120_000;

/** Waits for a last publication of everything, then looks at it in each way. */
export async function judge(dataDir: string, sent: Sent, python: string | null): Promise<Verdict> {
  const wrong: string[] = [];
  let lost = 0;
  let doubled = 0;
  const take = async (by: string, count: () => MessageCounts[] | Promise<MessageCounts[]>) => {
    let found = compare(by, await count(), sent);
    const isAll = async () => {
      if (found.lost > 0) found = compare(by, await count(), sent);
      return found.lost === 0;
    };
    // What is missing after that is lost.
    await until(by, publishedMillis, isAll).catch(() => {});
    lost = Math.max(lost, found.lost);
    doubled = Math.max(doubled, found.doubled);
    wrong.push(...found.wrong);
  };
  await take('flamelake sql', () => countsBySql(dataDir));
  if (python !== null) await take('DuckDB for Python', () => countsByDuckDb(python, dataDir));
  // Nothing is lost in these runs, so nothing may be told as lost either: that would be a row too many here.
  const witnesses = differences(await rowsBySql(dataDir, `sample_type <> '${numberedType}'`), sent.witnessed);
  wrong.push(...witnesses.map((line) => `witnesses: ${line.slice(0, lineCharsMax)}`));
  const { code, stdout, stderr } = await runCommand(['lake', 'check', '--data', dataDir]);
  if (code !== 0) wrong.push(`lake check ends with ${code}: ${stdout}${stderr}`);
  return { lost, doubled, wrong };
}

async function countsBySql(dataDir: string): Promise<MessageCounts[]> {
  const rows = await sql(
    dataDir,
    `WITH leaf AS (SELECT date, stack_id, min(leaf_function) AS least, max(leaf_function) AS most, count(*) AS times FROM stacks GROUP BY ALL)
     SELECT (value // ${samplesPerMessage})::INT AS message, count(*)::INT AS row_count, count(DISTINCT value)::INT AS different,
       (count(*) FILTER (least IS NULL OR times > 1 OR least <> most OR least <> 'leaf_' || (value % ${stackCount})))::INT AS wrong
     FROM samples LEFT JOIN leaf USING (date, stack_id) WHERE sample_type = '${numberedType}' GROUP BY 1`,
  );
  return rows.map(({ message, row_count, different, wrong }) => [message, row_count, different, wrong].map(Number) as unknown as MessageCounts);
}

function countsByDuckDb(python: string, dataDir: string): MessageCounts[] {
  const carry = carryOf(dataDir);
  const script = path.join(import.meta.dirname, 'verdict.py');
  const args = [script, path.join(dataDir, 'lake'), String(samplesPerMessage), String(stackCount), ...carry.samples, '--', ...carry.stacks];
  const { status, stdout, stderr } = spawnSync(python, args, { encoding: 'utf8', maxBuffer: 256 * 2 ** 20 });
  if (status !== 0) throw new Error(`verdict.py: ${stderr}`);
  return JSON.parse(stdout) as MessageCounts[];
}

/** Samples of one message in files that are public or carried: where they are when they have left the log. */
export async function samplesInFiles(dataDir: string, message: number): Promise<number> {
  const publicFiles = globSync('lake/samples/*/*/*.parquet', { cwd: dataDir }).map((name) => path.join(dataDir, name));
  const files = [...publicFiles, ...carryOf(dataDir).samples];
  if (files.length === 0) return 0;
  const connection = await (await DuckDBInstance.create()).connect();
  try {
    const list = files.map((name) => `'${name}'`).join(', ');
    const reader = await connection.runAndReadAll(
      `SELECT count(*) FROM read_parquet([${list}], union_by_name = true) WHERE sample_type = '${numberedType}' AND value // ${samplesPerMessage} = ${message}`,
    );
    return Number(reader.getRows()[0]![0]);
  } finally {
    connection.closeSync();
  }
}

/** Rows of old dates that wait for their daily file: the newest record names them. Its key counts downwards. */
function carryOf(dataDir: string): { samples: string[]; stacks: string[] } {
  const folder = path.join(dataDir, 'commits/000');
  if (!existsSync(folder)) return { samples: [], stacks: [] };
  const [newest] = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort();
  const { carry } = JSON.parse(readFileSync(path.join(folder, newest!), 'utf8')) as {
    carry: { samples: string[]; stacks: string[] } | null;
  };
  const full = (keys: readonly string[]) => keys.map((key) => path.join(dataDir, key));
  return carry === null ? { samples: [], stacks: [] } : { samples: full(carry.samples), stacks: full(carry.stacks) };
}

function compare(by: string, counts: readonly MessageCounts[], { acknowledged, abandoned }: Sent): { lost: number; doubled: number; wrong: string[] } {
  const found = new Map(counts.map((count) => [count[0], count]));
  const missing = [...acknowledged]
    .map((message) => ({ message, samples: samplesPerMessage - (found.get(message)?.[2] ?? 0) }))
    .filter(({ samples }) => samples > 0);
  const twice = counts.map(([message, rows, distinct]) => ({ message, samples: rows - distinct })).filter(({ samples }) => samples > 0);
  const partly = counts.filter(([message, , distinct]) => abandoned.has(message) && distinct !== samplesPerMessage);
  const strange = counts.filter(([message]) => !acknowledged.has(message) && !abandoned.has(message));
  const misnamed = counts.filter(([, , , wrongStacks]) => wrongStacks > 0);
  const list = (what: string, messages: readonly { readonly message: number }[]) =>
    messages.length === 0
      ? []
      : [
          `${by}: ${what}: ${messages.length} messages, such as ${messages
            .slice(0, shownMax)
            .map(({ message }) => message)
            .join(', ')}`,
        ];
  const named = (rows: readonly MessageCounts[]) => rows.map(([message]) => ({ message }));
  const sum = (entries: readonly { readonly samples: number }[]) => entries.reduce((total, { samples }) => total + samples, 0);
  return {
    lost: sum(missing),
    doubled: sum(twice),
    wrong: [
      ...list('lost', missing),
      ...list('doubled', twice),
      ...list('there in part', named(partly)),
      ...list('never sent', named(strange)),
      ...list('with another stack, or none', named(misnamed)),
    ],
  };
}

// `flamelake lake check`: proves on a whole lake that it is what its records say, or names what is
// wrong and what to do. Reads every byte. May run beside a working exporter: names are listed before
// records, and what a record names is looked for again before it is called missing.
import type { Store } from '../lib/store/store.ts';
import { readFloor } from '../schemas/lake/floor.ts';
import { lakeTables, parseLakeFileKey, recordKey, routesKey } from '../schemas/lake/paths.ts';
import { parseRecord, type RecordFile } from '../schemas/lake/record.ts';
import { readLakeSettings } from '../schemas/lake/settings.ts';
import { checkFile, hashOf } from './check/files.ts';
import { type Finding, type FindingKind, Findings } from './check/findings.ts';
import { type NamedFile, readChain, type ShardRecords } from './check/records.ts';
import { checkStacks } from './check/stacks.ts';
import { Session } from './engine.ts';
import { listAll, readHead } from './lake-listing.ts';
import { limits } from './limits.ts';
import { scratchPlace } from './scratch.ts';

export interface CheckProgress {
  readonly step: 'records' | 'files' | 'stacks';
  readonly done: number;
  /** Null while it is not known. */
  readonly total: number | null;
}

export interface CheckOptions {
  /** Of what queries see, at this moment: for the number of samples that are not public yet. */
  readonly countVisible?: (() => Promise<number>) | undefined;
  readonly onProgress?: ((progress: CheckProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CheckReport {
  /** No errors; warnings may be there. */
  readonly ok: boolean;
  readonly shards: number;
  readonly records: number;
  readonly files: number;
  readonly bytes: number;
  readonly samples: number;
  readonly stacks: number;
  /** The oldest date that retention keeps; null: nothing was ever deleted. */
  readonly floor: string | null;
  /** Samples that queries see and that are in no public file yet; null where damage makes them hard to tell. */
  readonly waiting: { readonly hot: number; readonly carried: number } | null;
  /** At most limits.findingsPerKindMax of each kind; `counts` has them all. */
  readonly findings: readonly Finding[];
  readonly counts: Readonly<Partial<Record<FindingKind, number>>>;
}

/** A check reads the whole lake; its statements may take as long as that takes. */
const statementMillisMax = 24 * 3_600_000;

export async function checkLake(store: Store, options: CheckOptions = {}): Promise<CheckReport> {
  const findings = new Findings(limits.findingsPerKindMax);
  const settings = await readLakeSettings(store);
  const listed = await listLake(store);
  const chains: ShardRecords[] = [];
  let records = 0;
  for (let shard = 0; shard < (settings?.shards ?? 0); shard++) {
    const onRecord = () => {
      records++;
      options.onProgress?.({ step: 'records', done: records, total: null });
    };
    chains.push(await readChain(store, shard, findings, onRecord));
  }
  const named = new Map<string, NamedFile>(chains.flatMap(({ files }) => [...files]));
  await findStrays(store, listed, named, findings);
  for (const chain of chains) await checkCarry(store, chain, findings);

  // routes.json may send ids elsewhere from a date on; only its own version knows where.
  const shards = settings === null || (await store.head(routesKey)) !== null ? null : settings.shards;
  const present = await findPresent(store, chains, listed, findings);
  const readable = await checkFiles(store, present, shards, findings, options);
  await checkDates(store, readable, findings, options);
  const floor = await readFloor(store);
  const sum = (of: (file: NamedFile) => number) => present.reduce((total, file) => total + of(file), 0);
  return {
    ok: findings.errors === 0,
    shards: chains.length,
    records,
    files: present.length,
    bytes: sum((file) => file.bytes),
    samples: sum((file) => (file.table === 'samples' ? file.rows : 0)),
    stacks: sum((file) => (file.table === 'stacks' ? file.rows : 0)),
    floor: floor?.date ?? null,
    waiting: findings.errors > 0 || options.countVisible === undefined ? null : await countWaiting(store, chains, options.countVisible),
    findings: findings.list,
    counts: findings.counts,
  };
}

async function listLake(store: Store): Promise<Set<string>> {
  return new Set((await listAll(store, 'lake/')).map(({ key }) => key));
}

async function findStrays(store: Store, listed: ReadonlySet<string>, named: ReadonlyMap<string, NamedFile>, findings: Findings): Promise<void> {
  const byHash = new Map([...named.values()].map((file) => [file.sha256, file.key]));
  for (const key of listed) {
    if (named.has(key)) continue;
    const { sha256 } = await hashOf(store, key);
    const original = byHash.get(sha256);
    if (original !== undefined) findings.add('stray_copy', key, `no record names it, and it holds the bytes of ${original}`);
    else findings.add('stray_file', key, parseLakeFileKey(key) === null ? 'is not a name that an exporter gives' : 'no record names it');
  }
}

async function checkCarry(store: Store, { head, shard }: ShardRecords, findings: Findings): Promise<void> {
  if (head?.carry == null) return;
  for (const key of [...head.carry.samples, ...head.carry.stacks, ...head.carry.messages]) {
    if ((await store.head(key)) === null) findings.add('carry_missing', key, `record ${head.seq} of shard ${shard} names it, it is not there`);
  }
}

/**
 * Files that are there and stay. Those of the head may still be on their way, those below the floor are
 * leaving or gone; any other that is not there is missing.
 */
async function findPresent(store: Store, chains: readonly ShardRecords[], listed: ReadonlySet<string>, findings: Findings): Promise<NamedFile[]> {
  const present: NamedFile[] = [];
  const floor = (await readFloor(store))?.date ?? '';
  for (const { files, head } of chains) {
    for (const file of files.values()) {
      if (parseLakeFileKey(file.key)!.date < floor) continue;
      if (listed.has(file.key) || (await store.head(file.key)) !== null) present.push(file);
      else if (file.seq === head?.seq && (await store.head(file.staging)) !== null) {
        findings.add('unfinished', file.key, `record ${file.seq} names it; its bytes wait under ${file.staging}`);
      } else findings.add('file_missing', file.key, `record ${file.seq} names it with ${file.rows} rows, it is not there`);
    }
  }
  return present;
}

async function checkFiles(store: Store, files: readonly NamedFile[], shards: number | null, findings: Findings, options: CheckOptions): Promise<NamedFile[]> {
  const readable: NamedFile[] = [];
  for (let start = 0; start < files.length; start += limits.footerBatch) {
    const batch = files.slice(start, start + limits.footerBatch);
    await inSession(store, batch, options, async (session) => {
      for (const [index, file] of batch.entries()) {
        // Found missing or unreadable only because retention took it meanwhile: no finding.
        const found = new Findings(limits.findingsPerKindMax);
        if (await checkFile(store, session, file, shards, found)) readable.push(file);
        if (found.list.length === 0 || !(await isLeaving(store, parseLakeFileKey(file.key)!.date))) findings.addAll(found);
        options.onProgress?.({ step: 'files', done: start + index + 1, total: files.length });
      }
    });
  }
  return readable;
}

async function checkDates(store: Store, files: readonly NamedFile[], findings: Findings, options: CheckOptions): Promise<void> {
  const byDate = Map.groupBy(files, (file) => parseLakeFileKey(file.key)!.date);
  const dates = [...byDate.keys()].sort();
  for (const [index, date] of dates.entries()) {
    const members = byDate.get(date)!;
    await inSession(store, members, options, async (session) => {
      const [samples, stacks] = lakeTables.map((table) => members.filter((file) => file.table === table).map((file) => store.locate(file.key))) as [
        string[],
        string[],
      ];
      const found = new Findings(limits.findingsPerKindMax);
      try {
        await checkStacks(session, date, { samples, stacks }, found);
      } catch (error) {
        if (!(await isLeaving(store, date))) throw error;
      }
      if (found.list.length === 0 || !(await isLeaving(store, date))) findings.addAll(found);
    });
    options.onProgress?.({ step: 'stacks', done: index + 1, total: dates.length });
  }
}

const isLeaving = async (store: Store, date: string): Promise<boolean> => date < ((await readFloor(store))?.date ?? '');

/** What is seen less what is published. Records that came since the chains were read are taken into account. */
async function countWaiting(store: Store, chains: readonly ShardRecords[], countVisible: () => Promise<number>): Promise<CheckReport['waiting']> {
  const before = await publishedRows(store, chains);
  const visible = await countVisible();
  const after = await publishedRows(store, chains);
  // Something was published while it was counted.
  if (before.rows !== after.rows) return null;
  return { hot: Math.max(0, visible - after.rows - after.carried), carried: after.carried };
}

async function publishedRows(store: Store, chains: readonly ShardRecords[]): Promise<{ rows: number; carried: number }> {
  const floor = (await readFloor(store))?.date ?? '';
  const rowsOf = (files: Iterable<RecordFile>) =>
    [...files].reduce((sum, file) => sum + (file.table === 'samples' && parseLakeFileKey(file.key)!.date >= floor ? file.rows : 0), 0);
  let [rows, carried] = [0, 0];
  for (const { shard, files, head: known } of chains) {
    rows += rowsOf(files.values());
    const head = await readHead(store, shard);
    for (let seq = (known?.seq ?? 0) + 1; seq <= (head?.seq ?? 0); seq++) {
      const bytes = await store.get(recordKey(shard, seq));
      if (bytes !== null) rows += rowsOf(parseRecord(bytes, recordKey(shard, seq)).files);
    }
    carried += head?.carry?.rows ?? 0;
  }
  return { rows, carried };
}

async function inSession(store: Store, files: readonly NamedFile[], options: CheckOptions, work: (session: Session) => Promise<void>): Promise<void> {
  const session = await Session.open({
    files: files.map((file) => store.locate(file.key)),
    timeoutMillis: statementMillisMax,
    signal: options.signal,
    scratch: scratchPlace(store),
  });
  try {
    await work(session);
  } finally {
    await session.close();
  }
}

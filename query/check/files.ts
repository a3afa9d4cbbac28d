// One public file against its record and against its own name: there, as long, the same bytes, as many
// rows, readable columns, each row where date, hour and shard say.
import { createHash } from 'node:crypto';
import { isPipelineError } from '../../lib/errors.ts';
import type { Store } from '../../lib/store/store.ts';
import { type Column, sampleColumns, schemaVersion, schemaVersionKey, stackColumns } from '../../schemas/lake/columns.ts';
import { type LakeFileName, parseLakeFileKey } from '../../schemas/lake/paths.ts';
import type { Session } from '../engine.ts';
import { limits } from '../limits.ts';
import { sqlString } from '../sql-text.ts';
import { sqlType } from '../views.ts';
import type { Findings } from './findings.ts';
import type { NamedFile } from './records.ts';

/** Whether the file can be read, so that its rows can take part in what is checked across files. */
export async function checkFile(store: Store, session: Session, file: NamedFile, shards: number | null, findings: Findings): Promise<boolean> {
  const { bytes, sha256 } = await hashOf(store, file.key);
  if (bytes === null) {
    findings.add('file_missing', file.key, `record ${file.seq} names it with ${file.rows} rows, it is not there`);
    return false;
  }
  if (bytes !== file.bytes) findings.add('size_wrong', file.key, `has ${bytes} bytes, record ${file.seq} says ${file.bytes}`);
  else if (sha256 !== file.sha256) findings.add('bytes_changed', file.key, `has sha256 ${sha256}, record ${file.seq} says ${file.sha256}`);
  return checkContent(session, store.locate(file.key), file, shards, findings);
}

/** Read in pieces: a file may be larger than what one wants in memory. */
export async function hashOf(store: Store, key: string): Promise<{ bytes: number | null; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for (;;) {
    const piece = await store.get(key, { start: bytes, end: bytes + limits.hashChunkBytes });
    if (piece === null) return { bytes: null, sha256: '' };
    hash.update(piece);
    bytes += piece.length;
    if (piece.length < limits.hashChunkBytes) return { bytes, sha256: hash.digest('hex') };
  }
}

async function checkContent(session: Session, path: string, file: NamedFile, shards: number | null, findings: Findings): Promise<boolean> {
  const from = `read_parquet(${sqlString(path)}, hive_partitioning = false)`;
  try {
    const [[rows] = []] = await session.rows(`SELECT num_rows::DOUBLE FROM parquet_file_metadata(${sqlString(path)})`);
    if (Number(rows) !== file.rows) findings.add('rows_wrong', file.key, `has ${String(rows)} rows, record ${file.seq} says ${file.rows}`);
    await checkVersion(session, path, file, findings);
    if (!(await checkColumns(session, from, file, findings))) return false;
    await checkPlaces(session, from, file, shards, findings);
    return true;
  } catch (error) {
    // Given up or out of time: that says nothing about the file.
    if (isPipelineError(error) && error.context.reason !== undefined) throw error;
    findings.add('unreadable', file.key, error instanceof Error ? error.message.replaceAll(path, file.key) : String(error));
    return false;
  }
}

async function checkVersion(session: Session, path: string, file: NamedFile, findings: Findings): Promise<void> {
  const rows = await session.rows(`SELECT decode(value) FROM parquet_kv_metadata(${sqlString(path)}) WHERE decode(key) = ${sqlString(schemaVersionKey)}`);
  const found = rows.length === 0 ? 'no version' : String(rows[0]![0]);
  const version = /^\d{1,9}$/.test(found) ? Number(found) : 0;
  if (version > schemaVersion) findings.add('schema_newer', file.key, `${schemaVersionKey} is ${found}, this flamelake knows ${schemaVersion}`);
  if (version < schemaVersion) findings.add('schema_older', file.key, `${schemaVersionKey} is ${found}, expected ${schemaVersion}`);
}

async function checkColumns(session: Session, from: string, file: NamedFile, findings: Findings): Promise<boolean> {
  const found = new Map((await session.rows(`DESCRIBE SELECT * FROM ${from}`)).map(([name, type]) => [String(name), String(type)]));
  const expected: readonly Column[] = file.table === 'samples' ? sampleColumns : stackColumns;
  const [described] = await session.rows(`SELECT ${expected.map((column) => `typeof(CAST(NULL AS ${sqlType(column.type)}))`).join(', ')}`);
  const wrong = expected.flatMap((column, index) => {
    const type = found.get(column.name);
    const wanted = String(described![index]);
    if (type === undefined) return [`${column.name} is missing`];
    return type === wanted ? [] : [`${column.name} is ${type}, expected ${wanted}`];
  });
  if (wrong.length > 0) findings.add('schema_columns', file.key, wrong.slice(0, 5).join('; '));
  return wrong.length === 0;
}

async function checkPlaces(session: Session, from: string, file: NamedFile, shards: number | null, findings: Findings): Promise<void> {
  const name = parseLakeFileKey(file.key)!;
  const [row] = await session.rows(`SELECT ${placeSums(name, shards).join(', ')} FROM ${from}`);
  const [ids, shard, dates] = row!.map(Number) as [number, number, number?];
  if (ids > 0) findings.add('id_malformed', file.key, `${ids} of ${file.rows} rows have a stack id that is not 32 lower hex digits`);
  else if (shard > 0) findings.add('row_misplaced', file.key, `${shard} of ${file.rows} rows belong to another shard than ${name.shard}`);
  if (dates !== undefined && dates > 0)
    findings.add('row_misplaced', file.key, `${dates} of ${file.rows} rows are of another date or hour than ${name.date} ${name.hour}:00`);
}

/** schemas/lake/shard.ts in SQL; where routes.json changes the spread (`shards` null) the shard is not checked. */
function placeSums(name: LakeFileName, shards: number | null): string[] {
  const formed = "regexp_full_match(stack_id, '[0-9a-f]{32}')";
  const sums = [
    `count(*) FILTER (WHERE NOT ${formed})::DOUBLE`,
    shards === null ? '0::DOUBLE' : `count(*) FILTER (WHERE ${formed} AND TRY_CAST('0x' || left(stack_id, 8) AS UBIGINT) % ${shards} <> ${name.shard})::DOUBLE`,
  ];
  if (name.table === 'samples') {
    const start = Math.round(Date.parse(`${name.date}T00:00:00Z`) / 1000) + name.hour * 3600;
    sums.push(`count(*) FILTER (WHERE epoch("time") < ${start} OR epoch("time") >= ${start + 3600})::DOUBLE`);
  }
  return sums;
}

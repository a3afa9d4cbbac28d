// What groups of readers share: positions (each durable, since a trim may follow it) and membership
// (leases, worth nothing after a power loss, so without an fsync per heartbeat).
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { leaseMillis } from '../limits.ts';
import type { PartitionPosition } from '../log.ts';
import { monotonicMillis, type Share } from './protocol.ts';
import { guarded, openDatabase, transaction } from './sqlite.ts';

export const positionTables = `
  CREATE TABLE positions (grp TEXT, topic TEXT, log_id TEXT, partition INTEGER, offset INTEGER NOT NULL, metadata TEXT NOT NULL,
    PRIMARY KEY (grp, topic, log_id, partition)) WITHOUT ROWID`;

export const memberTables = `
  CREATE TABLE members (member TEXT PRIMARY KEY, grp TEXT NOT NULL, topic TEXT NOT NULL, until INTEGER NOT NULL, process TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE shares (grp TEXT, topic TEXT, partition INTEGER, member TEXT NOT NULL, PRIMARY KEY (grp, topic, partition)) WITHOUT ROWID`;

/** Positions are kept under the log id too: a topic made anew starts without any. */
export class Positions {
  readonly #db: DatabaseSync;
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    this.#db = openDatabase(file, { durable: true });
  }

  get(group: string, topic: string, logId: string, partition: number): PartitionPosition | null {
    return guarded(this.#file, () => {
      const row = this.#db
        .prepare('SELECT offset, metadata FROM positions WHERE grp = ? AND topic = ? AND log_id = ? AND partition = ?')
        .get(group, topic, logId, partition) as PartitionPosition | undefined;
      return row === undefined ? null : { offset: row.offset, metadata: row.metadata };
    });
  }

  set(group: string, topic: string, logId: string, partition: number, position: PartitionPosition): void {
    guarded(this.#file, () => {
      transaction(this.#db, () => {
        this.#db.prepare('INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)').run(group, topic, logId, partition, position.offset, position.metadata);
      });
      this.#db.exec('PRAGMA wal_checkpoint(PASSIVE)');
    });
  }

  close(): void {
    guarded(this.#file, () => this.#db.close());
  }
}

/** One member of one group on one topic. */
export interface Member {
  readonly member: string;
  readonly group: string;
  readonly topic: string;
}

interface MemberRow {
  readonly member: string;
  readonly until: number;
  readonly process: string;
}

export class Members {
  readonly #db: DatabaseSync;
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    this.#db = openDatabase(file, { durable: false });
  }

  /** A name that sorts by the time of joining; older members keep the larger halves. */
  static newMember(group: string, topic: string): Member {
    return { member: `${String(Date.now()).padStart(15, '0')}-${randomUUID()}`, group, topic };
  }

  /**
   * Renews the lease, buries members that are gone, gives back what is beyond the fair share and takes
   * what is free. Each member does only its own part, so a partition is free before another has it.
   */
  heartbeat(member: Member, partitions: number): Omit<Share, 'generation'> & { changed: boolean } {
    return guarded(this.#file, () => {
      const share = transaction(this.#db, () => this.#heartbeat(member, partitions));
      this.#db.exec('PRAGMA wal_checkpoint(PASSIVE)');
      return share;
    });
  }

  leave({ member }: Member): void {
    guarded(this.#file, () => transaction(this.#db, () => this.#bury(member)));
  }

  close(): void {
    guarded(this.#file, () => this.#db.close());
  }

  #heartbeat(me: Member, partitions: number): Omit<Share, 'generation'> & { changed: boolean } {
    const now = monotonicMillis();
    const until = now + leaseMillis;
    this.#db.prepare('INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?)').run(me.member, me.group, me.topic, until, processIdentity);
    const rows = this.#db
      .prepare('SELECT member, until, process FROM members WHERE grp = ? AND topic = ? ORDER BY member')
      .all(me.group, me.topic) as unknown as MemberRow[];
    const dead = rows.filter((row) => row.member !== me.member && isGone(row, now));
    for (const row of dead) this.#bury(row.member);
    const live = rows.filter((row) => !dead.includes(row)).map((row) => row.member);

    const shares = this.#db
      .prepare('SELECT partition, member FROM shares WHERE grp = ? AND topic = ? ORDER BY partition')
      .all(me.group, me.topic) as unknown as {
      partition: number;
      member: string;
    }[];
    const held = shares.filter((share) => share.member === me.member).map((share) => share.partition);
    const target = fairShare(partitions, live.length, live.indexOf(me.member));
    const kept = held.slice(0, target);
    for (const partition of held.slice(target)) {
      this.#db.prepare('DELETE FROM shares WHERE grp = ? AND topic = ? AND partition = ?').run(me.group, me.topic, partition);
    }
    const taken = new Set(shares.map((share) => share.partition));
    for (let partition = 0; partition < partitions && kept.length < target; partition++) {
      if (taken.has(partition)) continue;
      this.#db.prepare('INSERT INTO shares VALUES (?, ?, ?, ?)').run(me.group, me.topic, partition, me.member);
      kept.push(partition);
    }
    kept.sort((a, b) => a - b);
    return { member: me.member, partitions: kept, untilMillis: until, changed: dead.length > 0 || kept.join() !== held.join() };
  }

  #bury(member: string): void {
    this.#db.prepare('DELETE FROM shares WHERE member = ?').run(member);
    this.#db.prepare('DELETE FROM members WHERE member = ?').run(member);
  }
}

/** The first (partitions mod members) members have one more. */
export function fairShare(partitions: number, members: number, index: number): number {
  return Math.floor(partitions / members) + (index < partitions % members ? 1 : 0);
}

// A member is gone when its lease is over, when the host was booted since (the monotonic clock began
// again), or when its process is seen to be dead, which needs the same pid namespace.
const processIdentity = JSON.stringify({ boot: bootId(), pidNamespace: pidNamespace(), pid: process.pid, started: startTicks(process.pid) });

interface ProcessIdentity {
  readonly boot: string;
  readonly pidNamespace: string;
  readonly pid: number;
  readonly started: string | null;
}

function isGone(row: MemberRow, nowMillis: number): boolean {
  const identity = JSON.parse(row.process) as ProcessIdentity;
  if (identity.boot !== bootId() || row.until < nowMillis) return true;
  return identity.pidNamespace === pidNamespace() && startTicks(identity.pid) !== identity.started;
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

function pidNamespace(): string {
  return readlinkSync('/proc/self/ns/pid');
}

/** When a process was started, in clock ticks since boot; null where there is no such process (or it is a zombie). */
function startTicks(pid: number): string | null {
  if (!existsSync(`/proc/${pid}/stat`)) return null;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold anything; fields are counted from behind it: state is the first, starttime the twentieth.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

// Who of a group holds which partitions. Leases are worth nothing after a power loss, so these commits
// go without an fsync each.
import { randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { busyMillisMax, groupCheckpointPages, heartbeatBusyMillisMax, leaseMillis } from '../limits.ts';
import { isSameProcess, thisProcess } from './process-identity.ts';
import { monotonicMillis } from './protocol.ts';
import { guarded, openDatabase, transaction } from './sqlite.ts';

export const memberTables = `
  CREATE TABLE members (member TEXT PRIMARY KEY, grp TEXT NOT NULL, topic TEXT NOT NULL, until INTEGER NOT NULL, process TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE shares (grp TEXT, topic TEXT, partition INTEGER, member TEXT NOT NULL, PRIMARY KEY (grp, topic, partition)) WITHOUT ROWID`;

/** One member of one group on one topic. */
export interface Member {
  readonly name: string;
  readonly group: string;
  readonly topic: string;
}

export interface Beat {
  /** What the member still had when it came, and what it has now. */
  readonly before: readonly number[];
  readonly partitions: readonly number[];
  /** End of the lease, monotonic milliseconds. */
  readonly untilMillis: number;
  /** There are others, and there may be something for them to take or to give. */
  readonly tellOthers: boolean;
}

interface MemberRow {
  readonly member: string;
  readonly until: number;
  readonly process: string;
}

interface ShareRow {
  readonly partition: number;
  readonly member: string;
}

export class Members {
  readonly #db: DatabaseSync;
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    this.#db = openDatabase(file, { durable: false, checkpointPages: groupCheckpointPages });
    this.#wait(heartbeatBusyMillisMax);
  }

  /** A name that sorts by the time of joining: who came first keeps the odd partition. */
  static newMember(group: string, topic: string): Member {
    return { name: `${String(Date.now()).padStart(15, '0')}-${randomUUID()}`, group, topic };
  }

  /**
   * Renews the lease, buries members that are gone, gives back what is beyond the fair share and takes
   * what is free. Each member does only its own part, so a partition is free before another has it.
   */
  heartbeat(me: Member, partitions: number): Beat {
    return guarded(this.#file, () =>
      transaction(this.#db, () => {
        const nowMillis = monotonicMillis();
        const untilMillis = nowMillis + leaseMillis;
        const isNew = this.#db.prepare('SELECT 1 FROM members WHERE member = ?').get(me.name) === undefined;
        this.#db.prepare('INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?)').run(me.name, me.group, me.topic, untilMillis, thisProcess);
        const { live, buried } = this.#buryTheDead(me, nowMillis);
        const share = this.#settle(me, partitions, fairShare(partitions, live.length, live.indexOf(me.name)));
        return { ...share, untilMillis, tellOthers: live.length > 1 && (buried || share.given || isNew) };
      }),
    );
  }

  /** The first heartbeat; waits longer for others, since there is no next one to make up for it. */
  join(me: Member, partitions: number): Beat {
    this.#wait(busyMillisMax);
    try {
      return this.heartbeat(me, partitions);
    } finally {
      this.#wait(heartbeatBusyMillisMax);
    }
  }

  leave({ name }: Member): void {
    guarded(this.#file, () => transaction(this.#db, () => this.#bury(name)));
  }

  close(): void {
    guarded(this.#file, () => this.#db.close());
  }

  #wait(millis: number): void {
    this.#db.exec(`PRAGMA busy_timeout = ${millis}`);
  }

  #buryTheDead(me: Member, nowMillis: number): { live: string[]; buried: boolean } {
    const rows = this.#db
      .prepare('SELECT member, until, process FROM members WHERE grp = ? AND topic = ? ORDER BY member')
      .all(me.group, me.topic) as unknown as MemberRow[];
    const live = rows.filter((row) => row.until >= nowMillis && isSameProcess(row.process)).map((row) => row.member);
    for (const { member } of rows) if (!live.includes(member)) this.#bury(member);
    return { live, buried: live.length < rows.length };
  }

  #bury(member: string): void {
    this.#db.prepare('DELETE FROM shares WHERE member = ?').run(member);
    this.#db.prepare('DELETE FROM members WHERE member = ?').run(member);
  }

  #settle(me: Member, partitions: number, target: number): { before: number[]; partitions: number[]; given: boolean } {
    const shares = this.#db
      .prepare('SELECT partition, member FROM shares WHERE grp = ? AND topic = ? ORDER BY partition')
      .all(me.group, me.topic) as unknown as ShareRow[];
    const before = shares.filter((share) => share.member === me.name).map((share) => share.partition);
    const given = before.slice(target);
    const taken = freePartitions(partitions, shares).slice(0, Math.max(0, target - before.length));
    for (const partition of given) this.#db.prepare('DELETE FROM shares WHERE grp = ? AND topic = ? AND partition = ?').run(me.group, me.topic, partition);
    for (const partition of taken) this.#db.prepare('INSERT INTO shares VALUES (?, ?, ?, ?)').run(me.group, me.topic, partition, me.name);
    return { before, partitions: [...before.slice(0, target), ...taken].sort((a, b) => a - b), given: given.length > 0 };
  }
}

function freePartitions(partitions: number, shares: readonly ShareRow[]): number[] {
  const held = new Set(shares.map((share) => share.partition));
  return Array.from({ length: partitions }, (_, partition) => partition).filter((partition) => !held.has(partition));
}

/** The first (partitions mod members) members have one more. */
export function fairShare(partitions: number, members: number, index: number): number {
  return Math.floor(partitions / members) + (index < partitions % members ? 1 : 0);
}

// Remembered positions of groups. Each is durable, since a trim may follow it: a position that a power
// loss set back below the trimmed start would look like lost records.
import type { DatabaseSync } from 'node:sqlite';
import { groupCheckpointPages } from '../limits.ts';
import type { PartitionPosition } from '../log.ts';
import { guarded, openDatabase, transaction } from './sqlite.ts';

/** Kept under the log id too: a topic made anew starts without any. */
export const positionTables = `
  CREATE TABLE positions (grp TEXT, topic TEXT, log_id TEXT, partition INTEGER, offset INTEGER NOT NULL, metadata TEXT NOT NULL,
    PRIMARY KEY (grp, topic, log_id, partition)) WITHOUT ROWID`;

export class Positions {
  readonly #db: DatabaseSync;
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    this.#db = openDatabase(file, { durable: true, checkpointPages: groupCheckpointPages });
  }

  get(group: string, topic: string, logId: string, partition: number): PartitionPosition | null {
    return guarded(this.#file, () => {
      const row = this.#db
        .prepare('SELECT offset, metadata FROM positions WHERE grp = ? AND topic = ? AND log_id = ? AND partition = ?')
        .get(group, topic, logId, partition) as PartitionPosition | undefined;
      return row === undefined ? null : { offset: row.offset, metadata: row.metadata };
    });
  }

  set(group: string, topic: string, logId: string, partition: number, { offset, metadata }: PartitionPosition): void {
    guarded(this.#file, () => {
      transaction(this.#db, () => {
        this.#db.prepare('INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)').run(group, topic, logId, partition, offset, metadata);
      });
    });
  }

  close(): void {
    guarded(this.#file, () => this.#db.close());
  }
}

// What every stage's main.ts gives and gets. `flamelake up` runs each in a child process of its own,
// `flamelake receiver` and the like run one in the command's process; both only know this contract.
import type { Meter } from '@opentelemetry/api';
import type { Logger } from './logger.ts';

export interface StageHost {
  readonly logger: Logger;
  readonly meter: Meter;
}

export interface StageStatus {
  /** Takes work now; /readyz answers 503 until every stage does. */
  readonly ready: boolean;
  /** One line for people: where it listens, what it waits for, what it lacks. */
  readonly text: string;
}

export interface Stage {
  status(): StageStatus;
  /** Takes no new work, finishes what it has, flushes. Called once; the process exits afterwards. */
  stop(): Promise<void>;
}

export type StartStage<Options> = (options: Options, host: StageHost) => Promise<Stage>;

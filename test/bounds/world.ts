// The stages of one host in this process, on a directory and with bounds small enough to be passed, and
// a client that keeps on sending until it is told that a message is kept.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startExporter } from '../../exporter/main.ts';
import type { Stage, StageStatus } from '../../lib/stage.ts';
import { startProcessor } from '../../processor/main.ts';
import { message10, testHost, textAttribute } from '../../processor/testing.ts';
import { openQuery } from '../../query/query.ts';
import { type Receiver, startReceiver } from '../../receiver/main.ts';
import { until } from '../e2e/until.ts';

const MiB = 2 ** 20;
const betweenTriesMillis = 100;

export interface Bounds {
  readonly logBytesMax: number;
  readonly diskReserveBytes: number;
}

export interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
}

export class World {
  readonly #directory: string;
  readonly #bounds: Bounds;
  readonly #messages = createMessages();
  #receiver: Receiver | null = null;
  #processor: Stage | null = null;
  #exporter: Stage | null = null;
  /** Rows of messages that were acknowledged. */
  acknowledged = 0;

  constructor(directory: string, bounds: Bounds) {
    this.#directory = directory;
    this.#bounds = bounds;
  }

  get #log(): string {
    return pathToFileURL(join(this.#directory, 'log')).href;
  }

  get #store(): string {
    return pathToFileURL(this.#directory).href;
  }

  async startReceiver(): Promise<void> {
    this.#receiver = await startReceiver(
      { grpcListen: null, httpListen: '127.0.0.1:0', messageBytesMax: 4 * MiB, log: this.#log, ...this.#bounds },
      testHost(),
    );
  }

  async startProcessor(): Promise<void> {
    this.#processor = await startProcessor({ log: this.#log, store: this.#store, symbols: false, ...this.#bounds }, testHost());
  }

  async startExporter(): Promise<void> {
    const limits = { publishIntervalMillis: 1000, publishBytes: 4 * MiB, publishRowsMax: 1_000_000, hotIntervalMillis: 500 };
    this.#exporter = await startExporter(
      { log: this.#log, store: this.#store, indexDir: join(this.#directory, 'index'), ...limits, ...this.#bounds },
      testHost(),
    );
  }

  async stop(): Promise<void> {
    for (const stage of [this.#receiver, this.#processor, this.#exporter]) await stage?.stop();
  }

  receiverStatus(): StageStatus {
    return this.#receiver!.status();
  }

  exporterStatus(): StageStatus {
    return this.#exporter!.status();
  }

  /** One new message, tried once. */
  async send(): Promise<Answer> {
    const answer = await this.#post(this.#messages.next().value!);
    if (answer.status === 200) this.acknowledged++;
    return answer;
  }

  /** New messages until one is refused; that one's answer. */
  async fill(messagesMax: number): Promise<Answer> {
    for (let sent = 0; sent < messagesMax; sent++) {
      const answer = await this.send();
      if (answer.status !== 200) return answer;
    }
    throw new Error(`none of ${messagesMax} messages was refused`);
  }

  /** One new message, sent until it is acknowledged. */
  async sendUntilAcknowledged(timeoutMillis: number): Promise<void> {
    const body = this.#messages.next().value!;
    const deadline = performance.now() + timeoutMillis;
    for (let answer = await this.#post(body); answer.status !== 200; answer = await this.#post(body)) {
      if (answer.status !== 503) throw new Error(`answer ${answer.status}, expected 200 or 503`);
      if (performance.now() > deadline)
        throw new Error(
          `not acknowledged within ${timeoutMillis} ms: ${JSON.stringify(this.#processor?.status())} ${JSON.stringify(this.#exporter?.status())}`,
        );
      await new Promise((resolve) => setTimeout(resolve, betweenTriesMillis));
    }
    this.acknowledged++;
  }

  /** Rows in the lake by our own query, with how many of them are there twice. */
  async lakeRows(): Promise<{ rows: number; different: number }> {
    const query = await openQuery({ store: this.#store });
    try {
      const { rows } = await query.sql('SELECT count(*), count(DISTINCT process_pid) FROM samples');
      return { rows: Number(rows[0]![0]), different: Number(rows[0]![1]) };
    } finally {
      await query.close();
    }
  }

  async untilInLake(timeoutMillis: number): Promise<void> {
    await until(`${this.acknowledged} rows in the lake`, timeoutMillis, async () => (await this.lakeRows()).rows >= this.acknowledged);
  }

  async #post(body: Uint8Array): Promise<Answer> {
    const response = await fetch(`http://${this.#receiver!.httpAddress}/v1development/profiles`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf' },
      body: body as Uint8Array<ArrayBuffer>,
    });
    await response.arrayBuffer();
    return { status: response.status, retryAfter: response.headers.get('retry-after') };
  }
}

/** Each of 1 MiB, mostly a name that nothing uses, and one row: its pid is its number, 32 KiB of it are an attribute. */
function* createMessages(): Generator<Uint8Array, never> {
  const unused = randomBytes((MiB * 3) / 4).toString('base64');
  for (let number = 1; ; number++) {
    const time = BigInt(Date.now()) * 1_000_000n;
    yield message10({
      strings: ['', 'samples', 'count', 'cpu', 'nanoseconds', 'main', `${number} ${unused}`],
      functions: [{ nameStrindex: 5 }],
      locations: [{ lines: [{ functionIndex: 1, line: 7n }] }],
      stacks: [{ locationIndices: [1] }],
      resource: [
        textAttribute('service.name', 'shop'),
        textAttribute('note', randomBytes(24 * 1024).toString('base64')),
        { key: 'process.pid', value: { value: { case: 'intValue', value: BigInt(number) } } },
      ],
      profiles: [
        {
          sampleType: { typeStrindex: 1, unitStrindex: 2 },
          periodType: { typeStrindex: 3, unitStrindex: 4 },
          period: 50_000_000n,
          timeUnixNano: time,
          durationNano: 5_000_000_000n,
          samples: [{ stackIndex: 1, timestampsUnixNano: [time] }],
        },
      ],
    });
  }
}

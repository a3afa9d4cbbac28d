// The counted load of a fault run: messages whose every sample has a number of its own as its value, in
// all shapes and over all transports; clients that send the same bytes again until they are answered.

import { createSender, type Endpoints, Refused, transportsFor } from '../e2e/send.ts';
import { encodeMessage } from '../otlp/encode.ts';
import type { ExpectedRow } from '../otlp/expected.ts';
import { encodeJson } from '../otlp/json.ts';
import { type CountedMessage, countedLoad, shapes } from '../otlp/messages.ts';
import type { LocationModel, MessageModel, Value } from '../otlp/model.ts';
import { createRandom, type Random } from '../otlp/random.ts';
import { toTables } from '../otlp/tables.ts';

/** Sample i of message n has the value n * samplesPerMessage + i; stack of value v ends in leaf_<v % stackCount>. */
export const samplesPerMessage = 8;
export const stackCount = 61;

/** What tells the numbered samples from those of the witnesses. */
export const numberedType = 'numbered';

const clients = 4;
/** After so many numbered messages comes a witness: one with every column and kind of frame there is. */
const witnessEvery = 25;
const betweenMessagesMillis = 25;
const betweenTriesMillis = 100;
const dayNanos = 86_400_000_000_000n;

export interface Load {
  /** Numbers of messages that were answered with a success. */
  readonly acknowledged: ReadonlySet<number>;
  /** Sent once, not answered, and not sent again: may be there or not. */
  readonly abandoned: ReadonlySet<number>;
  /** Rows of the witnesses that were acknowledged. */
  readonly witnessed: readonly ExpectedRow[];
  /** Under a wrong clock no witnesses: its rows may have the log's time in place of their own. */
  setWitnesses(are: boolean): void;
  /** What a client was told that must not be repeated: wrong, since every message is well-made. */
  readonly refused: readonly string[];
  tries(): number;
  /** Resolves in the very moment that an answer arrives, before anybody else may run; `then` is called right there. */
  nextAcknowledgement(then: (message: number) => void): Promise<number>;
  /** Waits until nobody has an unanswered message. */
  pause(): Promise<void>;
  goOn(): void;
  finish(): Promise<void>;
}

export function startLoad(endpoints: Endpoints, seed: number): Load {
  const random = createRandom(seed);
  const acknowledged = new Set<number>();
  const abandoned = new Set<number>();
  const refused: string[] = [];
  const witnessed: ExpectedRow[] = [];
  const witnesses = countedLoad({ seed, nowMillis: Date.now(), samplesPerProfile: 3 }, Number.MAX_SAFE_INTEGER);
  let areWitnesses = true;
  let tries = 0;
  let next = 1;
  let isDone = false;
  let waiting: { then: (message: number) => void; resolve: (message: number) => void } | null = null;
  let gate: { open: Promise<void>; goOn: () => void } | null = null;
  let busy = 0;

  const hear = (message: number) => {
    acknowledged.add(message);
    const heard = waiting;
    waiting = null;
    heard?.then(message);
    heard?.resolve(message);
  };

  const client = async () => {
    const sender = createSender(endpoints);
    const send = async (message: CountedMessage, isPatient: boolean): Promise<boolean> => {
      const transport = random.pick(transportsFor(message));
      for (;;) {
        tries++;
        try {
          await sender.send(message, transport);
          return true;
        } catch (error) {
          if (error instanceof Refused) refused.push(error.message);
          if (!isPatient || error instanceof Refused) return false;
          await sleep(betweenTriesMillis);
        }
      }
    };
    while (!isDone) {
      await gate?.open;
      busy++;
      const number = next++;
      const model = createModel(random, number);
      // Some give up, as a client does that is ended meanwhile.
      if (await send(encode(random, model), !random.chance(0.05))) {
        hear(number);
        // Some were told and did not hear it: once more, perhaps by another encoder.
        if (random.chance(0.1)) await send(encode(random, model), true);
      } else abandoned.add(number);
      if (areWitnesses && number % witnessEvery === 0) {
        const witness = witnesses.next().value as CountedMessage;
        if (await send(witness, true)) witnessed.push(...witness.rows);
      }
      busy--;
      await sleep(betweenMessagesMillis);
    }
    sender.close();
  };

  const running = Promise.all(Array.from({ length: clients }, client));
  const goOn = () => {
    gate?.goOn();
    gate = null;
  };
  return {
    acknowledged,
    abandoned,
    refused,
    witnessed,
    setWitnesses: (are) => {
      areWitnesses = are;
    },
    tries: () => tries,
    nextAcknowledgement: (then) =>
      new Promise((resolve) => {
        waiting = { then, resolve };
      }),
    pause: async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = { open: promise, goOn: resolve };
      while (busy > 0) await sleep(20);
    },
    goOn,
    finish: async () => {
      isDone = true;
      goOn();
      await running;
    },
  };
}

const sleep = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis));

/** Found in the log's files as it is. */
export const markOf = (message: number): string => `message-${String(message).padStart(9, '0')}`;

function createModel(random: Random, number: number): MessageModel {
  const now = BigInt(Date.now()) * 1_000_000n;
  // Most of today, some of yesterday, a few of three days ago: those become public once a day.
  const age = number % 20 === 7 ? dayNanos : number % 40 === 13 ? 3n * dayNanos : 0n;
  const timeNanos = now - age - (random.uint64() % 60_000_000_000n);
  const samples = Array.from({ length: samplesPerMessage }, (_, index) => {
    const value = number * samplesPerMessage + index;
    return {
      stack: [leafOf(value), rootFrame],
      attributes: new Map<string, Value>([['thread.id', BigInt(random.between(1, 4000))]]),
      values: [BigInt(value)],
      timestamps: [timeNanos + BigInt(index)],
    };
  });
  const attributes = new Map<string, Value>([
    ['service.name', `shop-${number % 3}`],
    ['host.id', `host-${number % 5}`],
    ['test.message', markOf(number)],
  ]);
  const profile = { type: [numberedType, 'nanoseconds'] as const, period: 0n, timeNanos, durationNanos: 5_000_000_000n, attributes: new Map(), samples };
  return { resources: [{ attributes, scope: { name: 'test.profiler', version: '1' }, profiles: [profile] }] };
}

const frame = (name: string): LocationModel => ({
  address: 0n,
  lines: [{ function: name, file: 'shop.py', line: 1n }],
  attributes: new Map([['profile.frame.type', 'cpython']]),
});
const rootFrame = frame('main');
const leaves = Array.from({ length: stackCount }, (_, index) => frame(`leaf_${index}`));
const leafOf = (value: number): LocationModel => leaves[value % stackCount]!;

function encode(random: Random, model: MessageModel): CountedMessage {
  const shape = random.pick(shapes);
  const tables = toTables(model, shape.tables);
  const rest = { name: shape.name, model, rows: [] };
  if (shape.json) return { ...rest, contentType: 'application/json', body: encodeJson(tables, shape.json) };
  return { ...rest, contentType: 'application/x-protobuf', body: encodeMessage(tables, shape.protobuf) };
}

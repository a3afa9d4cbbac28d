// The log and the store as one process sees them: each call waits for the scheduler, may fail, lie, be
// slow, or be the last thing that the process does.
import { PipelineError } from '../../lib/errors.ts';
import type { Log, PartitionPosition, ReadResult } from '../../lib/log/log.ts';
import type { Store } from '../../lib/store/store.ts';
import { processorGroup } from '../../schemas/topics.ts';
import type { Counts, FaultKind } from './counts.ts';
import type { MemoryLog } from './memory-log.ts';
import type { MemoryStore } from './memory-store.ts';
import type { Process, Scheduler, WaitOptions } from './scheduler.ts';

export interface Place {
  readonly scheduler: Scheduler;
  readonly counts: Counts;
  readonly log: MemoryLog;
  readonly store: MemoryStore;
  /** Share of calls that something happens to; 0 in the quiet end of a run. */
  faultShare: number;
  /** Runs after each call that took effect: the readers look. */
  readonly afterEffect: () => Promise<void>;
  /** Whether this process is (still) the member of the group that has the partition. */
  readonly owns: (process: Process, partition: number) => boolean;
}

/** What a call may do besides working, most likely first. */
const fates = {
  read: ['crash', 'error', 'slow', 'freeze'],
  write: ['crash', 'crash after it took effect', 'error', 'applied, answered with an error', 'slow', 'freeze'],
  conditional: [
    'crash',
    'crash after it took effect',
    'error',
    'applied, answered with an error',
    'applied, answered "exists"',
    'applied, answered "exists"',
    'slow',
    'freeze',
  ],
  append: ['crash', 'crash after it took effect', 'error', 'applied, answered with an error', 'log full', 'slow', 'freeze'],
} as const satisfies Readonly<Record<string, readonly FaultKind[]>>;
type CallKind = keyof typeof fates;

const slowMillisMax = 40_000;

interface Call<T> {
  readonly kind: CallKind;
  readonly label: string;
  readonly unavailable: 'store_unavailable' | 'log_unavailable';
  readonly effect: () => Promise<T>;
  readonly wait?: WaitOptions;
}

function call<T>(place: Place, process: Process, { kind, label, unavailable, effect, wait }: Call<T>): Promise<T> {
  const { scheduler, counts } = place;
  const { random } = scheduler;
  return new Promise<T>((resolve, reject) => {
    const answer = (give: () => void, latest = 0) => {
      if (latest === 0 && random.chance(0.7)) give();
      else scheduler.wait(process, '', give, { dueMillis: scheduler.nowMillis + random.below(latest + 1) });
    };
    const take = async () => {
      const outcome = await effect().then(
        (value) => ({ give: () => resolve(value), value }),
        (error: unknown) => ({ give: () => reject(error), value: undefined }),
      );
      await place.afterEffect();
      return outcome;
    };
    const goOn = async () => {
      // Few calls are conditional, and the protocol stands on them.
      if (!random.chance(kind === 'conditional' ? 3 * place.faultShare : place.faultShare)) return answer((await take()).give);
      const fate = random.pick<FaultKind>(fates[kind]);
      counts.add(fate);
      scheduler.note(`${process.name} ${label}: ${fate}`);
      const failure = () => reject(new PipelineError(unavailable, `${label}: no answer`));
      switch (fate) {
        case 'crash':
          return scheduler.kill(process);
        case 'crash after it took effect':
          await take();
          return scheduler.kill(process);
        case 'error':
          return answer(failure);
        case 'applied, answered with an error':
          await take();
          return answer(failure);
        case 'applied, answered "exists"':
          await take();
          return answer(() => resolve('exists' as T));
        case 'log full':
          return answer(() => reject(new PipelineError('log_full', `${label}: full for now`)));
        case 'slow':
          // Before it takes effect or after: what others do meanwhile is not seen by this call, or is.
          if (random.chance(0.5)) return answer((await take()).give, slowMillisMax);
          return scheduler.wait(process, `${label} (late)`, async () => (await take()).give(), {
            dueMillis: scheduler.nowMillis + random.below(slowMillisMax),
          });
        default:
          process.frozen = true;
          if (random.chance(0.5)) return scheduler.wait(process, '', (await take()).give);
          return scheduler.wait(process, label, async () => (await take()).give());
      }
    };
    scheduler.wait(process, label, goOn, wait);
  });
}

export function storeView(place: Place, process: Process): Store {
  const { store } = place;
  const ask = <T>(kind: CallKind, label: string, effect: () => Promise<T>) => call(place, process, { kind, label, unavailable: 'store_unavailable', effect });
  return {
    url: store.url,
    putIfAbsent: (key, body) => ask('conditional', `putIfAbsent ${key}`, () => store.putIfAbsent(key, body)),
    put: (key, body) => ask('write', `put ${key}`, () => store.put(key, body)),
    replace: (key, body, tag) => ask('write', `replace ${key}`, () => store.replace(key, body, tag)),
    publish: (from, to) => ask('conditional', `publish ${to}`, () => store.publish(from, to)),
    get: (key, range) => ask('read', `get ${key}`, () => store.get(key, range)),
    head: (key) => ask('read', `head ${key}`, () => store.head(key)),
    list: (prefix, options) => {
      // A list says what was there when it was asked or later, never what was there before.
      const early = place.faultShare > 0 && place.scheduler.random.chance(0.1) ? store.list(prefix, options) : null;
      if (early !== null) place.counts.add('list from before');
      return ask('read', `list ${prefix}`, () => early ?? store.list(prefix, options));
    },
    delete: (key) => ask('write', `delete ${key}`, () => store.delete(key)),
    locate: (key) => store.locate(key),
    close: async () => {},
  };
}

export function logView(place: Place, process: Process): Log {
  const { log, scheduler } = place;
  const ask = <T>(kind: CallKind, label: string, effect: () => Promise<T>, wait?: WaitOptions) =>
    call(place, process, { kind, label, unavailable: 'log_unavailable', effect, ...(wait ? { wait } : {}) });
  return {
    ensureTopic: (config) => log.ensureTopic(config),
    topic: (name) => ask('read', `topic ${name}`, () => log.topic(name)),
    append: (topic, partition, message) => ask('append', `append ${topic}/${partition ?? '-'}`, () => log.append(topic, partition, message)),
    read: (topic, partition, from, options) => {
      const { end } = log.rangeOf(topic, partition);
      const wait = {
        dueMillis: scheduler.nowMillis + options.waitMillis,
        isReady: () => log.rangeOf(topic, partition).end !== from || options.signal?.aborted === true,
      };
      const few = scheduler.random.chance(0.5) ? scheduler.random.between(1, 5) : Number.POSITIVE_INFINITY;
      const label = `read ${topic}/${partition} from ${from}${end > from ? ` of ${end}` : ''}`;
      return ask('read', label, async () => fewer(await log.read(topic, partition, from, options), few), wait);
    },
    range: (topic, partition) => ask('read', `range ${topic}/${partition}`, () => log.range(topic, partition)),
    join: (group, topic) => log.join(group, topic),
    position: (group, topic, partition) => ask('read', `position ${topic}/${partition}`, () => log.position(group, topic, partition)),
    remember: (group, topic, partition, position) =>
      ask('append', `remember ${topic}/${partition} ${position.offset}`, () => remember(place, process, group, topic, partition, position)),
    trim: (topic, partition, offset) => ask('write', `trim ${topic}/${partition} ${offset}`, () => log.trim(topic, partition, offset)),
    usage: () => log.usage(),
    close: async () => {},
  };
}

/** A log gives as many as it likes. */
function fewer(read: ReadResult, count: number): ReadResult {
  if (read.records.length <= count) return read;
  const records = read.records.slice(0, count);
  return { records, next: records.at(-1)!.offset + 1, range: read.range };
}

/** A group takes positions only from the member that has the partition (Kafka by generation, embedded by the data lock). */
async function remember(place: Place, process: Process, group: string, topic: string, partition: number, position: PartitionPosition): Promise<void> {
  if (group === processorGroup && !place.owns(process, partition)) throw new PipelineError('log_unavailable', `${process.name} is no member any more`);
  await place.log.remember(group, topic, partition, position);
}

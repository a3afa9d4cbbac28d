// The collector on events that a test wrote: batches are whole, well-made and of bounded size, and what
// can't be taken is counted. Real /proc, real files; only the ring is written by hand.
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { createLogger } from '../lib/logger.ts';
import { type ProfilesData, ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { profcheck } from '../test/profcheck/profcheck.ts';
import { counter, eventKind, sampleEventLayout, sampleFlags, stackEventLayout, userFrameLayout, userFrameStatus } from './bpf/layout.gen.ts';
import type { OnEvent } from './bpf/ring.ts';
import { type Clock, hostClock } from './clock.ts';
import { Collector, commText } from './collector.ts';
import { Kernel } from './kernel.ts';
import { batchBytesMax, stackCacheBytesMax } from './limits.ts';
import { Losses } from './losses.ts';
import { MappedFiles } from './mapped-files.ts';
import { Processes } from './processes.ts';
import type { EncodedBatch } from './send/delivery.ts';

const kernel = new Kernel(createLogger({ name: 'test', level: 'error', format: 'text', write: () => {} }));
/** Far from any pid that is there: its /proc is empty, as that of a process that is gone. */
const pid = 4_000_000_000;

interface SampleEvent {
  readonly stackId: bigint;
  readonly tid?: number;
  readonly cpu?: number;
  readonly timeNanos?: bigint;
  readonly comm?: string;
  readonly flags?: number;
}

function sampleEvent({ stackId, tid = pid, cpu = 0, timeNanos = hostClock.bootNanos(), comm = 'work', flags = 0 }: SampleEvent): Buffer {
  const event = Buffer.alloc(sampleEventLayout.bytes);
  event.writeUInt32LE(eventKind.eventSample, sampleEventLayout.kind);
  event.writeUInt32LE(cpu, sampleEventLayout.cpu);
  event.writeBigUInt64LE(timeNanos, sampleEventLayout.time);
  event.writeBigUInt64LE(stackId, sampleEventLayout.stackId);
  event.writeBigUInt64LE(1n, sampleEventLayout.startTime);
  event.writeUInt32LE(pid, sampleEventLayout.tgid);
  event.writeUInt32LE(tid, sampleEventLayout.tid);
  event.writeUInt32LE(flags, sampleEventLayout.flags);
  event.write(comm, sampleEventLayout.comm, 15, 'latin1');
  return event;
}

/** A stack of frames in a file that nobody has. */
function stackEvent(stackId: bigint, offsets: readonly bigint[]): Buffer {
  const event = Buffer.alloc(stackEventLayout.bytes + userFrameLayout.bytes * offsets.length);
  event.writeUInt32LE(eventKind.eventStack, stackEventLayout.kind);
  event.writeUInt32LE(pid, stackEventLayout.tgid);
  event.writeBigUInt64LE(stackId, stackEventLayout.stackId);
  event.writeUInt16LE(offsets.length, stackEventLayout.userFrames);
  offsets.forEach((offset, index) => {
    const at = stackEventLayout.bytes + index * userFrameLayout.bytes;
    event.writeInt32LE(userFrameStatus.frameBuildId, at + userFrameLayout.status);
    event.fill(7, at + userFrameLayout.buildId, at + userFrameLayout.buildId + 20);
    event.writeBigUInt64LE(offset, at + userFrameLayout.offsetOrIp);
  });
  return event;
}

function collect(clock: Clock = hostClock) {
  const written: Buffer[] = [];
  const epochs: number[] = [];
  const counters = Array.from({ length: counter.counters }, () => 0);
  const batches: EncodedBatch[] = [];
  const losses = new Losses();
  const collector = new Collector({
    sampler: {
      programFd: -1,
      ringFd: -1,
      ringBytes: 0,
      verifiedInstructions: 0,
      readCounters: () => counters,
      setEpoch: (epoch) => epochs.push(epoch),
      close: () => {},
    },
    ring: {
      drain(onEvent: OnEvent, mayGoOn: () => boolean = () => true) {
        const before = written.length;
        for (let event = written[0]; event !== undefined && mayGoOn(); event = written[0]) {
          written.shift();
          onEvent(event, new DataView(event.buffer, event.byteOffset, event.length), 0, event.length);
        }
        return before - written.length;
      },
      pending: () => written.length,
      close: () => {},
    },
    losses,
    sources: { kernel, files: new MappedFiles(), processes: new Processes() },
    hostAttributes: new Map([['host.name', 'here']]),
    agentVersion: '0',
    periodNanos: 48_541_020,
    onBatch: (batch) => batches.push(batch),
    clock,
  });
  /** Cut, and every message checked by the rules of the profiling group. */
  const cut = (): ProfilesData[] => {
    collector.cutBatch();
    return batches.splice(0).map(({ bytes }) => {
      const data = fromBinary(ProfilesDataSchema, bytes);
      expect(profcheck(data)).toEqual([]);
      return data;
    });
  };
  return { collector, losses, counters, batches, epochs, cut, write: (...events: Buffer[]) => written.push(...events) };
}

const samplesOf = (data: ProfilesData) =>
  data.resourceProfiles.flatMap(({ scopeProfiles }) => scopeProfiles.flatMap(({ profiles }) => profiles.flatMap(({ samples }) => samples)));
const eventsOf = (data: ProfilesData) => samplesOf(data).reduce((sum, { timestampsUnixNano }) => sum + timestampsUnixNano.length, 0);
const resourceOf = (data: ProfilesData) =>
  Object.fromEntries(data.resourceProfiles[0]!.resource!.attributes.map(({ key, value }) => [key, value!.value.value]));

describe('batches', () => {
  test('equal samples share an entry, each with its time; different threads, CPUs and names do not', () => {
    const { cut, write } = collect();
    write(stackEvent(1n, [0x10n, 0x20n]), ...[1, 2, 3].map(() => sampleEvent({ stackId: 1n })));
    write(sampleEvent({ stackId: 1n, tid: pid - 1 }), sampleEvent({ stackId: 1n, cpu: 1 }), sampleEvent({ stackId: 1n, comm: 'other' }));
    const [data] = cut();
    expect(samplesOf(data!).map(({ timestampsUnixNano }) => timestampsUnixNano.length)).toEqual([3, 1, 1, 1]);
    expect(resourceOf(data!)).toEqual({ 'host.name': 'here', 'process.pid': BigInt(pid) });
    const profile = data!.resourceProfiles[0]!.scopeProfiles[0]!.profiles[0]!;
    expect(profile.period).toBe(48_541_020n);
    expect(Math.abs(Number(profile.timeUnixNano / 1_000_000n) - Date.now())).toBeLessThan(10_000);
  });
  test('nothing sampled, nothing sent', () => {
    expect(collect().cut()).toEqual([]);
  });
  test('a stack of the epoch before may still be named, one of the epoch before that no more', () => {
    const { cut, write, losses, epochs } = collect();
    write(stackEvent(1n, [0x10n]), sampleEvent({ stackId: 1n }));
    expect(cut().map(eventsOf)).toEqual([1]);
    write(sampleEvent({ stackId: 1n }));
    expect(cut().map(eventsOf)).toEqual([1]);
    write(sampleEvent({ stackId: 1n }));
    const [data] = cut();
    expect([...losses.total]).toEqual([['stack_missing', 1]]);
    expect(samplesOf(data!)[0]!.values).toEqual([1n]);
    expect(epochs).toEqual([1, 2, 3, 4]);
  });
  test('a flood in one drain is split into messages of bounded size, each complete in itself', () => {
    const { cut, write, collector, losses, batches } = collect();
    const stacks = 2_000;
    for (let index = 0; index < stacks; index++) {
      const offsets = Array.from({ length: 127 }, (_, depth) => BigInt(index * 1_000 + depth * 7 + 1));
      write(stackEvent(BigInt(index + 1), offsets), sampleEvent({ stackId: BigInt(index + 1) }), sampleEvent({ stackId: 1n, cpu: index % 4 }));
    }
    collector.drain();
    expect(batches.length).toBeGreaterThan(0);
    // The last event may bring a stack of 127 new frames, and the rest of the message: times, resources.
    for (const { bytes } of batches) expect(bytes.length).toBeLessThan(batchBytesMax + 64 * 1024);
    expect(batches.reduce((sum, { samples }) => sum + samples, 0)).toBeLessThan(2 * stacks);
    const messages = cut();
    expect(messages.reduce((sum, message) => sum + eventsOf(message), 0)).toBe(2 * stacks);
    expect([...losses.total]).toEqual([]);
  });
  test('a step of the clock ends the batch: the range of a profile is of one clock', () => {
    let [bootNanos, anchorNanos] = [1_000_000_000n, 1_790_000_000_000_000_000n];
    const { cut, write, collector, batches } = collect({ bootNanos: () => bootNanos, anchorNanos: () => anchorNanos });
    const timesOf = (data: ProfilesData) => {
      const { timeUnixNano, durationNano } = data.resourceProfiles[0]!.scopeProfiles[0]!.profiles[0]!;
      return [timeUnixNano, durationNano, ...samplesOf(data).flatMap(({ timestampsUnixNano }) => timestampsUnixNano)];
    };
    write(stackEvent(1n, [0x10n]), sampleEvent({ stackId: 1n, timeNanos: 1_500_000_000n }));
    bootNanos = 2_000_000_000n;
    collector.drain();
    for (const step of [-3_600_000_000_000n, 7_200_000_000_000n]) {
      const before = anchorNanos;
      anchorNanos += step;
      write(sampleEvent({ stackId: 1n, timeNanos: 2_500_000_000n }));
      bootNanos = 3_000_000_000n;
      collector.drain();
      const [data] = batches.splice(0).map(({ bytes }) => fromBinary(ProfilesDataSchema, bytes));
      const [start, duration, time] = timesOf(data!);
      expect(time).toBe((step < 0n ? 1_500_000_000n : 2_500_000_000n) + before);
      expect(start! <= time! && time! < start! + duration!).toBe(true);
      expect(duration! <= 2_000_000_001n).toBe(true);
    }
    // A slew is none.
    anchorNanos += 1_000_000n;
    collector.drain();
    expect(batches).toEqual([]);
    expect(timesOf(cut()[0]!)[2]).toBe(2_500_000_000n + anchorNanos - 1_000_000n);
  });
  test('kernel threads are the service kernel, whatever their name', () => {
    const { cut, write } = collect();
    write(stackEvent(1n, []), sampleEvent({ stackId: 1n, flags: sampleFlags.flagKernelThread, comm: 'kworker/3:1' }));
    const [data] = cut();
    expect(resourceOf(data!)).toEqual({ 'host.name': 'here', 'process.pid': BigInt(pid), 'service.name': 'kernel' });
    expect(samplesOf(data!)[0]!.stackIndex).toBe(0);
  });
});

describe('losses', () => {
  test('of the kernel half are samples of type lost in the next batch, once', () => {
    const { cut, counters, losses } = collect();
    counters[counter.lossRingFull] = 7;
    counters[counter.lossScratchMissing] = 2;
    const [data] = cut();
    const { stringTable } = data!.dictionary!;
    const profile = data!.resourceProfiles[0]!.scopeProfiles[0]!.profiles[0]!;
    expect([stringTable[profile.sampleType!.typeStrindex], stringTable[profile.sampleType!.unitStrindex]]).toEqual(['lost', 'count']);
    expect(profile.samples.map(({ values }) => values)).toEqual([[7n], [2n]]);
    expect(resourceOf(data!)).toMatchObject({ 'host.name': 'here', 'service.name': 'flamelake-agent' });
    expect(cut()).toEqual([]);
    counters[counter.lossRingFull] = 8;
    expect(samplesOf(cut()[0]!).map(({ values }) => values)).toEqual([[1n]]);
    expect([...losses.total]).toEqual([
      ['ring_full', 8],
      ['scratch_missing', 2],
    ]);
  });
  test('that a lost batch reported are reported by the next', () => {
    const { cut, counters, losses, collector, batches } = collect();
    counters[counter.lossRingFull] = 7;
    collector.cutBatch();
    losses.reportAgain(batches.splice(0)[0]!.losses);
    expect(samplesOf(cut()[0]!).map(({ values }) => values)).toEqual([[7n]]);
    expect([...losses.total]).toEqual([['ring_full', 7]]);
  });
  test('samples whose stack found no room any more, until the next epoch', () => {
    const { cut, write, losses } = collect();
    // The largest that there are: 127 frames, and each its own.
    const offsets = Array.from({ length: 127 }, (_, depth) => BigInt(depth + 1));
    const count = Math.ceil(stackCacheBytesMax / (offsets.length * userFrameLayout.bytes));
    for (let index = 1; index <= count; index++) write(stackEvent(BigInt(index), offsets));
    write(sampleEvent({ stackId: 1n }), sampleEvent({ stackId: BigInt(count) }), sampleEvent({ stackId: BigInt(count + 1) }));
    const [data] = cut();
    expect(samplesOf(data!).map(({ values }) => values)).toEqual([[], [2n]]);
    expect([...losses.total]).toEqual([['stack_cache_full', 2]]);
    // Its room is free again when no sample can name them any more.
    expect(cut()).toEqual([]);
    write(stackEvent(1n, offsets), sampleEvent({ stackId: 1n }));
    expect(cut().map(eventsOf)).toEqual([1]);
  });
  test('events that are none are counted', () => {
    const { write, losses, collector } = collect();
    write(Buffer.alloc(2), Buffer.alloc(96, 9), sampleEvent({ stackId: 1n }).subarray(0, 50));
    collector.drain();
    expect([...losses.total]).toEqual([['event_malformed', 3]]);
  });
});

test('names of threads: bytes of their own choice become text', () => {
  expect(commText(Buffer.from('work\0rest and more'), 0)).toBe('work');
  expect(commText(Buffer.from('0123456789abcdefgh'), 0)).toBe('0123456789abcdef');
  expect(commText(Buffer.from([0xff, 0xfe, 0x41, 0]), 0)).toBe('\ufffd\ufffdA');
});

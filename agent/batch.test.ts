// Batches of random samples, seeded: each message keeps the rules of the profiling group, holds each
// sample once with its time inside the profile's range, and is no larger than was said while it grew.
import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { createLogger } from '../lib/logger.ts';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { createRandom, type Random } from '../test/otlp/random.ts';
import { profcheck } from '../test/profcheck/profcheck.ts';
import { Batch } from './batch.ts';
import { userFrameLayout, userFrameStatus } from './bpf/layout.gen.ts';
import { Kernel } from './kernel.ts';
import { type LossReason, lossReasons } from './losses.ts';
import { MappedFiles } from './mapped-files.ts';
import type { Process } from './processes.ts';
import { Processes } from './processes.ts';
import type { RawStack } from './raw-stacks.ts';

const runs = Number(process.env.FLAMELAKE_FUZZ_RUNS ?? 60);
const kernel = new Kernel(createLogger({ name: 'test', level: 'error', format: 'text', write: () => {} }));
const startNanos = 1_790_000_000_000_000_000n;

function randomProcess(random: Random): Process {
  const pid = 4_000_000_000 + random.below(1_000);
  const attributes = new Map<string, string | bigint>([['process.pid', BigInt(pid)]]);
  for (let count = random.below(6); count > 0; count--) attributes.set(`key.${random.below(9)}`, 'ü'.repeat(random.below(200)));
  const names = ['', '[vdso]', '/memfd:x', '[anon:v8]', '//anon'];
  const mappings = names.map((path, index) => ({
    start: BigInt(0x1000 * (2 * index + 1)),
    end: BigInt(0x1000 * (2 * index + 2)),
    fileOffset: 0n,
    device: '00:00',
    inode: 0n,
    path,
    deleted: false,
  }));
  const isAlive = random.below(2) === 0;
  return {
    pid,
    startNanos: 1n,
    image: 1n,
    isKernelThread: false,
    isAlive,
    attributes,
    mappings,
    hasAllMappings: random.below(2) === 0,
    readAtMillis: 0,
    mapsWaitMillis: 1e9,
    seenAtMillis: 0,
  };
}

function randomStack(random: Random): RawStack {
  const frames = random.below(40);
  const userFrames = Buffer.alloc(frames * userFrameLayout.bytes);
  const statuses = [...Object.values(userFrameStatus), 9];
  for (let at = 0; at < userFrames.length; at += userFrameLayout.bytes) {
    userFrames.writeInt32LE(statuses[random.below(statuses.length)]!, at);
    userFrames.fill(random.below(4), at + userFrameLayout.buildId, at + userFrameLayout.buildId + 20);
    const values = [0n, 2n ** 64n - 1n, BigInt(random.below(0xb000)), BigInt(random.below(2 ** 30)) * 4_294_967_291n];
    userFrames.writeBigUInt64LE(BigInt.asUintN(64, values[random.below(values.length)]!), at + userFrameLayout.offsetOrIp);
  }
  const kernelAddresses = Array.from({ length: random.below(10) }, () => 0xffff_ffff_8100_0000n + BigInt(random.below(2 ** 24)));
  return { cut: random.below(3) === 0 ? random.below(128) : 0, kernelAddresses, userFrames };
}

test('random batches are well-made, whole, and of the size that was said', () => {
  for (let run = 0; run < runs; run++) {
    const random = createRandom(run + 1);
    const sources = { kernel, files: new MappedFiles(), processes: new Processes() };
    const hostAttributes = new Map([['host.name', 'h'.repeat(random.below(50))]]);
    const batch = new Batch({ sources, hostAttributes, agentVersion: '1', periodNanos: 48_541_020, startNanos });
    const processes = Array.from({ length: 1 + random.below(8) }, () => randomProcess(random));
    const stacks = Array.from({ length: 1 + random.below(30) }, (_, index) => ({
      stackId: BigInt(index),
      stack: randomStack(random),
      process: processes[random.below(processes.length)]!,
    }));
    const count = random.below(300);
    for (let index = 0; index < count; index++) {
      const { process, ...stack } = stacks[random.below(stacks.length)]!;
      const [tid, cpu, threadName] = [1 + random.below(5), random.below(4), ['', 'main', '0 0 x', '\u0000\ufffd'][random.below(4)]!];
      // Some a little before the batch began: it was read when the anchor was another.
      batch.add({ ...stack, process, tid, threadName, cpu, timeNanos: startNanos - 1_000n + BigInt(random.below(1_000_000)) }, 0);
    }
    const losses = new Map<LossReason, number>(lossReasons.filter(() => random.below(4) === 0).map((reason) => [reason, 1 + random.below(1e9)]));
    const said = batch.bytes;
    const bytes = batch.finish(startNanos + 500_000n, losses);
    if (bytes === null) {
      expect(count + losses.size).toBe(0);
      continue;
    }
    // The report of losses, a scope's name and the units of three types come on top.
    expect(bytes.length, `run ${run}`).toBeLessThan(said + 2_048);
    expect(said).toBeLessThan(1.5 * bytes.length + 1_024);
    const data = fromBinary(ProfilesDataSchema, bytes);
    expect(profcheck(data), `run ${run}`).toEqual([]);
    const samples = data.resourceProfiles.flatMap(({ scopeProfiles }) =>
      scopeProfiles.flatMap(({ profiles }) => profiles.flatMap((profile) => profile.samples)),
    );
    expect(samples.filter(({ values }) => values.length === 0).reduce((sum, { timestampsUnixNano }) => sum + timestampsUnixNano.length, 0)).toBe(count);
    expect(samples.flatMap(({ values }) => values)).toEqual([...losses.values()].map(BigInt));
  }
});

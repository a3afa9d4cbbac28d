// Stacks of every kind of frame that profilers send: what our own agent and the
// opentelemetry-ebpf-profiler write, and what the protocol allows beyond that.
import type { Attributes, LineModel, LocationModel, MappingModel, Value } from './model.ts';
import type { Random } from './random.ts';

const frameType = (type: string): Attributes => new Map([['profile.frame.type', type]]);

const textStart = 0x1000n;

function mapping(random: Random, name: string, ids: Pick<MappingModel, 'gnu' | 'go' | 'htlhash'>): MappingModel {
  return { name, start: textStart, limit: textStart + BigInt(random.between(1, 4096)) * 0x1000n, offset: textStart, ...ids };
}

function addressIn(random: Random, { start, limit }: MappingModel): bigint {
  return start + (random.uint64() % (limit - start));
}

type FrameMaker = (random: Random) => LocationModel;

/** One maker for each kind; a pool calls each at least once. */
export const frameKinds: Readonly<Record<string, FrameMaker>> = {
  nativeGnu: (random) => {
    const file = mapping(random, random.pick(['libc.so.6', 'server', 'libssl.so.3']), { gnu: random.hex(40) });
    return { mapping: file, address: addressIn(random, file), lines: [], attributes: frameType('native') };
  },
  nativeAllIds: (random) => {
    const file = mapping(random, 'worker', { gnu: random.hex(40), go: `${random.hex(20)}/${random.hex(20)}`, htlhash: random.hex(32) });
    return { mapping: file, address: addressIn(random, file), lines: [], attributes: frameType('native') };
  },
  nativeHtlhash: (random) => {
    const file = mapping(random, 'musl-tool', { htlhash: random.hex(32) });
    return { mapping: file, address: addressIn(random, file), lines: [], attributes: frameType('native') };
  },
  goSymbolized: (random) => {
    const file = mapping(random, 'go-service', { go: `${random.hex(20)}/${random.hex(20)}/${random.hex(20)}` });
    const line: LineModel = {
      function: `example.com/pkg.(*Server).handle${random.below(50)}`,
      file: '/src/server.go',
      startLine: 10n,
      line: BigInt(random.between(1, 900)),
    };
    return { mapping: file, address: addressIn(random, file), lines: [line], attributes: frameType('go') };
  },
  inlined: (random) => {
    const file = mapping(random, 'inliner', { gnu: random.hex(40) });
    const number = random.below(1000);
    const lines: LineModel[] = [
      { function: `innermost_${number}`, systemName: `_ZN9innermost${number}Ev`, file: 'inner.cc', line: 7n, column: 3n },
      { function: `middle_${number}`, file: 'middle.h', line: 70n },
      { function: `caller_${number}`, systemName: `_Z6caller${number}v`, file: 'caller.cc', startLine: 600n, line: 611n, column: 80n },
    ];
    return { mapping: file, address: addressIn(random, file), lines, attributes: frameType('native') };
  },
  // As the opentelemetry-ebpf-profiler does it: the line once more in place of an address.
  interpreted: (random) => ({
    address: BigInt(random.between(1, 5000)),
    lines: [{ function: `handler_${random.below(1000)}`, file: '/app/views.py', line: BigInt(random.between(1, 5000)) }],
    attributes: frameType('cpython'),
  }),
  interpretedUnicode: (random) => ({
    address: 0n,
    lines: [{ function: `größe「${random.below(100)}」"quoted"\\back\nline`, file: '/приложение/файл.rb', line: 1n }],
    attributes: frameType('ruby'),
  }),
  kernel: (random) => ({
    mapping: { name: 'vmlinux', start: 0n, limit: 0n, offset: 0n },
    // Different at each boot.
    address: 0xffffffff81000000n + (random.uint64() % 0x1000000n),
    lines: [{ function: random.pick(['do_syscall_64', 'vfs_read', 'copy_page_to_iter', 'entry_SYSCALL_64_after_hwframe']) }],
    attributes: frameType('kernel'),
  }),
  kernelModule: (random) => {
    const file = mapping(random, 'ext4', { gnu: random.hex(40) });
    return {
      mapping: file,
      address: 0xffffffffc0000000n + (random.uint64() % 0x100000n),
      lines: [{ function: 'ext4_file_read_iter' }],
      attributes: frameType('kernel'),
    };
  },
  jit: (random) => ({
    mapping: { name: '[anon:v8]', start: 0n, limit: 0n, offset: 0n },
    address: random.uint64() >> 17n,
    lines: [{ function: `LazyCompile:~render_${random.below(1000)}`, file: 'app.js', line: 12n }],
    attributes: frameType('v8js'),
  }),
  anonymous: () => ({ mapping: { name: '[anon]', start: 0n, limit: 0n, offset: 0n }, address: 0n, lines: [], attributes: frameType('native') }),
  /** A pprof source: the address in the process, to be brought back to the file. */
  addressOfProcess: (random) => {
    const start = (random.uint64() >> 17n) & ~0xfffn;
    const file: MappingModel = { name: '/opt/app/bin/app', start, limit: start + 0x40000n, offset: 0x2000n, gnu: random.hex(40) };
    return { mapping: file, address: addressIn(random, file), lines: [], attributes: new Map<string, Value>() };
  },
  systemNameOnly: (random) => ({
    address: 0n,
    lines: [{ function: '', systemName: `_RNvC6${random.hex(6)}`, file: 'lib.rs', line: 2n }],
    attributes: new Map<string, Value>(),
  }),
  bare: (random) => ({ address: 0n, lines: [{ function: `bare_${random.below(1000)}` }], attributes: new Map<string, Value>() }),
  otherAttributes: (random) => ({
    address: 0n,
    lines: [{ function: `folded_${random.below(100)}` }],
    attributes: new Map<string, Value>([
      ['profile.frame.type', 'jvm'],
      ['pprof.location.is_folded', true],
    ]),
  }),
};

/** The frame that our agent puts at the root of a stack that it could not follow. */
export function cutLocation(reason: string): LocationModel {
  return { address: 0n, lines: [{ function: `[cut: ${reason}]` }], attributes: new Map([['flamelake.stack.cut', reason]]) };
}

/** A loss as our agent sends it. */
export function lostLocation(reason: string): LocationModel {
  return { address: 0n, lines: [{ function: `[lost: ${reason}]` }], attributes: new Map<string, Value>() };
}

/** Stacks of 1 to 12 frames and one of 300; each kind of frame is in at least one; leaf first. */
export function createStacks(random: Random, count: number): readonly (readonly LocationModel[])[] {
  const makers = Object.values(frameKinds);
  const locations = Array.from({ length: makers.length * 4 }, (_, index) => makers[index % makers.length]!(random));
  const stacks: LocationModel[][] = locations.slice(0, makers.length).map((location) => [location, random.pick(locations)]);
  while (stacks.length < count) {
    const stack = Array.from({ length: random.between(1, 12) }, () => random.pick(locations));
    stacks.push(random.chance(0.2) ? [...stack, cutLocation(random.pick(['depth', 'read_fault']))] : stack);
  }
  stacks.push(Array.from({ length: 300 }, () => random.pick(locations)));
  return stacks;
}

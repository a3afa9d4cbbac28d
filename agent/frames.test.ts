import { readFileSync } from 'node:fs';
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { fileOffsetToAddress } from '../lib/elf/elf.ts';
import { createLogger } from '../lib/logger.ts';
import { ProfilesDataSchema } from '../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { ProfilesWriter } from '../schemas/otlp/writer.ts';
import { stackCut, userFrameLayout, userFrameStatus } from './bpf/layout.gen.ts';
import { FrameWriter, unpadded } from './frames.ts';
import { Kernel } from './kernel.ts';
import { mappingRecheckMillis } from './limits.ts';
import { type MappedFile, MappedFiles } from './mapped-files.ts';
import type { ExecutableMapping } from './proc/maps.ts';
import { parseStat } from './proc/stat.ts';
import { type Process, Processes } from './processes.ts';

const kernel = new Kernel(createLogger({ name: 'test', level: 'error', format: 'text', write: () => {} }));
const files = new MappedFiles();
const processes = new Processes();
const stat = parseStat(readFileSync('/proc/self/stat', 'latin1'))!;
const self = processes.see({ pid: process.pid, startNanos: stat.startTicks * 10_000_000n, image: stat.image, isKernelThread: false }, 0);

/** A library of this very process that has a gnu build id. */
const [mapping, file] = findLibrary();
function findLibrary(): [ExecutableMapping, MappedFile] {
  for (const candidate of self.mappings) {
    const found = files.find(self.pid, candidate, 0);
    if (typeof found === 'object' && found.ids.gnu !== null && candidate.path.includes('.so')) return [candidate, found];
  }
  throw new Error('this process has no library with a build id');
}

interface Frame {
  readonly ip?: bigint;
  readonly buildId?: string;
  readonly offset?: bigint;
}

function userFrames(frames: readonly Frame[]): Uint8Array {
  const bytes = Buffer.alloc(frames.length * userFrameLayout.bytes);
  frames.forEach(({ ip, buildId, offset }, index) => {
    const at = index * userFrameLayout.bytes;
    bytes.writeInt32LE(ip === undefined ? userFrameStatus.frameBuildId : userFrameStatus.frameIp, at + userFrameLayout.status);
    if (buildId !== undefined) bytes.write(buildId, at + userFrameLayout.buildId, 'hex');
    bytes.writeBigUInt64LE(ip ?? offset!, at + userFrameLayout.offsetOrIp);
  });
  return bytes;
}

/** The stack as a reader of the message sees it: leaf first, `file address attribute=value… function`. */
function written(frames: readonly Frame[], options: { cut?: number; process?: Process; kernelAddresses?: bigint[] } = {}) {
  const writer = new ProfilesWriter('');
  const raw = { cut: options.cut ?? 0, kernelAddresses: options.kernelAddresses ?? [], userFrames: userFrames(frames) };
  const { index, cut } = new FrameWriter(writer, { kernel, files, processes }).stack(raw, options.process ?? self, 0);
  const { dictionary } = fromBinary(ProfilesDataSchema, writer.finish());
  const { stringTable, attributeTable, mappingTable, locationTable, functionTable, stackTable } = dictionary!;
  const attributes = (indices: readonly number[]) =>
    Object.fromEntries(indices.map((at) => [stringTable[attributeTable[at]!.keyStrindex]!, attributeTable[at]!.value!.value.value]));
  const locations = stackTable[index]!.locationIndices.map((at) => {
    const { mappingIndex, address, lines, attributeIndices } = locationTable[at]!;
    const { filenameStrindex, attributeIndices: ofMapping } = mappingTable[mappingIndex]!;
    return {
      file: stringTable[filenameStrindex]!,
      address,
      functions: lines.map((line) => stringTable[functionTable[line.functionIndex]!.nameStrindex]),
      ...attributes(ofMapping),
      ...attributes(attributeIndices),
    };
  });
  return { cut, locations };
}

const native = { 'profile.frame.type': 'native' };
const buildIds = { 'process.executable.build_id.gnu': file.ids.gnu, 'process.executable.build_id.htlhash': file.ids.htlhash };
const cutAt = (reason: string) => ({ file: '', address: 0n, functions: [`[cut: ${reason}]`], 'flamelake.stack.cut': reason });
const inFile = (offset: bigint) => ({ file: mapping.path, address: fileOffsetToAddress(file, Number(offset)), functions: [], ...buildIds, ...native });
const textOffset = mapping.fileOffset + 0x100n;

describe('user frames', () => {
  test('have addresses in the file; of callers, the byte before the return address', () => {
    const ip = mapping.start + 0x100n;
    const { cut, locations } = written([{ ip }, { ip: ip + 0x20n }, { buildId: file.ids.gnu!, offset: textOffset + 0x40n }]);
    expect(locations).toEqual([inFile(textOffset), inFile(textOffset + 0x1fn), inFile(textOffset + 0x3fn)]);
    expect(cut).toBeNull();
  });
  test('a leaf by build id is exact', () => {
    expect(written([{ buildId: file.ids.gnu!, offset: textOffset }]).locations).toEqual([inFile(textOffset)]);
  });
  test('a broken chain that leads out of all executable memory is cut there', () => {
    const stray: Frame[] = [
      { ip: 0x1000n },
      { ip: 0xdead_beef_dead_beefn },
      { buildId: file.ids.gnu!, offset: 2n ** 64n - 0x5000n },
      { buildId: file.ids.gnu!, offset: 0n },
    ];
    for (const frame of stray) {
      for (const cut of [stackCut.cutFramePointer, stackCut.cutUserDepth]) {
        const stack = written([{ buildId: file.ids.gnu!, offset: textOffset }, frame, { ip: mapping.start + 0x200n }], { cut });
        expect(stack.locations).toEqual([inFile(textOffset), cutAt('frame_pointer_missing')]);
        expect(stack.cut).toBe('frame_pointer_missing');
      }
    }
  });
  test('in a whole chain an unknown address is code that we do not know yet: kept, without address and build id', () => {
    const { cut, locations } = written([{ ip: mapping.start + 0x100n }, { ip: 0x1000n }, { ip: mapping.start + 0x201n }]);
    expect(locations).toEqual([inFile(textOffset), { file: '[unknown]', address: 0n, functions: [] }, inFile(mapping.fileOffset + 0x200n)]);
    expect(cut).toBeNull();
  });
  test('the 0 above a first function is no frame of its own', () => {
    const unknown = { file: '[unknown]', address: 0n, functions: [] };
    for (const end of [{ ip: 0n }, { buildId: file.ids.gnu!, offset: 2n ** 64n - 0x5000n }]) {
      expect(written([{ ip: mapping.start + 0x100n }, end])).toEqual({ cut: null, locations: [inFile(textOffset)] });
      // Anywhere else it is an address that nothing is known of.
      expect(written([{ ip: mapping.start + 0x100n }, end, { ip: mapping.start + 0x201n }]).locations[1]).toEqual(unknown);
      expect(written([end]).locations).toEqual([unknown]);
    }
  });
  test('memory without a file keeps its name, never an address', () => {
    const jit = (path: string): Process => ({
      ...self,
      mappings: [{ start: 0x1000n, end: 0x2000n, fileOffset: 0n, device: '00:00', inode: 0n, path, deleted: false }],
    });
    expect(written([{ ip: 0x1234n }], { process: jit('') }).locations).toEqual([{ file: '[anon]', address: 0n, functions: [] }]);
    expect(written([{ ip: 0x1234n }], { process: jit('[vdso]') }).locations).toEqual([{ file: '[vdso]', address: 0n, functions: [] }]);
  });
  test('of a process that is gone: by the file that another has, else by the build id alone', () => {
    const gone: Process = { ...self, isAlive: false, mappings: [] };
    const unknownId = 'ab'.repeat(20);
    const { locations } = written([{ buildId: file.ids.gnu!, offset: textOffset }, { buildId: unknownId, offset: 0x501n }, { ip: 0x1000n }], { process: gone });
    expect(locations).toEqual([
      inFile(textOffset),
      { file: '', address: 0x500n, functions: [], 'process.executable.build_id.gnu': unknownId, 'flamelake.address.kind': 'file_offset', ...native },
      { file: '[unknown]', address: 0n, functions: [] },
    ]);
  });
  test.each([
    [stackCut.cutUserUnreadable, 'user_stack_unreadable'],
    [stackCut.cutUserDepth | stackCut.cutFramePointer, 'user_stack_too_deep'],
    [stackCut.cutFramePointer, 'frame_pointer_missing'],
    [stackCut.cutKernelUnreadable, 'kernel_stack_unreadable'],
    [stackCut.cutKernelDepth, 'kernel_stack_too_deep'],
  ])('a cut of %i says %s at its root', (cut, reason) => {
    const stack = written([{ ip: mapping.start + 0x100n }], { cut });
    expect(stack).toEqual({ cut: reason, locations: [inFile(textOffset), cutAt(reason)] });
  });
  test('an empty stack is the empty one', () => {
    expect(written([])).toEqual({ cut: null, locations: [] });
  });
});

test('what is not known yet is looked for again as soon as the maps may be read again, within a batch too', () => {
  const fresh = new Processes();
  const identity = { pid: process.pid, startNanos: stat.startTicks * 10_000_000n, image: stat.image, isKernelThread: false };
  for (const [frame, files] of [
    [{ ip: mapping.start + 0x100n }, new MappedFiles()],
    [{ buildId: file.ids.gnu!, offset: textOffset }, new MappedFiles()],
  ] as const) {
    const young = { ...fresh.see(identity, 0), mappings: [], readAtMillis: 0, mapsWaitMillis: 200 };
    const frames = new FrameWriter(new ProfilesWriter(''), { kernel, files, processes: fresh });
    const raw = { cut: 0, kernelAddresses: [], userFrames: userFrames([frame]) };
    const first = frames.stack(raw, young, 50);
    expect(first.validUntilMillis).toBe(200);
    const second = frames.stack(raw, young, 201);
    expect(second.index).not.toBe(first.index);
    expect(second.validUntilMillis).toBeGreaterThanOrEqual(201 + mappingRecheckMillis);
    expect(young.mappings.length).toBeGreaterThan(0);
  }
});

test.each([20, 16, 8, 11, 4])('a build id of %i bytes, padded by the kernel, is itself again', (bytes) => {
  const id = 'a1b2c3d4e5'.repeat(4).slice(0, 2 * bytes);
  expect(unpadded(id.padEnd(40, '0'))).toBe(id);
  // Ids end in a zero byte now and then.
  if (bytes % 4 === 0 && bytes > 4) expect(unpadded(`${id.slice(0, -2)}00`.padEnd(40, '0'))).toBe(`${id.slice(0, -2)}00`);
});

describe.skipIf(!kernel.hasNames)('kernel frames', () => {
  test('stand above the user frames, named, relative to their image', () => {
    const symbol = (name: string) => BigInt(`0x${new RegExp(`^([0-9a-f]{16}) T ${name}$`, 'm').exec(readFileSync('/proc/kallsyms', 'latin1'))![1]}`);
    const [text, read] = [symbol('_text'), symbol('vfs_read')];
    const { locations } = written([{ ip: mapping.start + 0x100n }], { kernelAddresses: [read, read + 0x10n, 0xffff_8000_0000_1000n] });
    const kernelType = { 'profile.frame.type': 'kernel' };
    expect(locations).toMatchObject([
      { file: 'vmlinux', address: read - text, functions: ['vfs_read'], ...kernelType },
      { file: 'vmlinux', address: read - text + 0xfn, functions: ['vfs_read'], ...kernelType },
      { file: '[kernel]', address: 0n, functions: [], ...kernelType },
      inFile(textOffset),
    ]);
  });
});

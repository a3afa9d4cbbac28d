// What others write and the agent reads: /proc, events of the ring, answers of endpoints. Whatever the
// bytes say, the parsers answer within their bounds, and no property of one process leaks into another.
import { expect, test } from 'vitest';
import { isPipelineError } from '../lib/errors.ts';
import { below, seeded } from '../schemas/otlp/testing-data.ts';
import { mutateBytes } from '../test/fuzz/mutate.ts';
import { stackEventLayout } from './bpf/layout.gen.ts';
import { drainRing } from './bpf/ring.ts';
import { parseBuildIdNote } from './kernel.ts';
import { locateKernel, parseKernelSymbols, parseModules } from './kernel-symbols.ts';
import { attributeValueCharactersMax, executableMappingsMax, pathCharactersMax, resourceAttributesMax } from './limits.ts';
import { parseContainerId } from './proc/cgroup.ts';
import { parseEnviron } from './proc/environ.ts';
import { mappingAt, parseMaps } from './proc/maps.ts';
import { parseStat } from './proc/stat.ts';
import { parseStackEvent } from './raw-stacks.ts';
import { parseRetryAfter } from './send/http.ts';
import { readAnswer, readRetryDelay } from './send/transport.ts';

const runs = Number(process.env.FLAMELAKE_FUZZ_RUNS ?? 5_000);

function fuzz(seed: number, originals: readonly Buffer[], check: (bytes: Buffer, random: (below: number) => number) => void): void {
  const next = seeded(seed);
  const random = (most: number): number => below(next, most);
  for (let run = 0; run < runs; run++) {
    const bytes = mutateBytes(originals[run % originals.length]!, next);
    try {
      check(bytes, random);
    } catch (error) {
      throw new Error(`run ${run} of seed ${seed}: ${JSON.stringify(bytes.toString('latin1').slice(0, 2000))}`, { cause: error });
    }
  }
}

const containerId = '0123456789abcdef'.repeat(4);

test('maps', () => {
  const text = Buffer.from(
    [
      '55d0c0a00000-55d0c0a28000 r--p 00000000 fd:00 1234                       /usr/bin/node',
      '55d0c0a28000-55d0c0b00000 r-xp 00028000 fd:00 1234                       /usr/bin/node',
      '7f0000000000-7f0000001000 rwxp 00000000 00:00 0 ',
      '7f0000002000-7f0000003000 r-xp 00000000 00:05 99                         /memfd:a b (deleted)',
      '7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                          [vdso]',
    ].join('\n'),
  );
  let parsed = 0;
  fuzz(1, [text, Buffer.alloc(0), Buffer.concat(Array.from({ length: 20 }, () => text))], (bytes) => {
    const mappings = parseMaps(bytes);
    expect(mappings.length).toBeLessThanOrEqual(executableMappingsMax);
    for (const { start, end, path } of mappings) {
      if (!(start < end)) throw new Error('an empty mapping');
      if (path.length > pathCharactersMax) throw new Error('a path beyond the cap');
      const found = mappingAt(mappings, start);
      if (found !== null && !(found.start <= start && start < found.end)) throw new Error('a mapping that does not hold the address');
    }
    parsed += mappings.length;
  });
  expect(parsed).toBeGreaterThan(runs);
});

test('environ', () => {
  const environ = Buffer.from('PATH=/bin\0SECRET=hunter2\0OTEL_SERVICE_NAME=shop\0OTEL_RESOURCE_ATTRIBUTES=a=b,service.version=1%202\0HOME=/\0');
  fuzz(2, [environ, Buffer.from('OTEL_RESOURCE_ATTRIBUTES='.repeat(50)), Buffer.alloc(5000, 'OTEL_SERVICE_NAME=')], (bytes) => {
    const attributes = parseEnviron(bytes);
    expect(attributes.size).toBeLessThanOrEqual(resourceAttributesMax + 1);
    for (const [key, value] of attributes) {
      if (key === '' || key.length > attributeValueCharactersMax || value.length > attributeValueCharactersMax) throw new Error(`${key}: ${value.length}`);
    }
    const others = bytes
      .toString('latin1')
      .split('\0')
      .filter((variable) => !/^OTEL_(SERVICE_NAME|RESOURCE_ATTRIBUTES)=/.test(variable));
    expect(parseEnviron(Buffer.from(others.join('\0'), 'latin1')).size).toBe(0);
  });
});

test('cgroup and stat', () => {
  const cgroup = Buffer.from(`12:memory:/docker/${containerId}\n1:name=systemd:/kubepods/pod1/${containerId}\n0::/system.slice/docker-${containerId}.scope\n`);
  fuzz(3, [cgroup], (bytes) => {
    const id = parseContainerId(bytes.toString('utf8'));
    if (id !== null) expect(id).toMatch(/^[0-9a-f]{64}$/);
  });
  const stat = Buffer.from(`42 (a) (b)) S 1 ${Array.from({ length: 48 }, (_, index) => index).join(' ')}`);
  fuzz(4, [stat], (bytes) => {
    const found = parseStat(bytes.toString('latin1'));
    if (found !== null && (found.startTicks < 0n || found.image < 0n || found.image >= 2n ** 64n)) throw new Error(JSON.stringify(bytes.toString('latin1')));
  });
});

test('kernel symbols', () => {
  const kallsyms = Buffer.from(
    'ffffffff81000000 T _text\nffffffff81000100 t read\nffffffff81000200 T _etext\nffffffffc0000000 t open\t[fs]\nffffffffc0000800 d data\t[fs]\nffffffffc0001000 t bpf_prog\t[bpf]\n',
  );
  const modules = parseModules('fs 16384 1 - Live 0xffffffffc0000000 (O)\n');
  let named = 0;
  fuzz(5, [kallsyms], (bytes, random) => {
    const cut = random(bytes.length + 1);
    let symbols: ReturnType<typeof parseKernelSymbols>;
    try {
      symbols = parseKernelSymbols([bytes.subarray(0, cut), bytes.subarray(cut)], modules);
    } catch (error) {
      if (isPipelineError(error, 'bpf_layout')) return;
      throw error;
    }
    if (symbols === null) return;
    for (let index = 1; index < symbols.addresses.length; index++)
      if (!(symbols.addresses[index - 1]! < symbols.addresses[index]!)) throw new Error('symbols out of order');
    const found = locateKernel(symbols, 0xffffffff81000180n);
    if (found !== null && (found.offset < 0n || found.module.end - found.module.start <= found.offset)) throw new Error('beyond its module');
    if (found?.function === 'read') named++;
  });
  expect(named).toBeGreaterThan(runs / 4);
  fuzz(6, [Buffer.from('fs 16384 1 - Live 0xffffffffc0000000 (O)\n')], (bytes) => {
    for (const { start, end } of parseModules(bytes.toString('latin1'))) if (end < start) throw new Error('a module that ends before it starts');
  });
  const note = Buffer.from([4, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 0x47, 0x4e, 0x55, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
  fuzz(7, [note, Buffer.concat([note, note])], (bytes) => {
    expect(parseBuildIdNote(bytes)).toMatch(/^([0-9a-f]{2})*$/);
  });
});

test('stack events and the ring they come in', () => {
  const event = Buffer.alloc(stackEventLayout.bytes + 8 * 3 + 32 * 2, 1);
  event.writeUInt16LE(3, stackEventLayout.kernelFrames);
  event.writeUInt16LE(2, stackEventLayout.userFrames);
  fuzz(8, [event], (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const parsed = parseStackEvent(view, bytes, 0, bytes.length);
    if (parsed !== null && 8 * parsed.stack.kernelAddresses.length + parsed.stack.userFrames.length > bytes.length) throw new Error('more than was there');
  });
  fuzz(9, [Buffer.alloc(512, Buffer.from([24, 0, 0, 0, 0, 0, 0, 0]))], (bytes) => {
    const ringBytes = 256;
    const data = new ArrayBuffer(2 * ringBytes);
    new Uint8Array(data).set(bytes.subarray(0, 2 * ringBytes));
    const memory = { consumer: new BigUint64Array(1), producer: new BigUint64Array([256n]), data, dataOffset: 0, ringBytes };
    try {
      drainRing(memory, (_, view, at, length) => {
        if (at + length > view.byteLength) throw new Error('an event beyond the memory');
      });
    } catch (error) {
      if (!isPipelineError(error, 'bpf_layout')) throw error;
    }
  });
});

test('answers of endpoints', () => {
  const answer = Buffer.from([0x0a, 9, 0x08, 3, 0x12, 5, 0x77, 0x68, 0x79, 0x0a, 0x21]);
  const type = Buffer.from('type.googleapis.com/google.rpc.RetryInfo');
  const detail = Buffer.concat([Buffer.from([0x0a, type.length]), type, Buffer.from([0x12, 4, 0x0a, 2, 0x08, 7])]);
  const status = Buffer.concat([Buffer.from([8, 14, 0x1a, detail.length]), detail]);
  expect(readRetryDelay(status)).toBe(7000);
  fuzz(10, [answer, status], (bytes) => {
    const result = readAnswer(bytes);
    if (result.kind !== 'accepted' || !(result.rejected >= 0) || result.message.length > 300) throw new Error(JSON.stringify(result));
    const delay = readRetryDelay(bytes);
    if (delay !== null && !(delay >= 0)) throw new Error(`a delay of ${delay}`);
  });
  fuzz(11, [Buffer.from('120'), Buffer.from('Thu, 01 Jan 1970 00:01:00 GMT')], (bytes) => {
    const delay = parseRetryAfter(bytes.toString('latin1'), 0);
    if (delay !== null && !(delay >= 0)) throw new Error(`a delay of ${delay}`);
  });
});

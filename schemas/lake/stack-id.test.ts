// Frozen: these ids stand in lakes. The expected values were computed by hand from the grammar (Python:
// hashlib over struct-packed fields), not by this code. A test that fails here means a new version.
import { describe, expect, test } from 'vitest';
import { ByteSink } from '../../lib/byte-sink.ts';
import { endPart } from './part.ts';
import { identifyFileFrame, identifyLine, identifyName, identifyNamedFrame, identityVersion, servicePart, stackPart } from './stack-id.ts';

const stackOf = (fill: (sink: ByteSink) => void, cut = ''): string => {
  const sink = new ByteSink(8);
  fill(sink);
  return stackPart(sink, cut);
};
const file = (sink: ByteSink, buildId: string, address: bigint, names: readonly string[]) => {
  const begin = identifyFileFrame(sink, buildId, Number(address & 0xffffffffn), Number(address >> 32n), names.length);
  for (const name of names) identifyName(sink, name);
  endPart(sink, begin);
};
const named = (sink: ByteSink, type: string, mapping: string, lines: readonly (readonly [string, string, bigint])[]) => {
  const begin = identifyNamedFrame(sink, type, mapping, lines.length);
  for (const [name, path, line] of lines) identifyLine(sink, name, path, line);
  endPart(sink, begin);
};

test('version 1', () => expect(identityVersion).toBe(1));

test.each([
  ['', 'unknown_service', 'a1701ab2'],
  ['shops', 'cart', '7e128d61'],
  ['', '', 'af5570f5'],
  ['größe', '日本', '1250cd01'],
])('service %j %j', (namespace, name, expected) => {
  expect(servicePart(namespace, name)).toBe(expected);
});

test.each<[string, string, (sink: ByteSink) => void, string]>([
  ['an empty stack', '', () => {}, 'af5570f5a1810b7af78caf4b'],
  ['an empty stack that is cut', 'read_fault', () => {}, 'd89d5d4558eadfeb21e31233'],
  ['a native frame', '', (sink) => file(sink, '0011aabb', 0x1234n, []), '2bbd129d0165be478892320f'],
  ['the highest address', '', (sink) => file(sink, 'go/id', 0xffffffff81000000n, ['do_syscall_64']), '54aa3fb0f4c2882c53c5c271'],
  ['inlined names', '', (sink) => file(sink, '0011aabb', 0x1234n, ['inner', 'outer']), '835a262ce630f027858ec62a'],
  ['interpreted', '', (sink) => named(sink, 'cpython', '', [['größe', '/app/a.py', 12n]]), '11d84c401d72b0f3569f5b24'],
  ['without anything', '', (sink) => named(sink, 'native', '[anon]', []), '1912085c55181d4eaf692c75'],
  [
    'mixed and cut',
    'depth',
    (sink) => {
      named(sink, 'kernel', 'vmlinux', [['vfs_read', '', 0n]]);
      file(sink, '0011aabb', 0x1234n, []);
      named(sink, 'v8js', '[anon:v8]', [['render', 'app.js', -1n]]);
    },
    'c8283d907809b034b4fda094',
  ],
  ['a name of 1000 bytes, hashed', '', (sink) => named(sink, 'jvm', '', [['x'.repeat(1000), '', 0n]]), '214a4d5324c0d3e4299d023a'],
])('%s', (_, cut, fill, expected) => {
  expect(stackOf(fill, cut)).toBe(expected);
});

describe('other content is another id', () => {
  const base = stackOf((sink) => file(sink, 'ab', 1n, ['f']));
  test.each<[string, (sink: ByteSink) => void, string]>([
    ['build id', (sink) => file(sink, 'ac', 1n, ['f']), ''],
    ['address', (sink) => file(sink, 'ab', 2n, ['f']), ''],
    ['name', (sink) => file(sink, 'ab', 1n, ['g']), ''],
    ['no name', (sink) => file(sink, 'ab', 1n, []), ''],
    [
      'one more frame',
      (sink) => {
        file(sink, 'ab', 1n, ['f']);
        file(sink, 'ab', 1n, ['f']);
      },
      '',
    ],
    ['cut', (sink) => file(sink, 'ab', 1n, ['f']), 'depth'],
    ['no build id', (sink) => named(sink, 'ab', '', [['f', '', 1n]]), ''],
  ])('%s', (_, fill, cut) => {
    expect(stackOf(fill, cut)).not.toBe(base);
  });

  test('fields never run into each other', () => {
    expect(servicePart('a', 'bc')).not.toBe(servicePart('ab', 'c'));
    expect(stackOf((sink) => named(sink, 'ab', 'c', []))).not.toBe(stackOf((sink) => named(sink, 'a', 'bc', [])));
    const long = 'y'.repeat(300);
    expect(stackOf((sink) => named(sink, long, 'z', []))).not.toBe(stackOf((sink) => named(sink, `${long}z`, '', [])));
  });
});

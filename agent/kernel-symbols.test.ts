import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createLogger } from '../lib/logger.ts';
import { Kernel, parseBuildIdNote } from './kernel.ts';
import { locateKernel, parseKernelSymbols, parseModules } from './kernel-symbols.ts';
import { kallsymsRereadMillis } from './limits.ts';

const image = [
  'ffffffff81000000 T _text',
  'ffffffff81000000 T first',
  'ffffffff81000100 t second',
  'ffffffff81000200 D data_not_text',
  'ffffffff81000300 W third',
  'ffffffff81001000 T _etext',
  'ffffffff82000000 T freed_after_boot',
];
const modules = [
  'ffffffffc0000010 t probe\t[fs]',
  'ffffffffc0000000 T open\t[fs]',
  'ffffffffc0100000 t bpf_prog_1\t[bpf]',
  'ffffffffc0005000 t of_unknown\t[gone]',
];
const moduleText = 'fs 16384 1 - Live 0xffffffffc0000000 (O)\nother 4096 0 - Live 0x0000000000000000\nbroken\n';

const symbols = (lines: readonly string[], chunkBytes = 7) => {
  const bytes = Buffer.from(`${lines.join('\n')}\n`);
  const chunks = Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, index) => bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes));
  return parseKernelSymbols(chunks, parseModules(moduleText));
};

describe('kernel symbols', () => {
  const parsed = symbols([...image, ...modules])!;
  const at = (address: bigint) => {
    const found = locateKernel(parsed, address);
    return found && [found.module.name, found.offset, found.function];
  };

  test('inside the image', () => {
    expect(at(0xffffffff81000000n)).toEqual(['vmlinux', 0n, '_text']);
    expect(at(0xffffffff810001ffn)).toEqual(['vmlinux', 0x1ffn, 'second']);
    expect(at(0xffffffff81000fffn)).toEqual(['vmlinux', 0xfffn, 'third']);
  });
  test('inside a module, whatever the order of lines', () => {
    expect(at(0xffffffffc000000fn)).toEqual(['fs', 0xfn, 'open']);
    expect(at(0xffffffffc0003fffn)).toEqual(['fs', 0x3fffn, 'probe']);
  });
  test('nothing is named beyond its own part of the kernel', () => {
    for (const address of [
      0xffffffff80ffffffn,
      0xffffffff81001000n,
      0xffffffff82000000n,
      0xffffffffc0004000n,
      0xffffffffc0005000n,
      0xffffffffc0100000n,
      0n,
      0xffffffffffffffffn,
    ])
      expect(at(address)).toBeNull();
  });
  test('sizes of modules count data elsewhere, so their ranges overlap, and BPF programs lie between', () => {
    const lines = [
      ...image,
      'ffffffffc0200000 t a_first\t[a]',
      'ffffffffc0200800 d a_data\t[a]',
      'ffffffffc0201000 t bpf_prog_6deef7357e7b4530_sd_fw\t[bpf]',
      'ffffffffc0202000 t b_first\t[b]',
      'ffffffffc0202000 t b_alias\t[b]',
      'ffffffffc0202000 r b_note\t[b]',
      'ffffffffc0203000 t of_one_that_went\t[c]',
    ];
    // As from Linux 6.4 on: the start of the text, and the size of text, data and all.
    const overlapping = parseModules('a 65536 0 - Live 0xffffffffc0200000\nb 65536 0 - Live 0xffffffffc0202000\n');
    const parsed = parseKernelSymbols([Buffer.from(`${lines.join('\n')}\n`)], overlapping)!;
    const at = (address: bigint) => {
      const found = locateKernel(parsed, address);
      return found && [found.module.name, found.offset, found.function];
    };
    expect(at(0xffffffffc0200010n)).toEqual(['a', 0x10n, 'a_first']);
    expect(at(0xffffffffc0200810n)).toBeNull();
    expect(at(0xffffffffc0201010n)).toBeNull();
    expect(at(0xffffffffc0202010n)).toEqual(['b', 0x10n, 'b_first']);
    expect(at(0xffffffffc0203010n)).toBeNull();
  });
  test('hidden addresses give no names', () => {
    expect(symbols(image.map((line) => line.replace(/^\w+/, '0'.repeat(16))))).toBeNull();
    expect(symbols([])).toBeNull();
  });
  test('what is no line is left out', () => {
    const broken = ['', 'x', 'ffffffff81000400', 'ffffffff81000400 T', 'zzzz T name', '1234567890abcdef01 T name', '0000000000001000 A percpu'];
    expect(symbols([...broken, ...image, ...broken])!.addresses).toEqual(symbols(image)!.addresses);
    expect(() => symbols([...image, `ffffffff81000400 T ${'x'.repeat(2000)}`])).toThrow(/expected names of at most 512/);
  });
});

test('a build id among other notes, and none in what is cut', () => {
  const note = (name: string, type: number, description: Buffer) => {
    const head = Buffer.alloc(12);
    head.writeUInt32LE(name.length + 1, 0);
    head.writeUInt32LE(description.length, 4);
    head.writeUInt32LE(type, 8);
    const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
    return Buffer.concat([head, padded(Buffer.from(`${name}\0`)), padded(description)]);
  };
  const id = Buffer.from('0123456789abcdef', 'hex');
  expect(parseBuildIdNote(Buffer.concat([note('Linux', 0x100, Buffer.from('abc')), note('GNU', 3, id)]))).toBe('0123456789abcdef');
  expect(parseBuildIdNote(note('GNU', 3, id).subarray(0, 20))).toBe('');
  expect(parseBuildIdNote(Buffer.alloc(64, 0xff))).toBe('');
});

test('modules that come or go: their frames have no names until the symbols are read again, the kernel itself keeps its', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-kernel-'));
  try {
    const files = { kallsyms: join(folder, 'kallsyms'), modules: join(folder, 'modules') };
    const write = (module: string, users: string) => {
      const lines = [...image, `ffffffffc0000000 T ${module}_open\t[${module}]`];
      writeFileSync(files.kallsyms, `${lines.join('\n')}\n`);
      writeFileSync(files.modules, `${module} 16384 ${users} Live 0xffffffffc0000000 (O)\n`);
    };
    write('fs', '1 other,');
    const logger = createLogger({ name: 'test', level: 'error', format: 'text', write: () => {} });
    const kernel = new Kernel(logger, files);
    const names = () => [0xffffffffc0000001n, 0xffffffff81000101n].map((address) => kernel.locate(address)?.function ?? null);
    const now = performance.now();
    expect(kernel.hasChanged()).toBe(false);
    expect(names()).toEqual(['fs_open', 'second']);
    // Who uses it says nothing about where it lies.
    write('fs', '2 other,another,');
    expect(kernel.hasChanged()).toBe(false);
    write('net', '0 -');
    expect(kernel.hasChanged()).toBe(true);
    expect(kernel.hasChanged()).toBe(false);
    expect(names()).toEqual([null, 'second']);
    kernel.refresh(now);
    expect(names()).toEqual([null, 'second']);
    kernel.refresh(now + 2 * kallsymsRereadMillis);
    expect(names()).toEqual(['net_open', 'second']);
    expect(kernel.hasChanged()).toBe(false);
    write('other', '0 -');
    expect(kernel.hasChanged()).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('symbols that can not be read are said once, and no reason to end', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flamelake-kernel-'));
  try {
    const files = { kallsyms: join(folder, 'kallsyms'), modules: join(folder, 'none') };
    for (const [lines, expected] of [
      [image.map((line) => line.replace(/^\w+/, '0'.repeat(16))), /are hidden in .*CAP_SYSLOG/],
      [[...image, `ffffffff81000400 T ${'x'.repeat(300_000)}`], /without names: .* at most 512/],
    ] as const) {
      writeFileSync(files.kallsyms, `${lines.join('\n')}\n`);
      const written: string[] = [];
      const kernel = new Kernel(createLogger({ name: 'test', level: 'warn', format: 'text', write: (line) => written.push(line) }), files);
      expect(kernel.hasNames).toBe(false);
      expect(kernel.locate(0xffffffff81000101n)).toBeNull();
      expect(written).toHaveLength(1);
      expect(written[0]).toMatch(expected);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe.skipIf(process.getuid?.() !== 0)('the running kernel', () => {
  test('a symbol of /proc/kallsyms is found under its own name', () => {
    const kernel = new Kernel(createLogger({ name: 'test', level: 'error', format: 'text', write: () => {} }));
    const line = /^([0-9a-f]{16}) [Tt] (vfs_read)$/m.exec(readFileSync('/proc/kallsyms', 'latin1'))!;
    const found = kernel.locate(BigInt(`0x${line[1]}`) + 1n)!;
    expect(found).toMatchObject({ function: 'vfs_read', module: { name: 'vmlinux' } });
    expect(kernel.buildId(found.module)).toMatch(/^([0-9a-f]{40})?$/);
    expect(kernel.locate(1n)).toBeNull();
    kernel.refresh(performance.now() + 1e9);
    expect(kernel.locate(BigInt(`0x${line[1]}`) + 1n)).toMatchObject({ function: 'vfs_read' });
  });
});

import { describe, expect, test } from 'vitest';
import { isPipelineError } from './errors.ts';
import * as wire from './wire.ts';

function opened(...bytes: number[]): void {
  wire.openWire(Uint8Array.from(bytes));
}

function refused(read: () => void, offset: number): void {
  try {
    read();
  } catch (error) {
    if (!isPipelineError(error, 'message_malformed')) throw error;
    expect(error.context.offset).toBe(offset);
    return;
  }
  throw new Error('was not refused');
}

/** Independent of the code under test: bigint arithmetic. */
function varint(value: bigint): number[] {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 127n) {
    out.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return [...out, Number(rest)];
}

const edges = Array.from({ length: 64 }, (_, bit) => [1n << BigInt(bit), (1n << BigInt(bit)) - 1n]).flat();

describe('varints', () => {
  test.each([...edges, -1n, -(2n ** 63n), 2n ** 64n - 1n, 0x0123456789abcdefn])('%d', (value) => {
    opened(...varint(value));
    wire.readVarint64();
    expect(wire.lastUint64()).toBe(BigInt.asUintN(64, value));
    expect(wire.lastInt64()).toBe(BigInt.asIntN(64, value));
    expect(wire.more()).toBe(false);
    opened(...varint(value));
    expect(wire.readUint32()).toBe(Number(BigInt.asUintN(32, value)));
    expect(wire.more()).toBe(false);
    opened(...varint(value));
    expect(wire.readInt32()).toBe(Number(BigInt.asIntN(32, value)));
  });

  test('padded with zero bits up to ten bytes is read, eleven bytes or more than 64 bits are refused', () => {
    opened(0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00);
    expect(wire.readUint32()).toBe(1);
    opened(...Array(10).fill(0x80), 0x00);
    refused(() => wire.readVarint64(), 0);
    opened(...Array(9).fill(0xff), 0x02);
    refused(() => wire.readVarint64(), 0);
    opened(...Array(9).fill(0xff), 0x02);
    refused(() => wire.readUint32(), 0);
  });

  test('cut at every byte is refused', () => {
    const whole = varint(-1n);
    for (let length = 0; length < whole.length; length++) {
      opened(...whole.slice(0, length));
      refused(() => wire.readUint32(), 0);
    }
  });

  test('does not read over the end of the innermost range', () => {
    opened(0x0a, 0x01, 0x80, 0x01);
    wire.readTag();
    wire.enter();
    refused(() => wire.readUint32(), 2);
  });
});

describe('tags', () => {
  test('of one and more bytes', () => {
    opened(0x12, ...varint(((2n ** 29n - 1n) << 3n) | 5n));
    expect(wire.readTag()).toBe(18);
    expect(wire.readTag()).toBe(0xfffffffd);
  });

  test('field 0 and field numbers above 2^29 - 1 are refused', () => {
    opened(0x02);
    refused(() => wire.readTag(), 0);
    opened(0x82, 0x00);
    refused(() => wire.readTag(), 0);
    opened(...varint((2n ** 32n) | 10n));
    refused(() => wire.readTag(), 0);
    opened();
    refused(() => wire.readTag(), 0);
  });
});

describe('lengths', () => {
  test('may fill the range and not pass it', () => {
    opened(0x02, 1, 2);
    expect(wire.readBytes()).toBe(1);
    expect(wire.position()).toBe(3);
    opened(0x03, 1, 2);
    refused(() => wire.readBytes(), 0);
  });

  test('of 2^32 and above are not cut to their low bits', () => {
    opened(...varint(2n ** 32n), 1, 2);
    refused(() => wire.readLength(), 0);
    opened(...varint(-1n), 1, 2);
    refused(() => wire.readLength(), 0);
  });

  test('ranges nest', () => {
    opened(0x04, 0x01, 7, 8, 9, 10);
    const outer = wire.enter();
    const inner = wire.enter();
    expect(wire.readUint32()).toBe(7);
    expect(wire.more()).toBe(false);
    wire.leave(inner);
    refused(() => wire.leave(outer), 3);
    wire.skip(0);
    wire.skip(0);
    wire.leave(outer);
    expect(wire.readUint32()).toBe(10);
    wire.enterSpan(3, 2);
    expect(wire.readUint32()).toBe(8);
    refused(() => wire.enterSpan(5, 2), 5);
  });
});

test('fixed64', () => {
  opened(0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0xf1, 0x00);
  wire.readFixed64();
  expect(wire.lastUint64()).toBe(0xf123456789abcdefn);
  expect(wire.lastInt64()).toBe(BigInt.asIntN(64, 0xf123456789abcdefn));
  refused(() => wire.readFixed64(), 8);
});

test('skip passes each wire type and refuses groups and what is unknown', () => {
  for (const [type, ...value] of [
    [0, 0x80, 0x01],
    [1, 1, 2, 3, 4, 5, 6, 7, 8],
    [2, 2, 9, 9],
    [5, 1, 2, 3, 4],
  ] as const) {
    opened(...value);
    wire.skip((1 << 3) | type);
    expect(wire.more()).toBe(false);
    opened(...value.slice(0, -1));
    expect(() => wire.skip((1 << 3) | type)).toThrow(/protobuf message, byte 0/);
  }
  for (const type of [3, 4, 6, 7]) {
    opened(1, 2, 3);
    refused(() => wire.skip((1 << 3) | type), 0);
  }
});

test('text is UTF-8', () => {
  const text = new TextEncoder().encode('perf ≥ 🔥');
  opened(text.length, ...text);
  expect(wire.readText()).toBe(1);
  for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0x41, 0xe2, 0x82], [0xf4, 0x90, 0x80, 0x80]]) {
    opened(bad.length, ...bad);
    refused(() => wire.readText(), 1);
  }
});
